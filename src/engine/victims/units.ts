import { isFlat, rootOf } from '../jobs/gang.ts';
import { orderMembers } from '../jobs/memberOrder.ts';
import { sortedPods } from '../jobs/taskOrder.ts';
import { countOf, statusOf } from '../session/occupy.ts';
import type { Session, SubGroupMember, SubGroupSet } from '../session/session.ts';
import { ALLOCATED, isIn } from '../session/status.ts';
import { SET_CELL } from '../state/layout.ts';
import type { UnitTest } from './safety.ts';

/**
 * Would the job still have its gang without the unit (spec 02 section 15.3 on the tree)? Pods that are leaving for other
 * reasons count as used.
 */
export function staysWhole(s: Session, unit: Unit): boolean {
  const taken = new Map<number, number>();
  const count = (p: number): void => {
    const set = s.tasks.podSet[p]!;
    taken.set(set, (taken.get(set) ?? 0) + 1);
  };
  for (const p of unit.pods) count(p);
  for (const p of s.evicted.keys()) if (s.podSets.job[s.tasks.podSet[p]!] === unit.job) count(p);
  const isOk = (m: SubGroupMember): boolean => {
    if (m.set !== null) return m.set.members.filter(isOk).length >= m.set.need;
    return countOf(s, SET_CELL.used, m.podSet) - (taken.get(m.podSet) ?? 0) >= s.podSets.min[m.podSet]!;
  };
  return isOk({ name: '', set: rootOf(s, unit.job), podSet: -1 });
}

/** Pods of one job that are evicted together (spec 04 section 4.1). */
export interface Unit {
  readonly job: number;
  /** In the order of eviction: reverse of the task order. */
  readonly pods: readonly number[];
  /** All that the job had left: without surplus or optional members. */
  readonly isCore: boolean;
}

/**
 * The next unit of a job as it stands: a surplus pod, else an optional member, else everything. Only pods that hold a node
 * count; pods that merely wait in this cycle are never victims. Null when nothing is left. `allows`: units that it refuses
 * are passed over for the next of their kind.
 */
export function nextUnit(s: Session, job: number, allows: UnitTest | null = null): Unit | null {
  if (isFlat(s, job)) return flatUnit(s, job, allows);
  const root = rootOf(s, job);
  const surplus = surplusUnit(s, root, allows);
  if (surplus.length > 0) return { job, pods: surplus, isCore: false };
  // A surplus that may not go keeps the core in its place too.
  if (allows !== null && surplusUnit(s, root, null).length > 0) return null;
  const all = allOfSet(s, root);
  return all.length === 0 || allows?.(all) === false ? null : { job, pods: all, isCore: true };
}

function flatUnit(s: Session, job: number, allows: UnitTest | null): Unit | null {
  const podSet = s.jobs.firstSet[job]!;
  const held = countOf(s, SET_CELL.allocated, podSet);
  if (held === 0) return null;
  const min = s.jobs.rootNeed[job]! === 0 ? 0 : s.podSets.min[podSet]!;
  const isCore = held <= min;
  const pods = isCore ? lastPods(s, podSet, held) : lastPod(s, podSet, allows);
  return pods.length === 0 || (isCore && allows?.(pods) === false) ? null : { job, pods, isCore };
}

/** The last pod of a set that may go. */
function lastPod(s: Session, podSet: number, allows: UnitTest | null): number[] {
  if (allows === null) return lastPods(s, podSet, 1);
  for (const p of lastPods(s, podSet, countOf(s, SET_CELL.allocated, podSet))) if (allows([p])) return [p];
  return [];
}

/** The last `count` pods of a set in task order that hold a node, last first. */
function lastPods(s: Session, podSet: number, count: number): number[] {
  const pods = sortedPods(s, podSet);
  const out: number[] = [];
  for (let i = pods.length - 1; i >= 0 && out.length < count; i--) if (isIn(ALLOCATED, statusOf(s, pods[i]!))) out.push(pods[i]!);
  return out;
}

function heldBy(s: Session, m: SubGroupMember): number {
  return m.set === null ? countOf(s, SET_CELL.allocated, m.podSet) : m.set.members.reduce((sum, child) => sum + heldBy(s, child), 0);
}

/** Members that hold pods and are satisfied by them. */
function countHeldMembers(s: Session, set: SubGroupSet): number {
  return set.members.filter((m) => isHeld(s, m)).length;
}

function isHeld(s: Session, m: SubGroupMember): boolean {
  if (m.set === null) return heldBy(s, m) > 0 && countOf(s, SET_CELL.allocated, m.podSet) >= s.podSets.min[m.podSet]!;
  return heldBy(s, m) > 0 && countHeldMembers(s, m.set) + countIdleOptional(s, m.set) >= m.set.need;
}

/** Members without pods that need none: they count where a set needs all of its members. */
function countIdleOptional(s: Session, set: SubGroupSet): number {
  return set.members.filter((m) => heldBy(s, m) === 0 && (m.set === null ? s.podSets.min[m.podSet]! : m.set.need) === 0).length;
}

function surplusUnit(s: Session, set: SubGroupSet, allows: UnitTest | null): number[] {
  const held = countHeldMembers(s, set);
  if (held === 0) return [];
  const spare = held + Math.min(countIdleOptional(s, set), Math.max(0, set.need - held)) - set.need;
  const reversed = orderMembers(s, set.members).slice().reverse();
  for (const m of reversed) {
    if (m.set !== null) {
      const pods = surplusUnit(s, m.set, allows);
      if (pods.length > 0) return pods;
    } else if (countOf(s, SET_CELL.allocated, m.podSet) > s.podSets.min[m.podSet]!) {
      const pods = lastPod(s, m.podSet, allows);
      if (pods.length > 0) return pods;
    }
  }
  // A broken member that is not needed goes before any complete one.
  if (spare >= 0) {
    for (const m of reversed) {
      if (isHeld(s, m) || heldBy(s, m) === 0) continue;
      const pods = allOfMember(s, m);
      if (allows === null || allows(pods)) return pods;
    }
  }
  if (spare <= 0) return [];
  for (const m of reversed) {
    if (heldBy(s, m) === 0) continue;
    const pods = allOfMember(s, m);
    if (allows === null || allows(pods)) return pods;
  }
  return [];
}

function allOfMember(s: Session, m: SubGroupMember): number[] {
  return m.set === null ? lastPods(s, m.podSet, countOf(s, SET_CELL.allocated, m.podSet)) : allOfSet(s, m.set);
}

function allOfSet(s: Session, set: SubGroupSet): number[] {
  return orderMembers(s, set.members)
    .slice()
    .reverse()
    .flatMap((m) => allOfMember(s, m));
}
