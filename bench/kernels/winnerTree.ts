import { bestNode, createWinnerTree, rebuildTree, updateTree } from '../../src/engine/placement/winnerTree.ts';
import type { Kernel } from './kernel.ts';

const PLACEMENTS = 64;

/** Keys of bin packing: many equal ones, as on a cluster of equal nodes. */
function startKeys(nodes: number): Float64Array {
  return Float64Array.from({ length: nodes }, (_, n) => (n * 7919) % 97);
}

/** The best node takes a pod and its key changes; every call starts again from the same keys. */
function placeWithTree(nodes: number): () => number {
  const start = startKeys(nodes);
  const key = new Float64Array(nodes);
  const tree = createWinnerTree(nodes);
  key.set(start);
  rebuildTree(tree, key);
  const touched = new Int32Array(PLACEMENTS);
  return () => {
    let sum = 0;
    for (let i = 0; i < PLACEMENTS; i++) {
      const n = bestNode(tree, key);
      touched[i] = n;
      key[n] = key[n]! - 5;
      updateTree(tree, key, n);
      sum += n;
    }
    for (let i = 0; i < PLACEMENTS; i++) {
      const n = touched[i]!;
      key[n] = start[n]!;
      updateTree(tree, key, n);
    }
    return sum;
  };
}

/** The same placements by looking at every node for every pod. */
function placeWithScan(nodes: number): () => number {
  const start = startKeys(nodes);
  const key = new Float64Array(nodes);
  return () => {
    key.set(start);
    let sum = 0;
    for (let i = 0; i < PLACEMENTS; i++) {
      let best = 0;
      for (let n = 1; n < nodes; n++) if (key[n]! > key[best]!) best = n;
      key[best] = key[best]! - 5;
      sum += best;
    }
    return sum;
  };
}

function rebuild(nodes: number): () => number {
  const key = startKeys(nodes);
  const tree = createWinnerTree(nodes);
  return () => {
    rebuildTree(tree, key);
    return bestNode(tree, key);
  };
}

export function winnerTreeKernels(): Kernel[] {
  return [1_000, 10_000].flatMap((nodes): Kernel[] => [
    { group: `place/${nodes}`, name: 'scan of all nodes', per: 'placement', operations: PLACEMENTS, prepare: () => placeWithScan(nodes) },
    {
      group: `place/${nodes}`,
      name: 'winner tree',
      per: 'placement and its undoing',
      operations: PLACEMENTS,
      prepare: () => placeWithTree(nodes),
    },
    { group: `rebuild/${nodes}`, name: 'winner tree', per: 'node', operations: nodes, prepare: () => rebuild(nodes) },
  ]);
}
