import { ABSENT } from '../filters/labels.ts';

/** Where the values of the level labels come from, as text rows; ABSENT = the node lacks the label. */
export interface LevelValues {
  row(level: number, node: number): number;
  text(row: number): string;
}

/**
 * The domains of one Topology (spec 06 section 4) as numbered rows: 0 is the root domain at depth 0, a domain of level k has
 * depth k + 1. Children of a domain are numbered one after the other by ascending value, so that among siblings the number is
 * the order of identifiers. A domain is known by parent and value: `a.b` below `c` never meets `b` below `c.a`.
 */
export interface DomainTree {
  readonly name: string;
  /** Node labels, widest first. */
  readonly levels: readonly string[];
  /** Number of domains, the root included. */
  readonly count: number;
  readonly depth: Int32Array;
  /** −1 for the root. */
  readonly parent: Int32Array;
  readonly firstChild: Int32Array;
  readonly childCount: Int32Array;
  /** Label value of the domain's own level; '' for the root. */
  readonly value: readonly string[];
  /** By depth: domain of each node, −1 = outside the topology. */
  readonly domainAt: readonly Int32Array[];
  /** By depth: nodes by domain, ascending inside a domain; those of domain x are `size[x]` from `first[x]` on. */
  readonly packed: readonly Int32Array[];
  readonly first: Int32Array;
  readonly size: Int32Array;
}

export const ROOT = 0;

/** Builds the tree over nodes 0 … `nodes` − 1. Nodes that lack a level's label are outside. */
export function buildDomainTree(name: string, levels: readonly string[], nodes: number, values: LevelValues): DomainTree {
  const domainAt = [belonging(levels.length, nodes, values)];
  const depth = [0];
  const parent = [-1];
  const value = [''];
  const firstChild: number[] = [];
  const childCount: number[] = [];
  const begin: number[] = [];
  let from = 0;
  for (let level = 0; level < levels.length; level++) {
    const above = domainAt[level]!;
    const groups = groupByValue(above, level, values);
    const to = depth.length;
    const numberOf: Map<number, number>[] = [];
    for (let domain = from; domain < to; domain++) {
      const rows = groups[domain] ?? [];
      const children = rows.map((row) => ({ row, text: values.text(row) })).sort((a, b) => (a.text < b.text ? -1 : 1));
      firstChild.push(depth.length);
      childCount.push(children.length);
      numberOf[domain] = new Map(children.map((child, k) => [child.row, depth.length + k] as const));
      for (const child of children) {
        depth.push(level + 1);
        parent.push(domain);
        value.push(child.text);
      }
    }
    const at = new Int32Array(nodes).fill(-1);
    for (let n = 0; n < nodes; n++) if (above[n]! >= 0) at[n] = numberOf[above[n]!]!.get(values.row(level, n))!;
    domainAt.push(at);
    begin.push(from);
    from = to;
  }
  const count = depth.length;
  begin.push(from, count);
  while (firstChild.length < count) {
    firstChild.push(count);
    childCount.push(0);
  }
  const size = new Int32Array(count);
  const first = new Int32Array(count);
  return {
    name,
    levels,
    count,
    depth: Int32Array.from(depth),
    parent: Int32Array.from(parent),
    firstChild: Int32Array.from(firstChild),
    childCount: Int32Array.from(childCount),
    value,
    domainAt,
    packed: domainAt.map((at, d) => packNodes(at, begin[d]!, begin[d + 1]!, first, size)),
    first,
    size,
  };
}

/** Depth 0: the root for nodes that carry all labels. */
function belonging(levels: number, nodes: number, values: LevelValues): Int32Array {
  const at = new Int32Array(nodes);
  for (let n = 0; n < nodes; n++) {
    for (let level = 0; level < levels; level++) if (values.row(level, n) === ABSENT) at[n] = -1;
  }
  return at;
}

/** Distinct value rows below each domain of the depth above. */
function groupByValue(above: Int32Array, level: number, values: LevelValues): number[][] {
  const rows: Set<number>[] = [];
  for (let n = 0; n < above.length; n++) {
    const domain = above[n]!;
    if (domain < 0) continue;
    rows[domain] ??= new Set();
    rows[domain].add(values.row(level, n));
  }
  return rows.map((set) => [...set]);
}

/** Sorts the nodes of one depth by domain; its domains are `from` … `to` − 1. Fills their entries of `first` and `size`. */
function packNodes(at: Int32Array, from: number, to: number, first: Int32Array, size: Int32Array): Int32Array {
  for (const domain of at) if (domain >= 0) size[domain] = size[domain]! + 1;
  let total = 0;
  for (let domain = from; domain < to; domain++) {
    first[domain] = total;
    total += size[domain]!;
  }
  const packed = new Int32Array(total);
  const next = first.slice(from, to);
  for (let n = 0; n < at.length; n++) {
    const domain = at[n]!;
    if (domain < 0) continue;
    packed[next[domain - from]!] = n;
    next[domain - from] = next[domain - from]! + 1;
  }
  return packed;
}

/** Nodes of a domain, ascending. */
export function nodesOf(tree: DomainTree, domain: number): Int32Array {
  const from = tree.first[domain]!;
  return tree.packed[tree.depth[domain]!]!.subarray(from, from + tree.size[domain]!);
}

/** The domain of a depth that holds `domain`; `domain` itself at its own depth. `depth` is not below it. */
export function ancestorAt(tree: DomainTree, domain: number, depth: number): number {
  let at = domain;
  while (tree.depth[at]! > depth) at = tree.parent[at]!;
  return at;
}

/** Identifier for messages: values from the widest level down, joined by dots; `root` for the root. */
export function domainName(tree: DomainTree, domain: number): string {
  if (domain === ROOT) return 'root';
  const values: string[] = [];
  for (let at = domain; at !== ROOT; at = tree.parent[at]!) values.push(tree.value[at]!);
  return values.reverse().join('.');
}

/** Depth of a level by its node label, 0 = the topology has no such level. */
export function depthOf(tree: DomainTree, nodeLabel: string): number {
  return tree.levels.indexOf(nodeLabel) + 1;
}
