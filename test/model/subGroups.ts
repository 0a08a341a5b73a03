// The sub-group tree of a job: readiness, order of members, choice of tasks (spec 02 sections 4.2, 4.3, 9, 10.1; spec 06
// sections 2, 3).
import type { PodGroup } from '../../src/base/objects.ts';
import {
  ACTIVE,
  ALIVE,
  hasPlugin,
  type Job,
  type Member,
  type PodSet,
  type State,
  type Status,
  type SubGroupSet,
  type Task,
  type TaskState,
  type World,
} from './types.ts';

export const DEFAULT_POD_SET = 'default';
const SUB_GROUP_LABEL = 'kai.scheduler/subgroup-name';

/** The tree with its pods; null when names are double, a parent is missing, or parents form a circle. */
export function treeOf(group: PodGroup, tasks: readonly Task[]): SubGroupSet | null {
  const subGroups = group.spec?.subGroups ?? [];
  const podSet = (name: string, need: number): PodSet => ({
    kind: 'podSet',
    name,
    need: Math.max(0, need),
    tasks: tasks.filter((task) => podSetName(task) === name),
  });
  if (subGroups.length === 0) {
    return { kind: 'set', name: '', need: group.spec?.minSubGroup ?? 1, members: [podSet(DEFAULT_POD_SET, group.spec?.minMember ?? 1)] };
  }
  const names = new Set(subGroups.map((s) => s.name));
  const parents = new Set(subGroups.map((s) => s.parent ?? ''));
  if (names.size < subGroups.length || [...parents].some((name) => name !== '' && !names.has(name))) return null;
  let reached = 0;
  const membersOf = (parent: string): Member[] =>
    subGroups
      .filter((s) => (s.parent ?? '') === parent)
      .map((s) => {
        reached++;
        if (!parents.has(s.name)) return podSet(s.name, s.minMember ?? 0);
        const members = membersOf(s.name);
        return { kind: 'set', name: s.name, need: s.minSubGroup ?? members.length, members };
      });
  const members = membersOf('');
  return reached < subGroups.length ? null : { kind: 'set', name: '', need: group.spec?.minSubGroup ?? members.length, members };
}

export function podSetName(task: Task): string {
  return task.pod.metadata.labels?.[SUB_GROUP_LABEL] || DEFAULT_POD_SET;
}

export function podSetsOf(member: Member): PodSet[] {
  return member.kind === 'podSet' ? [member] : member.members.flatMap(podSetsOf);
}

export function tasksOf(job: Job): Task[] {
  return podSetsOf(job.root).flatMap((podSet) => podSet.tasks);
}

export function countOf(state: State, tasks: readonly Task[], statuses: readonly Status[]): number {
  return tasks.filter((task) => statuses.includes(state.tasks.get(task.key)!.status)).length;
}

/** Pods that count as there although they are leaving: those evicted in mind. */
type Held = ReadonlyMap<string, TaskState>;
const NOBODY: Held = new Map();

export function isReady(state: State, member: Member, evicted: Held = NOBODY): boolean {
  if (member.kind === 'set') return member.members.filter((m) => isReady(state, m, evicted)).length >= member.need;
  const held = member.tasks.filter((task) => evicted.has(task.key)).length;
  return countOf(state, member.tasks, ALIVE) - countOf(state, member.tasks, ['gated']) + held >= member.need;
}

/** Active pods of a pod set, satisfied members of a set. */
function fill(state: State, member: Member): number {
  if (member.kind === 'podSet') return countOf(state, member.tasks, ACTIVE);
  return member.members.filter((m) => isSatisfied(state, m)).length;
}

function isSatisfied(state: State, member: Member): boolean {
  return fill(state, member) >= member.need;
}

/** 0 below its minimum, 1 exactly at it, 2 above: pod set by pod set, as the recorded topology cases assert (02 section 9.1). */
export function elasticState(state: State, job: Job): number {
  const podSets = podSetsOf(job.root);
  if (!podSets.every((m) => isSatisfied(state, m))) return 0;
  return podSets.every((m) => fill(state, m) === m.need) ? 1 : 2;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Order of the members of one set (spec 02 section 9.3); without the plugin by name alone. */
export function orderedMembers(world: World, state: State, set: SubGroupSet): Member[] {
  const byName = [...set.members].sort((a, b) => compareText(a.name, b.name));
  if (!hasPlugin(world.config, 'subgrouporder')) return byName;
  const rank = (m: Member): readonly [number, number] => {
    if (!isSatisfied(state, m)) return [0, 0];
    return m.need > 0 ? [1, fill(state, m) / m.need] : [2, fill(state, m)];
  };
  return byName.sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1]);
}

/** Order of the pods of a pod set (spec 02 section 9.2). */
export function compareTasks(world: World, a: Task, b: Task): number {
  const labels = (t: Task): Readonly<Record<string, string>> => t.pod.metadata.labels ?? {};
  const first = (isFirst: (t: Task) => boolean): number => Number(isFirst(b)) - Number(isFirst(a));
  const role = (t: Task): string => labels(t)['training.kubeflow.org/job-role'] ?? '';
  const byKubeflow = hasPlugin(world.config, 'kubeflow') ? first((t) => ['master', 'launcher'].includes(role(t))) : 0;
  const byRay = hasPlugin(world.config, 'ray') ? first((t) => labels(t)['ray.io/node-type'] === 'head') : 0;
  const byPriority = hasPlugin(world.config, 'taskorder') ? comparePriority(labels(a), labels(b)) : 0;
  const [uidA, uidB] = [a.pod.metadata.uid ?? '', b.pod.metadata.uid ?? ''];
  return byKubeflow || byRay || byPriority || a.createdMs - b.createdMs || compareText(uidA, uidB);
}

/** With a number, higher first; then with a text that is none; then without the label. */
function comparePriority(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): number {
  const key = 'kai.scheduler/task-priority';
  const rank = (text: string | undefined): number => (text === undefined ? 2 : /^[+-]?\d+$/.test(text) ? 0 : 1);
  const byKind = rank(a[key]) - rank(b[key]);
  return byKind !== 0 || rank(a[key]) !== 0 ? byKind : Number(b[key]) - Number(a[key]);
}

/**
 * The tasks of the next attempt (spec 02 section 10.1, spec 03 section 6.3): below the gang exactly what is missing, of the
 * first `need − count` members that can become satisfied; after that one step of the first member that can grow. In a trial of
 * a victim action pods that are evicted in mind may be placed again, `withPending`: beside those that wait.
 */
export function tasksToAllocate(world: World, state: State, member: Member, evicted: Held = NOBODY, withPending = true): Task[] {
  if (member.kind === 'podSet') {
    const active = countOf(state, member.tasks, ACTIVE);
    const pending = member.tasks.filter(({ key }) => (withPending && state.tasks.get(key)!.status === 'pending') || evicted.has(key));
    return pending.sort((a, b) => compareTasks(world, a, b)).slice(0, active < member.need ? member.need - active : 1);
  }
  const members = orderedMembers(world, state, member).filter((m) => isSatisfied(state, m) || isReady(state, m, evicted));
  const missing = member.need - fill(state, member);
  if (missing > 0) {
    const chosen = members.filter((m) => !isSatisfied(state, m)).slice(0, missing);
    return chosen.flatMap((m) => tasksToAllocate(world, state, m, evicted, withPending));
  }
  return members.map((m) => tasksToAllocate(world, state, m, evicted, withPending)).find((tasks) => tasks.length > 0) ?? [];
}
