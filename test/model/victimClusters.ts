// Crowded random clusters with a random configuration of the evicting actions, inside the twin's scope.
import fc from 'fast-check';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { ClusterObjects, PodGroup, Queue } from '../../src/base/objects.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { Draw, seededRandom, type Tape } from '../support/draw.ts';
import { clusterArbitrary, crowdedCluster } from '../support/randomCluster.ts';
import { drawPlugins, eased, TAPE_LENGTH, type TestCluster, varied } from './clusters.ts';

const PLAIN = loadConfig({}).config;
const ALL = PLAIN.actions;
const LISTS: readonly (readonly string[])[] = [ALL, ALL, ALL, ['reclaim'], ['preempt'], ['consolidation'], ['stalegangeviction']];

function drawConfig(draw: Draw, actions: readonly string[] | null): SchedulerConfig {
  const chosen = actions ?? draw.pick(LISTS);
  if (!draw.chance(0.5)) return { ...PLAIN, actions: chosen };
  const runtimes: Record<string, string> = {
    defaultReclaimMinRuntime: draw.pick(['0s', '0s', '6h', '1d']),
    defaultPreemptMinRuntime: draw.pick(['0s', '0s', '6h', 'for ever']),
    reclaimResolveMethod: draw.pick(['lca', 'queue']),
  };
  const multiplier = draw.pick(['1', '1', '1.2', '2', '0.5']);
  const plugins = draw.chance(0.3) ? drawPlugins(draw) : PLAIN.plugins;
  const depth = draw.pick([undefined, undefined, undefined, 1, 2]);
  return {
    ...PLAIN,
    actions: chosen,
    plugins: plugins.map(({ name, arguments: given }) => {
      if (name === 'minruntime') return { name, arguments: { ...given, ...runtimes } };
      return name === 'proportion'
        ? { name, arguments: { ...given, relcaimerSaturationMultiplier: multiplier } }
        : { name, arguments: given };
    }),
    queueDepthPerAction: depth === undefined ? {} : { allocate: depth, reclaim: depth, preempt: depth, consolidation: depth },
    params: {
      ...PLAIN.params,
      allowConsolidatingReclaim: !draw.chance(0.25),
      maxNumberConsolidationPreemptees: draw.pick([16, 16, -1, 0, 1]),
      defaultStalenessGracePeriodMs: draw.pick([60_000, 60_000, 0, -1]),
      fullHierarchyFairness: !draw.chance(0.1),
    },
  };
}

function timedQueue(draw: Draw, queue: Queue): Queue {
  if (!draw.chance(0.3)) return queue;
  const preemptMinRuntime = draw.pick(['0s', '1h', '9h', '10h']);
  const reclaimMinRuntime = draw.pick(['0s', '1h', '9h', '10h']);
  return { ...queue, spec: { ...queue.spec, ...(draw.chance(0.5) ? { preemptMinRuntime } : { reclaimMinRuntime }) } };
}

/** The time of the cycle is 12:00; jobs are some nine hours old and started at 4:00, unless drawn otherwise. */
function timedGroup(draw: Draw, group: PodGroup): PodGroup {
  if (!draw.chance(0.4)) return group;
  const started = draw.pick(['', '2026-01-01T11:59:00Z', '2026-01-01T11:00:00Z', 'yesterday']);
  const evicted = draw.pick(['', '2026-01-01T11:55:00Z', '2026-01-01T12:10:00Z']);
  const stale = draw.pick(['', '2026-01-01T11:59:00Z', '2026-01-01T11:59:01Z', '2026-01-01T11:00:00Z']);
  const annotations = {
    ...group.metadata.annotations,
    ...(started === '' ? {} : { 'kai.scheduler/last-start-timestamp': started }),
    ...(evicted === '' ? {} : { 'kai.scheduler/last-eviction-timestamp': evicted }),
    ...(stale === '' ? {} : { 'kai.scheduler/stale-podgroup-timestamp': stale }),
  };
  const preemptionDelay = draw.pick([undefined, undefined, '5m', '12h', '-1s']);
  const stalenessGracePeriod = draw.pick([undefined, undefined, '0s', '5m', '-1s']);
  const delays = {
    ...(preemptionDelay === undefined ? {} : { preemptionDelay }),
    ...(stalenessGracePeriod === undefined ? {} : { stalenessGracePeriod }),
  };
  return { ...group, metadata: { ...group.metadata, annotations }, spec: { ...group.spec, ...delays } };
}

function timed(objects: ClusterObjects, draw: Draw): ClusterObjects {
  return {
    ...objects,
    queues: objects.queues.map((queue) => timedQueue(draw, queue)),
    podGroups: objects.podGroups.map((group) => timedGroup(draw, group)),
  };
}

function victimCluster(objects: ClusterObjects, tape: Tape, actions: readonly string[] | null): TestCluster {
  const draw = new Draw(tape);
  const config = drawConfig(draw, actions);
  const base = draw.chance(0.85) ? eased(objects, draw, true) : objects;
  const various = draw.chance(0.3) ? varied(base, config, draw) : base;
  return { objects: draw.chance(0.7) ? timed(various, draw) : various, config };
}

/** The cluster of a seed; `actions`: instead of drawn ones. */
export function randomVictimCluster(seed: number, actions: readonly string[] | null = null): TestCluster {
  return victimCluster(crowdedCluster(seed), Array.from({ length: TAPE_LENGTH }, seededRandom(seed ^ 0x71c71)), actions);
}

/** The same for fast-check. */
export function victimClusterArbitrary(): fc.Arbitrary<TestCluster> {
  const choice = fc.nat({ max: 2 ** 16 - 1 }).map((n) => n / 2 ** 16);
  const tape = fc.array(choice, { maxLength: TAPE_LENGTH, size: 'max' });
  return fc.tuple(clusterArbitrary(true), tape).map(([objects, choices]) => victimCluster(objects, choices, null));
}
