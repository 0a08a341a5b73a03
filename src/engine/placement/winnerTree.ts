/**
 * Best node of a class in O(1), one changed node in O(log N). Invariant: inner slot k holds the node with the largest key
 * below it; equal keys go left, that is to the lower node number, which is name order.
 */
export interface WinnerTree {
  readonly size: number;
  readonly leaves: number;
  /** 2 × leaves node numbers, −1 = none; slot 1 is the winner. */
  readonly winner: Int32Array;
}

export function createWinnerTree(size: number): WinnerTree {
  let leaves = 1;
  while (leaves < size) leaves <<= 1;
  const winner = new Int32Array(2 * leaves).fill(-1);
  for (let n = 0; n < size; n++) winner[leaves + n] = n;
  return { size, leaves, winner };
}

/** Recomputes every slot from `key`. */
export function rebuildTree(t: WinnerTree, key: Float64Array): void {
  const { winner, leaves } = t;
  for (let k = leaves - 1; k >= 1; k--) {
    const left = winner[2 * k]!;
    const right = winner[2 * k + 1]!;
    winner[k] = right >= 0 && (left < 0 || key[right]! > key[left]!) ? right : left;
  }
}

/** Call after `key[n]` changed. Never stops early: the same winner may carry a new key. */
export function updateTree(t: WinnerTree, key: Float64Array, n: number): void {
  const { winner } = t;
  for (let k = (t.leaves + n) >> 1; k >= 1; k >>= 1) {
    const left = winner[2 * k]!;
    const right = winner[2 * k + 1]!;
    winner[k] = right >= 0 && key[right]! > key[left]! ? right : left;
  }
}

/** Node with the largest key, or −1 when there is no node or all are refused. */
export function bestNode(t: WinnerTree, key: Float64Array): number {
  const best = t.winner[1]!;
  return best >= 0 && key[best]! > Number.NEGATIVE_INFINITY ? best : -1;
}
