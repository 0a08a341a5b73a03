import type { SnapshotView } from '../../base/snapshotView.ts';
import type { PodClass } from '../placement/classIndex.ts';
import type { Evaluator } from '../placement/evaluate.ts';
import type { Request } from '../placement/requests.ts';
import type { Journal } from '../state/journal.ts';
import type { ZonePlacement } from './align.ts';
import { ZoneLedger } from './ledger.ts';
import { type NodeZones, readZones, ZonePolicy, type ZoneTable } from './nodeZones.ts';
import { describeZones, type PredictedZone, recordOf } from './records.ts';
import { ZoneJudge, type ZoneKind, type ZoneVerdicts } from './verdicts.ts';
import { type Asker, type ZoneOrder, ZoneOrders } from './zoneOrder.ts';
import { alignmentOf, devicesOf, readZoneRequest } from './zoneRequest.ts';

/** What the plugin looks at. */
export interface NumaInput {
  readonly view: SnapshotView;
  readonly evaluator: Evaluator;
  readonly journal: Journal;
  /** Node number by name text row. */
  readonly nodeOfText: Int32Array;
  readonly dimNames: readonly string[];
  readonly argument: (key: string) => string | undefined;
}

/** A pod that is on a node when the cycle opens. */
export interface PodOnNode {
  readonly podRow: number;
  readonly node: number;
  readonly request: Request;
  readonly hasClaimGpus: boolean;
  /** Live bind request, −1 = none. */
  readonly bindRequestRow: number;
  /** It belongs to a job of the cycle. */
  readonly isTask: boolean;
  /** It stays: active-allocated; else it is leaving. */
  readonly isStaying: boolean;
}

/** Opens the plugin for a cycle; null when no node of the cycle has NUMA zones, then it changes nothing. */
export function openNuma(input: NumaInput): NumaSession | null {
  const { state } = input.evaluator;
  const { nodes } = state.sizes;
  const known = new Set(input.dimNames.filter((_, d) => state.facts.allocScalar.subarray(d * nodes, (d + 1) * nodes).some((a) => a !== 0)));
  const table = readZones(input.view, nodes, input.nodeOfText, (name) => known.has(name));
  return table.mostZones === 0 ? null : new NumaSession(input, table);
}

/** NUMA-aware placement of one cycle: plugin `numa` (spec 03 section 11A). */
export class NumaSession {
  readonly table: ZoneTable;
  readonly ledger: ZoneLedger;
  readonly #input: NumaInput;
  readonly #judge: ZoneJudge;
  readonly #orders: ZoneOrders;
  readonly #ignored: ReadonlySet<string>;
  readonly #isReconstructed: boolean;
  readonly #kinds = new Map<number, ZoneKind | null>();
  /** Zones of tasks by pod row; absent = none. */
  readonly #stamps = new Map<number, ZonePlacement>();

  constructor(input: NumaInput, table: ZoneTable) {
    this.#input = input;
    this.table = table;
    this.ledger = new ZoneLedger(table);
    this.#judge = new ZoneJudge(table, this.ledger, input.journal);
    this.#orders = new ZoneOrders(input.evaluator, input.journal, this.#judge);
    this.#ignored = new Set((input.argument('ignoreList') ?? '').split(',').map((name) => name.trim()));
    this.#isReconstructed = !/^(?:0|f|F|false|False|FALSE)$/.test(input.argument('reconstructAvailable') ?? 'true');
  }

