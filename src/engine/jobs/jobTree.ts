import { createQueueKeys, precedes, type QueueKeys, updateQueueKeys } from '../queues/queueOrder.ts';
import type { Session } from '../session/session.ts';
import { elasticState } from './gang.ts';
import { type Need, needOf, selectTasks } from './selectTasks.ts';

/** Pending jobs in the order in which they are tried: the queue tree with a sorted list of jobs per leaf. */
export interface JobTree {
  readonly keys: QueueKeys;
  /** Per leaf queue, worst job first, so that the best is popped from the end. */
  readonly jobs: (number[] | undefined)[];
  /** Best job of the queue's subtree, −1 = none. */
  readonly head: Int32Array;
  /** Child queue that holds the head of an inner queue. */
  readonly bestChild: Int32Array;
  /** Elastic state of a job when it was pushed. */
  readonly elastic: Int8Array;
  /** Tasks of a job's next step and their sum, kept until the job is pushed again. */
  readonly tasks: (readonly number[] | undefined)[];
  readonly needs: (Need | undefined)[];
  /** Tasks of a job's next step. */
  readonly choose: ChooseTasks;
}

/** Which pods a job's next step takes. */
export type ChooseTasks = (s: Session, job: number) => readonly number[];

/**
 * Builds the tree from candidate jobs (spec 02 section 12). `depth`: jobs kept per leaf queue, the best by job order;
 * negative = all. `reuse`: a tree nobody needs any more, for its memory.
 */
export function createJobTree(
  s: Session,
  candidates: readonly number[],
  depth: number,
  choose: ChooseTasks = selectTasks,
  reuse: JobTree | null = null,
): JobTree {
  const t = reuse === null ? emptyTree(s, choose) : { ...reuse, choose };
  if (reuse !== null) {
    t.jobs.fill(undefined);
    t.head.fill(-1);
    t.bestChild.fill(-1);
  }
  for (const job of candidates) {
    const queue = s.jobs.queue[job]!;
    if (queue < 0 || s.queues.isLeaf[queue] !== 1) continue;
    renewEntry(s, t, job);
    const list = t.jobs[queue];
    if (list === undefined) t.jobs[queue] = [job];
    else list.push(job);
  }
  const compare = comparator(s, t);
  for (let q = 0; q < s.queues.count; q++) {
    const list = t.jobs[q];
    if (list === undefined) continue;
    list.sort(compare);
    if (depth >= 0 && list.length > depth) list.length = depth;
    list.reverse();
    refresh(s, t, q);
  }
  return t;
}

function emptyTree(s: Session, choose: ChooseTasks): JobTree {
  return {
    keys: createQueueKeys(s.queues),
    jobs: new Array<number[] | undefined>(s.queues.count).fill(undefined),
    head: new Int32Array(s.queues.count).fill(-1),
    bestChild: new Int32Array(s.queues.count).fill(-1),
    elastic: new Int8Array(s.jobs.count),
    tasks: new Array<readonly number[] | undefined>(s.jobs.count).fill(undefined),
    needs: new Array<Need | undefined>(s.jobs.count).fill(undefined),
    choose,
  };
}

/** Takes the best job out of the tree; −1 when it is empty. */
export function popJob(s: Session, t: JobTree): number {
  let q = bestOf(s, t, s.queues.top);
  if (q < 0) return -1;
  while (s.queues.isLeaf[q] !== 1) q = t.bestChild[q]!;
  return t.jobs[q]!.pop() ?? -1;
}

/** The best job below these of the top queues, −1 = none. */
export function firstJob(s: Session, t: JobTree, tops: readonly number[]): number {
  const q = bestOf(s, t, tops);
  return q < 0 ? -1 : t.head[q]!;
}

/** What is known of a job is its state of now. */
function renewEntry(s: Session, t: JobTree, job: number): void {
  t.tasks[job] = undefined;
  t.needs[job] = undefined;
  t.elastic[job] = s.plugins.has('elastic') ? elasticState(s, job) : 0;
}

