import type { PluginConfig, SchedulerParams } from '../base/config.ts';

/** All action names, in the default order (spec 01 sections 3.2, 3.4.1). */
export const ACTION_NAMES: readonly string[] = Object.freeze(['allocate', 'consolidation', 'reclaim', 'preempt', 'stalegangeviction']);

/** Actions whose candidates per leaf queue can be limited (spec 01 section 3.2). */
export const DEPTH_ACTIONS: ReadonlySet<string> = new Set(['allocate', 'consolidation', 'reclaim', 'preempt']);

const plugin = (name: string, values: Readonly<Record<string, string>> = {}): PluginConfig =>
  Object.freeze({ name, arguments: Object.freeze(values) });

/** The scheduler's own plugin list (spec 01 section 3.4.1). */
export const BUILT_IN_PLUGINS: readonly PluginConfig[] = Object.freeze([
  plugin('predicates'),
  plugin('proportion'),
  plugin('priority'),
  plugin('elastic'),
  plugin('kubeflow'),
  plugin('ray'),
  plugin('nodeavailability'),
  plugin('gpusharingorder'),
  plugin('gpupack'),
  plugin('resourcetype'),
  plugin('subgrouporder'),
  plugin('taskorder'),
  plugin('nominatednode'),
  plugin('dynamicresources'),
  plugin('nodeplacement', { cpu: 'binpack', gpu: 'binpack' }),
  plugin('minruntime'),
  plugin('topology'),
  plugin('snapshot'),
  plugin('sg-nodelocalgreedy'),
  plugin('sg-multinodegang'),
]);

/** Every plugin name of spec 01 section 3.5. */
export const PLUGIN_NAMES: ReadonlySet<string> = new Set([
  ...BUILT_IN_PLUGINS.map(({ name }) => name),
  'podaffinity',
  'gpuspread',
  'reflectjoborder',
  'numa',
  'gpufragmentation',
]);

export const DEFAULT_STUCK_IN_RELEASING_MS = 120_000;

/** Defaults of the flags (spec 01 section 3.1). */
export const FLAG_DEFAULTS: SchedulerParams = Object.freeze({
  schedulerName: 'kai-scheduler',
  restrictSchedulingNodes: false,
  nodePoolLabelKey: 'kai.scheduler/node-pool',
  nodePoolLabelValue: '',
  maxNumberConsolidationPreemptees: 16,
  scheduleCsiStorage: false,
  useSchedulingSignatures: true,
  fullHierarchyFairness: true,
  allowConsolidatingReclaim: true,
  numOfStatusRecordingWorkers: 5,
  defaultStalenessGracePeriodMs: 60_000,
  schedulePeriodMs: 1_000,
  detailedFitErrors: false,
  updatePodEvictionCondition: false,
  queueLabelKey: 'kai.scheduler/queue',
  stuckInReleasingThresholdMs: DEFAULT_STUCK_IN_RELEASING_MS,
});
