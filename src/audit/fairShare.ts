import type { AuditQueue, Triple } from './world.ts';

/** One unit that rounding hands out: a milli-CPU, a byte, a GPU. */
const UNIT: Triple = [1, 1, 1000];

/** Divides the cluster's total among the queues, level by level (spec 02 section 7). Siblings come by (creation time, name). */
export function divideAmong(siblings: readonly AuditQueue[], total: Triple, kValue: number): void {
  if (siblings.length === 0) return;
  const shares = [0, 1, 2].map((r) => divideOne(siblings, Math.max(0, total[r]!), r, kValue));
  siblings.forEach((queue, i) => {
    queue.fairShare = [shares[0]![i]!, shares[1]![i]!, shares[2]![i]!];
    divideAmong(queue.children, queue.fairShare, kValue);
  });
}

/** Fair share of one resource for each sibling. */
function divideOne(siblings: readonly AuditQueue[], total: number, r: number, kValue: number): number[] {
  const wanted = siblings.map((q) => (q.limit[r] === -1 ? q.request[r]! : Math.min(q.limit[r]!, q.request[r]!)));
  // Phase 1: quota.
  const share = siblings.map((q, i) => Math.min(q.quota[r] === -1 ? total : q.quota[r]!, wanted[i]!));
  let remaining = total - share.reduce((sum, s) => sum + s, 0);
  if (remaining <= 0) return share;
  // Phase 2: over quota, priority by priority; what rounding leaves flows on.
  const priorities = [...new Set(siblings.map((q) => q.priority))].sort((a, b) => b - a);
  const leftovers = priorities.map(() => new Map<number, number>());
  priorities.forEach((priority, level) => {
    const members = siblings.flatMap((q, i) => (q.priority === priority ? [i] : []));
    remaining = rounds(siblings, members, { wanted, share, leftover: leftovers[level]! }, remaining, r, kValue);
  });
  // Phase 3: one unit each, largest fraction first.
  for (const leftover of leftovers) {
    for (const [i] of [...leftover].sort((a, b) => b[1] - a[1] || a[0] - b[0])) {
      if (remaining <= 0) break;
      const give = Math.min(UNIT[r]!, remaining);
      share[i] = share[i]! + give;
      remaining -= give;
    }
  }
  return share;
}

interface Level {
  readonly wanted: readonly number[];
  readonly share: number[];
  readonly leftover: Map<number, number>;
}

/** Rounds of one priority (spec 02 section 7.3); gives what is left. */
function rounds(
  siblings: readonly AuditQueue[],
  members: readonly number[],
  level: Level,
  amountLeft: number,
  r: number,
  kValue: number,
): number {
  const { wanted, share, leftover } = level;
  let remaining = amountLeft;
  for (;;) {
    const amount = remaining;
    const open = members.filter((i) => wanted[i]! > share[i]!);
    const weights = open.reduce((sum, i) => sum + siblings[i]!.weight[r]!, 0);
    if (weights === 0) return remaining;
    const pull = open.map((i) => {
      const w = siblings[i]!.weight[r]! / weights;
      return Math.max(0, w + kValue * (w - siblings[i]!.usage[r]!));
    });
    const pulls = pull.reduce((sum, s) => sum + s, 0);
    if (pulls === 0) return remaining;
    let isAgain = false;
    open.forEach((i, k) => {
      if (siblings[i]!.weight[r] === 0 || remaining === 0) return;
      const part = (amount * pull[k]!) / pulls;
      const need = wanted[i]! - share[i]!;
      let give = need;
      if (need <= part) leftover.delete(i);
      else {
        give = Math.floor(part / UNIT[r]!) * UNIT[r]!;
        if (part > give) leftover.set(i, part - give);
      }
      if (give === 0) return;
      share[i] = share[i]! + give;
      remaining -= give;
      if (need < part) isAgain = true;
    });
    if (!isAgain || remaining === 0) return remaining;
  }
}

/** Quota unlimited: the limit; else max(quota, fair share), capped by the limit (spec 02 section 6.1). */
export function allocatableShare(queue: AuditQueue): Triple {
  const of = (r: number): number => {
    const limit = queue.limit[r]!;
    if (queue.quota[r] === -1) return limit;
    const share = Math.max(queue.quota[r]!, queue.fairShare[r]!);
    return limit === -1 ? share : Math.min(limit, share);
  };
  return [of(0), of(1), of(2)];
}
