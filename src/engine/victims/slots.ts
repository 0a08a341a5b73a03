import { classOf, type PodClass } from '../placement/classIndex.ts';
import { deviceMib, devicePortion, type Request } from '../placement/requests.ts';
import { requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';

/**
 * How many tasks of one kind each node could take if everything idle and leaving were theirs: an upper bound that rejects
 * hopeless searches and finds the first sufficient prefix of victims without trials (spec 04 section 12.5).
 */
export interface SlotCounter {
  readonly request: Request;
  /** Tasks of this kind to place. */
  readonly wanted: number;
  readonly extraGpus: number;
  /** Nodes that can never take the task, whatever leaves. */
  readonly isClosed: Uint8Array;
  readonly slots: Int32Array;
  total: number;
}

/** Counters for the tasks, one per kind; with the counts of the ledgers as they are. */
export function createSlotCounters(s: Session, tasks: readonly number[]): SlotCounter[] {
  const kinds = new Map<string, { podRow: number; wanted: number }>();
  for (const p of tasks) {
    const key = `${s.view.pods.shapeRow[p]!}/${s.view.pods.signatureRow[p]!}/${s.dra.gpuCountOf(p)}`;
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, { podRow: p, wanted: 1 });
    else kind.wanted++;
  }
  return [...kinds.values()].map(({ podRow, wanted }) => {
    const request = requestOf(s, podRow);
    const c = classOf(s.classes, request, s.view.pods.signatureRow[podRow]!);
    const counter: SlotCounter = {
      request,
      wanted,
      extraGpus: s.dra.gpuCountOf(podRow),
      isClosed: closedNodes(s, c, s.dra.gpuCountOf(podRow) > 0),
      slots: new Int32Array(s.state.sizes.nodes),
      total: 0,
    };
    for (let n = 0; n < counter.slots.length; n++) updateSlots(s, counter, n);
    return counter;
  });
}

function closedNodes(s: Session, c: PodClass, hasClaimGpus: boolean): Uint8Array {
  const closed = new Uint8Array(s.state.sizes.nodes);
  for (let n = 0; n < closed.length; n++) closed[n] = c.columns.before[n] !== 0 || c.columns.after[n] !== 0 ? 1 : 0;
  const kind = s.numa?.kindOf(c.request, hasClaimGpus) ?? null;
  if (kind !== null) for (let n = 0; n < closed.length; n++) if (s.numa?.isHopeless(kind, n) === true) closed[n] = 1;
  return closed;
}

/** Recounts one node after its ledgers changed. */
export function updateSlots(s: Session, c: SlotCounter, n: number): void {
  const slots = slotsNow(s, c, n);
  c.total += slots - c.slots[n]!;
  c.slots[n] = slots;
}

/** What a node could take as its ledgers are, without a word to the counter. */
export function slotsNow(s: Session, c: SlotCounter, n: number): number {
  return c.isClosed[n] === 1 ? 0 : Math.min(c.wanted, slotsOn(s, c.request, c.extraGpus, n));
}

/** Tasks with the request, and as many devices more, that the node's idle and leaving amounts are enough for. */
export function slotsOn(s: Session, r: Request, extraGpus: number, n: number): number {
  const { ledger: l, facts, sizes } = s.state;
  let slots = Math.floor(l.idlePods[n]! + l.releasingPods[n]!);
  if (r.milliCpu > 0) slots = Math.min(slots, Math.floor((l.idleMilliCpu[n]! + l.releasingMilliCpu[n]!) / r.milliCpu));
  if (r.memoryBytes > 0) slots = Math.min(slots, Math.floor((l.idleMemoryBytes[n]! + l.releasingMemoryBytes[n]!) / r.memoryBytes));
  for (let k = 0; k < r.scalarDim.length && slots > 0; k++) {
    const at = r.scalarDim[k]! * sizes.nodes + n;
    if (r.scalarAmount[k]! <= 0 || (facts.allocScalar[at] === 0 && s.evaluator.delegatedDims[r.scalarDim[k]!] === 1)) continue;
    slots = Math.min(slots, Math.floor((l.idleScalar[at]! + l.releasingScalar[at]!) / r.scalarAmount[k]!));
  }
  if (slots <= 0) return 0;
  if (r.isShared) return Math.min(slots, sharedSlots(s, r, n));
  const gpus = r.wholeGpus + extraGpus;
  // Claims may share devices that are charged already, so their count bounds nothing.
  if (gpus > 0 && extraGpus === 0) slots = Math.min(slots, Math.floor((l.idleGpu[n]! + l.releasingGpu[n]!) / gpus));
  return Math.max(0, slots);
}

/** Device parts of the request that fit the node's shared groups and whole devices, over the devices it needs. */
function sharedSlots(s: Session, r: Request, n: number): number {
  const { ledger: l, facts, groups } = s.state;
  const nodeMib = facts.gpuMemoryMib[n]!;
  if (devicePortion(r, nodeMib) > 1 || r.deviceCount <= 0) return 0;
  const mib = Math.max(1, deviceMib(r, nodeMib));
  const whole = Math.max(0, Math.floor(l.idleGpu[n]! + l.releasingGpu[n]!));
  let parts = whole * Math.floor(nodeMib / mib);
  for (let g = l.groupHead[n]!; g >= 0; g = groups.next[g]!) {
    if (groups.usedMib[g] === 0) continue;
    parts += Math.max(0, Math.floor((nodeMib - groups.allocatedMib[g]! + groups.releasingMib[g]!) / mib));
  }
  return Math.floor(parts / r.deviceCount);
}

/** GPUs of a node that are idle or leaving, parts of shared devices counted generously. */
export function freeGpus(s: Session, n: number): number {
  const { ledger: l, groups, facts } = s.state;
  let gpus = l.idleGpu[n]! + l.releasingGpu[n]!;
  for (let g = l.groupHead[n]!; g >= 0; g = groups.next[g]!) {
    if (groups.usedMib[g] === 0) continue;
    gpus += Math.max(0, (facts.gpuMemoryMib[n]! - groups.allocatedMib[g]! + groups.releasingMib[g]!) / facts.gpuMemoryMib[n]!);
  }
  for (let d = 0; d < s.dimNames.length; d++) {
    const each = s.migGpusOfDim[d]!;
    if (each > 0) gpus += each * (l.idleScalar[d * s.state.sizes.nodes + n]! + l.releasingScalar[d * s.state.sizes.nodes + n]!);
  }
  return gpus;
}
