import type { PodGroup, SubGroup } from '../base/objects.ts';

/** A node of a sub-group tree: a set that needs `need` of its members, or a leaf (members null) that needs `need` pods. */
export interface GangNode {
  readonly name: string;
  readonly need: number;
  /** By name. */
  readonly members: readonly GangNode[] | null;
}

/** Pods per leaf name. */
export type Counts = ReadonlyMap<string, number>;

/** The tree of a pod group (spec 02 section 4.2, 06 section 2); null when it is malformed. */
export function readTree(group: PodGroup): GangNode | null {
  const { subGroups, minMember, minSubGroup } = group.spec ?? {};
  const list = subGroups ?? [];
  if (list.length === 0)
    return { name: '', need: atLeastZero(minSubGroup, 1), members: [{ name: 'default', need: atLeastZero(minMember, 1), members: null }] };
  const names = new Set(list.map((g) => g.name));
  if (names.size < list.length || list.some((g) => parentOf(g) !== '' && !names.has(parentOf(g)))) return null;
  let reached = 0;
  const build = (name: string, need: number | null | undefined): GangNode => {
    const members = list
      .filter((g) => parentOf(g) === name)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((g) => {
        reached++;
        return list.some((child) => parentOf(child) === g.name)
          ? build(g.name, g.minSubGroup)
          : { name: g.name, need: atLeastZero(g.minMember, 0), members: null };
      });
    return { name, need: atLeastZero(need, members.length), members };
  };
  const root = build('', minSubGroup);
  // What hangs on a cycle is not reached from the root.
  return reached === list.length ? root : null;
}

function parentOf(g: SubGroup): string {
  return g.parent ?? '';
}

function atLeastZero(value: number | null | undefined, absent: number): number {
  return value === null || value === undefined ? absent : Math.max(0, value);
}

export function leavesOf(node: GangNode): GangNode[] {
  return node.members === null ? [node] : node.members.flatMap(leavesOf);
}

/** Number of pods (leaf) or satisfied members (set). */
export function countOf(node: GangNode, counts: Counts): number {
  return node.members === null ? (counts.get(node.name) ?? 0) : node.members.filter((m) => isSatisfied(m, counts)).length;
}

export function isSatisfied(node: GangNode, counts: Counts): boolean {
  return countOf(node, counts) >= node.need;
}

/** Pods at and below a node. */
export function podsBelow(node: GangNode, counts: Counts): number {
  return node.members === null ? (counts.get(node.name) ?? 0) : node.members.reduce((sum, m) => sum + podsBelow(m, counts), 0);
}

/** Nodes from the root to a leaf; empty when the tree has no such leaf. */
export function pathTo(node: GangNode, leaf: string): GangNode[] {
  if (node.members === null) return node.name === leaf ? [node] : [];
  for (const member of node.members) {
    const path = pathTo(member, leaf);
    if (path.length > 0) return [node, ...path];
  }
  return [];
}

/** A set or leaf for messages. */
export function titleOf(node: GangNode): string {
  if (node.members === null) return node.name === 'default' ? 'the pod group' : `sub-group ${node.name}`;
  return node.name === '' ? 'the pod group' : `sub-group ${node.name}`;
}
