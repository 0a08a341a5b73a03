import { countSatisfied } from '../jobs/gang.ts';
import { countOf, nodeOf, statusOf } from '../session/occupy.ts';
import type { Session, SubGroupSet } from '../session/session.ts';
import { ACTIVE_ALLOCATED, isIn } from '../session/status.ts';
import { SET_CELL } from '../state/layout.ts';
import type { DomainTree } from './domainTree.ts';
import type { GroupConstraint } from './levels.ts';

/** A constrained root, inner sub-group or pod set that is to be placed. */
export interface Group {
  readonly job: number;
  /** '' for the root. */
  readonly name: string;
  readonly constraint: GroupConstraint;
  /** Pod sets whose active pods tie it to their domains of the required level. */
  readonly tyingSets: readonly number[];
  /** Tasks below it that are to be placed now. */
  readonly tasks: readonly number[];
}

/** Pod sets below a set, in member order by name. */
export function podSetsBelow(set: SubGroupSet): number[] {
  return set.members.flatMap((m) => (m.set === null ? [m.podSet] : podSetsBelow(m.set)));
}

/**
 * Which pod sets below a set tie it (spec 06 section 5.6): all of them while it lacks members (deviation: a restarted pod
 * returns to where the other pod sets run). What comes to a satisfied set, a surplus pod or an optional member as a whole, is
 * tied by the pod sets it belongs to.
 */
export function tyingSetsOf(s: Session, set: SubGroupSet, below: readonly number[], tasks: readonly number[]): readonly number[] {
  if (countSatisfied(s, set) < set.need) return below;
  const concerned = new Set(tasks.map((podRow) => s.tasks.podSet[podRow]!));
  return below.filter((podSet) => concerned.has(podSet));
}

/**
 * Domains of depth `depth` that hold an active pod of the group, by domain number; null when it has none. Pods outside the
 * topology tie the group to no domain at all.
 */
export function tiedDomains(s: Session, tree: DomainTree, g: Group, depth: number): Uint8Array | null {
  let tied: Uint8Array | null = null;
  const { first, size, pods } = s.podSets;
  for (const podSet of g.tyingSets) {
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
