// What the zones of the nodes say to the pods of one kind (spec 03 sections 11A.4, 11A.5).
import type { Journal } from '../state/journal.ts';
import { ZoneAligner, type ZonePlacement } from './align.ts';
import type { ZoneLedger } from './ledger.ts';
import { type NodeZones, ZonePolicy, type ZoneTable } from './nodeZones.ts';
import type { Alignment } from './zoneRequest.ts';

/** Pods that ask the same of zones. */
export interface ZoneKind {
  readonly key: number;
  /** By profile. */
  readonly alignments: readonly Alignment[];
}

/** Verdicts by node, current up to `cursor` in the journal's list of changed nodes. */
export interface ZoneVerdicts {
  readonly kind: ZoneKind;
  /** The node cannot align the pod, not even when everything that leaves has left. */
  readonly isRefused: Uint8Array;
  /** The pod can be aligned only when something has left. */
  readonly mustWait: Uint8Array;
  /** 100 ÷ span of a pod that is bound now, and of one that waits. */
  readonly scoreNow: Float64Array;
  readonly scoreLater: Float64Array;
  cursor: number;
}

/** Kinds whose verdicts are kept; the least recently used gives way. */
const MAX_KINDS = 96;
const BEST_SCORE = 100;

export class ZoneJudge {
  readonly #table: ZoneTable;
  readonly #ledger: ZoneLedger;
  readonly #journal: Journal;
  readonly #aligner = new ZoneAligner();
  readonly #verdicts = new Map<number, ZoneVerdicts>();

  constructor(table: ZoneTable, ledger: ZoneLedger, journal: Journal) {
    this.#table = table;
    this.#ledger = ledger;
    this.#journal = journal;
  }

  /** The current verdicts of a kind. */
  verdictsOf(kind: ZoneKind): ZoneVerdicts {
    const v = this.#verdicts.get(kind.key) ?? this.#judgeAll(kind);
    this.#verdicts.delete(kind.key);
    this.#verdicts.set(kind.key, v);
    if (this.#verdicts.size > MAX_KINDS) for (const oldest of [...this.#verdicts.keys()].slice(0, 1)) this.#verdicts.delete(oldest);
    this.catchUp(v);
    return v;
  }

  /** Judges the nodes again that changed since. */
  catchUp(v: ZoneVerdicts): void {
    const { changed, changedLength } = this.#journal;
    if (v.cursor === changedLength) return;
    const isMost = changedLength - v.cursor > v.isRefused.length;
    const end = isMost ? v.isRefused.length : changedLength;
    for (let i = isMost ? 0 : v.cursor; i < end; i++) {
      const n = isMost ? i : changed[i]!;
      // One change of a node makes several marks in a row.
      if (!isMost && i + 1 < end && changed[i + 1] === n) continue;
      const zones = this.#handledZones(v.kind, n);
      if (zones !== null) this.#judge(v, n, zones);
    }
    v.cursor = changedLength;
  }

  /** Where the pod would be on the node: bound now, or waiting. Null when it draws from no zone. */
  placementOn(kind: ZoneKind, n: number, isNow: boolean): ZonePlacement | null {
    const zones = this.#handledZones(kind, n);
    if (zones === null) return null;
    if (isNow && this.#ledger.hasLeaving(zones) && this.#evaluate(kind, zones, true) >= 0) return this.#aligner.placement(zones, n);
    return this.#evaluate(kind, zones, false) < 0 ? null : this.#aligner.placement(zones, n);
  }

  /** The node can never align the pod, whatever leaves. */
  isHopeless(kind: ZoneKind, n: number): boolean {
    const zones = this.#handledZones(kind, n);
    if (zones === null || zones.profile.policy === ZonePolicy.bestEffort) return false;
    const most = this.#aligner.scratch(zones);
    for (let i = 0; i < zones.allocatable.length; i++) most[i] = Math.max(zones.allocatable[i]!, zones.available[i]!);
    return !this.#aligner.evaluateApart(zones, kind.alignments[zones.profile.index]!);
  }

  /** Zones of the node if the kind is handled there and the node's policy aligns pods. */
  #handledZones(kind: ZoneKind, n: number): NodeZones | null {
    const zones = this.#table.nodes[n]!;
    if (zones === null || zones.profile.policy === ZonePolicy.none) return null;
    return kind.alignments[zones.profile.index]!.isHandled ? zones : null;
  }

  #judgeAll(kind: ZoneKind): ZoneVerdicts {
    const count = this.#table.nodes.length;
    const v: ZoneVerdicts = {
      kind,
      isRefused: new Uint8Array(count),
      mustWait: new Uint8Array(count),
      scoreNow: new Float64Array(count),
      scoreLater: new Float64Array(count),
      cursor: this.#journal.changedLength,
    };
    for (let n = 0; n < count; n++) {
      const zones = this.#handledZones(kind, n);
      if (zones !== null) {
        this.#judge(v, n, zones);
        continue;
      }
      const span = this.#table.nodes[n]?.names.length ?? this.#table.mostZones;
      v.scoreNow[n] = BEST_SCORE / span;
      v.scoreLater[n] = BEST_SCORE / span;
    }
    return v;
  }

  #judge(v: ZoneVerdicts, n: number, zones: NodeZones): void {
    const isStrict = zones.profile.policy !== ZonePolicy.bestEffort;
    const later = this.#evaluate(v.kind, zones, false);
    const now = this.#ledger.hasLeaving(zones) ? this.#evaluate(v.kind, zones, true) : later;
    v.isRefused[n] = isStrict && later < 0 ? 1 : 0;
    v.mustWait[n] = isStrict && now < 0 ? 1 : 0;
    v.scoreLater[n] = scoreOf(later);
    v.scoreNow[n] = scoreOf(now < 0 ? later : now);
  }

  #evaluate(kind: ZoneKind, zones: NodeZones, isNow: boolean): number {
    const available = this.#aligner.scratch(zones);
    if (isNow) this.#ledger.bindableInto(zones, available);
    else this.#ledger.laterInto(zones, available);
    return this.#aligner.evaluate(zones, kind.alignments[zones.profile.index]!);
  }
}

function scoreOf(span: number): number {
  return span < 0 ? 0 : BEST_SCORE / Math.max(1, span);
}
