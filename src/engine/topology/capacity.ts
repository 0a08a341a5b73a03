import { deviceMib, devicePortion, type Request } from '../placement/requests.ts';
import type { State } from '../state/layout.ts';
import { type Demand, gpuAmount } from './demand.ts';

/** Columns of a node's free amounts; other resources follow by dimension. */
export const FREE = { milliCpu: 0, memoryBytes: 1, gpus: 2, firstScalar: 3 } as const;

/**
 * What is idle or leaving on a node, without leftovers of shared GPUs (spec 06 section 5.2). An over-committed node counts
 * as full: it takes nothing from its neighbours.
 */
export function freeInto(state: State, n: number, out: Float64Array): void {
  const { ledger: l, sizes } = state;
  out[FREE.milliCpu] = Math.max(0, l.idleMilliCpu[n]! + l.releasingMilliCpu[n]!);
  out[FREE.memoryBytes] = Math.max(0, l.idleMemoryBytes[n]! + l.releasingMemoryBytes[n]!);
  out[FREE.gpus] = Math.max(0, l.idleGpu[n]! + l.releasingGpu[n]!);
  for (let d = 0; d < sizes.dims; d++) {
    const cell = d * sizes.nodes + n;
    out[FREE.firstScalar + d] = Math.max(0, l.idleScalar[cell]! + l.releasingScalar[cell]!);
  }
}

/**
 * How many tasks of one request a node can take by its amounts, idle and leaving ones together (spec 06 section 5.3, in the
 * exact form that the deviation asks for): never fewer than can really be placed. Claimed devices are left out, they may be
 * shared.
 */
export function slotsOf(state: State, r: Request, delegatedDims: Uint8Array, n: number): number {
  const { ledger: l, sizes } = state;
  let slots = l.idlePods[n]! + l.releasingPods[n]!;
  if (r.milliCpu > 0) slots = Math.min(slots, Math.floor((l.idleMilliCpu[n]! + l.releasingMilliCpu[n]!) / r.milliCpu));
  if (r.memoryBytes > 0) slots = Math.min(slots, Math.floor((l.idleMemoryBytes[n]! + l.releasingMemoryBytes[n]!) / r.memoryBytes));
  if (r.wholeGpus > 0) slots = Math.min(slots, Math.floor((l.idleGpu[n]! + l.releasingGpu[n]!) / r.wholeGpus));
  for (let k = 0; k < r.scalarDim.length && slots > 0; k++) {
    const amount = r.scalarAmount[k]!;
    if (amount <= 0 || delegatedDims[r.scalarDim[k]!] === 1) continue;
    const cell = r.scalarDim[k]! * sizes.nodes + n;
    slots = Math.min(slots, Math.floor((l.idleScalar[cell]! + l.releasingScalar[cell]!) / amount));
  }
  if (r.isShared && slots > 0) slots = Math.min(slots, sharedSlots(state, r, n, slots));
  return Math.max(0, slots);
}

/** Shared tasks that the devices of a node can hold, at most `limit`: counted device by device, in MiB. */
function sharedSlots(state: State, r: Request, n: number, limit: number): number {
  const nodeMib = state.facts.gpuMemoryMib[n]!;
  if (r.deviceCount <= 0 || devicePortion(r, nodeMib) > 1) return 0;
  const mib = deviceMib(r, nodeMib);
  let slots = Math.min(limit, Math.floor(places(state, n, mib, limit) / r.deviceCount));
  // A task needs its devices to be different ones: a device gives each task one place.
  while (slots > 0 && r.deviceCount > 1 && places(state, n, mib, slots) < slots * r.deviceCount) slots--;
  return slots;
}

/** Places of `mib` on the devices of a node, at most `most` on each: whole free devices and groups with room. */
function places(state: State, n: number, mib: number, most: number): number {
  const { ledger: l, groups: g } = state;
  const nodeMib = state.facts.gpuMemoryMib[n]!;
  const onDevice = (roomMib: number): number => (mib > 0 ? Math.min(most, Math.floor(roomMib / mib)) : most);
  let sum = Math.max(0, Math.trunc(l.idleGpu[n]!) + Math.trunc(l.releasingGpu[n]!)) * onDevice(nodeMib);
  for (let k = l.groupHead[n]!; k >= 0; k = g.next[k]!) {
    const room = nodeMib - g.allocatedMib[k]! + g.releasingMib[k]!;
    if (g.usedMib[k]! !== 0 && g.allocatedMib[k]! !== g.releasingMib[k]! && room >= mib) sum += onDevice(room);
  }
  return sum;
}

/**
 * The reference's capacity of nodes for tasks of several sizes: as if every task were as large as the largest in each
 * resource (spec 06 section 5.3). Only told in messages; what fits is decided by slots and sums.
 */
export function largestTaskCapacity(state: State, demand: Demand, nodes: Int32Array): number {
  let milliCpu = 0;
  let memoryBytes = 0;
  let gpus = 0;
  const largest = new Float64Array(state.sizes.dims);
  for (const { request: r } of demand.shapes) {
    milliCpu = Math.max(milliCpu, r.milliCpu);
    memoryBytes = Math.max(memoryBytes, r.memoryBytes);
    gpus = Math.max(gpus, gpuAmount(r));
    for (let k = 0; k < r.scalarDim.length; k++) largest[r.scalarDim[k]!] = Math.max(largest[r.scalarDim[k]!]!, r.scalarAmount[k]!);
  }
  const free = new Float64Array(FREE.firstScalar + state.sizes.dims);
  let sum = 0;
  for (const n of nodes) {
    freeInto(state, n, free);
    let slots = state.ledger.idlePods[n]! + state.ledger.releasingPods[n]!;
    if (milliCpu > 0) slots = Math.min(slots, Math.floor(free[FREE.milliCpu]! / milliCpu));
    if (memoryBytes > 0) slots = Math.min(slots, Math.floor(free[FREE.memoryBytes]! / memoryBytes));
    if (gpus > 0) slots = Math.min(slots, Math.floor(free[FREE.gpus]! / gpus));
    for (const dim of demand.scalarDim) slots = Math.min(slots, Math.floor(free[FREE.firstScalar + dim]! / largest[dim]!));
    sum += Math.max(0, slots);
  }
  return Math.min(sum, demand.count - 1);
}
