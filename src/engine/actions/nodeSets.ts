import type { PlaceMode } from '../placement/placeTask.ts';
import { type Statement, undoTo } from '../statement.ts';
import { type NodeSet, nodeSetOf } from '../topology/area.ts';
import { findCandidates } from '../topology/candidates.ts';
import type { Group } from '../topology/group.ts';

/** Where a sub-group is placed and how: `mode.nodes` are the nodes of `within`. */
export interface Where {
  readonly mode: PlaceMode;
  readonly within: NodeSet | null;
}

export function anywhere(mode: PlaceMode): Where {
  return { mode, within: mode.nodes === null ? null : { nodes: mode.nodes, tree: null, domain: 0 } };
}

/**
 * Runs `place` in one node set after the other that the group's constraint allows, until it succeeds; a failed trial is
 * undone (spec 06 section 6). A group with its own preferred level scores nodes by it, others by their nearest ancestor's.
 */
export function inNodeSets(st: Statement, group: Group, where: Where, place: (inner: Where) => boolean): boolean {
  const found = findCandidates(st.session, group, where.within, where.mode.pipelineOnly);
  if (found === null) return false;
  const before = st.ops.length;
  for (const domain of found.domains) {
    const within = nodeSetOf(found.tree, found.area, domain);
    if (place({ mode: { ...where.mode, nodes: within.nodes, scores: found.scores ?? where.mode.scores ?? null }, within })) return true;
    undoTo(st, before);
  }
  return false;
}
