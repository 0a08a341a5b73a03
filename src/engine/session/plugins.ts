import type { SchedulerConfig } from '../../base/config.ts';
import type { Policies } from '../placement/evaluate.ts';

/** The plugin list as a set with arguments; later entries of the same name win. */
export interface PluginSet {
  has(name: string): boolean;
  argument(name: string, key: string): string | undefined;
}

/** Every plugin name that means something; others are reported by the configuration loader and skipped. */
export const PLUGIN_NAMES: readonly string[] = Object.freeze([
  'predicates',
  'proportion',
  'priority',
  'elastic',
  'kubeflow',
  'ray',
  'nodeavailability',
  'gpusharingorder',
  'gpupack',
  'gpuspread',
  'resourcetype',
  'podaffinity',
  'subgrouporder',
  'taskorder',
  'nominatednode',
  'dynamicresources',
  'nodeplacement',
  'minruntime',
  'topology',
  'snapshot',
  'sg-nodelocalgreedy',
  'sg-multinodegang',
  'reflectjoborder',
  'numa',
]);

export function readPlugins(config: SchedulerConfig): PluginSet {
  const byName = new Map(config.plugins.map((p) => [p.name, p.arguments] as const));
  return {
    has: (name) => byName.has(name),
    argument: (name, key) => byName.get(name)?.[key],
  };
}

/** Scorers, device choice and filters that the plugin list turns on (spec 03 sections 1.2, 8, 9). */
export function readPolicies(config: SchedulerConfig, plugins: PluginSet): Policies {
  const pack = plugins.has('gpupack');
  const spread = plugins.has('gpuspread');
  return {
    nominatedNode: plugins.has('nominatednode'),
    podAffinity: plugins.has('podaffinity'),
    gpuSharing: plugins.has('gpusharingorder'),
    gpuSharingForAll: plugins.argument('gpusharingorder', 'scoreAllTasks') === 'true',
    availability: plugins.has('nodeavailability'),
    resourceType: plugins.has('resourcetype'),
    placement: plugins.has('nodeplacement'),
    spreadGpu: plugins.argument('nodeplacement', 'gpu') === 'spread',
    spreadCpu: plugins.argument('nodeplacement', 'cpu') === 'spread',
    newDeviceFirst: spread && !pack,
    groupOrder: pack === spread ? 'name' : pack ? 'fullest' : 'emptiest',
    predicates: plugins.has('predicates'),
    restrictNodes: config.params.restrictSchedulingNodes,
  };
}
