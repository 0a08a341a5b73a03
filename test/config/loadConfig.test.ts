import { describe, expect, test } from 'vitest';
import { FLAG_DEFAULTS } from '../../src/config/defaults.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { snapshotOptionsFrom } from '../../src/config/schedulerParams.ts';

const namesOf = (file: unknown): string[] => loadConfig({ file }).config.plugins.map(({ name }) => name);

test('built-in defaults (spec 01 section 3.4.1)', () => {
  for (const file of [undefined, null, '', '  \n', '# only a comment\n', {}]) {
    const { config, warnings } = loadConfig({ file });
    expect(warnings).toEqual([]);
    expect(config.actions.join(', ')).toBe('allocate, consolidation, reclaim, preempt, stalegangeviction');
    expect(config.plugins.map(({ name }) => name).join(' ')).toBe(
      'predicates proportion priority elastic kubeflow ray nodeavailability gpusharingorder gpupack resourcetype subgrouporder taskorder nominatednode dynamicresources nodeplacement minruntime topology snapshot sg-nodelocalgreedy sg-multinodegang',
    );
    expect(config.plugins.find(({ name }) => name === 'nodeplacement')?.arguments).toEqual({ cpu: 'binpack', gpu: 'binpack' });
    expect([config.queueDepthPerAction, config.usageDBConfig, config.params]).toEqual([{}, null, FLAG_DEFAULTS]);
    expect(config.scenarioSearchBudgets).toEqual({
      maxActionSearchDuration: { default: '5m0s' },
      maxJobSearchDuration: '4m0s',
      minJobSearchDuration: '0s',
      maxGeneratorSearchDuration: { default: '2m0s', NodeLocalGreedy: '30s', MultiNodeGang: '2m0s' },
    });
    expect(Object.isFrozen(config) && Object.isFrozen(config.params)).toBe(true);
  }
});

test('a file: keys in any case, blanks trimmed, tiers joined, arguments as texts, unknown keys passed over', () => {
  const { config, warnings } = loadConfig({
    file: `
Actions: " allocate ,reclaim"
TIERS:
- plugins:
  - {name: predicates, disableJobOrder: true}
  - Name: proportion
    Arguments: {kValue: 0.5, flag: true, text: "x", nothing: null}
- Plugins: [{name: priority}, {name: priority}, {name: nonesuch}]
queuedepthperaction: {allocate: 5, reclaim: 0, preempt: -1, stalegangeviction: 3, nonesuch: 1}
usageDBConfig: {clientType: prometheus, connectionString: "http://x"}
scenarioSearchBudgets: {maxActionSearchDuration: {default: 10s, reclaim: 90s}, minJobSearchDuration: 1s}
somethingElse: 1
`,
  });
  expect(config.actions).toEqual(['allocate', 'reclaim']);
  expect(config.plugins).toEqual([
    { name: 'predicates', arguments: {} },
    { name: 'proportion', arguments: { kValue: '0.5', flag: 'true', text: 'x', nothing: '' } },
    { name: 'priority', arguments: {} },
    { name: 'priority', arguments: {} },
  ]);
  expect(config.queueDepthPerAction).toEqual({ allocate: 5, reclaim: 0, preempt: -1 });
  expect(config.usageDBConfig).toEqual({ clientType: 'prometheus', connectionString: 'http://x' });
  expect(config.scenarioSearchBudgets).toMatchObject({
    maxActionSearchDuration: { default: '10s', reclaim: '1m30s' },
    maxJobSearchDuration: '4m0s',
    minJobSearchDuration: '1s',
    maxGeneratorSearchDuration: { NodeLocalGreedy: '30s' },
  });
  expect(warnings).toEqual([
    'there is no plugin "nonesuch"; it is passed over',
    'queueDepthPerAction: "stalegangeviction" is no action whose depth can be limited; it is passed over',
    'queueDepthPerAction: "nonesuch" is no action whose depth can be limited; it is passed over',
  ]);
});

