import { NODE_NOT_USABLE, NodeFlag, RequestType } from '../../base/codes.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { compileNodeConstraints, nodeConstraintCodesInto } from '../filters/nodeConstraints.ts';
import { NodeKind, type SlotColumns, type State } from '../state/layout.ts';
import { fragmentationKey } from './fragmentation.ts';
import type { Fragmentation } from './gpuWaste.ts';
import { PredicateCode } from './reasons.ts';
import { deviceMib, devicePortion, type Request } from './requests.ts';

/** Which scorers and choices are on: a plain reading of the plugin list (spec 03 sections 8, 9). */
export interface Policies {
  readonly nominatedNode: boolean;
  readonly podAffinity: boolean;
  readonly gpuSharing: boolean;
  /** The reference's accident of spec 03 section 8.2, selectable: the sharing bonus for every task. */
  readonly gpuSharingForAll: boolean;
  readonly availability: boolean;
  readonly resourceType: boolean;
  readonly placement: boolean;
  readonly spreadGpu: boolean;
  readonly spreadCpu: boolean;
  /** Whole free devices before shared ones inside a node: gpuspread without gpupack. */
  readonly newDeviceFirst: boolean;
  /** gpupack without gpuspread: the fullest group first; gpuspread alone: the emptiest. Neither: by name. */
  readonly groupOrder: 'fullest' | 'emptiest' | 'name';
  readonly predicates: boolean;
  readonly restrictNodes: boolean;
  /** Plugin `gpufragmentation`: nodes and devices by the GPUs that a pod makes useless for others. */
  readonly fragmentation: boolean;
}

/** Bits of a slot's `lack` column: what a node has too little of (spec 03 section 7.1). */
export const Lack = {
  gpus: 1,
  gpuMemory: 2,
  cpu: 4,
  memory: 8,
  pods: 16,
  /** Bit 5 + k: the k-th scalar of the request. */
  firstScalar: 5,
  lastScalar: 29,
  /** It would fit without the pod's overhead. */
  overhead: 1 << 30,
} as const;

export interface Evaluator {
  readonly state: State;
  readonly policies: Policies;
  /** `nvidia.com/gpu` or `amd.com/gpu` is served by a device class. */
  readonly isGpuClassMapped: boolean;
  /** 1 for dimensions that a device class serves: skipped on nodes that do not offer them (spec 03 section 11.9). */
  readonly delegatedDims: Uint8Array;
  /** With `policies.fragmentation`; else null. */
  readonly fragmentation: Fragmentation | null;
}

/** Scores below this distance belong to placement; everything above is a multiple of 10 (spec 03 section 8.2). */
const SHARING = 10_000;
const AVAILABLE = 1_000;
const CPU_NODE = 10;
/** Binpack keys: bucket/10 × this − non-allocated amount. Larger than any amount on a node, so buckets never mix. */
const BUCKET_STEP = 2 ** 40;
const NOT_OFFERED = 2 ** 39;
/** Resolution of spreading where it is a tie-break only. */
const SPREAD_STEPS = 2 ** 16;

/** Fills `before` and `after` of a slot: refusals that hold for the whole cycle. */
export function staticCodesInto(
  e: Evaluator,
  view: SnapshotView,
  r: Request,
  signatureRow: number,
  isGpuTask: boolean,
  slot: SlotColumns,
  from: number,
  to: number,
): void {
  const { facts, ledger } = e.state;
  if (!e.policies.predicates) {
    slot.before.fill(0, from, to);
    slot.after.fill(0, from, to);
    return;
  }
  nodeConstraintCodesInto(view, compileNodeConstraints(view, signatureRow), facts.row, from, to, slot.after);
  for (let n = from; n < to; n++) {
    const flags = facts.flags[n]!;
    slot.before[n] = kindCode(e, r, isGpuTask, facts.kind[n]!, flags, ledger.legacyMigTasks[n]!);
    if ((flags & NODE_NOT_USABLE) !== 0) slot.after[n] = PredicateCode.nodeCondition;
    else if (slot.after[n] === 0 && e.policies.restrictNodes) {
      if (isGpuTask && (flags & NodeFlag.gpuWorker) === 0) slot.after[n] = PredicateCode.gpuWorkerOnly;
      else if (!isGpuTask && (flags & NodeFlag.cpuWorker) === 0) slot.after[n] = PredicateCode.cpuWorkerOnly;
    }
  }
}

