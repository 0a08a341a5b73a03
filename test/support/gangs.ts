import type { PodGroup, SubGroup } from '../../src/base/objects.ts';
import { keyOf, type Placement, type PodState } from './podStates.ts';

/** A node of the sub-group tree: a leaf with a minimum of pods, or a set that needs `need` of its members. */
interface Member {
  readonly name: string;
  readonly need: number;
  readonly members: readonly Member[] | null;
}

/** The tree of spec 02 section 4.2, or null when it is malformed. */
function treeOf(group: PodGroup): Member | null {
  const { subGroups, minMember, minSubGroup } = group.spec ?? {};
  const list = subGroups ?? [];
  if (list.length === 0) return { name: '', need: minSubGroup ?? 1, members: [{ name: 'default', need: minMember ?? 1, members: null }] };
  const names = new Set(list.map((s) => s.name));
  if (names.size !== list.length || list.some((s) => (s.parent ?? '') !== '' && !names.has(s.parent ?? ''))) return null;
  const parents = new Set(list.map((s) => s.parent ?? ''));
  const below = (parent: string): Member[] => list.filter((s) => (s.parent ?? '') === parent).map(build);
  const build = (s: SubGroup): Member => {
    if (!parents.has(s.name)) return { name: s.name, need: s.minMember ?? 0, members: null };
    const members = below(s.name);
    return { name: s.name, need: s.minSubGroup ?? members.length, members };
  };
  const members = below('');
  return { name: '', need: minSubGroup ?? members.length, members };
}

function leavesOf(member: Member): string[] {
  return member.members === null ? [member.name] : member.members.flatMap(leavesOf);
}

function leafLabel(state: PodState): string {
  return state.pod.metadata.labels?.['kai.scheduler/subgroup-name'] || 'default';
}

/** Pods that belong to a leaf of the job's tree; the others count nowhere (spec 02 section 4.2). None of a malformed tree. */
export function membersOf(group: PodGroup, pods: readonly PodState[]): PodState[] {
  const tree = treeOf(group);
  const leaves = new Set(tree === null ? [] : leavesOf(tree));
  return pods.filter((state) => leaves.has(leafLabel(state)));
}

function isSatisfied(member: Member, active: ReadonlyMap<string, number>): boolean {
  if (member.members === null) return (active.get(member.name) ?? 0) >= member.need;
  return member.members.filter((m) => isSatisfied(m, active)).length >= member.need;
}

/**
 * What is wrong with the gang of a job after a cycle, or null (spec 02 section 4.3, 03 section 6.8): a job that got a
 * place must be satisfied, and one of which pods were bound must be so without counting pods that still wait.
 */
export function gangProblem(
  group: PodGroup,
  pods: readonly PodState[],
  placements: ReadonlyMap<string, Placement>,
  evicted: ReadonlySet<string>,
): string | null {
  const placed = pods.flatMap((state) => placements.get(state.key) ?? []);
  if (placed.length === 0) return null;
  const name = keyOf(group);
  const tree = treeOf(group);
  if (tree === null) return `${name}: placed although its sub-group tree is malformed`;
  const leaves = new Set(leavesOf(tree));
  const firm = new Map<string, number>();
  const all = new Map<string, number>();
  for (const state of pods) {
    const leaf = leafLabel(state);
    const placement = placements.get(state.key);
    if (placement !== undefined && !leaves.has(leaf)) return `${state.key}: placed although its sub-group ${leaf} does not exist`;
    const isActive = state.isActive && !evicted.has(state.key);
    if (isActive || placement?.kind === 'bind') firm.set(leaf, (firm.get(leaf) ?? 0) + 1);
    if (isActive || placement !== undefined) all.set(leaf, (all.get(leaf) ?? 0) + 1);
  }
  if (!isSatisfied(tree, all)) return `${name}: placed in part`;
  const hasBind = placed.some(({ kind }) => kind === 'bind');
  return hasBind && !isSatisfied(tree, firm) ? `${name}: bound in part, the rest only pipelined` : null;
}
