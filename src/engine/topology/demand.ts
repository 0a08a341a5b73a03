import { RequestType } from '../../base/codes.ts';
import type { Request } from '../placement/requests.ts';

/** Tasks of one request shape. */
export interface ShapeDemand {
  readonly request: Request;
  readonly count: number;
  /** Tasks that ask for at least as much in every resource, these included: each of them takes a slot of this shape. */
  readonly atLeast: number;
}

/** What a list of tasks asks a domain for (spec 06 sections 5.3, 5.5). */
export interface Demand {
  readonly count: number;
  readonly shapes: readonly ShapeDemand[];
  /** All tasks ask for the same kinds of resources: slots can be counted. */
  readonly isComparable: boolean;
  readonly milliCpu: number;
  readonly memoryBytes: number;
  /** GPUs for the ratio: devices, portions and claimed devices. */
  readonly gpus: number;
  /** GPUs that certainly take whole free devices: neither portions nor claims, whose devices may be shared. */
  readonly wholeGpus: number;
  /** Other resources by dimension, without those that a device class serves. */
  readonly scalarDim: Int32Array;
  readonly scalarAmount: Float64Array;
}

/** A task as the demand sees it. */
export interface TaskDemand {
  readonly request: Request;
  /** Devices asked for through claims. */
  readonly claimedGpus: number;
}

/** Sums up tasks; the order does not matter. `delegatedDims`: 1 for dimensions served by a device class, which are ignored. */
export function readDemand(tasks: readonly TaskDemand[], delegatedDims: Uint8Array): Demand {
  const counts = new Map<Request, number>();
  const amounts = new Map<number, number>();
  let milliCpu = 0;
  let memoryBytes = 0;
  let gpus = 0;
  let wholeGpus = 0;
  for (const { request: r, claimedGpus } of tasks) {
    counts.set(r, (counts.get(r) ?? 0) + 1);
    milliCpu += r.milliCpu;
    memoryBytes += r.memoryBytes;
    gpus += gpuAmount(r) + claimedGpus;
    wholeGpus += r.wholeGpus;
    for (let k = 0; k < r.scalarDim.length; k++) {
      const dim = r.scalarDim[k]!;
      if (delegatedDims[dim] !== 1 && r.scalarAmount[k]! > 0) amounts.set(dim, (amounts.get(dim) ?? 0) + r.scalarAmount[k]!);
    }
  }
  const requests = [...counts.keys()].sort((a, b) => a.shapeRow - b.shapeRow);
  const shapes = requests.map((request): ShapeDemand => {
    let atLeast = 0;
    for (const [other, count] of counts) if (dominates(other, request, delegatedDims)) atLeast += count;
    return { request, count: counts.get(request)!, atLeast };
  });
  const dims = [...amounts.keys()].sort((a, b) => a - b);
  return {
    count: tasks.length,
    shapes,
    isComparable: requests.every((r) => isSameKind(r, requests[0]!, delegatedDims)),
    milliCpu,
    memoryBytes,
    gpus,
    wholeGpus,
    scalarDim: Int32Array.from(dims),
    scalarAmount: Float64Array.from(dims, (dim) => amounts.get(dim)!),
  };
}

/** Devices × portion; GPU memory counts nothing (spec 06 section 5.5). */
export function gpuAmount(r: Request): number {
  return r.type === RequestType.fraction ? r.deviceCount * r.portion : r.wholeGpus;
}

/** The same scalars and MIG profiles, and GPUs by count or portion in both or in neither. */
function isSameKind(a: Request, b: Request, delegatedDims: Uint8Array): boolean {
  return gpuAmount(a) > 0 === gpuAmount(b) > 0 && hasScalarsOf(a, b, delegatedDims, 'any') && hasScalarsOf(b, a, delegatedDims, 'any');
}

/** Does `a` ask for every scalar that `b` asks for: of any amount, or of at least b's? */
function hasScalarsOf(a: Request, b: Request, delegatedDims: Uint8Array, amount: 'any' | 'atLeast'): boolean {
  for (let k = 0; k < b.scalarDim.length; k++) {
    const wanted = b.scalarAmount[k]!;
    if (wanted <= 0 || delegatedDims[b.scalarDim[k]!] === 1) continue;
    const at = a.scalarDim.indexOf(b.scalarDim[k]!);
    const has = at < 0 ? 0 : a.scalarAmount[at]!;
    if (amount === 'any' ? has <= 0 : has < wanted) return false;
  }
  return true;
}

/** Does a task of `a` fill a slot of `b` wherever it runs? Shared requests only fill slots of their own shape. */
function dominates(a: Request, b: Request, delegatedDims: Uint8Array): boolean {
  if (a === b) return true;
  if (b.isShared || a.milliCpu < b.milliCpu || a.memoryBytes < b.memoryBytes || a.wholeGpus < b.wholeGpus) return false;
  return hasScalarsOf(a, b, delegatedDims, 'atLeast');
}