/** Spec 03 section 7.3 steps 2 and 3. */
function kindCode(e: Evaluator, r: Request, isGpuTask: boolean, kind: number, flags: number, legacyMigTasks: number): number {
  if (r.isLegacyMig) return PredicateCode.legacyMig;
  if (!isGpuTask) return 0;
  if ((kind & NodeKind.draGpu) !== 0 && r.isShared) return PredicateCode.sharedOnDraNode;
  if ((kind & NodeKind.draOnly) !== 0 && r.wholeGpus > 0 && !e.isGpuClassMapped) return PredicateCode.unmappedDraNode;
  const isMig = r.type === RequestType.migInstance;
  if ((kind & NodeKind.migEnabled) === 0) {
    if (isMig) return PredicateCode.migOnPlainNode;
  } else {
    if (isMig && legacyMigTasks > 0) return PredicateCode.migBesideLegacyMig;
    if ((kind & NodeKind.migSingle) !== 0 && r.type !== RequestType.regular) return PredicateCode.wholeOnlySingleMig;
    if ((kind & NodeKind.migMixed) !== 0 && !isMig) return PredicateCode.nonMigOnMixed;
  }
  if (r.gpuMemoryMib > 0 && (flags & NodeFlag.gpuMemoryKnown) === 0) return PredicateCode.gpuMemoryUnknown;
  return 0;
}

/**
 * Does the request fit the node's idle resources now (spec 03 section 4.10)? `extraGpus`: devices asked for through
 * claims; `credit`: of these, already charged to the node.
 */
export function fitsNow(e: Evaluator, r: Request, n: number, extraGpus: number, credit: number): boolean {
  const { ledger: l, facts } = e.state;
  if (r.milliCpu > 0 && r.milliCpu > l.idleMilliCpu[n]!) return false;
  if (r.memoryBytes > 0 && r.memoryBytes > l.idleMemoryBytes[n]!) return false;
  if (l.idlePods[n]! < 1) return false;
  if (!scalarsFit(e, r, n, false)) return false;
  if (!r.isShared) {
    const gpus = r.wholeGpus + extraGpus;
    return gpus === 0 || gpus <= l.idleGpu[n]! + credit;
  }
  const nodeMib = facts.gpuMemoryMib[n]!;
  if (devicePortion(r, nodeMib) > 1) return false;
  return Math.floor(l.idleGpu[n]!) + Math.min(r.deviceCount, fittingGroups(e.state, n, deviceMib(r, nodeMib))) >= r.deviceCount;
}

function scalarsFit(e: Evaluator, r: Request, n: number, withReleasing: boolean): boolean {
  const count = r.scalarDim.length;
  if (count === 0) return true;
  const { ledger: l, facts, sizes } = e.state;
  for (let k = 0; k < count; k++) {
    const amount = r.scalarAmount[k]!;
    if (amount <= 0) continue;
    const dim = r.scalarDim[k]!;
    const cell = dim * sizes.nodes + n;
    if (e.delegatedDims[dim] === 1 && facts.allocScalar[cell]! === 0) continue;
    if (amount > l.idleScalar[cell]! + (withReleasing ? l.releasingScalar[cell]! : 0)) return false;
  }
  return true;
}

/** Number of groups on the node with fits(g) for `mib` per device (spec 03 section 4.5). */
export function fittingGroups(state: State, n: number, mib: number): number {
  const { next, usedMib, allocatedMib, releasingMib } = state.groups;
  const nodeMib = state.facts.gpuMemoryMib[n]!;
  let count = 0;
  for (let g = state.ledger.groupHead[n]!; g >= 0; g = next[g]!) {
    const allocated = allocatedMib[g]!;
    const releasing = releasingMib[g]!;
    if (usedMib[g]! !== 0 && nodeMib - allocated + releasing - mib >= 0 && allocated !== releasing) count++;
  }
  return count;
}

/**
 * The kernel: does the class fit node `n`, and how good is it there? Writes `key`, `lack` and `code` of the slot from the
 * live ledgers; `before` and `after` must be filled. A key orders nodes exactly as the summed scores of spec 03 section 8
 * do, apart from parts that differ between pods of a class (nomination, pod affinity, topology), which callers put above it.
 */
