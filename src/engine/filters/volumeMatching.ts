import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { CompiledNodeTerm } from './labels.ts';
import { anchorOf, compileNodeTerms, labelValueRow, matchesAnyTerm, selectsLabels } from './labels.ts';
import type { StorageClaim, StorageVolume } from './storageObjects.ts';

/** A volume that would serve a claim; only its node affinity is still to be compared. */
interface VolumeCandidate {
  readonly name: string;
  readonly terms: readonly CompiledNodeTerm[] | null;
}

/**
 * The unbound volumes that could serve one claim (upstream FindMatchingVolume), best first: a volume reserved for the claim
 * excludes all others; else the smallest that is large enough, then by name. Volumes that name their nodes by one label are
 * found from the node's label, so that thousands of local volumes cost nothing on the wrong node.
 */
export class VolumeCandidates {
  private readonly view: SnapshotView;
  private readonly candidates: readonly VolumeCandidate[];
  /** label key row → value row → ascending candidate numbers. */
  private readonly byLabel = new Map<number, Map<number, number[]>>();
  private readonly always: number[] = [];

  constructor(view: SnapshotView, claim: StorageClaim, volumes: readonly StorageVolume[]) {
    this.view = view;
    const large = volumes.filter((v) => isPossible(claim, v));
    const reserved = large.find((v) => isReservedFor(v, claim));
    const free = large
      .filter((v) => v.claimRef === null && isFreeMatch(claim, v))
      .sort((a, b) => a.capacityBytes - b.capacityBytes || (a.name < b.name ? -1 : 1));
    this.candidates = (reserved === undefined ? free : [reserved]).map((v) => ({ name: v.name, terms: compileVolumeTerms(view, v) }));
    this.candidates.forEach((candidate, i) => {
      this.register(candidate, i);
    });
  }

  /** Name of the best volume reachable from the node and not in `taken`; `null` when there is none. */
  bestOn(nodeRow: number, taken: ReadonlySet<string>): string | null {
    const setRow = this.view.nodes.labelSetRow[nodeRow]!;
    let best = this.firstUsable(this.always, setRow, taken, this.candidates.length);
    for (const [keyRow, byValue] of this.byLabel) {
      const numbers = byValue.get(labelValueRow(this.view.labelSets, setRow, keyRow));
      if (numbers !== undefined) best = this.firstUsable(numbers, setRow, taken, best);
    }
    return this.candidates[best]?.name ?? null;
  }

  private firstUsable(numbers: readonly number[], setRow: number, taken: ReadonlySet<string>, below: number): number {
    for (const number of numbers) {
      if (number >= below) break;
      const candidate = this.candidates[number]!;
      if (!taken.has(candidate.name) && isReachable(this.view, candidate.terms, setRow)) return number;
    }
    return below;
  }

  private register(candidate: VolumeCandidate, number: number): void {
    const only = candidate.terms?.length === 1 ? candidate.terms[0]! : null;
    const anchor = only === null ? null : anchorOf(only.requirements);
    if (anchor === null) {
      this.always.push(number);
      return;
    }
    let byValue = this.byLabel.get(anchor.keyRow);
    if (byValue === undefined) {
      byValue = new Map();
      this.byLabel.set(anchor.keyRow, byValue);
    }
    for (const value of anchor.valueRows) {
      const numbers = byValue.get(value);
      if (numbers === undefined) byValue.set(value, [number]);
      else numbers.push(number);
    }
  }
}

/** Required node affinity of a volume; `null` = reachable from everywhere. */
export function compileVolumeTerms(view: SnapshotView, volume: StorageVolume): readonly CompiledNodeTerm[] | null {
  return volume.nodeTerms === null ? null : compileNodeTerms(view.texts, volume.nodeTerms);
}

/** Upstream compares a volume's affinity with the node's labels only, never with its name. */
export function isReachable(view: SnapshotView, terms: readonly CompiledNodeTerm[] | null, labelSetRow: number): boolean {
  return terms === null || matchesAnyTerm(view, terms, labelSetRow, NO_ROW);
}

/** What even a volume reserved for the claim must satisfy. */
function isPossible(claim: StorageClaim, volume: StorageVolume): boolean {
  if (volume.claimRef !== null && !isReservedFor(volume, claim)) return false;
  if (volume.capacityBytes < claim.requestBytes || volume.isDeleting) return false;
  return volume.volumeMode === claim.volumeMode && volume.attributesClass === claim.attributesClass;
}

function isFreeMatch(claim: StorageClaim, volume: StorageVolume): boolean {
  if (volume.phase !== 'Available' || volume.className !== claim.className) return false;
  if (claim.selector !== null && !selectsLabels(claim.selector, volume.labels)) return false;
  return claim.accessModes.every((mode) => volume.accessModes.includes(mode));
}

function isReservedFor(volume: StorageVolume, claim: StorageClaim): boolean {
  const ref = volume.claimRef;
  if (ref === null || ref.namespace !== claim.namespace || ref.name !== claim.name) return false;
  return ref.uid === '' || ref.uid === claim.uid;
}
