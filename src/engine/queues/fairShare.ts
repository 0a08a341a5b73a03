import type { QueueTable } from '../session/session.ts';

/** CPU, memory, GPU: the order of every loop over resources (spec 02 section 1). */
export const RESOURCES = 3;
/** One whole unit that rounding hands out: a milli-CPU, a byte, a GPU (in thousandths). */
const UNIT = [1, 1, 1000] as const;
export const UNLIMITED = -1;

/** What division reads and writes; index 3 × queue + resource. */
export interface Division {
  readonly quota: Float64Array;
  readonly limit: Float64Array;
  readonly weight: Float64Array;
  readonly usage: Float64Array;
  readonly request: Float64Array;
  readonly fairShare: Float64Array;
  readonly priority: Int32Array;
}

/**
 * Divides the cluster among all queues, level by level: children share their parent's fair share (spec 02 section 7).
 * `kValue`: weight of historical usage. Amounts are integers, so the order of addition does not matter.
 */
export function divideAll(q: QueueTable, kValue: number): void {
  q.fairShare.fill(0);
  const visit = (siblings: readonly number[], total: readonly number[]): void => {
    if (siblings.length === 0) return;
    for (let r = 0; r < RESOURCES; r++) divide(q, siblings, Math.max(0, total[r]!), r, kValue);
    for (const s of siblings) visit(q.children[s]!, [q.fairShare[3 * s]!, q.fairShare[3 * s + 1]!, q.fairShare[3 * s + 2]!]);
  };
  visit(q.top, [q.total[0]!, q.total[1]!, q.total[2]!]);
}

/** min(limit, request), or request without a limit. */
function requestable(d: Division, i: number): number {
  return d.limit[i]! === UNLIMITED ? d.request[i]! : Math.min(d.limit[i]!, d.request[i]!);
}

/**
 * Divides `total` of resource `r` among siblings, which come in (creation time, name) order: quota first, then rounds by
 * priority, then left-over units (spec 02 sections 7.2, 7.3).
 */
export function divide(d: Division, siblings: readonly number[], total: number, r: number, kValue: number): void {
  let remaining = total;
  for (const s of siblings) {
    const i = 3 * s + r;
    const give = Math.min(d.quota[i]! === UNLIMITED ? total : d.quota[i]!, requestable(d, i));
    d.fairShare[i] = d.fairShare[i]! + give;
    remaining -= give;
  }
  if (remaining <= 0) return;
  const priorities = [...new Set(siblings.map((s) => d.priority[s]!))].sort((a, b) => b - a);
  const leftovers: Map<number, number>[] = [];
  for (const priority of priorities) {
    const leftover = new Map<number, number>();
    leftovers.push(leftover);
    remaining = rounds(
      d,
      siblings.filter((s) => d.priority[s]! === priority),
      remaining,
      r,
      kValue,
      leftover,
    );
  }
  const unit = UNIT[r]!;
  for (const leftover of leftovers) {
    // The sort is stable: equal fractions keep the order of the siblings.
    const order = siblings.filter((s) => leftover.has(s)).sort((a, b) => leftover.get(b)! - leftover.get(a)!);
    for (const s of order) {
      if (remaining <= 0) return;
      const give = Math.min(unit, remaining);
      d.fairShare[3 * s + r] = d.fairShare[3 * s + r]! + give;
      remaining -= give;
    }
  }
}

/** Rounds of one priority level; returns what is left. `leftover` gets the fractions lost by rounding down. */
function rounds(
  d: Division,
  level: readonly number[],
  amountLeft: number,
  r: number,
  kValue: number,
  leftover: Map<number, number>,
): number {
  const unit = UNIT[r]!;
  let remaining = amountLeft;
  for (let again = true; again && remaining !== 0; ) {
    again = false;
    const amount = remaining;
    const open = level.filter((s) => requestable(d, 3 * s + r) > d.fairShare[3 * s + r]!);
    const weights = open.reduce((sum, s) => sum + d.weight[3 * s + r]!, 0);
    if (weights === 0) break;
    const shares = open.map((s) => {
      const w = d.weight[3 * s + r]! / weights;
      return Math.max(0, w + kValue * (w - d.usage[3 * s + r]!));
    });
    const sum = shares.reduce((a, b) => a + b, 0);
    if (sum === 0) break;
    for (let k = 0; k < open.length && remaining !== 0; k++) {
      const s = open[k]!;
      const i = 3 * s + r;
      if (d.weight[i]! === 0) continue;
      const share = (amount * shares[k]!) / sum;
      const need = requestable(d, i) - d.fairShare[i]!;
      let give = need;
      if (need <= share) leftover.delete(s);
      else {
        give = Math.floor(share / unit) * unit;
        if (share - give > 0) leftover.set(s, share - give);
      }
      if (give === 0) continue;
      d.fairShare[i] = d.fairShare[i]! + give;
      remaining -= give;
      if (need < share) again = true;
    }
  }
  return remaining;
}