export function evaluateNode(
  e: Evaluator,
  r: Request,
  isGpuTask: boolean,
  slot: SlotColumns,
  n: number,
  extraGpus: number,
  credit: number,
): void {
  const { ledger: l, facts } = e.state;
  slot.lack[n] = 0;
  const gpus = r.wholeGpus + extraGpus;
  const poolGpu = l.idleGpu[n]! + l.releasingGpu[n]!;
  let fits =
    (r.milliCpu === 0 || r.milliCpu <= l.idleMilliCpu[n]! + l.releasingMilliCpu[n]!) &&
    (r.memoryBytes === 0 || r.memoryBytes <= l.idleMemoryBytes[n]! + l.releasingMemoryBytes[n]!) &&
    (gpus === 0 || gpus <= poolGpu + credit) &&
    l.idlePods[n]! + l.releasingPods[n]! >= 1 &&
    scalarsFit(e, r, n, true);
  let groups = 0;
  let wholeDevices = 0;
  if (r.isShared) {
    const nodeMib = facts.gpuMemoryMib[n]!;
    groups = fittingGroups(e.state, n, deviceMib(r, nodeMib));
    fits = fits && devicePortion(r, nodeMib) <= 1 && Math.floor(poolGpu) + Math.min(r.deviceCount, groups) >= r.deviceCount;
    if (l.idleGpu[n]! > 0 || l.releasingGpu[n]! > 0) wholeDevices = Math.max(0, Math.trunc(l.idleGpu[n]!) + Math.trunc(l.releasingGpu[n]!));
  }
  const now = fitsNow(e, r, n, extraGpus, credit);
  if (!fits && slot.before[n] !== PredicateCode.gpuMemoryUnknown) {
    slot.key[n] = Number.NEGATIVE_INFINITY;
    slot.code[n] = 0;
    if (!now) slot.lack[n] = lackBits(e, r, n);
    return;
  }
  // A memory request on a node that does not tell its memory is told so, whatever the unknown memory would mean for it.
  let code = slot.before[n]!;
  if (code === 0 && r.isShared && e.policies.predicates) {
    const usesNewDevice = e.policies.newDeviceFirst ? wholeDevices > 0 : r.deviceCount > groups;
    if (usesNewDevice && l.idlePods[n]! + l.releasingPods[n]! < 2) code = PredicateCode.podSlots;
  }
  if (code === 0) code = slot.after[n]!;
  if (code === 0 && r.isShared && (r.deviceCount <= 0 || groups + wholeDevices < r.deviceCount)) code = PredicateCode.noGpuSelection;
  slot.code[n] = code;
  slot.key[n] = code === 0 ? keyIn(e, r, isGpuTask, n, extraGpus, bucketOf(e, r, isGpuTask, n, now, groups)) : Number.NEGATIVE_INFINITY;
}

/** The scores above placement: sharing, availability, node type. */
export function bucketOf(e: Evaluator, r: Request, isGpuTask: boolean, n: number, now: boolean, groups: number): number {
  const p = e.policies;
  let bucket = 0;
  if (p.gpuSharing && (r.isShared ? groups > 0 : p.gpuSharingForAll && hasRoomInGroup(e.state, r, n))) bucket += SHARING;
  if (p.availability && now) bucket += AVAILABLE;
  if (p.resourceType && !isGpuTask && (e.state.facts.kind[n]! & NodeKind.cpuOnly) !== 0) bucket += CPU_NODE;
  return bucket;
}

/** The key of a node with these scores above placement. Packing: exact for scores at least 9 apart. */
export function keyIn(e: Evaluator, r: Request, isGpuTask: boolean, n: number, extraGpus: number, bucket: number): number {
  const { ledger: l, facts } = e.state;
  const p = e.policies;
  if (e.fragmentation !== null) {
    const key = fragmentationKey(e.fragmentation, r, n, extraGpus, isGpuTask, isGpuTask ? 0 : cpuTieBreak(e, n));
    return (bucket / CPU_NODE) * BUCKET_STEP + key;
  }
  if (!p.placement) return (bucket / CPU_NODE) * BUCKET_STEP;
  const allocatable = isGpuTask ? facts.allocGpu[n]! : facts.allocMilliCpu[n]!;
  const free = isGpuTask ? l.idleGpu[n]! + l.releasingGpu[n]! : l.idleMilliCpu[n]! + l.releasingMilliCpu[n]!;
  if (isGpuTask ? p.spreadGpu : p.spreadCpu) {
    const divisor = isGpuTask ? facts.spreadDevices[n]! : allocatable;
    return bucket + (divisor === 0 ? 0 : free / divisor);
  }
  // A node that offers none of the resource scores 0, no better than the emptiest one.
  return (bucket / CPU_NODE) * BUCKET_STEP - (allocatable === 0 ? NOT_OFFERED : free);
}

