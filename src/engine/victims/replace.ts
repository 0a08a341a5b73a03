import { attemptJob } from '../actions/attemptJob.ts';
import { countSatisfied, isFlat, isMemberReady, isMemberSatisfied, rootOf } from '../jobs/gang.ts';
import { orderMembers } from '../jobs/memberOrder.ts';
import { sortedPods } from '../jobs/taskOrder.ts';
import { checkNode, dynamicChecks } from '../placement/dynamicChecks.ts';
import type { PlaceMode } from '../placement/placeTask.ts';
import { UNLIMITED } from '../queues/fairShare.ts';
import { countOf, nodeOf, queueCell } from '../session/occupy.ts';
import type { Session, SubGroupMember, SubGroupSet } from '../session/session.ts';
import { SET_CELL } from '../state/layout.ts';
import { freeSlots, restore, type Statement, undoTo } from '../statement.ts';
import type { QueueAmounts } from './fairness.ts';
import type { Unit } from './units.ts';

/** A simulation over all nodes. */
export const SIMULATION: PlaceMode = Object.freeze({ pipelineOnly: true, nodes: null });

/**
 * Lets a unit stay where it is if it still fits there beside what was placed meanwhile, and its queue has room. All of its
 * pods or none.
 */
export function keepInPlace(st: Statement, unit: Unit, start: QueueAmounts): boolean {
  const s = st.session;
  const mark = st.ops.length;
  for (const p of unit.pods) {
    if (!s.evicted.has(p)) continue;
    const node = nodeOf(s, p);
    if (isInTheWay(s, p, node) || !restore(st, p, node) || (node >= 0 && !(holdsUp(st, node) && s.numa?.holdsUp(p) !== false))) {
      undoTo(st, mark);
      return false;
    }
  }
  if (hasRoomInQueues(s, unit.job, start)) return true;
  undoTo(st, mark);
  return false;
}

/** A bind that was taken back meets what came to its node meanwhile as any new pod does; running pods were there before. */
function isInTheWay(s: Session, podRow: number, node: number): boolean {
  if (!s.held.has(podRow)) return false;
  const checks = dynamicChecks(s, podRow, s.podSets.job[s.tasks.podSet[podRow]!]!);
  return checks !== null && checkNode(s, checks, node) !== 0;
}

/** Limits hold at every level, or nobody uses more than before: a limit does not turn out what runs above it. */
function hasRoomInQueues(s: Session, job: number, start: QueueAmounts): boolean {
  for (let q = s.jobs.queue[job]!; q >= 0; q = s.queues.parent[q]!) {
    for (let r = 0; r < 3; r++) {
      const limit = s.queues.limit[3 * q + r]!;
      const now = s.state.cells[queueCell(s, r, q)]!;
      if (limit !== UNLIMITED && now > limit && now > start.allocated[3 * q + r]!) return false;
    }
  }
  return true;
}

/** No resource of the node is promised twice: idle and releasing together are not negative, no shared device overflows. */
function holdsUp(st: Statement, n: number): boolean {
  const { ledger: l, facts, sizes, groups } = st.session.state;
  if (l.idleMilliCpu[n]! + l.releasingMilliCpu[n]! < 0 || l.idleMemoryBytes[n]! + l.releasingMemoryBytes[n]! < 0) return false;
  if (l.idleGpu[n]! + l.releasingGpu[n]! < 0) return false;
  for (let d = 0; d < sizes.dims; d++) {
    const at = d * sizes.nodes + n;
    if (l.idleScalar[at]! + l.releasingScalar[at]! < 0) return false;
  }
  for (let g = l.groupHead[n]!; g >= 0; g = groups.next[g]!) {
    if (groups.usedMib[g]! !== 0 && facts.gpuMemoryMib[n]! - groups.allocatedMib[g]! + groups.releasingMib[g]! < 0) return false;
  }
  return freeSlots(st, n) >= 0;
}

/** Places what is left of a victim job where it scores best, step by step, as long as it fits (spec 04 section 5.6). */
export function moveJob(st: Statement, job: number): void {
  while (moveStep(st, job));
}

/** One step of `moveJob`: its missing gang or one surplus part. False when nothing is left or nothing fits. */
export function moveStep(st: Statement, job: number, stepOf: (s: Session, job: number) => readonly number[] = evictedTasks): boolean {
  const tasks = stepOf(st.session, job);
  if (tasks.length === 0) return false;
  const mark = st.ops.length;
  if (attemptJob(st, job, tasks, SIMULATION) !== 'failed') return true;
  undoTo(st, mark);
  return false;
}

/** The next step of a job among its virtually evicted pods: missing gang members whole, then one growth step. */
export function evictedTasks(s: Session, job: number): number[] {
  if (isFlat(s, job)) return podsOf(s, s.jobs.firstSet[job]!);
  return select(s, rootOf(s, job));
}

function select(s: Session, set: SubGroupSet): number[] {
  const ordered = orderMembers(s, set.members);
  let missing = set.need - countSatisfied(s, set);
  const tasks: number[] = [];
  for (const m of ordered) {
    const wasSatisfied = isMemberSatisfied(s, m);
    if (missing > 0 && (wasSatisfied || !canBeMet(s, m))) continue;
    const found = m.set === null ? podsOf(s, m.podSet) : select(s, m.set);
    if (missing <= 0) {
      if (found.length > 0) return found;
      continue;
    }
    tasks.push(...found);
    missing--;
    if (missing === 0) break;
  }
  return missing > 0 ? [] : tasks;
}

function canBeMet(s: Session, m: SubGroupMember): boolean {
  if (m.set !== null) return isMemberReady(s, m) || select(s, m.set).length > 0;
  return podsOf(s, m.podSet).length > 0;
}

function podsOf(s: Session, podSet: number): number[] {
  const active = countOf(s, SET_CELL.active, podSet);
  const min = s.podSets.min[podSet]!;
  const wanted = active >= min ? 1 : min - active;
  const tasks: number[] = [];
  for (const p of sortedPods(s, podSet)) {
    if (!s.evicted.has(p)) continue;
    tasks.push(p);
    if (tasks.length === wanted) return tasks;
  }
  return active < min ? [] : tasks;
}
