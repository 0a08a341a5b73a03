// What of a job is evicted together, unit by unit (spec 04 section 4.1, spec 02 section 10.2).
import { compareTasks, countOf, orderedMembers, podSetsOf } from './subGroups.ts';
import { ALLOCATED, type Job, type Member, type PodSet, type State, type SubGroupSet, type Task, USED, type World } from './types.ts';

export interface Unit {
  readonly job: Job;
  readonly tasks: readonly Task[];
}

/**
 * Broken optional members go first; the specification leaves open whether before all surplus pods of the job, or only before
 * the complete members (section 4.1, deviation i).
 */
export type BrokenFirst = 'beforeSurplus' | 'beforeMembers';

/** Pods of a member that hold a place; those that only wait in this cycle are nobody's victims (spec 04 section 3.1). */
export function heldTasks(state: State, member: Member): Task[] {
  return podSetsOf(member).flatMap((podSet) => podSet.tasks.filter((task) => ALLOCATED.includes(state.tasks.get(task.key)!.status)));
}

function isHeld(state: State, member: Member): boolean {
  return heldTasks(state, member).length > 0;
}

/** Satisfied by pods that hold a place. */
function isComplete(state: State, member: Member): boolean {
  if (member.kind === 'podSet') return heldTasks(state, member).length >= member.need;
  return member.members.filter((m) => isComplete(state, m)).length >= member.need;
}

/** How many complete members could be given up; negative when some are missing. Members without pods help only where needed. */
function spareMembers(state: State, set: SubGroupSet): number {
  const complete = set.members.filter((m) => isComplete(state, m));
  const real = complete.filter((m) => isHeld(state, m)).length;
  return real >= set.need ? real - set.need : Math.min(0, complete.length - set.need);
}

/** All pods of a member, the last member and the last pod first. */
function allOf(world: World, state: State, member: Member): Task[] {
  if (member.kind === 'podSet') return heldTasks(state, member).sort((a, b) => compareTasks(world, b, a));
  return orderedMembers(world, state, member)
    .reverse()
    .flatMap((m) => allOf(world, state, m));
}

function surplusPod(world: World, state: State, podSet: PodSet): Task[] {
  return heldTasks(state, podSet).length > podSet.need ? allOf(world, state, podSet).slice(0, 1) : [];
}

function firstFound(members: readonly Member[], find: (m: Member) => Task[]): Task[] {
  return members.map(find).find((tasks) => tasks.length > 0) ?? [];
}

function surplusOf(world: World, state: State, set: SubGroupSet, order: BrokenFirst): Task[] {
  if (!set.members.some((m) => isHeld(state, m) && isComplete(state, m))) return [];
  const reversed = orderedMembers(world, state, set).reverse();
  const spare = spareMembers(state, set);
  const broken = spare >= 0 ? reversed.filter((m) => isHeld(state, m) && !isComplete(state, m)) : [];
  const takeBroken = (): Task[] => firstFound(broken, (m) => allOf(world, state, m));
  const goDown = (): Task[] =>
    firstFound(reversed, (m) => (m.kind === 'podSet' ? surplusPod(world, state, m) : surplusOf(world, state, m, order)));
  const first = order === 'beforeSurplus' ? takeBroken() : [];
  if (first.length > 0) return first;
  const below = goDown();
  if (below.length > 0) return below;
  const second = takeBroken();
  if (second.length > 0 || spare <= 0) return second;
  return firstFound(reversed, (m) => allOf(world, state, m));
}

/** The next unit of a job as it stands: a surplus pod, an optional member, or all that is left. Empty when nothing is. */
export function nextUnit(world: World, state: State, job: Job, order: BrokenFirst): Task[] {
  const surplus = surplusOf(world, state, job.root, order);
  return surplus.length > 0 ? surplus : allOf(world, state, job.root);
}

/** The job still has its gang when these pods are gone; pods that leave for other reasons count (spec 02 section 15.3). */
export function staysWhole(state: State, job: Job, gone: ReadonlySet<string>): boolean {
  const isOk = (member: Member): boolean => {
    if (member.kind === 'set') return member.members.filter(isOk).length >= member.need;
    const left = member.tasks.filter((task) => !gone.has(task.key));
    return countOf(state, left, USED) >= member.need;
  };
  return isOk(job.root);
}

/** A state in which pods can be marked as gone without touching the real one. */
export function scratchOf(state: State): State {
  return { ...state, tasks: new Map([...state.tasks].map(([key, held]) => [key, { ...held }])) };
}
