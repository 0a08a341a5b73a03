import { SET_CELL } from '../state/layout.ts';
import { countOf, nodeOf, statusOf } from '../session/occupy.ts';
import type { Session, SubGroupSet } from '../session/session.ts';
import { ACTIVE_ALLOCATED, isIn } from '../session/status.ts';
import type { DomainTree } from './domainTree.ts';
import type { GroupConstraint } from './levels.ts';

/** A constrained root, inner sub-group or pod set that is to be placed. */
export interface Group {
  readonly job: number;
  /** '' for the root. */
  readonly name: string;
  readonly constraint: GroupConstraint;
  /** All pod sets below it, with or without tasks to place. */
  readonly podSets: readonly number[];
  /** Tasks below it that are to be placed now. */
  readonly tasks: readonly number[];
}

/** Pod sets below a set, in member order by name. */
export function podSetsBelow(set: SubGroupSet): number[] {
  return set.members.flatMap((m) => (m.set === null ? [m.podSet] : podSetsBelow(m.set)));
}

/**
 * Domains of depth `depth` that hold an active pod of the group, by domain number; null when it has none (spec 06 section
 * 5.6, over all pod sets below the group: deviation). Pods outside the topology tie the group to no domain at all.
 */
export function tiedDomains(s: Session, tree: DomainTree, g: Group, depth: number): Uint8Array | null {
  let tied: Uint8Array | null = null;
  const { first, size, pods } = s.podSets;
  for (const podSet of g.podSets) {
    if (countOf(s, SET_CELL.active, podSet) === 0) continue;
    tied ??= new Uint8Array(tree.count);
    for (let i = first[podSet]!; i < first[podSet]! + size[podSet]!; i++) {
      if (!isIn(ACTIVE_ALLOCATED, statusOf(s, pods[i]!))) continue;
      const node = nodeOf(s, pods[i]!);
      const domain = node < 0 ? -1 : tree.domainAt[depth]![node]!;
      if (domain >= 0) tied[domain] = 1;
    }
  }
  return tied;
}
