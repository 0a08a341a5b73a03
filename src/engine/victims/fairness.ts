import type { Need } from '../jobs/selectTasks.ts';
import { UNLIMITED } from '../queues/fairShare.ts';
import { allocatableShares } from '../queues/queueOrder.ts';
import { divergingPair, pathOf } from '../queues/queueTree.ts';
import { queueCell } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';

/** Queue sums as they were when an attempt began; index 3 × queue + resource. */
export interface QueueAmounts {
  readonly allocated: Float64Array;
  readonly nonPreemptible: Float64Array;
  readonly allocatable: Float64Array;
}

export function copyQueueAmounts(s: Session): QueueAmounts {
  const allocated = new Float64Array(3 * s.queues.count);
  const nonPreemptible = new Float64Array(3 * s.queues.count);
  for (let q = 0; q < s.queues.count; q++) {
    for (let r = 0; r < 3; r++) {
      allocated[3 * q + r] = s.state.cells[queueCell(s, r, q)]!;
      nonPreemptible[3 * q + r] = s.state.cells[queueCell(s, 3 + r, q)]!;
    }
  }
  return { allocated, nonPreemptible, allocatable: allocatableShares(s.queues) };
}

const amounts = (need: Need): readonly [number, number, number] => [need.milliCpu, need.memoryBytes, need.gpuMilli];

/** a ≤ bound in all three resources, −1 being unlimited. */
function fitsIn(a: Float64Array, extra: readonly number[] | null, bound: Float64Array, q: number): boolean {
  for (let r = 0; r < 3; r++) {
    const max = bound[3 * q + r]!;
    if (max !== UNLIMITED && a[3 * q + r]! + (extra === null ? 0 : extra[r]!) > max) return false;
  }
  return true;
}

/** The reclaim gate (spec 02 section 14.1): within fair share, and non-preemptible jobs within quota. */
export function mayReclaim(s: Session, job: number, need: Need): boolean {
  const q = s.jobs.queue[job]!;
  const now = copyQueueAmounts(s);
  if (!fitsIn(now.allocated, amounts(need), s.queues.fairShare, q)) return false;
  return s.jobs.isPreemptible[job]! === 1 || fitsIn(now.nonPreemptible, amounts(need), s.queues.quota, q);
}

/** Could one chunk be taken from the victim's queue as things stand? Exact form of the filter of spec 04 section 3.5. */
export function canBeTakenFrom(s: Session, start: QueueAmounts, reclaimer: number, victim: number, need: Need): boolean {
  const [p, v] = divergingPair(s, reclaimer, victim);
  if (!fitsIn(start.allocated, null, start.allocatable, v)) return true;
  return fitsIn(start.allocated, amounts(need), s.queues.quota, p) && !fitsIn(start.allocated, null, s.queues.quota, v);
}

/** Something taken from a leaf queue, in the order of taking. */
export interface Chunk {
  readonly queue: number;
  readonly amounts: readonly [milliCpu: number, memoryBytes: number, gpuMilli: number];
}

/** Saturation multiplier of plugin `proportion`, under any of its spellings; unreadable or below 1 is 1. */
function multiplier(s: Session): number {
  for (const key of ['relcaimerSaturationMultiplier', 'reclaimerSaturationMultiplier', 'reclaimerUtilizationMultiplier']) {
    const text = s.plugins.argument('proportion', key);
    if (text === undefined) continue;
    const value = Number(text);
    return Number.isNaN(value) ? 1 : Math.max(1, value);
  }
  return 1;
}

/**
 * May the reclaimer take these chunks (spec 02 section 14.5, 04 section 6.1)? Each chunk must come from a queue above its
 * share, or serve a guaranteed quota; afterwards no level of the reclaimer's path may be more saturated than a sibling that
 * lost something.
 */
export function isFair(s: Session, start: QueueAmounts, job: number, need: Need, chunks: readonly Chunk[]): boolean {
  const reclaimer = s.jobs.queue[job]!;
  const asked = amounts(need);
  const remaining = start.allocated.slice();
  const touched = new Uint8Array(s.queues.count);
  const involved = new Uint8Array(3 * s.queues.count);
  const pairs = new Map<number, readonly [number, number]>();
  for (const chunk of chunks) {
    let pair = pairs.get(chunk.queue);
    if (pair === undefined) {
      pair = divergingPair(s, reclaimer, chunk.queue);
      pairs.set(chunk.queue, pair);
    }
    const [p, v] = pair;
    const isOver = !fitsIn(remaining, null, start.allocatable, v);
    const isGuaranteed = !isOver && fitsIn(start.allocated, asked, s.queues.quota, p) && !fitsIn(remaining, null, s.queues.quota, v);
    if (!isOver && !isGuaranteed) return false;
    for (let q = chunk.queue; q >= 0; q = s.queues.parent[q]!) {
      touched[q] = 1;
      for (let r = 0; r < 3; r++) {
        remaining[3 * q + r] = remaining[3 * q + r]! - chunk.amounts[r]!;
        if (chunk.amounts[r]! > 0) involved[3 * q + r] = 1;
      }
    }
  }
  const m = multiplier(s);
  const isFixed = s.jobs.isPreemptible[job]! === 0;
  for (const q of pathOf(s, reclaimer).reverse()) {
    const parent = s.queues.parent[q]!;
    for (const sibling of parent < 0 ? s.queues.top : s.queues.children[parent]!) {
      if (sibling === q || touched[sibling] === 0) continue;
      for (let r = 0; r < 3; r++) {
        if (involved[3 * sibling + r] === 0 && asked[r] === 0) continue;
        const share = s.queues.fairShare[3 * sibling + r]!;
        const after = saturation(remaining[3 * q + r]! + asked[r]!, s.queues.fairShare[3 * q + r]!);
        if (after > 1 && share > 0 && after * m >= saturation(remaining[3 * sibling + r]!, share)) return false;
      }
    }
    if (isFixed && !fitsIn(start.nonPreemptible, asked, s.queues.quota, q)) return false;
  }
  return true;
}

function saturation(amount: number, share: number): number {
  if (share === 0) return amount > 0 ? Number.POSITIVE_INFINITY : 0;
  return share === UNLIMITED ? 0 : amount / share;
}

/**
 * Upper bound of the GPUs (thousandths) that may be taken for good from below the victim's side of the diverging pair: once
 * every resource is within its bounds nothing more can go. Infinite when another resource is above its bounds too.
 */
export function gpuBudgetMilli(
  s: Session,
  start: QueueAmounts,
  reclaimer: number,
  victim: number,
  need: Need,
  largestUnit: number,
): number {
  const [p, v] = divergingPair(s, reclaimer, victim);
  const isGuaranteed = fitsIn(start.allocated, amounts(need), s.queues.quota, p);
  const excess = (bound: Float64Array): number => {
    for (let r = 0; r < 2; r++) {
      const max = bound[3 * v + r]!;
      if (max !== UNLIMITED && start.allocated[3 * v + r]! > max) return Number.POSITIVE_INFINITY;
    }
    const max = bound[3 * v + 2]!;
    return max === UNLIMITED ? 0 : Math.max(0, start.allocated[3 * v + 2]! - max);
  };
  const most = Math.max(excess(start.allocatable), isGuaranteed ? excess(s.queues.quota) : 0);
  // The last chunk is judged before it goes, so it may pass the bound by all but the smallest amount.
  return most === 0 ? 0 : most - 1 + largestUnit;
}
