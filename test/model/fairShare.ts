// Division of the cluster among the queues (spec 02 section 7), on whole milli-CPU, bytes and milli-GPU.
import { type QueueFacts, RESOURCES, type Resource, type Triple, UNLIMITED } from './types.ts';

/** What queues are given whole: one milli-CPU, one byte, one GPU. */
const UNIT: Triple = { cpu: 1, memory: 1, gpu: 1000 };

interface Share {
  readonly queue: QueueFacts;
  readonly weight: number;
  readonly quota: number;
  /** Requested, but no more than the limit. */
  readonly requestable: number;
  fairShare: number;
}

function byAge(a: Share, b: Share): number {
  return a.queue.createdMs - b.queue.createdMs || (a.queue.name < b.queue.name ? -1 : 1);
}

/** Rounds among the queues of one priority (section 7.3). Returns what remains; `leftovers` are the parts cut off. */
function divideByWeight(shares: readonly Share[], amount: number, unit: number, k: number, leftovers: Map<Share, number>): number {
  let remaining = amount;
  for (;;) {
    const start = remaining;
    const hungry = shares.filter((s) => s.requestable > s.fairShare);
    const weights = hungry.reduce((sum, s) => sum + s.weight, 0);
    if (weights === 0) return remaining;
    // Without historical usage the penalty term is k times the normalised weight.
    const portions = hungry.map((s) => Math.max(0, s.weight / weights + k * (s.weight / weights)));
    const all = portions.reduce((sum, p) => sum + p, 0);
    let isAgain = false;
    for (const [i, s] of hungry.entries()) {
      if (s.weight === 0 || remaining === 0) continue;
      const share = (start * portions[i]!) / all;
      const need = s.requestable - s.fairShare;
      const give = need <= share ? need : Math.floor(share / unit) * unit;
      if (need <= share) leftovers.delete(s);
      else if (share > give) leftovers.set(s, share - give);
      s.fairShare += give;
      remaining -= give;
      if (give !== 0 && need < share) isAgain = true;
    }
    if (!isAgain || remaining === 0) return remaining;
  }
}

function divide(shares: readonly Share[], total: number, unit: number, k: number): void {
  let remaining = total;
  for (const s of shares) {
    s.fairShare = Math.min(s.quota === UNLIMITED ? total : s.quota, s.requestable);
    remaining -= s.fairShare;
  }
  if (remaining <= 0) return;
  const priorities = [...new Set(shares.map((s) => s.queue.priority))].sort((a, b) => b - a);
  const leftoversOf = new Map(priorities.map((p) => [p, new Map<Share, number>()]));
  for (const priority of priorities) {
    const own = shares.filter((s) => s.queue.priority === priority).sort(byAge);
    remaining = divideByWeight(own, remaining, unit, k, leftoversOf.get(priority)!);
  }
  for (const leftovers of leftoversOf.values()) {
    for (const [share] of [...leftovers].sort(([a, x], [b, y]) => y - x || byAge(a, b))) {
      const give = Math.min(unit, Math.max(0, remaining));
      share.fairShare += give;
      remaining -= give;
    }
  }
}

/** `kValue` of the plugin proportion: 1 when it is not a number, at least 0. */
export function kValueOf(text: string | undefined): number {
  const value = Number(text ?? '1');
  return Number.isNaN(value) || text === '' ? 1 : Math.max(0, value);
}

/** Fair share of every queue; children divide the share of their parent. */
export function fairShares(
  queues: ReadonlyMap<string, QueueFacts>,
  requested: ReadonlyMap<string, Triple>,
  total: Triple,
  k: number,
): Map<string, Triple> {
  const result = new Map<string, Triple>([...queues.keys()].map((name) => [name, { cpu: 0, memory: 0, gpu: 0 }]));
  const divideOne = (siblings: readonly QueueFacts[], amount: number, r: Resource): void => {
    const shares = siblings.map((queue): Share => {
      const limit = queue.limit[r];
      const wanted = requested.get(queue.name)![r];
      const requestable = limit === UNLIMITED ? wanted : Math.min(limit, wanted);
      return { queue, weight: queue.weight[r], quota: queue.quota[r], requestable, fairShare: 0 };
    });
    divide(shares, amount, UNIT[r], k);
    for (const s of shares) result.get(s.queue.name)![r] = s.fairShare;
  };
  const assign = (siblings: readonly QueueFacts[], amounts: Triple): void => {
    for (const r of RESOURCES) divideOne(siblings, amounts[r], r);
    for (const { name, children } of siblings) {
      if (children.length > 0)
        assign(
          children.map((child) => queues.get(child)!),
          result.get(name)!,
        );
    }
  };
  assign(
    [...queues.values()].filter((queue) => queue.parent === null),
    total,
  );
  return result;
}
