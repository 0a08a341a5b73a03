// Random clusters with a random configuration, inside the twin's scope.
import fc from 'fast-check';
import type { PluginConfig, SchedulerConfig } from '../../src/base/config.ts';
import type { ClusterObjects } from '../../src/base/objects.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { Draw, seededRandom } from '../support/draw.ts';
import { clusterArbitrary, randomCluster } from '../support/randomCluster.ts';

export interface TestCluster {
  readonly objects: ClusterObjects;
  readonly config: SchedulerConfig;
}

const PLAIN = loadConfig({ actions: ['allocate'] }).config;

/** Built-in plugins with other strategies: GPU packing off, spreading on, affinity scored, single scorers left out. */
function drawPlugins(draw: Draw): readonly PluginConfig[] {
  const gpu = draw.pick(['binpack', 'binpack', 'spread']);
  const cpu = draw.pick(['binpack', 'binpack', 'spread']);
  const without = draw.pick(['', '', '', 'gpusharingorder', 'nodeavailability', 'elastic', 'priority', 'subgrouporder', 'nodeplacement']);
  const plugins = PLAIN.plugins.flatMap((plugin): PluginConfig[] => {
    if (plugin.name === without) return [];
    if (plugin.name === 'nodeplacement') return [{ name: 'nodeplacement', arguments: { cpu, gpu } }];
    if (plugin.name === 'gpupack' && gpu === 'spread') return [{ name: 'gpuspread', arguments: {} }];
    return plugin.name === 'gpusharingorder' && gpu === 'spread' ? [] : [plugin];
  });
  return draw.chance(0.5) ? [...plugins, { name: 'podaffinity', arguments: {} }] : plugins;
}

/** The simplest draw is the built-in configuration. */
export function drawConfig(draw: Draw): SchedulerConfig {
  if (!draw.chance(0.6)) return PLAIN;
  const depth = draw.pick([undefined, undefined, undefined, 1, 2, 0, -1]);
  return {
    ...PLAIN,
    plugins: drawPlugins(draw),
    queueDepthPerAction: depth === undefined ? {} : { allocate: depth },
    params: { ...PLAIN.params, fullHierarchyFairness: !draw.chance(0.1) },
  };
}

/** The cluster of a seed. */
export function randomTestCluster(seed: number): TestCluster {
  const random = seededRandom(seed ^ 0x5eed);
  return { objects: randomCluster(seed), config: drawConfig(new Draw(Array.from({ length: 16 }, random))) };
}

/** The same for fast-check; shrinks towards few objects and the built-in configuration. */
export function testClusterArbitrary(): fc.Arbitrary<TestCluster> {
  const choice = fc.nat({ max: 2 ** 16 - 1 }).map((n) => n / 2 ** 16);
  const tape = fc.array(choice, { maxLength: 16, size: 'max' });
  return fc.record({ objects: clusterArbitrary(), config: tape.map((choices) => drawConfig(new Draw(choices))) });
}
