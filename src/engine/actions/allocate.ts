import type { RawDecision } from '../../base/decisions.ts';
import { isJobReady, jobCount } from '../jobs/gang.ts';
import { createJobTree, popJob, pushJob, refresh, tasksOf } from '../jobs/jobTree.ts';
import { type PlaceMode, REAL } from '../placement/placeTask.ts';
import type { Session } from '../session/session.ts';
import { inTurn } from '../session/turns.ts';
import { SET_CELL } from '../state/layout.ts';
import { commit, createStatement, type Placement, undoTo } from '../statement.ts';
import { type AttemptResult, attemptJob } from './attemptJob.ts';
import { describePlacement } from './describe.ts';
import { isTakenBackLater, releaseHeld } from './held.ts';
import type { Action } from './index.ts';
import { servePlaces } from './keptPlaces.ts';

/** Jobs that an action may try: ready, something pending, queue known (spec 03 section 6.1). */
export function pendingJobs(s: Session): number[] {
  const jobs: number[] = [];
  for (let job = 0; job < s.jobs.count; job++) {
    if (s.jobs.queue[job]! >= 0 && jobCount(s, job, SET_CELL.pending) > 0 && isJobReady(s, job)) jobs.push(job);
  }
  return jobs;
}

/**
 * Gives idle and leaving resources to pending jobs, best job of the best queue first (spec 03 section 6.2). A job that
 * succeeds and has more pods waiting competes again; one that fails is done for this action.
 */
function run(s: Session, emit: (batch: readonly RawDecision[]) => void): void {
  const mayHold = isTakenBackLater(s, 'allocate');
  const attempt = (job: number, tasks: readonly number[], mode: PlaceMode): AttemptResult =>
    inTurn(s, job, 'failed', () => tryJob(s, job, tasks, mode, mayHold, emit));
  const failed = s.safety?.keepsPlaces === true ? servePlaces(s, pendingJobs(s), attempt) : null;
  const candidates = failed === null ? pendingJobs(s) : pendingJobs(s).filter((job) => !failed.has(job));
  const tree = createJobTree(s, candidates, s.config.queueDepthPerAction['allocate'] ?? -1);
  for (let job = popJob(s, tree); job >= 0; job = popJob(s, tree)) {
    const result = attempt(job, tasksOf(s, tree, job), REAL);
    if (result !== 'failed' && jobCount(s, job, SET_CELL.pending) > 0) pushJob(s, tree, job);
    refresh(s, tree, s.jobs.queue[job]!);
  }
  if (s.held.size > 0 && pendingJobs(s).length === 0) releaseHeld(s, emit);
}

/** One step of a job, committed and handed out if it succeeds; else everything is as it was. */
function tryJob(
  s: Session,
  job: number,
  tasks: readonly number[],
  mode: PlaceMode,
  mayHold: boolean,
  emit: (batch: readonly RawDecision[]) => void,
): AttemptResult {
  const st = createStatement(s);
  const hadRunning = jobCount(s, job, SET_CELL.allocated) > 0;
  s.counts.jobsAttempted++;
  s.attempted.add(job);
  const result = s.port.isKnownToFail() ? 'failed' : attemptJob(st, job, tasks, mode);
  s.port.tell(result !== 'failed');
  if (result === 'failed') {
    undoTo(st, 0);
    s.counts.jobsFailed++;
    return result;
  }
  const placements = commit(st);
  countPlacements(s, placements);
  if (result === 'allocated' && !hadRunning) s.started.add(job);
  deliver(s, job, placements, mayHold && s.jobs.isPreemptible[job] === 1, emit);
  return result;
}

function deliver(
  s: Session,
  job: number,
  placements: readonly Placement[],
  isHeld: boolean,
  emit: (batch: readonly RawDecision[]) => void,
): void {
  const batch = placements.map((p) => describePlacement(s, 'allocate', job, p));
  if (!isHeld) emit(batch);
  else for (const decision of batch) s.held.set(decision.podRow, decision);
}

function countPlacements(s: Session, placements: readonly Placement[]): void {
  for (const p of placements) {
    if (p.status === 3) s.counts.pipelined++;
    else s.counts.bound++;
  }
}

export const allocate: Action = Object.freeze({ name: 'allocate', run });
