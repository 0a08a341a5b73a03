// What a cycle that decided nothing lets the next ones skip: nothing but repetitions.
import { expect, it } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { ClusterObjects, PodGroup, Queue } from '../../src/base/objects.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { type CycleResult, createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { Settled } from '../../src/runner/settled.ts';
import { exactText, snapshotOf } from '../determinism/compare.ts';
import { seededRandom } from '../support/draw.ts';
import { CLUSTER_NOW_MS, randomCluster } from '../support/randomCluster.ts';

const CLUSTERS = Number(process.env.KAI_RANDOM_CLUSTERS ?? 400);
const CONFIG = loadConfig({ actions: ['reclaim', 'preempt', 'consolidation', 'stalegangeviction'] }).config;
const MINUTE_MS = 60_000;

/** The cluster with rules that look at the clock on many of its objects. */
function timed(objects: ClusterObjects, random: () => number): ClusterObjects {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const time = (): string => new Date(CLUSTER_NOW_MS - Math.floor(random() * 20) * MINUTE_MS).toISOString();
  const timedGroup = (group: PodGroup): PodGroup => ({
    ...group,
    metadata: {
      ...group.metadata,
      creationTimestamp: time(),
      annotations: {
        'kai.scheduler/last-start-timestamp': time(),
        ...(random() < 0.5 ? { 'kai.scheduler/stale-podgroup-timestamp': time() } : {}),
      },
    },
    spec: { ...group.spec, preemptionDelay: pick([undefined, '10m', '30m']), stalenessGracePeriod: pick([undefined, '5m', '20m']) },
  });
  const timedQueue = (queue: Queue): Queue => ({
    ...queue,
    spec: { ...queue.spec, preemptMinRuntime: pick([undefined, '15m']), reclaimMinRuntime: pick([undefined, '10m', '25m']) },
  });
  return { ...objects, podGroups: objects.podGroups.map(timedGroup), queues: objects.queues.map(timedQueue) };
}

it(`until the time that a cycle names nothing changes, on ${CLUSTERS} random clusters`, async () => {
  const runner = createCycleRunner({ workers: 0 });
  const random = seededRandom(5);
  const text = (result: CycleResult): string => {
    const { sameUntilMs: _, ...report } = result.report;
    return exactText({ ...result, report: report as CycleResult['report'] });
  };
  const seen = { settled: 0, timed: 0, changed: 0 };
  for (let seed = 0; seed < CLUSTERS; seed++) {
    const view = snapshotOf(timed(randomCluster(seed), random));
    const first = await runner.run(view, CONFIG, CLUSTER_NOW_MS);
    const { sameUntilMs } = first.report;
    if (sameUntilMs === Number.NEGATIVE_INFINITY) continue;
    seen.settled++;
    expect(first.decisions).toEqual([]);
    const endMs = Math.min(sameUntilMs, CLUSTER_NOW_MS + 24 * 60 * MINUTE_MS);
    for (const atMs of [Math.floor(CLUSTER_NOW_MS + random() * (endMs - CLUSTER_NOW_MS)), endMs - 1]) {
      expect(text(await runner.run(view, CONFIG, atMs)), `cluster ${seed} at ${atMs - CLUSTER_NOW_MS} ms`).toBe(text(first));
    }
    if (sameUntilMs === Number.POSITIVE_INFINITY) continue;
    seen.timed++;
    if (text(await runner.run(view, CONFIG, sameUntilMs)) !== text(first)) seen.changed++;
  }
  // The times are no decoration: often enough the decisions of the named moment are others.
  expect(seen.settled).toBeGreaterThan(CLUSTERS / 20);
  expect(seen.changed).toBeGreaterThan(CLUSTERS / 200);
});

it('a settled cycle is recalled until its objects, its configuration or the time change', async () => {
  const runner = createCycleRunner({ workers: 0 });
  const config: SchedulerConfig = loadConfig({}).config;
  const objects = randomCluster(3);
  const view = snapshotOf({ ...objects, pods: [], podGroups: [] });
  const result = await runner.run(view, config, CLUSTER_NOW_MS);
  const keep = (untilMs: number): Settled => {
    const settled = new Settled();
    settled.keep(view, config, { ...result, report: { ...result.report, sameUntilMs: untilMs } });
    return settled;
  };
  const later = CLUSTER_NOW_MS + MINUTE_MS;
  expect(keep(later).recall(false, config, later - 1)).toMatchObject({ view, result: { decisions: [], cycleMs: 0 } });
  expect(keep(later).recall(false, config, later)).toBeNull();
  expect(keep(later).recall(true, config, CLUSTER_NOW_MS)).toBeNull();
  expect(keep(later).recall(false, loadConfig({}).config, CLUSTER_NOW_MS)).toBeNull();
  expect(keep(Number.NEGATIVE_INFINITY).recall(false, config, CLUSTER_NOW_MS)).toBeNull();
  const once = keep(later);
  expect(once.recall(true, config, CLUSTER_NOW_MS)).toBeNull();
  // The cycle that followed failed: what was kept is not about its snapshot.
  expect(once.recall(false, config, CLUSTER_NOW_MS)).toBeNull();
});
