import type { SchedulerConfig } from '../../base/config.ts';
import { parseExtendedDurationMs } from '../../base/duration.ts';
import type { Policies } from '../placement/evaluate.ts';

/** The plugin list as a set with arguments; later entries of the same name win. */
export interface PluginSet {
  has(name: string): boolean;
  argument(name: string, key: string): string | undefined;
}

export function readPlugins(config: SchedulerConfig): PluginSet {
  const byName = new Map(config.plugins.map((p) => [p.name, p.arguments] as const));
  return {
    has: (name) => byName.has(name),
    argument: (name, key) => byName.get(name)?.[key],
  };
}

/** Arguments of plugin `minruntime`. */
export interface MinRuntime {
  readonly preemptMs: number;
  readonly reclaimMs: number;
  readonly method: 'lca' | 'queue';
}

/** Unreadable or negative durations count 0, an unknown method is `lca` (spec 02 section 15.1). */
export function readMinRuntime(plugins: PluginSet): MinRuntime {
  const duration = (key: string): number => {
    const text = plugins.argument('minruntime', key);
    const ms = text === undefined ? 0 : parseExtendedDurationMs(text);
    return Number.isNaN(ms) ? 0 : Math.max(0, ms);
  };
  return {
    preemptMs: duration('defaultPreemptMinRuntime'),
    reclaimMs: duration('defaultReclaimMinRuntime'),
    method: plugins.argument('minruntime', 'reclaimResolveMethod') === 'queue' ? 'queue' : 'lca',
  };
}

/** Scorers, device choice and filters that the plugin list turns on (spec 03 sections 1.2, 8, 9). */
export function readPolicies(config: SchedulerConfig, plugins: PluginSet): Policies {
  const pack = plugins.has('gpupack');
  const spread = plugins.has('gpuspread');
  const fragmentation = plugins.has('gpufragmentation') || plugins.argument('nodeplacement', 'gpu') === 'fragmentation';
  return {
    nominatedNode: plugins.has('nominatednode'),
    podAffinity: plugins.has('podaffinity'),
    gpuSharing: plugins.has('gpusharingorder') && !fragmentation,
    gpuSharingForAll: plugins.argument('gpusharingorder', 'scoreAllTasks') === 'true',
    availability: plugins.has('nodeavailability'),
    resourceType: plugins.has('resourcetype'),
    placement: plugins.has('nodeplacement'),
    spreadGpu: plugins.argument('nodeplacement', 'gpu') === 'spread',
    spreadCpu: plugins.argument('nodeplacement', 'cpu') === 'spread',
    newDeviceFirst: spread && !pack && !fragmentation,
    groupOrder: pack === spread ? 'name' : pack ? 'fullest' : 'emptiest',
    predicates: plugins.has('predicates'),
    restrictNodes: config.params.restrictSchedulingNodes,
    fragmentation,
  };
}