test('empty sections fall back to the defaults', () => {
  expect(loadConfig({ file: { actions: ' ', tiers: [], queueDepthPerAction: null } }).config).toEqual(loadConfig({}).config);
  expect(namesOf({ tiers: [{ plugins: [] }] })).toEqual([]);
});

test.each([
  ['actions: allocate, fly', 'UNKNOWN_ACTION', 'there is no action "fly"'],
  ['actions: allocate,,reclaim', 'UNKNOWN_ACTION', 'there is no action ""'],
  ['actions: 5', 'BAD_CONFIG', 'configuration: actions: expected a text, found 5'],
  ['tiers: {}', 'BAD_CONFIG', 'configuration: tiers: expected a list, found {}'],
  ['tiers: [{plugins: [{name: 1}]}]', 'BAD_CONFIG', 'configuration: tiers[0].plugins[0].name: expected a text, found 1'],
  [
    'tiers: [{plugins: [{name: a, arguments: {k: [1]}}]}]',
    'BAD_CONFIG',
    'configuration: tiers[0].plugins[0].arguments.k: expected a text, found [1]',
  ],
  [
    'queueDepthPerAction: {allocate: many}',
    'BAD_CONFIG',
    'configuration: queueDepthPerAction.allocate: expected a whole number, found "many"',
  ],
  [
    'scenarioSearchBudgets: {maxJobSearchDuration: 1d}',
    'BAD_CONFIG',
    'configuration: scenarioSearchBudgets.maxJobSearchDuration: not a duration: "1d"',
  ],
  ['a: [', 'BAD_CONFIG', 'configuration: line '],
  ['- allocate', 'BAD_CONFIG', 'configuration: the whole file: expected an object'],
])('refuses %s', (file, code, message) => {
  expect(() => loadConfig({ file })).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
});

describe('search budgets that make no sense are warned of and replaced', () => {
  test.each([
    [{ maxActionSearchDuration: { fly: '1s' } }, 'maxActionSearchDuration contains invalid action key "fly"'],
    [{ maxGeneratorSearchDuration: { fly: '1s' } }, 'maxGeneratorSearchDuration contains invalid generator key "fly"'],
    [{ maxActionSearchDuration: { default: '-1s' } }, 'maxActionSearchDuration["default"] must be non-negative'],
    [{ maxJobSearchDuration: '-1s' }, 'maxJobSearchDuration must be non-negative'],
    [{ minJobSearchDuration: '4m' }, 'minJobSearchDuration must be less than maxJobSearchDuration'],
  ])('%j', (scenarioSearchBudgets, warning) => {
    const { config, warnings } = loadConfig({ file: { scenarioSearchBudgets } });
    expect(warnings).toEqual([expect.stringContaining(warning)]);
    expect(config.scenarioSearchBudgets).toEqual(loadConfig({}).config.scenarioSearchBudgets);
  });
  test('a minimum of any size is fine without a maximum', () => {
    expect(loadConfig({ file: { scenarioSearchBudgets: { maxJobSearchDuration: '0s', minJobSearchDuration: '1h' } } }).warnings).toEqual(
      [],
    );
  });
});

