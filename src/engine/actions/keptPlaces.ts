import { NO_ROW } from '../../base/rows.ts';
import { jobCount } from '../jobs/gang.ts';
import { createJobTree, popJob, pushJob, refresh, tasksOf } from '../jobs/jobTree.ts';
import { type Need, needOf, selectTasks } from '../jobs/selectTasks.ts';
import { type PlaceMode, REAL } from '../placement/placeTask.ts';
import { UNLIMITED } from '../queues/fairShare.ts';
import { divergingPair } from '../queues/queueTree.ts';
import { queueCell } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { inTurn } from '../session/turns.ts';
import { SET_CELL } from '../state/layout.ts';
import { createStatement, undoTo } from '../statement.ts';
import { type AttemptResult, attemptJob } from './attemptJob.ts';

/** A step of a job whose pods all have a place waiting for them: `status.nominatedNodeName`. */
interface KeptPlace {
  readonly tasks: readonly number[];
  /** Node numbers, ascending. */
  readonly nodes: Int32Array;
}

type Attempt = (job: number, tasks: readonly number[], mode: PlaceMode) => AttemptResult;

/**
 * Serves jobs that somebody was evicted for at the places that are kept for them, before all jobs that are not more
 * entitled. A job that no longer fits its place has lost it and competes like any other. Returns the jobs that were tried
 * without success: nothing that follows in the action can help them.
 */
export function servePlaces(s: Session, pending: readonly number[], attempt: Attempt): Set<number> {
  const places = new Map<number, KeptPlace>();
  for (const job of pending) {
    const place = placeOf(s, job);
    if (place !== null) places.set(job, place);
  }
  const failed = new Set<number>();
  if (places.size === 0) return failed;
  const tree = createJobTree(s, [...places.keys()], -1);
  for (let job = popJob(s, tree); job >= 0; job = popJob(s, tree)) {
    const { tasks, nodes } = places.get(job)!;
    serveMoreEntitled(s, job, pending, places, failed, attempt);
    const mode: PlaceMode = { pipelineOnly: false, nodes };
    // Tried in mind first: what a place has lost is no reason to tell anybody.
    if (inTurn(s, job, false, () => fits(s, job, tasks, nodes))) attempt(job, tasks, mode);
    refresh(s, tree, s.jobs.queue[job]!);
  }
  return failed;
}

function placeOf(s: Session, job: number): KeptPlace | null {
  const tasks = selectTasks(s, job);
  if (tasks.length === 0) return null;
  const nodes = new Set<number>();
  for (const p of tasks) {
    const text = s.view.pods.nominatedNodeText[p]!;
    const node = text === NO_ROW ? -1 : s.nodeOfText[text]!;
    if (node < 0) return null;
    nodes.add(node);
  }
  return { tasks, nodes: Int32Array.from(nodes).sort() };
}

function fits(s: Session, job: number, tasks: readonly number[], nodes: Int32Array): boolean {
  const st = createStatement(s);
  const isPlaced = attemptJob(st, job, tasks, { pipelineOnly: true, nodes }) !== 'failed';
  undoTo(st, 0);
  return isPlaced;
}

/** Gives jobs without a place that are more entitled than `job` their turn, in scheduling order. */
function serveMoreEntitled(
  s: Session,
  job: number,
  pending: readonly number[],
  places: ReadonlyMap<number, KeptPlace>,
  failed: Set<number>,
  attempt: Attempt,
): void {
  const need = needOf(s, places.get(job)!.tasks, s.minGpuMib, true);
  const others = pending.filter((other) => !places.has(other) && !failed.has(other) && isMoreEntitled(s, other, job, need));
  if (others.length === 0) return;
  const tree = createJobTree(s, others, -1);
  for (let other = popJob(s, tree); other >= 0; other = popJob(s, tree)) {
    if (attempt(other, tasksOf(s, tree, other), REAL) === 'failed') failed.add(other);
    else if (jobCount(s, other, SET_CELL.pending) > 0) pushJob(s, tree, other);
    refresh(s, tree, s.jobs.queue[other]!);
  }
}

/**
 * May `other` take the place that is kept for `job`? In one queue the higher priority may. Between queues, where their paths
 * part: the higher queue priority, then a queue that stays within its quota against one that would not. Who merely comes
 * first in the order may not: that is what the place is kept against.
 */
function isMoreEntitled(s: Session, other: number, job: number, need: Need): boolean {
  const a = s.jobs.queue[other]!;
  const b = s.jobs.queue[job]!;
  if (jobCount(s, other, SET_CELL.pending) === 0) return false;
  if (a === b) return s.plugins.has('priority') && s.jobs.priority[other]! > s.jobs.priority[job]!;
  const [sideA, sideB] = divergingPair(s, a, b);
  const byPriority = s.queues.priority[sideA]! - s.queues.priority[sideB]!;
  if (byPriority !== 0) return byPriority > 0;
  return isWithinQuota(s, sideA, needOf(s, selectTasks(s, other), s.minGpuMib, true)) && !isWithinQuota(s, sideB, need);
}

function isWithinQuota(s: Session, queue: number, need: Need): boolean {
  const asked = [need.milliCpu, need.memoryBytes, need.gpuMilli];
  for (let r = 0; r < 3; r++) {
    const quota = s.queues.quota[3 * queue + r]!;
    if (quota !== UNLIMITED && s.state.cells[queueCell(s, r, queue)]! + asked[r]! > quota) return false;
  }
  return true;
}
