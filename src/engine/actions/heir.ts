import { createJobTree, popJob, refresh, tasksOf } from '../jobs/jobTree.ts';
import type { Session } from '../session/session.ts';
import { createStatement, evict, type Statement, undoTo } from '../statement.ts';
import { SIMULATION } from '../victims/replace.ts';
import { pendingJobs } from './allocate.ts';
import { attemptJob } from './attemptJob.ts';
import { requestKey } from './victimAction.ts';

/**
 * Places the first waiting job, in scheduling order, that fits beside the statement's evictions and would not fit without
 * them. Returns the job, or −1 with the statement as it was.
 */
export function placeHeir(st: Statement, leavingJob: number): number {
  const s = st.session;
  const evictions = st.ops.map(({ podRow, node }) => ({ podRow, node }));
  const candidates = pendingJobs(s).filter((job) => job !== leavingJob);
  const tree = createJobTree(s, candidates, -1);
  const failed = new Set<string>();
  for (let job = popJob(s, tree); job >= 0; job = popJob(s, tree)) {
    const tasks = tasksOf(s, tree, job);
    const key = requestKey(s, job, tasks);
    if (tasks.length > 0 && !failed.has(key)) {
      const isPlaced = attemptJob(st, job, tasks, SIMULATION) !== 'failed';
      undoTo(st, isPlaced ? 0 : evictions.length);
      const isHeir = isPlaced && !fitsAnyway(s, job, tasks);
      if (isPlaced) for (const { podRow, node } of evictions) evict(st, podRow, node);
      if (isHeir && attemptJob(st, job, tasks, SIMULATION) !== 'failed') return job;
      undoTo(st, evictions.length);
      if (key !== '') failed.add(key);
    }
    refresh(s, tree, s.jobs.queue[job]!);
  }
  return -1;
}

function fitsAnyway(s: Session, job: number, tasks: readonly number[]): boolean {
  const st = createStatement(s);
  const fits = attemptJob(st, job, tasks, SIMULATION) !== 'failed';
  undoTo(st, 0);
  return fits;
}