/** CPU placement among nodes on which a CPU-only task wastes the same; smaller first. */
function cpuTieBreak(e: Evaluator, n: number): number {
  const { facts, ledger: l } = e.state;
  if (!e.policies.placement) return 0;
  const free = l.idleMilliCpu[n]! + l.releasingMilliCpu[n]!;
  if (!e.policies.spreadCpu) return Math.max(0, free);
  const allocatable = facts.allocMilliCpu[n]!;
  return allocatable === 0 ? SPREAD_STEPS : Math.round((1 - free / allocatable) * SPREAD_STEPS);
}

/** The reference's sharing bonus for requests that are not shared: m is a whole device or nothing (spec 03 section 8.2). */
function hasRoomInGroup(state: State, r: Request, n: number): boolean {
  return fittingGroups(state, n, r.wholeGpus > 0 ? state.facts.gpuMemoryMib[n]! : 0) > 0;
}

/** Compares the request with allocatable − used, in the order of spec 03 section 7.1. */
function lackBits(e: Evaluator, r: Request, n: number): number {
  // A memory request that merely finds no device with room gives no reason (spec 03 section 7.1).
  if (r.gpuMemoryMib > 0 && devicePortion(r, e.state.facts.gpuMemoryMib[n]!) <= 1 && restFitsIdle(e, r, n)) return 0;
  const bits = insufficient(e, r, n);
  if (bits === 0 || r.overhead === null) return bits;
  return fitsWithoutOverhead(e, r, n) ? bits | Lack.overhead : bits;
}

function restFitsIdle(e: Evaluator, r: Request, n: number): boolean {
  const { ledger: l } = e.state;
  return r.milliCpu <= l.idleMilliCpu[n]! && r.memoryBytes <= l.idleMemoryBytes[n]! && l.idlePods[n]! >= 1 && scalarsFit(e, r, n, false);
}

function insufficient(e: Evaluator, r: Request, n: number): number {
  const { facts, ledger: l, sizes } = e.state;
  let bits = 0;
  // Only what is asked for can be short (spec 03 section 4.11).
  const gpus = requestedGpus(r, facts.gpuMemoryMib[n]!);
  if (r.type !== RequestType.migInstance || gpus > 0) {
    const free = facts.allocGpu[n]! - l.usedGpu[n]! - occupiedGroups(e.state, n);
    if (gpus > 0 && gpus > free) bits |= Lack.gpus;
    if (r.isShared && deviceMib(r, facts.gpuMemoryMib[n]!) > facts.gpuMemoryMib[n]!) bits |= Lack.gpuMemory;
  }
  if (r.milliCpu > 0 && r.milliCpu > facts.allocMilliCpu[n]! - l.usedMilliCpu[n]!) bits |= Lack.cpu;
  if (r.memoryBytes > 0 && r.memoryBytes > facts.allocMemoryBytes[n]! - l.usedMemoryBytes[n]!) bits |= Lack.memory;
  if (facts.allocPods[n]! - l.usedPods[n]! < 1) bits |= Lack.pods;
  for (let k = 0; k < r.scalarDim.length; k++) {
    const cell = r.scalarDim[k]! * sizes.nodes + n;
    if (r.scalarAmount[k]! > 0 && r.scalarAmount[k]! > facts.allocScalar[cell]! - l.usedScalar[cell]!) {
      bits |= 1 << Math.min(Lack.firstScalar + k, Lack.lastScalar);
    }
  }
  // A shared request that finds no device is told so (deviation of spec 03 section 7.1).
  return bits === 0 && r.isShared ? Lack.gpus : bits;
}

/** GPUs of the request as spec 03 section 7.1 compares them; memory requests by their portion on this node. */
function requestedGpus(r: Request, nodeMib: number): number {
  if (r.gpuMemoryMib > 0) return r.deviceCount * devicePortion(r, nodeMib);
  return r.gpuHundredths / 100;
}

export function occupiedGroups(state: State, n: number): number {
  let count = 0;
  for (let g = state.ledger.groupHead[n]!; g >= 0; g = state.groups.next[g]!) if (state.groups.usedMib[g]! > 0) count++;
  return count;
}

function fitsWithoutOverhead(e: Evaluator, r: Request, n: number): boolean {
  const o = r.overhead;
  if (o === null || (o.milliCpu === 0 && o.memoryBytes === 0)) return false;
  const { ledger: l } = e.state;
  return (
    r.milliCpu <= l.idleMilliCpu[n]! + o.milliCpu &&
    r.memoryBytes <= l.idleMemoryBytes[n]! + o.memoryBytes &&
    (r.isShared || r.wholeGpus === 0 || r.wholeGpus <= l.idleGpu[n]!) &&
    l.idlePods[n]! >= 1 &&
    scalarsFit(e, r, n, false)
  );
}
