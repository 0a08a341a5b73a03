import { allocatableShare } from './fairShare.ts';
import { queueAmounts } from './open.ts';
import { type Outcome, takenOf } from './victimRules.ts';
import { type AuditPod, type AuditQueue, add, fitsIn, hasPlugin, pluginArgument, type Triple, upwards, type World } from './world.ts';

/** Sums of the queues when an attempt began. */
export type QueueSums = ReadonlyMap<AuditQueue, { readonly allocated: Triple; readonly nonPreemptible: Triple }>;

export function copySums(world: World): QueueSums {
  return new Map([...world.queues.values()].map((q) => [q, { allocated: q.allocated, nonPreemptible: q.nonPreemptible }]));
}

const ZERO: Triple = [0, 0, 0];

/**
 * Gate and fairness of a reclaim (spec 02 sections 14.1, 14.2, 14.5; 04 section 6.1). `units`: the units of each victim job
 * when the attempt began; what is taken of one unit is judged together.
 */
export function checkReclaim(world: World, outcome: Outcome, start: QueueSums, units: ReadonlyMap<AuditPod, number>): void {
  const { evictor } = outcome;
  if (evictor.queue === null || !hasPlugin(world.config, 'proportion')) return;
  const need = outcome.placed.filter((pod) => pod.job === evictor).reduce((sum, pod) => add(sum, queueAmounts(world, pod, null)), ZERO);
  const object = `pod group ${evictor.key}`;
  const own = start.get(evictor.queue)!;
  if (!fitsIn(add(own.allocated, need), evictor.queue.fairShare))
    world.findings.add('reclaim-gate', object, `with it, queue ${evictor.queue.name} is above its fair share`);
  const isCounted = world.config.params.allowConsolidatingReclaim ? takenOf(outcome.evicted) : outcome.evicted;
  const remaining = takeChunks(world, outcome, start, need, chunksOf(isCounted, units));
  checkMovable(world, outcome, start, need);
  checkSaturation(world, outcome, start, need, remaining, involvedOf(world, isCounted));
  if (evictor.isPreemptible) return;
  for (const queue of upwards(evictor.queue)) {
    if (!fitsIn(add(start.get(queue)!.nonPreemptible, need), queue.quota))
      world.findings.add('reclaim-gate', object, `it is non-preemptible, and with it queue ${queue.name} is above its quota`);
  }
}

/** Pods of one unit, in the order in which units were first touched. */
function chunksOf(pods: readonly AuditPod[], units: ReadonlyMap<AuditPod, number>): AuditPod[][] {
  const chunks = new Map<string, AuditPod[]>();
  for (const pod of pods) {
    const key = `${pod.job?.key} ${units.get(pod)}`;
    chunks.set(key, [...(chunks.get(key) ?? []), pod]);
  }
  return [...chunks.values()];
}

/** First pair of different queues on the way from the root to the two leaves; the last pair when one way ends first. */
function divergingPair(a: AuditQueue, b: AuditQueue): readonly [AuditQueue, AuditQueue] {
  const [left, right] = [upwards(a).reverse(), upwards(b).reverse()];
  const last = Math.min(left.length, right.length) - 1;
  const at = left.findIndex((q, i) => i >= last || q !== right[i]);
  return [left[at]!, right[at]!];
}

function amountsOn(world: World, pod: AuditPod): Triple {
  return pod.leftNode === null ? ZERO : queueAmounts(world, pod, pod.leftNode);
}

/** Judges chunk by chunk, each before it is taken; gives what queues have left. */
function takeChunks(
  world: World,
  { evictor }: Outcome,
  start: QueueSums,
  need: Triple,
  chunks: readonly AuditPod[][],
): Map<AuditQueue, Triple> {
  const remaining = new Map<AuditQueue, Triple>();
  const leftOf = (queue: AuditQueue): Triple => remaining.get(queue) ?? start.get(queue)!.allocated;
  for (const chunk of chunks) {
    const victim = chunk[0]!.job?.queue ?? null;
    if (victim === null) continue;
    const [p, v] = divergingPair(evictor.queue!, victim);
    const isOverShare = !fitsIn(leftOf(v), allocatableShare(v));
    const isGuarantee = fitsIn(add(start.get(p)!.allocated, need), p.quota) && !fitsIn(leftOf(v), v.quota);
    if (!isOverShare && !isGuarantee) {
      const pods = chunk.map((pod) => pod.key).join(', ');
      world.findings.add(
        'reclaim-fair-share',
        `queue ${v.name}`,
        `${pods} taken for ${evictor.key}, though it has ${leftOf(v).join('/')} of its share ${allocatableShare(v).join('/')}`,
      );
    }
    const amounts = chunk.reduce((sum, pod) => add(sum, amountsOn(world, pod)), ZERO);
    for (const queue of upwards(victim)) remaining.set(queue, add(leftOf(queue), amounts, -1));
  }
  return remaining;
}

