import { isFlat } from '../jobs/gang.ts';
import { countOf } from '../session/occupy.ts';
import type { JobErrorEntry, Session } from '../session/session.ts';
import { SET_CELL } from '../state/layout.ts';

/**
 * Adds an error to a job; equal ones (reason, message, sub-group) are kept once (spec 01 section 5.5). `isRepeated`: kept as
 * often as it occurs, as the failures of the actions that take from others are.
 */
export function addJobError(s: Session, job: number, error: JobErrorEntry, isRepeated = false): void {
  const list = s.errors.job.get(job);
  if (list === undefined) s.errors.job.set(job, [error]);
  else if (isRepeated || !list.some((e) => e.reason === error.reason && e.message === error.message && e.subGroup === error.subGroup))
    list.push(error);
}

/**
 * The job error of a task that found no node (spec 03 section 6.9). `placed`: tasks of the same pod set placed before it in
 * this step.
 */
export function recordTaskFailure(s: Session, job: number, podSet: number, podRow: number, placed: number): void {
  const why = s.errors.task.get(podRow) ?? 'Unable to schedule pod';
  const min = s.podSets.min[podSet]!;
  const pod = s.view.texts.get(s.view.pods.keyText[podRow]!);
  const name = s.podSets.name[podSet]!;
  let message: string;
  if (!isGang(s, job) || countOf(s, SET_CELL.used, podSet) >= min) message = `Resources were not found for pod ${pod} due to: ${why}`;
  else if (isFlat(s, job)) {
    message = `Resources were found for ${placed} pods while ${min} are required for gang scheduling. Additional pods cannot be scheduled due to: ${why}`;
  } else {
    message =
      `Resources were found for ${placed} pods from all sub-groups while sub-group ${name} requires ${min} pods for gang scheduling. ` +
      `Additional pods cannot be scheduled in this sub-group due to: ${why}`;
  }
  addJobError(s, job, { reason: 'PodSchedulingErrors', message, detail: message, subGroup: name === 'default' ? '' : name });
}

function isGang(s: Session, job: number): boolean {
  const first = s.jobs.firstSet[job]!;
  for (let set = first; set < first + s.jobs.setCount[job]!; set++) if (s.podSets.min[set]! > 1) return true;
  return false;
}
