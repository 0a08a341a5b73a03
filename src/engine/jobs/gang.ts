import { countOf } from '../session/occupy.ts';
import type { Session, SubGroupMember, SubGroupSet } from '../session/session.ts';
import { SET_CELL } from '../state/layout.ts';

/** Leaf: alive − gated ≥ min (spec 02 section 4.3). */
export function isSetReady(s: Session, podSet: number): boolean {
  return countOf(s, SET_CELL.alive, podSet) - s.podSets.gated[podSet]! >= s.podSets.min[podSet]!;
}

/** Leaf: active-allocated ≥ min. */
function isSetSatisfied(s: Session, podSet: number): boolean {
  return countOf(s, SET_CELL.active, podSet) >= s.podSets.min[podSet]!;
}

export function isMemberReady(s: Session, m: SubGroupMember): boolean {
  return m.set === null ? isSetReady(s, m.podSet) : countMembers(s, m.set, isMemberReady) >= m.set.need;
}

export function isMemberSatisfied(s: Session, m: SubGroupMember): boolean {
  return m.set === null ? isSetSatisfied(s, m.podSet) : countSatisfied(s, m.set) >= m.set.need;
}

export function countSatisfied(s: Session, set: SubGroupSet): number {
  return countMembers(s, set, isMemberSatisfied);
}

function countMembers(s: Session, set: SubGroupSet, test: (s: Session, m: SubGroupMember) => boolean): number {
  let count = 0;
  for (const m of set.members) if (test(s, m)) count++;
  return count;
}

/** Root of a job's tree; jobs without sub-groups get one over their only pod set. */
export function rootOf(s: Session, job: number): SubGroupSet {
  const tree = s.jobs.tree.get(job);
  if (tree !== undefined) return tree;
  return { name: '', need: s.jobs.rootNeed[job]!, members: [{ name: 'default', set: null, podSet: s.jobs.firstSet[job]! }] };
}

export function isFlat(s: Session, job: number): boolean {
  return !s.jobs.tree.has(job);
}

/** Ready for scheduling: the root has as many ready members as it needs. */
export function isJobReady(s: Session, job: number): boolean {
  if (s.jobs.invalid.has(job)) return false;
  if (isFlat(s, job)) return (isSetReady(s, s.jobs.firstSet[job]!) ? 1 : 0) >= s.jobs.rootNeed[job]!;
  const root = rootOf(s, job);
  return countMembers(s, root, isMemberReady) >= root.need;
}

/** Sum of a counter over the pod sets of a job. */
export function jobCount(s: Session, job: number, column: number): number {
  let sum = 0;
  const first = s.jobs.firstSet[job]!;
  for (let set = first; set < first + s.jobs.setCount[job]!; set++) sum += countOf(s, column, set);
  return sum;
}

/** Position of a job against its minimum, for the job order (spec 02 section 9.1 rule 2). */
const Elastic = { below: 0, exact: 1, above: 2 } as const;

/** Leaf by leaf, whatever the sets above need: the recorded decisions of the reference assert this form (06 section 3.1). */
export function elasticState(s: Session, job: number): number {
  let isAbove = false;
  const first = s.jobs.firstSet[job]!;
  for (let set = first; set < first + s.jobs.setCount[job]!; set++) {
    const active = countOf(s, SET_CELL.active, set);
    const min = s.podSets.min[set]!;
    if (active < min) return Elastic.below;
    if (active > min) isAbove = true;
  }
  return isAbove ? Elastic.above : Elastic.exact;
}

/** At least one pipelined task and fewer than min tasks that need not wait (spec 03 section 6.8). */
export function mustPipelineWhole(s: Session, job: number): boolean {
  const first = s.jobs.firstSet[job]!;
  for (let set = first; set < first + s.jobs.setCount[job]!; set++) {
    const waiting = countOf(s, SET_CELL.pipelined, set);
    if (waiting > 0 && countOf(s, SET_CELL.active, set) - waiting < s.podSets.min[set]!) return true;
  }
  return false;
}

/** Enough pods hold resources, leaving ones included: leaf used ≥ min, set as many such members as it needs. */
export function isUsedSatisfied(s: Session, m: SubGroupMember): boolean {
  if (m.set === null) return countOf(s, SET_CELL.used, m.podSet) >= s.podSets.min[m.podSet]!;
  return countMembers(s, m.set, isUsedSatisfied) >= m.set.need;
}

/**
 * A running job below its gang (spec 02 section 4.3 on the tree, 04 section 9): nothing succeeded, something is used, and the
 * root lacks members or some leaf is partly filled.
 */
export function isStale(s: Session, job: number): boolean {
  const first = s.jobs.firstSet[job]!;
  let isBroken = false;
  for (let set = first; set < first + s.jobs.setCount[job]!; set++) {
    if (s.podSets.succeeded[set]! > 0) return false;
    const used = countOf(s, SET_CELL.used, set);
    if (used > 0 && used < s.podSets.min[set]!) isBroken = true;
  }
  if (jobCount(s, job, SET_CELL.used) === 0) return false;
  return isBroken || !isUsedSatisfied(s, { name: '', set: rootOf(s, job), podSet: -1 });
}
