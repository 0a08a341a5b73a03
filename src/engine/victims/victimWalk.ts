import { elasticState } from '../jobs/gang.ts';
import type { Need } from '../jobs/selectTasks.ts';
import { createQueueKeys, precedes, type QueueKeys, updateVictimKeys } from '../queues/queueOrder.ts';
import { acceptedGpuMilli, nodeOf, requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { type Eligibility, holdsPods, isQueueEligible, Taking, takingOf } from './eligibility.ts';
import { isPromised, promisedUnit } from './promises.ts';
import { type BudgetUse, chargeBudgets, createBudgetUse, mayTakeNext, type UnitTest } from './safety.ts';
import { nextUnit, staysWhole, type Unit } from './units.ts';

/**
 * Candidate jobs of an action per leaf queue, first to be evicted first (spec 04 section 4.2). Built once per action; only
 * jobs touched by a commit are put in anew.
 */
export interface VictimOrder {
  readonly jobs: (number[] | undefined)[];
  /** Jobs that have nothing but promises of this cycle, in the same order; they hold nothing and are no part of `jobs`. */
  readonly promised: readonly (number[] | undefined)[];
  /** Units are what jobs are promised, not what they hold. */
  readonly isOfPromises: boolean;
  readonly elastic: Int8Array;
  /** GPUs of the largest job, in thousandths: no unit is larger. */
  readonly largestGpuMilli: number;
  /** Nodes on whose pods disruption budgets may be spent; null = any. */
  readonly budgetNodes: Uint8Array | null;
  /** Collects nodes of units that were refused only because the search had spent their budgets on others. */
  readonly refusedNodes: Set<number>;
}

/** From so many on a list is made anew rather than cut job by job. */
const FEW_VICTIMS = 16;

/** All jobs that could be victims of somebody: preemptible, in a leaf queue, holding pods. */
export function createVictimOrder(s: Session): VictimOrder {
  const jobs = new Array<number[] | undefined>(s.queues.count).fill(undefined);
  const promised = new Array<number[] | undefined>(s.queues.count).fill(undefined);
  const elastic = new Int8Array(s.jobs.count);
  let largestGpuMilli = 0;
  for (let job = 0; job < s.jobs.count; job++) {
    const queue = s.jobs.queue[job]!;
    if (queue < 0 || s.jobs.isPreemptible[job] !== 1 || s.queues.isLeaf[queue] !== 1) continue;
    const isHolding = holdsPods(s, job);
    if (!isHolding && !isPromised(s, job)) continue;
    elastic[job] = elasticState(s, job);
    if (isHolding) largestGpuMilli = Math.max(largestGpuMilli, heldGpuMilli(s, job));
    const lists = isHolding ? jobs : promised;
    const list = lists[queue];
    if (list === undefined) lists[queue] = [job];
    else list.push(job);
  }
  for (const list of [...jobs, ...promised]) list?.sort((a, b) => compareVictims(s, elastic, a, b));
  return { jobs, promised, isOfPromises: false, elastic, largestGpuMilli, budgetNodes: null, refusedNodes: new Set() };
}

function heldGpuMilli(s: Session, job: number): number {
  const { first, size, pods } = s.podSets;
  let sum = 0;
  for (let set = s.jobs.firstSet[job]!; set < s.jobs.firstSet[job]! + s.jobs.setCount[job]!; set++) {
    for (let i = first[set]!; i < first[set]! + size[set]!; i++) {
      const node = nodeOf(s, pods[i]!);
      if (node >= 0) sum += acceptedGpuMilli(s, pods[i]!, requestOf(s, pods[i]!), node);
    }
  }
  return sum;
}

/** Puts jobs back at their places after their pods changed for good; those that hold none drop out. */
export function reorderVictims(s: Session, order: VictimOrder, victims: readonly number[]): void {
  if (victims.length < FEW_VICTIMS) {
    // They stand at the front of their lists: they are found at once.
    for (const job of victims) {
      const list = order.jobs[s.jobs.queue[job]!];
      const at = list?.indexOf(job) ?? -1;
      if (at >= 0) list!.splice(at, 1);
    }
  } else {
    const changed = new Set(victims);
    for (const q of new Set(victims.map((job) => s.jobs.queue[job]!))) order.jobs[q] = order.jobs[q]?.filter((job) => !changed.has(job));
  }
  for (const job of victims) {
    const list = order.jobs[s.jobs.queue[job]!];
    if (list === undefined || !holdsPods(s, job)) continue;
    order.elastic[job] = elasticState(s, job);
    list.splice(lowerBound(s, order.elastic, list, job), 0, job);
  }
}

function lowerBound(s: Session, elastic: Int8Array, list: readonly number[], job: number): number {
  let lo = 0;
  let hi = list.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (compareVictims(s, elastic, list[mid]!, job) < 0) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

/** Reverse of the job order: lower priority, above before at before below the minimum, newer, larger name. */
function compareVictims(s: Session, elastic: Int8Array, a: number, b: number): number {
  const { priority, createdMs, row } = s.jobs;
  const byRule = priority[a]! - priority[b]! || elastic[b]! - elastic[a]! || createdMs[b]! - createdMs[a]!;
  if (byRule !== 0) return byRule;
  const x = s.view.texts.get(s.view.podGroups.nameText[row[a]!]!);
  const y = s.view.texts.get(s.view.podGroups.nameText[row[b]!]!);
  if (x !== y) return x > y ? -1 : 1;
  return s.view.texts.get(s.view.podGroups.keyText[row[a]!]!) > s.view.texts.get(s.view.podGroups.keyText[row[b]!]!) ? -1 : 1;
}

/** Units for one preemptor, one after the other; the caller evicts each before it asks for the next. */
export interface VictimWalk {
  readonly order: VictimOrder;
  readonly eligibility: Eligibility;
  readonly keys: QueueKeys;
  /** Next position in the order's list, per leaf queue. */
  readonly cursor: Int32Array;
  /** Jobs with pods left after a unit, sorted like the order's list. */
  readonly returned: number[][];
  readonly elastic: Int8Array;
  /** Next unit of the queue's subtree. */
  readonly head: (Unit | null)[];
  readonly headLeaf: Int32Array;
  /** Amounts of the units popped, per leaf queue. */
  readonly popped: Float64Array;
  /** Most jobs that may take part (consolidation), and those that do. */
  readonly jobLimit: number;
  readonly jobsSeen: Set<number>;
  /** With safe eviction: what the units taken so far use of the budgets, and the test of the next one. */
  readonly use: BudgetUse | null;
  readonly allows: UnitTest | null;
}

export function createVictimWalk(s: Session, order: VictimOrder, eligibility: Eligibility, jobLimit: number): VictimWalk {
  const safety = order.isOfPromises ? null : s.safety;
  const use = !safety?.budgets ? null : createBudgetUse(safety.budgets, s.evicted.keys(), order);
  const w: VictimWalk = {
    order,
    eligibility,
    keys: createQueueKeys(s.queues),
    cursor: new Int32Array(s.queues.count),
    returned: Array.from({ length: s.queues.count }, () => []),
    elastic: order.elastic.slice(),
    head: new Array<Unit | null>(s.queues.count).fill(null),
    headLeaf: new Int32Array(s.queues.count).fill(-1),
    popped: new Float64Array(3 * s.queues.count),
    jobLimit,
    jobsSeen: new Set(),
    use,
    allows: safety === null ? null : (pods) => mayTakeNext(s, safety, use, pods),
  };
  for (let q = 0; q < s.queues.count; q++) if (order.jobs[q] !== undefined && isQueueEligible(s, eligibility, q)) refreshPath(s, w, q);
  return w;
}

/** The next unit in victim order (spec 04 section 4), or null. Its job comes again with what it has left afterwards. */
export function popUnit(s: Session, w: VictimWalk): Unit | null {
  let top = lastOf(s, w, s.queues.top);
  // What was taken since the head was found may have used up its budget, or the number of jobs.
  while (top >= 0 && (isOneJobTooMany(w, w.head[top]!.job) || w.allows?.(w.head[top]!.pods) === false)) {
    refreshPath(s, w, w.headLeaf[top]!);
    top = lastOf(s, w, s.queues.top);
  }
  if (top < 0) return null;
  const unit = w.head[top]!;
  const leaf = w.headLeaf[top]!;
  if (w.use !== null && s.safety?.budgets) chargeBudgets(s.safety.budgets, w.use.taken, unit.pods);
  addAmounts(s, w.popped, leaf, unit, 1);
  w.jobsSeen.add(unit.job);
  const own = w.returned[leaf]!;
  if (own.length > 0 && own[0] === unit.job) own.shift();
  else w.cursor[leaf] = w.cursor[leaf]! + 1;
  return unit;
}

/** Call after the unit's pods were evicted: ranks the job's rest and the queues on its path. */
export function afterEviction(s: Session, w: VictimWalk, unit: Unit): void {
  const leaf = s.jobs.queue[unit.job]!;
  if (!unit.isCore && holdsPods(s, unit.job)) {
    w.elastic[unit.job] = elasticState(s, unit.job);
    const list = w.returned[leaf]!;
    list.splice(lowerBound(s, w.elastic, list, unit.job), 0, unit.job);
  }
  refreshPath(s, w, leaf);
}

function refreshPath(s: Session, w: VictimWalk, leaf: number): void {
  for (let q = leaf; q >= 0; q = s.queues.parent[q]!) {
    if (q === leaf) {
      w.head[q] = headOfLeaf(s, w, q);
      w.headLeaf[q] = w.head[q] === null ? -1 : q;
    } else {
      const child = lastOf(s, w, s.queues.children[q]!);
      w.head[q] = child < 0 ? null : w.head[child]!;
      w.headLeaf[q] = child < 0 ? -1 : w.headLeaf[child]!;
    }
    if (w.head[q] !== null) updateVictimKeys(s, w.keys, q, w.eligibility.start.allocated, removedFrom(s, w, q));
  }
}

/** Amounts taken from the head's leaf so far and with its next unit (spec 04 section 4.3 e). */
function removedFrom(s: Session, w: VictimWalk, q: number): Need {
  const leaf = w.headLeaf[q]!;
  const sum = w.popped.slice(3 * leaf, 3 * leaf + 3);
  addAmounts(s, sum, 0, w.head[q]!, 1);
  return { milliCpu: sum[0]!, memoryBytes: sum[1]!, gpuMilli: sum[2]! };
}

export function addAmounts(s: Session, into: Float64Array, index: number, unit: Unit, sign: 1 | -1): void {
  for (const p of unit.pods) {
    const node = nodeOf(s, p);
    if (node < 0) continue;
    const r = requestOf(s, p);
    into[3 * index] = into[3 * index]! + sign * r.milliCpu;
    into[3 * index + 1] = into[3 * index + 1]! + sign * r.memoryBytes;
    into[3 * index + 2] = into[3 * index + 2]! + sign * acceptedGpuMilli(s, p, r, node);
  }
}

function headOfLeaf(s: Session, w: VictimWalk, leaf: number): Unit | null {
  const list = w.order.jobs[leaf] ?? [];
  const own = w.returned[leaf]!;
  for (;;) {
    while (w.cursor[leaf]! < list.length && !isCandidate(s, w, list[w.cursor[leaf]!]!)) w.cursor[leaf] = w.cursor[leaf]! + 1;
    const next = list[w.cursor[leaf]!];
    const isOwn = own.length > 0 && (next === undefined || compareVictims(s, w.elastic, own[0]!, next) < 0);
    const job = isOwn ? own[0]! : next;
    if (job === undefined) return null;
    const unit = w.order.isOfPromises ? promisedUnit(s, job) : nextUnit(s, job, w.allows);
    if (unit !== null && (takingOf(s, w.eligibility, job) === Taking.all || staysWhole(s, unit))) return unit;
    if (isOwn) own.shift();
    else w.cursor[leaf] = w.cursor[leaf]! + 1;
  }
}

function isOneJobTooMany(w: VictimWalk, job: number): boolean {
  return w.jobsSeen.size >= w.jobLimit && !w.jobsSeen.has(job);
}

function isCandidate(s: Session, w: VictimWalk, job: number): boolean {
  if (isOneJobTooMany(w, job)) return false;
  return takingOf(s, w.eligibility, job) !== Taking.nothing && (w.order.isOfPromises || holdsPods(s, job));
}

/** The sibling that comes last in the queue order: it loses next. Ties: the newer, then the larger name. */
function lastOf(s: Session, w: VictimWalk, siblings: readonly number[]): number {
  let last = -1;
  for (let i = siblings.length - 1; i >= 0; i--) {
    const q = siblings[i]!;
    if (w.head[q] === null) continue;
    if (last < 0 || precedes(s, w.keys, last, q)) last = q;
  }
  return last;
}
