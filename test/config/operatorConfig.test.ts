import { load } from 'js-yaml';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { renderOperatorConfig } from '../../src/config/operatorConfig.ts';

const pluginsOf = (shard: Parameters<typeof renderOperatorConfig>[0]): string =>
  renderOperatorConfig(shard)
    .tiers[0].plugins.map(({ name }) => name)
    .join(' ');

test('the worked example of spec 01 section 3.4.2', () => {
  const rendered = renderOperatorConfig({
    placementStrategy: { gpu: 'spread', cpu: 'binpack' },
    kValue: 0.5,
    queueDepthPerAction: { reclaim: 20 },
  });
  expect(rendered).toEqual(
    load(`
actions: allocate, reclaim, preempt, stalegangeviction
queueDepthPerAction: {reclaim: 20}
scenarioSearchBudgets:
  maxActionSearchDuration: {default: 5m0s}
  maxJobSearchDuration: 4m0s
  minJobSearchDuration: 0s
  maxGeneratorSearchDuration: {MultiNodeGang: 2m0s, NodeLocalGreedy: 30s, default: 2m0s}
tiers:
- plugins:
  - {name: predicates}
  - {name: proportion, arguments: {kValue: "0.5"}}
  - {name: priority}
  - {name: nodeavailability}
  - {name: resourcetype}
  - {name: podaffinity}
  - {name: elastic}
  - {name: kubeflow}
  - {name: ray}
  - {name: subgrouporder}
  - {name: taskorder}
  - {name: nominatednode}
  - {name: dynamicresources}
  - {name: minruntime}
  - {name: topology}
  - {name: snapshot}
  - {name: sg-nodelocalgreedy}
  - {name: sg-multinodegang}
  - {name: gpuspread}
  - {name: nodeplacement, arguments: {cpu: binpack, gpu: spread}}
`),
  );
  const { config, warnings } = loadConfig({ file: rendered });
  expect(warnings).toEqual([]);
  expect(config.actions).toEqual(['allocate', 'reclaim', 'preempt', 'stalegangeviction']);
});

test('the default shard packs', () => {
  expect(renderOperatorConfig({}).actions).toBe('allocate, consolidation, reclaim, preempt, stalegangeviction');
  expect(pluginsOf({})).toMatch(/ sg-multinodegang gpupack nodeplacement gpusharingorder$/);
  expect(pluginsOf({})).not.toMatch(/gpuspread|numa/);
  expect(renderOperatorConfig({ placementStrategy: { cpu: 'spread' } }).actions).not.toContain('consolidation');
});

test('overrides replace field by field, arguments as a whole; unknown names come last', () => {
  const rendered = renderOperatorConfig({
    kValue: 2,
    minRuntime: { preemptMinRuntime: '1h', reclaimMinRuntime: '1d' },
    plugins: { proportion: { arguments: { other: '1' } }, numa: {}, elastic: { enabled: false }, ray: { priority: 5000 }, aaa: {} },
    actions: { reclaim: { priority: 1 }, preempt: { enabled: false } },
  });
  const { plugins } = rendered.tiers[0];
  expect(plugins[0]?.name).toBe('ray');
  expect(plugins.slice(-2).map(({ name }) => name)).toEqual(['aaa', 'numa']);
  expect(plugins.some(({ name }) => name === 'elastic')).toBe(false);
  expect(plugins.find(({ name }) => name === 'proportion')).toEqual({ name: 'proportion', arguments: { other: '1' } });
  expect(plugins.find(({ name }) => name === 'minruntime')?.arguments).toEqual({
    defaultPreemptMinRuntime: '1h',
    defaultReclaimMinRuntime: '1d',
  });
  expect(rendered.actions).toBe('allocate, consolidation, stalegangeviction, reclaim');
});

test.each([
  [1e-7, '0.0000001'],
  [1.5e21, '1500000000000000000000'],
  [2, '2'],
  [-0.25, '-0.25'],
])('kValue %s is printed as %s', (kValue, text) => {
  const plugins = renderOperatorConfig({ kValue }).tiers[0].plugins;
  expect(plugins.find(({ name }) => name === 'proportion')?.arguments).toEqual({ kValue: text });
});

test.each([
  [{ placementStrategy: { gpu: 'foo' } }, 'placementStrategy.gpu must be binpack or spread, found "foo"'],
  [
    { actions: { preempt: { enabled: false } }, queueDepthPerAction: { preempt: 1 } },
    "the scheduler's actions are allocate, consolidation, reclaim, stalegangeviction. preempt isn't one of them, making the queueDepthPerAction invalid",
  ],
  [{ scenarioSearchBudgets: { minJobSearchDuration: '5m' } }, 'minJobSearchDuration must be less than maxJobSearchDuration'],
])('refuses %j', (shard, message) =>
  expect(() => renderOperatorConfig(shard)).toThrow(expect.objectContaining({ code: 'BAD_SHARD', message })),
);