/** Queues that only lend pods to be moved must at least pass the queue filter (spec 04 section 3.5), in either form. */
function checkMovable(world: World, { evictor, evicted }: Outcome, start: QueueSums, need: Triple): void {
  for (const victim of new Set(evicted.map((pod) => pod.job?.queue ?? null))) {
    if (victim === null || victim === evictor.queue) continue;
    const [p, v] = divergingPair(evictor.queue!, victim);
    const held = start.get(v)!.allocated;
    if (!fitsIn(held, allocatableShare(v))) continue;
    const isWithinQuota = fitsIn(add(start.get(p)!.allocated, need), p.quota);
    const compared = [0, 1, 2].filter((r) => need[r]! > 0 && v.quota[r] !== -1);
    const isUnder = compared.some((r) => held[r]! < v.quota[r]!) && !compared.some((r) => held[r]! > v.quota[r]!);
    if (isWithinQuota && (!fitsIn(held, v.quota) || !isUnder)) continue;
    world.findings.add(
      'reclaim-fair-share',
      `queue ${v.name}`,
      `pods of ${victim.name} are moved for ${evictor.key}, though it is within its share`,
    );
  }
}

/** Resources in which victims of a queue's subtree had something. */
function involvedOf(world: World, pods: readonly AuditPod[]): Map<AuditQueue, ReadonlySet<number>> {
  const involved = new Map<AuditQueue, Set<number>>();
  for (const pod of pods) {
    const queue = pod.job?.queue ?? null;
    if (queue === null) continue;
    amountsOn(world, pod).forEach((amount, r) => {
      if (amount > 0) for (const q of upwards(queue)) involved.set(q, (involved.get(q) ?? new Set()).add(r));
    });
  }
  return involved;
}

function checkSaturation(
  world: World,
  { evictor }: Outcome,
  start: QueueSums,
  need: Triple,
  remaining: ReadonlyMap<AuditQueue, Triple>,
  involved: ReadonlyMap<AuditQueue, ReadonlySet<number>>,
): void {
  const text = pluginArgument(
    world.config,
    'proportion',
    'relcaimerSaturationMultiplier',
    'reclaimerSaturationMultiplier',
    'reclaimerUtilizationMultiplier',
  );
  const asked = Number(text ?? '1');
  const multiplier = Number.isNaN(asked) ? 1 : Math.max(1, asked);
  for (const queue of upwards(evictor.queue!)) {
    const after = add(remaining.get(queue) ?? start.get(queue)!.allocated, need);
    for (const sibling of queue.parent === null ? world.topQueues : queue.parent.children) {
      const left = remaining.get(sibling);
      if (sibling === queue || left === undefined) continue;
      for (const r of [0, 1, 2]) {
        if (need[r] === 0 && involved.get(sibling)?.has(r) !== true) continue;
        const own = ratio(after[r]!, queue.fairShare[r]!);
        const theirs = ratio(left[r]!, sibling.fairShare[r]!);
        if (own > 1 && sibling.fairShare[r]! > 0 && own * multiplier >= theirs) {
          world.findings.add(
            'reclaim-saturation',
            `queue ${queue.name}`,
            `at ${own.toFixed(3)} of its fair share after a reclaim for ${evictor.key}, its sibling ${sibling.name} at ${theirs.toFixed(3)}`,
          );
        }
      }
    }
  }
}

function ratio(amount: number, share: number): number {
  if (share === 0) return amount > 0 ? Infinity : 0;
  return share === -1 ? 0 : amount / share;
}
