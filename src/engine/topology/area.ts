import { ancestorAt, type DomainTree, nodesOf, ROOT } from './domainTree.ts';

/** Nodes that a sub-group may use, ascending. Null where a set is expected means all nodes. */
export interface NodeSet {
  readonly nodes: Int32Array;
  /** The set is a whole domain of this tree; null when it is only a part of one. */
  readonly tree: DomainTree | null;
  readonly domain: number;
}

/** Where the domains of one search lie: their lowest common domain and the nodes of it that may be used. */
export interface Area {
  readonly domain: number;
  readonly nodes: Int32Array;
  /** `nodes` are all nodes of the domain. */
  readonly isWhole: boolean;
}

/**
 * The nodes of a set that belong to the topology and their lowest common domain (spec 06 section 5.1). The walk goes down
 * while all nodes share one non-empty value and stops at depth `stop`: the preferred level, else the required one
 * (deviation; a narrower domain would leave the required level without a computed domain).
 */
export function areaOf(tree: DomainTree, within: NodeSet | null, stop: number): Area {
  if (within === null || within.tree === tree) return wholeArea(tree, within === null ? ROOT : within.domain, stop);
  const nodes = within.nodes.filter((n) => tree.domainAt[0]![n]! >= 0);
  let domain = ROOT;
  for (let depth = 1; depth <= stop && nodes.length > 0; depth++) {
    const at = tree.domainAt[depth]!;
    const candidate = at[nodes[0]!]!;
    if (tree.value[candidate] === '' || nodes.some((n) => at[n] !== candidate)) break;
    domain = candidate;
  }
  return { domain, nodes, isWhole: nodes.length === tree.size[domain] };
}

/** The same for all nodes of domain `top`, without looking at them. */
function wholeArea(tree: DomainTree, top: number, stop: number): Area {
  let domain = ROOT;
  for (let depth = 1; depth <= stop; depth++) {
    const isAbove = depth <= tree.depth[top]!;
    if (!isAbove && tree.childCount[domain] !== 1) break;
    const next = isAbove ? ancestorAt(tree, top, depth) : tree.firstChild[domain]!;
    if (tree.value[next] === '') break;
    domain = next;
  }
  const nodes = nodesOf(tree, tree.depth[domain]! > tree.depth[top]! ? domain : top);
  return { domain, nodes, isWhole: nodes.length === tree.size[domain] };
}

/** The usable nodes of a domain as a set to place in. */
export function nodeSetOf(tree: DomainTree, area: Area, domain: number): NodeSet {
  if (area.isWhole) return { nodes: nodesOf(tree, domain), tree, domain };
  const at = tree.domainAt[tree.depth[domain]!]!;
  const nodes = area.nodes.filter((n) => at[n] === domain);
  return { nodes, tree: nodes.length === tree.size[domain] ? tree : null, domain };
}