  /** Fills the zone ledger and the tasks' zones from the records of all pods on nodes (11A.6). */
  open(pods: readonly PodOnNode[]): void {
    for (const zones of this.table.nodes) {
      if (zones !== null) this.ledger.open(zones, this.#isReconstructed ? zones.allocatable : zones.available);
    }
    for (const pod of pods) {
      const zones = this.table.nodes[pod.node]!;
      if (zones === null || zones.profile.policy === ZonePolicy.none) continue;
      const record = recordOf(this.#input.view, pod.podRow, pod.bindRequestRow, zones, pod.node);
      if (record === null) continue;
      if (this.#isReconstructed) {
        if (pod.isStaying) this.ledger.addLater(zones, record, -1);
        this.ledger.addNow(zones, record, -1);
      }
      if (!pod.isTask) continue;
      const alignment = this.kindOf(pod.request, pod.hasClaimGpus)?.alignments[zones.profile.index];
      if (alignment?.isHandled === true) this.#stamps.set(pod.podRow, record);
    }
    this.ledger.begin();
  }

  /** What a pod asks of zones; null when zones make no difference to it: no node refuses it, all score 0. */
  kindOf(request: Request, hasClaimGpus: boolean): ZoneKind | null {
    const key = 2 * request.shapeRow + (hasClaimGpus ? 1 : 0);
    let kind = this.#kinds.get(key);
    if (kind === undefined) {
      kind = this.#readKind(key, request, hasClaimGpus);
      this.#kinds.set(key, kind);
    }
    return kind;
  }

  verdictsOf(kind: ZoneKind): ZoneVerdicts {
    return this.#judge.verdictsOf(kind);
  }

  /** The order of the nodes for a class whose columns are current; null when zones make no difference to it. */
  orderOf(c: PodClass): ZoneOrder | null {
    const kind = this.kindOf(c.request, false);
    return kind === null ? null : this.#orders.orderOf(c, this.#judge.verdictsOf(kind));
  }

  /** Keys that order the nodes of a set, null = all, exactly as the summed scores do; valid until the next call. */
  keysAmong(c: PodClass, order: ZoneOrder | null, nodes: Int32Array | null): Float64Array {
    return order === null ? c.columns.key : this.#orders.keysAmong(c, order, nodes);
  }

  /** The same for a task with claims. `creditOf`: of its GPUs, those charged to the node already. */
  claimKeysAmong(asker: Asker, kind: ZoneKind, extraGpus: number, creditOf: (n: number) => number, nodes: Int32Array | null): Float64Array {
    return this.#orders.claimKeysAmong(asker, this.#judge.verdictsOf(kind), extraGpus, creditOf, nodes);
  }

  /** The node can never align the pod, whatever leaves. */
  isHopeless(kind: ZoneKind, n: number): boolean {
    return this.#judge.isHopeless(kind, n);
  }

  /** Where a pod would be on a node, bound now or waiting (11A.7); null when it draws from no zone. */
  placementOn(kind: ZoneKind, n: number, isNow: boolean): ZonePlacement | null {
    return this.#judge.placementOn(kind, n, isNow);
  }

  /** The allocate event: stamps the zones on the task and takes their amounts. Returns what was stamped before. */
  place(podRow: number, zones: ZonePlacement | null, isNow: boolean): ZonePlacement | null {
    const before = this.zonesOf(podRow);
    this.stamp(podRow, zones);
    if (zones !== null) {
      this.ledger.addLater(this.#zonesAt(zones), zones, -1);
      if (isNow) this.ledger.addNow(this.#zonesAt(zones), zones, -1);
    }
    return before;
  }

  /** The deallocate event of an eviction: its amounts are available once it has left. It keeps its zones. */
  evict(podRow: number): void {
    const zones = this.zonesOf(podRow);
    if (zones !== null) this.ledger.addLater(this.#zonesAt(zones), zones, 1);
  }

  /** The reverse of `evict`, whatever was placed since; `holdsUp` tells whether that goes well. */
  restore(podRow: number): void {
    const zones = this.zonesOf(podRow);
    if (zones !== null) this.ledger.addLater(this.#zonesAt(zones), zones, -1);
  }

  /** Undoes a `place` of a task that waits, whatever was placed since. */
  unplace(podRow: number): void {
    this.evict(podRow);
    this.stamp(podRow, null);
  }

  /** Nothing of the task's zones is promised twice. */
  holdsUp(podRow: number): boolean {
    const zones = this.zonesOf(podRow);
    return zones === null || this.ledger.holds(this.#zonesAt(zones), zones);
  }

  /** Zones of a task on its node, null = none or unknown. */
  zonesOf(podRow: number): ZonePlacement | null {
    return this.#stamps.get(podRow) ?? null;
  }

  /** Sets a task's zones without touching the ledger: for undoing. */
  stamp(podRow: number, zones: ZonePlacement | null): void {
    if (zones === null) this.#stamps.delete(podRow);
    else this.#stamps.set(podRow, zones);
  }

  /** `predictedNUMAZones` of a bind request. */
  describe(zones: ZonePlacement): PredictedZone[] {
    return describeZones(zones, this.#zonesAt(zones));
  }

  mark(): number {
    return this.ledger.mark();
  }

  /** Restores the ledger exactly as it was at the mark; stamps are the caller's business. */
  rollback(mark: number): void {
    this.ledger.rollback(mark);
  }

  /** Forgets how to undo: what happened so far is final. */
  seal(): void {
    this.ledger.seal();
  }

  #zonesAt(placement: ZonePlacement): NodeZones {
    return this.table.nodes[placement.node]!;
  }

  #readKind(key: number, request: Request, hasClaimGpus: boolean): ZoneKind | null {
    const asked = readZoneRequest(this.#input.view, request, hasClaimGpus, this.#input.dimNames);
    const { profiles } = this.table;
    const isConcerned =
      asked.isGuaranteed ||
      profiles.some(
        (profile) => profile.policy !== ZonePolicy.none && devicesOf(profile, this.#ignored).some((r) => asked.asks(profile.resources[r]!)),
      );
    return isConcerned ? { key, alignments: profiles.map((profile) => alignmentOf(asked, profile, this.#ignored)) } : null;
  }
}