describe('parameters', () => {
  test('present: what is left out is zero, but there is always a name, a queue label and a release threshold', () => {
    expect(loadConfig({ params: {} }).config.params).toEqual({
      schedulerName: 'kai-scheduler',
      restrictSchedulingNodes: false,
      nodePoolLabelKey: '',
      nodePoolLabelValue: '',
      maxNumberConsolidationPreemptees: 0,
      scheduleCsiStorage: false,
      useSchedulingSignatures: false,
      fullHierarchyFairness: false,
      allowConsolidatingReclaim: false,
      numOfStatusRecordingWorkers: 0,
      defaultStalenessGracePeriodMs: 0,
      schedulePeriodMs: 0,
      detailedFitErrors: false,
      updatePodEvictionCondition: false,
      queueLabelKey: 'kai.scheduler/queue',
      stuckInReleasingThresholdMs: 120_000,
    });
  });

  test('nanoseconds become milliseconds, flags win', () => {
    const params = {
      schedulerName: 'other',
      partitionParams: { NodePoolLabelKey: 'k', NodePoolLabelValue: 'v' },
      scheduleCSIStorage: true,
      globalDefaultStalenessGracePeriod: -1_000_000_000,
      schedulePeriod: 1_500_000,
      stuckInReleasingThreshold: 60_000_000_000,
    };
    const read = loadConfig({ params, flags: { detailedFitErrors: true, schedulerName: undefined } }).config.params;
    expect(read).toMatchObject({
      schedulerName: 'other',
      nodePoolLabelKey: 'k',
      nodePoolLabelValue: 'v',
      scheduleCsiStorage: true,
      defaultStalenessGracePeriodMs: -1000,
      schedulePeriodMs: 1.5,
      stuckInReleasingThresholdMs: 60_000,
      detailedFitErrors: true,
    });
    expect(snapshotOptionsFrom(read, { isDraServed: false, isNodeTopologyServed: true })).toEqual({
      schedulerName: 'other',
      nodePoolLabelKey: 'k',
      nodePoolLabelValue: 'v',
      queueLabelKey: 'kai.scheduler/queue',
      resourceReservationAppLabel: 'kai-resource-reservation',
      cpuWorkerNodeLabelKey: 'node-role.kubernetes.io/cpu-worker',
      gpuWorkerNodeLabelKey: 'node-role.kubernetes.io/gpu-worker',
      migWorkerNodeLabelKey: 'node-role.kubernetes.io/mig-enabled',
      isDraServed: false,
      isNodeTopologyServed: true,
    });
  });

  test('a wrong type is refused with its path', () => {
    expect(() => loadConfig({ params: { schedulePeriod: '1s' } })).toThrow(
      'schedulerParams.schedulePeriod: expected a whole number, found "1s"',
    );
    expect(() => loadConfig({ params: { partitionParams: { NodePoolLabelKey: 1 } } })).toThrow(
      'schedulerParams.partitionParams.NodePoolLabelKey',
    );
  });
});

test('actions of the command line win over the file', () => {
  expect(loadConfig({ file: 'actions: reclaim', actions: ['allocate'] }).config.actions).toEqual(['allocate']);
});

describe('safeEviction', () => {
  test('absent or without anything switched on it is not there', () => {
    for (const safeEviction of [undefined, null, {}, { requireCommittedPlace: false, maxEvictionsPerWorkloadPerHour: null }]) {
      expect(loadConfig({ file: { safeEviction } }).config).toEqual(loadConfig({}).config);
    }
  });

  test('is filled, with keys in any case', () => {
    expect(
      loadConfig({ file: 'SafeEviction: {respectpoddisruptionbudgets: true, maxEvictionsPerWorkloadPerHour: 3}' }).config.safeEviction,
    ).toEqual({
      respectPodDisruptionBudgets: true,
      requireCommittedPlace: false,
      maxEvictionsPerWorkloadPerHour: 3,
    });
  });

  test('tells all that is wrong at once', () => {
    const safeEviction = { respectPodDisruptionBudgets: 'yes', maxEvictionsPerWorkloadPerHour: 0, requireCommitedPlace: true };
    expect(() => loadConfig({ file: { safeEviction } })).toThrow(
      expect.objectContaining({
        code: 'BAD_CONFIG',
        message:
          'configuration: safeEviction.requireCommitedPlace: there is no such key; the keys are respectPodDisruptionBudgets, ' +
          'requireCommittedPlace, maxEvictionsPerWorkloadPerHour; safeEviction.respectPodDisruptionBudgets: expected true or false, ' +
          'found "yes"; safeEviction.maxEvictionsPerWorkloadPerHour: expected a whole number of at least 1, found 0; leave it out for no limit',
      }),
    );
    expect(() => loadConfig({ file: 'safeEviction: true' })).toThrow('safeEviction: expected an object, found true');
  });
});
