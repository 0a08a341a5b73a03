import { nodeOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import type { SlotCounter } from './slots.ts';
import type { Unit } from './units.ts';

/**
 * The nodes with the fewest pods to evict per task placed, as many as are needed; null when every node with room is needed
 * or the tasks differ.
 */
export function cheapestNodes(s: Session, counters: readonly SlotCounter[], units: readonly Unit[]): Int32Array | null {
  if (counters.length !== 1) return null;
  const c = counters[0]!;
  if (c.total <= c.wanted) return null;
  const cost = new Float64Array(c.slots.length);
  const latest = new Int32Array(c.slots.length).fill(-1);
  units.forEach((unit, index) => {
    for (const p of unit.pods) {
      const n = nodeOf(s, p);
      if (n < 0) continue;
      // A gang goes as a whole: its other pods are part of the price of each of its nodes.
      cost[n] = cost[n]! + unit.pods.length;
      latest[n] = index;
    }
  });
  const open = Array.from(c.slots.keys()).filter((n) => c.slots[n]! > 0);
  open.sort((a, b) => cost[a]! / c.slots[a]! - cost[b]! / c.slots[b]! || latest[a]! - latest[b]! || a - b);
  let found = 0;
  const chosen: number[] = [];
  for (const n of open) {
    if (found >= c.wanted) break;
    chosen.push(n);
    found += c.slots[n]!;
  }
  return Int32Array.from(chosen).sort();
}
