import { demandGpuMilli } from '../session/demand.ts';
import { countOf, requestOf, statusOf } from '../session/occupy.ts';
import type { Session, SubGroupMember, SubGroupSet } from '../session/session.ts';
import { Status } from '../session/status.ts';
import { SET_CELL } from '../state/layout.ts';
import { countSatisfied, isFlat, isMemberReady, isMemberSatisfied, rootOf } from './gang.ts';
import { orderMembers } from './memberOrder.ts';
import { sortedPods } from './taskOrder.ts';

/**
 * Tasks that a job is tried with next (spec 02 section 10.1, corrected as 06 section 3.3 a–c asks): below its gang exactly
 * what it still needs, afterwards one growth step.
 */
export function selectTasks(s: Session, job: number): number[] {
  // One pod set under the root: both phases come down to it, and it is ready if the job is.
  return isFlat(s, job) ? selectPods(s, s.jobs.firstSet[job]!) : select(s, rootOf(s, job));
}

function select(s: Session, set: SubGroupSet): number[] {
  const ordered = orderMembers(s, set.members);
  let missing = set.need - countSatisfied(s, set);
  if (missing > 0) {
    const tasks: number[] = [];
    for (const m of ordered) {
      if (missing === 0) break;
      if (isMemberSatisfied(s, m) || !isMemberReady(s, m)) continue;
      tasks.push(...selectMember(s, m));
      missing--;
    }
    // Nor fewer members than it lacks: some of its pods may have been taken since it was ready.
    return missing > 0 ? [] : tasks;
  }
  for (const m of ordered) {
    if (!isMemberSatisfied(s, m) && !isMemberReady(s, m)) continue;
    const tasks = selectMember(s, m);
    if (tasks.length > 0) return tasks;
  }
  return [];
}

function selectMember(s: Session, m: SubGroupMember): number[] {
  return m.set === null ? selectPods(s, m.podSet) : select(s, m.set);
}

/** The missing pods of an unsatisfied pod set, or one more of a satisfied one. */
function selectPods(s: Session, podSet: number): number[] {
  if (countOf(s, SET_CELL.pending, podSet) === 0) return [];
  const active = countOf(s, SET_CELL.active, podSet);
  const min = s.podSets.min[podSet]!;
  const wanted = active >= min ? 1 : min - active;
  const tasks: number[] = [];
  for (const p of sortedPods(s, podSet)) {
    if (statusOf(s, p) !== Status.pending) continue;
    tasks.push(p);
    if (tasks.length === wanted) break;
  }
  // Never fewer than an unsatisfied leaf lacks: they would run below its minimum.
  return active < min && tasks.length < wanted ? [] : tasks;
}

/** Amounts that tasks ask for: milli-CPU, bytes, thousandths of a GPU. */
export interface Need {
  milliCpu: number;
  memoryBytes: number;
  gpuMilli: number;
}

/**
 * Sum of the requests of tasks (spec 02 section 10.3). A GPU-memory request counts count × memory ÷ `divisorMib` GPUs: the
 * smallest GPU for ordering and demand (`round`: to thousandths, once), the largest for limits (not rounded).
 */
export function needOf(s: Session, tasks: readonly number[], divisorMib: number, round: boolean): Need {
  const need: Need = { milliCpu: 0, memoryBytes: 0, gpuMilli: 0 };
  for (const p of tasks) {
    const r = requestOf(s, p);
    need.milliCpu += r.milliCpu;
    need.memoryBytes += r.memoryBytes;
    need.gpuMilli += demandGpuMilli(s, p, divisorMib, round);
  }
  return need;
}