/** Puts a job in, or back after a success, with its state of now. */
export function pushJob(s: Session, t: JobTree, job: number): void {
  const queue = s.jobs.queue[job]!;
  renewEntry(s, t, job);
  t.jobs[queue] ??= [];
  const list = t.jobs[queue];
  const compare = comparator(s, t);
  let lo = 0;
  let hi = list.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (compare(list[mid]!, job) > 0) lo = mid + 1;
    else hi = mid;
  }
  list.splice(lo, 0, job);
}

/** The same for several jobs of one queue. */
export function pushJobs(s: Session, t: JobTree, queue: number, jobs: readonly number[]): void {
  const list = t.jobs[queue]!;
  for (const job of jobs) {
    renewEntry(s, t, job);
    list.push(job);
  }
  const compare = comparator(s, t);
  list.sort((a, b) => compare(b, a));
}

/** A job that waits in the tree lost pods: it gets the place, and wants the tasks, of its state of now. */
export function renewJob(s: Session, t: JobTree, job: number): void {
  const list = t.jobs[s.jobs.queue[job]!];
  const at = list?.indexOf(job) ?? -1;
  if (list === undefined || at < 0) return;
  list.splice(at, 1);
  pushJob(s, t, job);
}

/** Call after a pop and whatever came of it: recomputes the keys on the path from the job's queue to the top. */
export function refresh(s: Session, t: JobTree, queue: number): void {
  for (let q = queue; q >= 0; q = s.queues.parent[q]!) {
    if (s.queues.isLeaf[q] === 1) {
      const list = t.jobs[q]!;
      t.head[q] = list.length === 0 ? -1 : list[list.length - 1]!;
    } else {
      const child = bestOf(s, t, s.queues.children[q]!);
      t.bestChild[q] = child;
      t.head[q] = child < 0 ? -1 : t.head[child]!;
    }
    if (t.head[q]! >= 0) updateQueueKeys(s, t.keys, q, needOfJob(s, t, t.head[q]!));
  }
}

/** Tasks of the job's next step (spec 02 section 10.1). */
export function tasksOf(s: Session, t: JobTree, job: number): readonly number[] {
  let tasks = t.tasks[job];
  if (tasks === undefined) {
    tasks = t.choose(s, job);
    t.tasks[job] = tasks;
  }
  return tasks;
}

export function needOfJob(s: Session, t: JobTree, job: number): Need {
  let need = t.needs[job];
  if (need === undefined) {
    need = needOf(s, tasksOf(s, t, job), s.minGpuMib, true);
    t.needs[job] = need;
  }
  return need;
}

/** The first of the siblings under the queue order; they come in (creation time, name) order. */
function bestOf(s: Session, t: JobTree, siblings: readonly number[]): number {
  let best = -1;
  for (const q of siblings) {
    if (t.head[q]! < 0) continue;
    if (best < 0 || precedes(s, t.keys, q, best)) best = q;
  }
  return best;
}

/** Jobs of one queue: priority, then below before at before above the minimum, creation time, name (spec 02 section 9.1). */
function comparator(s: Session, t: JobTree): (a: number, b: number) => number {
  const { priority, createdMs, row } = s.jobs;
  const usePriority = s.plugins.has('priority');
  const { nameText, keyText } = s.view.podGroups;
  const text = (r: number): string => s.view.texts.get(r);
  return (a, b) => {
    const byRule = (usePriority ? priority[b]! - priority[a]! : 0) || t.elastic[a]! - t.elastic[b]! || createdMs[a]! - createdMs[b]!;
    if (byRule !== 0) return byRule;
    const x = text(nameText[row[a]!]!);
    const y = text(nameText[row[b]!]!);
    if (x !== y) return x < y ? -1 : 1;
    return text(keyText[row[a]!]!) < text(keyText[row[b]!]!) ? -1 : 1;
  };
}
