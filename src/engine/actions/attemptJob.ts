import { isFlat, mustPipelineWhole, rootOf } from '../jobs/gang.ts';
import { orderMembers } from '../jobs/memberOrder.ts';
import { needOf } from '../jobs/selectTasks.ts';
import { type PlaceMode, placeTask } from '../placement/placeTask.ts';
import { findViolation, violationError } from '../queues/capacity.ts';
import { addJobError, recordTaskFailure } from '../report/jobErrors.ts';
import type { Session, SubGroupSet } from '../session/session.ts';
import { convertToPipelined, type Statement } from '../statement.ts';

export type AttemptResult = 'failed' | 'allocated' | 'pipelined';

/**
 * Tries `tasks`, the next step of a job: its missing gang members, or one growth step, all or nothing (spec 03 sections
 * 6.4–6.8). On 'failed' the caller undoes the statement.
 */
export function attemptJob(st: Statement, job: number, tasks: readonly number[], mode: PlaceMode): AttemptResult {
  const s = st.session;
  if (tasks.length === 0) return 'failed';
  const need = needOf(s, tasks, s.maxGpuMib, false);
  const violation = findViolation(s, job, need);
  if (violation !== null) {
    if (!mode.pipelineOnly) addJobError(s, job, violationError(s, job, need, violation));
    return 'failed';
  }
  const isPlaced = isFlat(s, job)
    ? placePodSet(st, job, s.jobs.firstSet[job]!, tasks, mode)
    : placeSet(st, job, rootOf(s, job), groupBySet(s, tasks), mode);
  if (!isPlaced) return 'failed';
  if (mode.pipelineOnly) return 'pipelined';
  if (!mustPipelineWhole(s, job)) return 'allocated';
  return convertToPipelined(st) ? 'pipelined' : 'failed';
}

function groupBySet(s: Session, tasks: readonly number[]): Map<number, number[]> {
  const bySet = new Map<number, number[]>();
  for (const p of tasks) {
    const set = s.tasks.podSet[p]!;
    const list = bySet.get(set);
    if (list === undefined) bySet.set(set, [p]);
    else list.push(p);
  }
  return bySet;
}

/** Places the tasks of a set member by member, in the order that holds when the set is entered (spec 03 section 6.5). */
function placeSet(st: Statement, job: number, set: SubGroupSet, bySet: ReadonlyMap<number, number[]>, mode: PlaceMode): boolean {
  for (const m of orderMembers(st.session, set.members)) {
    if (m.set !== null) {
      if (!placeSet(st, job, m.set, bySet, mode)) return false;
      continue;
    }
    const tasks = bySet.get(m.podSet);
    if (tasks !== undefined && !placePodSet(st, job, m.podSet, tasks, mode)) return false;
  }
  return true;
}

function placePodSet(st: Statement, job: number, podSet: number, tasks: readonly number[], mode: PlaceMode): boolean {
  for (let k = 0; k < tasks.length; k++) {
    if (placeTask(st, tasks[k]!, job, mode)) continue;
    if (!mode.pipelineOnly) recordTaskFailure(st.session, job, podSet, tasks[k]!, k);
    return false;
  }
  return true;
}
