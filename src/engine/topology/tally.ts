import type { Journal } from '../state/journal.ts';
import type { DomainTree } from './domainTree.ts';

/** Writes what is counted of a node, one number per column. */
export type Measure = (node: number, out: Float64Array) => void;

/**
 * Sums over all domains of a tree, kept current with the journal's list of changed nodes: after a change only the nodes
 * concerned are measured again and their differences carried up. Amounts are whole numbers, so the sums stay exact.
 */
export interface Tally {
  readonly tree: DomainTree;
  readonly columns: number;
  readonly measure: Measure;
  /** By node × columns and domain × columns. */
  readonly perNode: Float64Array;
  readonly perDomain: Float64Array;
  readonly scratch: Float64Array;
  /** Position in the journal's list of changed nodes, −1 = never measured. */
  cursor: number;
}

export function createTally(tree: DomainTree, nodes: number, columns: number, measure: Measure): Tally {
  return {
    tree,
    columns,
    measure,
    perNode: new Float64Array(nodes * columns),
    perDomain: new Float64Array(tree.count * columns),
    scratch: new Float64Array(columns),
    cursor: -1,
  };
}

/** Sums of the state as it is now, by domain × columns. */
export function current(t: Tally, journal: Journal): Float64Array {
  if (t.cursor >= 0 && journal.changedLength - t.cursor <= t.tree.size[0]!) {
    for (let i = t.cursor; i < journal.changedLength; i++) remeasure(t, journal.changed[i]!);
  } else {
    t.perNode.fill(0);
    t.perDomain.fill(0);
    for (const n of t.tree.packed[0]!) remeasure(t, n);
  }
  t.cursor = journal.changedLength;
  return t.perDomain;
}

function remeasure(t: Tally, n: number): void {
  const { tree, columns, perNode, perDomain, scratch } = t;
  const leaf = tree.domainAt[tree.levels.length]![n]!;
  if (leaf < 0) return;
  t.measure(n, scratch);
  for (let c = 0; c < columns; c++) {
    const difference = scratch[c]! - perNode[n * columns + c]!;
    if (difference === 0) continue;
    perNode[n * columns + c] = scratch[c]!;
    for (let domain = leaf; domain >= 0; domain = tree.parent[domain]!) {
      perDomain[domain * columns + c] = perDomain[domain * columns + c]! + difference;
    }
  }
}

/** The same sums over some nodes only, by domain × columns. */
export function sumOver(tree: DomainTree, nodes: Int32Array, columns: number, measure: Measure): Float64Array {
  const sums = new Float64Array(tree.count * columns);
  const amounts = new Float64Array(columns);
  for (const n of nodes) {
    measure(n, amounts);
    for (let domain = tree.domainAt[tree.levels.length]![n]!; domain >= 0; domain = tree.parent[domain]!) {
      for (let c = 0; c < columns; c++) sums[domain * columns + c] = sums[domain * columns + c]! + amounts[c]!;
    }
  }
  return sums;
}
