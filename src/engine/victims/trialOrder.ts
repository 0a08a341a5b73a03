import { createJobTree, firstJob, type JobTree, pushJob, pushJobs, refresh } from '../jobs/jobTree.ts';
import { type Need, selectTasks } from '../jobs/selectTasks.ts';
import type { Session } from '../session/session.ts';

/**
 * The scheduling order of a search's trials (spec 04 section 5.5): those who wait are ranked once, as they are before the
 * first eviction, and each trial ranks its victims among them and takes them out again. Between trials `tree` equals `before`.
 */
export interface TrialOrder {
  readonly before: JobTree;
  readonly tree: JobTree;
  /** Queues in which the trial changed something. */
  readonly touched: number[];
  readonly isTouched: Uint8Array;
  /** Victims of the trial, with what was known of them as waiting jobs. */
  readonly replaced: Replaced[];
}

interface Replaced {
  readonly job: number;
  readonly elastic: number;
  readonly tasks: readonly number[] | undefined;
  readonly need: Need | undefined;
}

/** Call before anything is evicted. `reuse`: an order nobody needs any more, for its memory. */
export function createTrialOrder(s: Session, waiting: readonly number[], reuse: TrialOrder | null): TrialOrder {
  const before = createJobTree(s, waiting, -1, selectTasks, reuse?.before ?? null);
  if (reuse === null) {
    const { keys, jobs, head, bestChild } = before;
    const own = {
      ...keys,
      isOverUtilised: keys.isOverUtilised.slice(),
      isStarved: keys.isStarved.slice(),
      violatesZeroShare: keys.violatesZeroShare.slice(),
      shareWithJob: keys.shareWithJob.slice(),
      share: keys.share.slice(),
    };
    const tree = { ...before, keys: own, jobs: jobs.slice(), head: head.slice(), bestChild: bestChild.slice() };
    return { before, tree, touched: [], isTouched: new Uint8Array(s.queues.count), replaced: [] };
  }
  for (let q = 0; q < s.queues.count; q++) copyQueue(before, reuse.tree, q);
  // A trial that was broken off by an error has left its traces.
  reuse.isTouched.fill(0);
  reuse.touched.length = 0;
  reuse.replaced.length = 0;
  return { ...reuse, before };
}

function copyQueue(from: JobTree, to: JobTree, q: number): void {
  to.jobs[q] = from.jobs[q];
  to.head[q] = from.head[q]!;
  to.bestChild[q] = from.bestChild[q]!;
  const x = from.keys;
  const y = to.keys;
  y.isOverUtilised[q] = x.isOverUtilised[q]!;
  y.isStarved[q] = x.isStarved[q]!;
  y.violatesZeroShare[q] = x.violatesZeroShare[q]!;
  y.shareWithJob[q] = x.shareWithJob[q]!;
  y.share[q] = x.share[q]!;
}

/** Ranks the victims of a trial as the jobs that they are now; `stepOf`: which of their pods come next. */
export function enterVictims(
  s: Session,
  o: TrialOrder,
  victims: ReadonlySet<number>,
  stepOf: (s: Session, victim: number) => readonly number[],
): JobTree {
  const tree: JobTree = { ...o.tree, choose: (x, job) => (victims.has(job) ? stepOf(x, job) : selectTasks(x, job)) };
  const perQueue = new Map<number, number[]>();
  for (const job of victims) {
    const queue = s.jobs.queue[job]!;
    if (queue < 0 || s.queues.isLeaf[queue] !== 1) continue;
    o.replaced.push({ job, elastic: tree.elastic[job]!, tasks: tree.tasks[job], need: tree.needs[job] });
    const own = perQueue.get(queue);
    if (own === undefined) perQueue.set(queue, [job]);
    else own.push(job);
  }
  for (const [queue, jobs] of perQueue) {
    touch(s, o, queue);
    tree.jobs[queue] = tree.jobs[queue]?.filter((job) => !victims.has(job)) ?? [];
    if (jobs.length === 1) pushJob(s, tree, jobs[0]!);
    else pushJobs(s, tree, queue, jobs);
  }
  for (const queue of o.touched) if (s.queues.isLeaf[queue] === 1) refresh(s, tree, queue);
  return tree;
}

/** Takes the first job out of these top queues; −1 when there is none. Call `refresh` for its queue afterwards. */
export function takeFirst(s: Session, o: TrialOrder, tree: JobTree, tops: readonly number[]): number {
  const job = firstJob(s, tree, tops);
  if (job < 0) return job;
  touch(s, o, s.jobs.queue[job]!);
  tree.jobs[s.jobs.queue[job]!]!.pop();
  return job;
}

/** As before the trial. */
export function leaveVictims(o: TrialOrder): void {
  for (const q of o.touched) {
    copyQueue(o.before, o.tree, q);
    o.isTouched[q] = 0;
  }
  o.touched.length = 0;
  for (const { job, elastic, tasks, need } of o.replaced) {
    o.tree.elastic[job] = elastic;
    o.tree.tasks[job] = tasks;
    o.tree.needs[job] = need;
  }
  o.replaced.length = 0;
}

/** The trial gets a list of its own for the queue, and notes the path whose keys it changes. */
function touch(s: Session, o: TrialOrder, queue: number): void {
  for (let q = queue; q >= 0 && o.isTouched[q] === 0; q = s.queues.parent[q]!) {
    o.isTouched[q] = 1;
    o.touched.push(q);
    o.tree.jobs[q] = o.tree.jobs[q]?.slice();
  }
}
