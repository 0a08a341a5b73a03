import type { Need } from '../jobs/selectTasks.ts';
import { queueCell } from '../session/occupy.ts';
import type { QueueTable, Session } from '../session/session.ts';
import { RESOURCES, UNLIMITED } from './fairShare.ts';

/** What decides a queue's place among its siblings, computed once per state of the queue (spec 02 section 11). */
export interface QueueKeys {
  readonly isOverUtilised: Uint8Array;
  readonly isStarved: Uint8Array;
  readonly violatesZeroShare: Uint8Array;
  readonly shareWithJob: Float64Array;
  readonly share: Float64Array;
  /** Allocatable share per queue and resource; constant in a cycle. */
  readonly allocatable: Float64Array;
}

export function createQueueKeys(q: QueueTable): QueueKeys {
  return {
    isOverUtilised: new Uint8Array(q.count),
    isStarved: new Uint8Array(q.count),
    violatesZeroShare: new Uint8Array(q.count),
    shareWithJob: new Float64Array(q.count),
    share: new Float64Array(q.count),
    allocatable: allocatableShares(q),
  };
}

/** Quota unlimited: the limit; else max(quota, fair share), capped by the limit (spec 02 section 6.1). */
export function allocatableShares(q: QueueTable): Float64Array {
  const out = new Float64Array(RESOURCES * q.count);
  for (let i = 0; i < out.length; i++) {
    const limit = q.limit[i]!;
    if (q.quota[i]! === UNLIMITED) out[i] = limit;
    else {
      const share = Math.max(q.quota[i]!, q.fairShare[i]!);
      out[i] = limit === UNLIMITED ? share : Math.min(limit, share);
    }
  }
  return out;
}

/** Recomputes the keys of one queue for its best job's need. */
export function updateQueueKeys(s: Session, k: QueueKeys, q: number, need: Need): void {
  const { fairShare, quota, total } = s.queues;
  let over = 1;
  let starved = 1;
  let violates = 0;
  let withJob = 0;
  let plain = 0;
  for (let r = 0; r < RESOURCES; r++) {
    const i = 3 * q + r;
    const allocated = s.state.cells[queueCell(s, r, q)]!;
    const after = allocated + amountOf(need, r);
    if (!(fairShare[i]! < allocated)) over = 0;
    if (quota[i]! !== UNLIMITED && after > quota[i]!) starved = 0;
    const share = k.allocatable[i]!;
    if (share === 0 && after > 0) violates = 1;
    const base = share === UNLIMITED ? total[r]! : share;
    plain = Math.max(plain, dominant(allocated, base, r));
    withJob = Math.max(withJob, dominant(after, base, r));
  }
  k.isOverUtilised[q] = over;
  k.isStarved[q] = starved;
  k.violatesZeroShare[q] = violates;
  k.share[q] = plain;
  k.shareWithJob[q] = withJob;
}

/**
 * Keys of a queue as a giver (spec 02 section 12.4): everything as it was when the attempt began, except that rule 5 sees
 * what was taken from its best leaf and what would be taken next.
 */
export function updateVictimKeys(s: Session, k: QueueKeys, q: number, allocatedAtStart: Float64Array, removed: Need): void {
  const { fairShare, quota, total } = s.queues;
  let over = 1;
  let starved = 1;
  let violates = 0;
  let reduced = 0;
  let plain = 0;
  for (let r = 0; r < RESOURCES; r++) {
    const i = 3 * q + r;
    const allocated = allocatedAtStart[i]!;
    if (!(fairShare[i]! < allocated)) over = 0;
    if (quota[i]! !== UNLIMITED && allocated > quota[i]!) starved = 0;
    const share = k.allocatable[i]!;
    if (share === 0 && allocated > 0) violates = 1;
    const base = share === UNLIMITED ? total[r]! : share;
    plain = Math.max(plain, dominant(allocated, base, r));
    reduced = Math.max(reduced, dominant(allocated - amountOf(removed, r), base, r));
  }
  k.isOverUtilised[q] = over;
  k.isStarved[q] = starved;
  k.violatesZeroShare[q] = violates;
  k.share[q] = plain;
  k.shareWithJob[q] = reduced;
}

function amountOf(need: Need, r: number): number {
  if (r === 0) return need.milliCpu;
  return r === 1 ? need.memoryBytes : need.gpuMilli;
}

/** Allocated ÷ share; with a share of zero, allocated × 1000 in milli-CPU, bytes and devices. */
function dominant(allocated: number, base: number, r: number): number {
  if (base !== 0) return allocated / base;
  return r === 2 ? allocated : allocated * 1000;
}

/**
 * Does `challenger` strictly precede `best` (spec 02 section 11)? In order: 1 not over-utilised, 2 starved, 3 priority,
 * 4 no zero share violated, 5 dominant share with the job, 6 dominant share, 7 weaker allocatable share. Creation time and
 * name decide through the order in which siblings are offered.
 */
export function precedes(s: Session, k: QueueKeys, challenger: number, best: number): boolean {
  if (!s.plugins.has('proportion')) return false;
  const byRule =
    k.isOverUtilised[challenger]! - k.isOverUtilised[best]! ||
    k.isStarved[best]! - k.isStarved[challenger]! ||
    s.queues.priority[best]! - s.queues.priority[challenger]! ||
    k.violatesZeroShare[challenger]! - k.violatesZeroShare[best]! ||
    k.shareWithJob[challenger]! - k.shareWithJob[best]! ||
    k.share[challenger]! - k.share[best]!;
  if (byRule !== 0 && !Number.isNaN(byRule)) return byRule < 0;
  return isWeaker(k.allocatable, challenger, best);
}

function isWeaker(a: Float64Array, l: number, r: number): boolean {
  let isSmaller = false;
  for (let i = 0; i < RESOURCES; i++) {
    const x = a[3 * l + i]!;
    const y = a[3 * r + i]!;
    if (x === y) continue;
    if (x === UNLIMITED || (y !== UNLIMITED && x > y)) return false;
    isSmaller = true;
  }
  return isSmaller;
}
