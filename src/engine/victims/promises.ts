import { NO_ROW } from '../../base/rows.ts';
import { jobCount } from '../jobs/gang.ts';
import { statusOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { Status } from '../session/status.ts';
import { SET_CELL } from '../state/layout.ts';
import type { Unit } from './units.ts';

/**
 * Has the job nothing but places promised in this cycle to pods that wait (spec 04 section 3.1)? Promises to pods that had
 * to move are no part of it: without them the pods would be gone. Nor are those with claims or zones, for which undoing a
 * promise is more than giving its amounts back.
 */
export function isPromised(s: Session, job: number): boolean {
  if (s.numa !== null || jobCount(s, job, SET_CELL.pipelined) === 0 || jobCount(s, job, SET_CELL.allocated) > 0) return false;
  return promisedPods(s, job).every((p) => s.view.pods.nodeText[p] === NO_ROW && s.tasks.bindRequest[p]! < 0 && !s.dra.isConcerned(p));
}

/** All that the job is promised; null when there is nothing. */
export function promisedUnit(s: Session, job: number): Unit | null {
  return isPromised(s, job) ? { job, pods: promisedPods(s, job), isCore: true } : null;
}

function promisedPods(s: Session, job: number): number[] {
  const { first, size, pods } = s.podSets;
  const promised: number[] = [];
  for (let set = s.jobs.firstSet[job]!; set < s.jobs.firstSet[job]! + s.jobs.setCount[job]!; set++) {
    for (let i = first[set]!; i < first[set]! + size[set]!; i++) if (statusOf(s, pods[i]!) === Status.pipelined) promised.push(pods[i]!);
  }
  return promised;
}
