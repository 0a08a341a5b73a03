import { jobCount } from '../jobs/gang.ts';
import { createJobTree, type JobTree, needOfJob, refresh } from '../jobs/jobTree.ts';
import { type Need, selectTasks } from '../jobs/selectTasks.ts';
import type { Session } from '../session/session.ts';
import { SET_CELL } from '../state/layout.ts';
import type { Statement } from '../statement.ts';
import { evictedTasks, moveStep } from './replace.ts';
import { createTrialOrder, enterVictims, leaveVictims, type TrialOrder, takeFirst } from './trialOrder.ts';
import type { Unit } from './units.ts';

/**
 * Jobs that wait beside the one that is served. They get nothing in a trial, but the first of them stands for its queue in
 * the queue order (spec 04 section 5.5). Neighbours that ask for the same are one entry: they would be passed one after
 * the other.
 */
export interface WaitingJobs {
  /** Per leaf queue those that were tried before, in the order in which they were tried. */
  readonly passedOver: Map<number, number[]>;
  /** Per leaf queue all that waited when the action began. */
  readonly atStart: Map<number, number[]>;
  /** Per leaf queue those that wait, best first; brought up to date by `listWaiting`. */
  readonly perQueue: Map<number, readonly number[]>;
  /** Jobs that wait without being tried: not ready, or inside their preemption delay. */
  readonly untried: ReadonlySet<number>;
  tree: JobTree | null;
  /** Those who wait beside the job that is served, for the trials of its search; made by `openTrials`. */
  order: TrialOrder | null;
  isOrderOpen: boolean;
}

/** `candidates`: the jobs that the action tries. */
export function createWaitingJobs(s: Session, candidates: readonly number[]): WaitingJobs {
  const tried = new Set(candidates);
  const untried = new Set<number>();
  const atStart = new Map<number, number[]>();
  for (let job = 0; job < s.jobs.count; job++) {
    if (!isWaiting(s, job)) continue;
    if (!tried.has(job)) untried.add(job);
    const queue = s.jobs.queue[job]!;
    const list = atStart.get(queue);
    if (list === undefined) atStart.set(queue, [job]);
    else list.push(job);
  }
  return { passedOver: new Map(), atStart, perQueue: new Map(), untried, tree: null, order: null, isOrderOpen: false };
}

/** As if nobody waited beside the job that is served: each queue stands for itself. */
export function nobodyWaiting(): WaitingJobs {
  return {
    passedOver: new Map(),
    atStart: new Map(),
    perQueue: new Map(),
    untried: new Set(),
    tree: null,
    order: null,
    isOrderOpen: false,
  };
}

export function isWaiting(s: Session, job: number): boolean {
  return s.jobs.queue[job]! >= 0 && jobCount(s, job, SET_CELL.pending) > 0;
}

/** The job got nothing and goes on waiting. */
export function passOver(s: Session, w: WaitingJobs, tree: JobTree, job: number): void {
  const queue = s.jobs.queue[job]!;
  const list = w.passedOver.get(queue);
  if (list === undefined) w.passedOver.set(queue, [job]);
  else if (!asksForTheSame(s, tree, list[list.length - 1]!, job)) list.push(job);
}

/** Something was placed in the queue, or taken from one of its waiting jobs: its order is not what it was. */
export function forgetQueue(w: WaitingJobs, queue: number): void {
  w.perQueue.delete(queue);
}

function asksForTheSame(s: Session, tree: JobTree, a: number, b: number): boolean {
  const x: Need = needOfJob(s, tree, a);
  const y: Need = needOfJob(s, tree, b);
  return x.milliCpu === y.milliCpu && x.memoryBytes === y.memoryBytes && x.gpuMilli === y.gpuMilli;
}

/**
 * Brings the lists of those who wait in other queues than the job's up to date, before its search evicts anybody: trials must
 * not see a list of another trial's.
 */
export function listWaiting(s: Session, w: WaitingJobs, job: number): void {
  w.isOrderOpen = false;
  for (const [queue, all] of w.atStart) {
    if (queue === s.jobs.queue[job] || w.perQueue.has(queue)) continue;
    const jobs = all.filter((job) => isWaiting(s, job));
    const tree = createJobTree(s, jobs, -1, selectTasks, w.tree);
    w.tree = tree;
    const sorted = (tree.jobs[queue] ?? []).toReversed();
    w.perQueue.set(
      queue,
      sorted.filter((job, i) => i === 0 || !asksForTheSame(s, tree, sorted[i - 1]!, job)),
    );
  }
}

/** Call before a search for the job evicts anybody: its trials go by the order of those who wait at this moment. */
export function openTrials(s: Session, w: WaitingJobs, job: number): void {
  if (w.isOrderOpen) return;
  const queue = s.jobs.queue[job]!;
  const todo = new Set<number>([job, ...(w.passedOver.get(queue) ?? [])]);
  for (const other of w.untried) if (s.jobs.queue[other] === queue) todo.add(other);
  for (const q of w.atStart.keys()) if (q !== queue) for (const other of w.perQueue.get(q)!) todo.add(other);
  w.order = createTrialOrder(s, [...todo], w.order);
  w.isOrderOpen = true;
}

/**
 * Victims that stand before the reclaimer in the scheduling order are placed before it (spec 04 section 5.5): what they are
 * entitled to is not the reclaimer's to take. The order is looked at anew after each, since their queues then hold more.
 * `stepOf`: which of a victim's pods come next.
 */
export function placeThoseAhead(
  st: Statement,
  w: WaitingJobs,
  job: number,
  units: readonly Unit[],
  stepOf: (s: Session, victim: number) => readonly number[] = evictedTasks,
): void {
  const { order } = w;
  if (units.length === 0 || order === null) return;
  const s = st.session;
  const victims = new Set<number>();
  for (const unit of units) victims.add(unit.job);
  const tops = topsOf(s, job, victims);
  const tree = enterVictims(s, order, victims, stepOf);
  for (let next = takeFirst(s, order, tree, tops); next >= 0 && next !== job; next = takeFirst(s, order, tree, tops)) {
    if (victims.has(next)) moveStep(st, next, stepOf);
    refresh(s, tree, s.jobs.queue[next]!);
  }
  leaveVictims(order);
}

/** Does the only victim of a trial stand before the reclaimer? */
export function standsAhead(s: Session, w: WaitingJobs, job: number, victim: number): boolean {
  const { order } = w;
  if (order === null) return false;
  const tops = topsOf(s, job, [victim]);
  const tree = enterVictims(s, order, new Set([victim]), evictedTasks);
  let next = takeFirst(s, order, tree, tops);
  for (; next >= 0 && next !== job && next !== victim; next = takeFirst(s, order, tree, tops)) refresh(s, tree, s.jobs.queue[next]!);
  leaveVictims(order);
  return next === victim;
}

/** Top queues above the jobs, in their order. */
function topsOf(s: Session, job: number, victims: Iterable<number>): readonly number[] {
  if (s.queues.top.length < 2) return s.queues.top;
  const tops = new Set<number>([topOf(s, s.jobs.queue[job]!)]);
  for (const victim of victims) tops.add(topOf(s, s.jobs.queue[victim]!));
  return s.queues.top.filter((q) => tops.has(q));
}

function topOf(s: Session, queue: number): number {
  let q = queue;
  while (s.queues.parent[q]! >= 0) q = s.queues.parent[q]!;
  return q;
}
