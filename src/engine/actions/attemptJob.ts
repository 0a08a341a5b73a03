import { isFlat, mustPipelineWhole, rootOf } from '../jobs/gang.ts';
import { orderMembers } from '../jobs/memberOrder.ts';
import { needOf } from '../jobs/selectTasks.ts';
import { type PlaceMode, placeTask } from '../placement/placeTask.ts';
import { findViolation, violationError } from '../queues/capacity.ts';
import { addJobError, recordTaskFailure } from '../report/jobErrors.ts';
import type { Session, SubGroupSet } from '../session/session.ts';
import { blaming, isSetAside } from '../session/turns.ts';
import { convertToPipelined, type Statement } from '../statement.ts';
import { podSetsBelow, tyingSetsOf } from '../topology/group.ts';
import type { GroupConstraint } from '../topology/levels.ts';
import { anywhere, inNodeSets, type Where } from './nodeSets.ts';

export type AttemptResult = 'failed' | 'allocated' | 'pipelined';

/**
 * Tries `tasks`, the next step of a job: its missing gang members, or one growth step, all or nothing (spec 03 sections
 * 6.4–6.8). On 'failed' the caller undoes the statement.
 */
export function attemptJob(st: Statement, job: number, tasks: readonly number[], mode: PlaceMode): AttemptResult {
  const s = st.session;
  return tasks.length === 0 || isSetAside(s, job) ? 'failed' : blaming(s, job, () => attempt(st, job, tasks, mode));
}

function attempt(st: Statement, job: number, tasks: readonly number[], mode: PlaceMode): AttemptResult {
  const s = st.session;
  const need = needOf(s, tasks, s.maxGpuMib, false);
  const violation = findViolation(s, job, need);
  if (violation !== null) {
    if (!mode.pipelineOnly) addJobError(s, job, violationError(s, job, need, violation));
    return 'failed';
  }
  const isPlaced = placeJob(st, job, tasks, anywhere(mode));
  if (!isPlaced) return 'failed';
  if (mode.pipelineOnly) return 'pipelined';
  if (!mustPipelineWhole(s, job)) return 'allocated';
  return convertToPipelined(st) ? 'pipelined' : 'failed';
}

/** Places the tasks of the root, in the node sets of the job's constraint if it has one. */
function placeJob(st: Statement, job: number, tasks: readonly number[], where: Where): boolean {
  const s = st.session;
  const constraint = s.topology.isOn ? s.jobs.rootConstraint.get(job) : undefined;
  if (isFlat(s, job)) {
    const podSet = s.jobs.firstSet[job]!;
    if (constraint === undefined) return placeTasks(st, job, podSet, tasks, where.mode);
    const group = { job, name: '', constraint, tyingSets: [podSet], tasks };
    return inNodeSets(st, group, where, (inner) => placeTasks(st, job, podSet, tasks, inner.mode));
  }
  return placeSet(st, job, rootOf(s, job), constraint, groupBySet(s, tasks), where);
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

/** Places the tasks below a set; one without tasks takes no part (spec 06 section 6). */
function placeSet(
  st: Statement,
  job: number,
  set: SubGroupSet,
  constraint: GroupConstraint | undefined,
  bySet: ReadonlyMap<number, number[]>,
  where: Where,
): boolean {
  if (constraint === undefined) return placeMembers(st, job, set, bySet, where);
  const below = podSetsBelow(set);
  const tasks = below.flatMap((podSet) => bySet.get(podSet) ?? []);
  if (tasks.length === 0) return true;
  const group = { job, name: set.name, constraint, tyingSets: tyingSetsOf(st.session, set, below, tasks), tasks };
  return inNodeSets(st, group, where, (inner) => placeMembers(st, job, set, bySet, inner));
}

/** Places a set member by member, in the order that holds when the set is entered (spec 03 section 6.5). */
function placeMembers(st: Statement, job: number, set: SubGroupSet, bySet: ReadonlyMap<number, number[]>, where: Where): boolean {
  const s = st.session;
  for (const m of orderMembers(s, set.members)) {
    if (m.set !== null) {
      if (!placeSet(st, job, m.set, s.topology.isOn ? m.set.constraint : undefined, bySet, where)) return false;
      continue;
    }
    const tasks = bySet.get(m.podSet);
    if (tasks !== undefined && !placePodSet(st, job, m.podSet, tasks, where)) return false;
  }
  return true;
}

function placePodSet(st: Statement, job: number, podSet: number, tasks: readonly number[], where: Where): boolean {
  const s = st.session;
  const constraint = s.topology.isOn ? s.jobs.setConstraint.get(podSet) : undefined;
  if (constraint === undefined) return placeTasks(st, job, podSet, tasks, where.mode);
  const group = { job, name: s.podSets.name[podSet]!, constraint, tyingSets: [podSet], tasks };
  return inNodeSets(st, group, where, (inner) => placeTasks(st, job, podSet, tasks, inner.mode));
}

/** Places the tasks of a pod set one after the other; the first that fails ends it. */
function placeTasks(st: Statement, job: number, podSet: number, tasks: readonly number[], mode: PlaceMode): boolean {
  for (let k = 0; k < tasks.length; k++) {
    if (placeTask(st, tasks[k]!, job, mode)) continue;
    if (!mode.pipelineOnly) recordTaskFailure(st.session, job, podSet, tasks[k]!, k);
    return false;
  }
  return true;
}
