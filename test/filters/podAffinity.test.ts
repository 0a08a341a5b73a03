import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LabelSelector, PodAffinityTerm, PodConstraints, WeightedPodAffinityTerm } from '../../src/base/constraints.ts';
import { PodAffinityIndex } from '../../src/engine/filters/podAffinity.ts';
import { PredicateCode } from '../../src/engine/placement/reasons.ts';
import { AffinityTwin } from './affinityTwin.ts';
import type { FakeNode, FakePod, Labels } from './fakeView.ts';
import { fakeNodeOrder, fakeView } from './fakeView.ts';

const ZONES: readonly FakeNode[] = [
  { name: 'a1', labels: { zone: 'a', host: 'a1' } },
  { name: 'a2', labels: { zone: 'a', host: 'a2' } },
  { name: 'b1', labels: { zone: 'b', host: 'b1' } },
  { name: 'bare' },
];
const { podAffinity: FAR, podAntiAffinity: ANTI, existingAntiAffinity: EXISTING } = PredicateCode;

const app = (value: string): LabelSelector => ({ matchLabels: { app: value } });
const term = (topologyKey: string, labelSelector?: LabelSelector, more: Partial<PodAffinityTerm> = {}): PodAffinityTerm => ({
  topologyKey,
  ...(labelSelector === undefined ? {} : { labelSelector }),
  ...more,
});
const web = (spec: PodConstraints = {}, namespace = 'ns'): FakePod => ({ namespace, labels: { app: 'web' }, spec });

/** An index over ZONES in which pod 0 is to be placed and pod i (i > 0) stands on node `at[i − 1]`. */
function placed(pods: readonly FakePod[], at: readonly number[] = [], namespaces: Readonly<Record<string, Labels>> = {}): PodAffinityIndex {
  const objects = Object.entries(namespaces).map(([name, labels]) => ({
    kind: 'namespace' as const,
    key: name,
    object: { metadata: { name, labels } },
  }));
  const view = fakeView({ nodes: ZONES, pods, objects });
  const index = new PodAffinityIndex(view, fakeNodeOrder(view), { scorePreferred: true });
  at.forEach((node, i) => {
    index.add(i + 1, node);
  });
  return index;
}

function codes(index: PodAffinityIndex): number[] {
  const out = new Uint8Array(ZONES.length).fill(99);
  index.prepare(0).codesInto(0, ZONES.length, out);
  return [...out];
}

describe('required affinity', () => {
  test('goes to the topology value of a matching pod', () => {
    const index = placed([{ spec: { podAffinity: [term('zone', app('web'))] } }, web()], [0]);
    expect(codes(index)).toEqual([0, 0, FAR, FAR]);
  });

  test('the first pod of a group that matches itself may start, but only where all topology keys are', () => {
    const own = web({ podAffinity: [term('zone', app('web'))] });
    expect(codes(placed([own]))).toEqual([0, 0, 0, FAR]);
    expect(codes(placed([own, web()], [2]))).toEqual([FAR, FAR, 0, FAR]);
  });

  test('a matching pod on a node without the key does not start the group', () => {
    expect(codes(placed([web({ podAffinity: [term('zone', app('web'))] }), web()], [3]))).toEqual([0, 0, 0, FAR]);
  });

  test('a pod that does not match itself waits for one that it wants', () => {
    expect(codes(placed([{ labels: { app: 'db' }, spec: { podAffinity: [term('zone', app('web'))] } }]))).toEqual([FAR, FAR, FAR, FAR]);
  });

  test('one pod must match all terms', () => {
    const both: PodConstraints = { podAffinity: [term('zone', app('web')), term('host', { matchLabels: { tier: 'x' } })] };
    const onlyApp: FakePod = { labels: { app: 'web' } };
    const onlyTier: FakePod = { labels: { tier: 'x' } };
    expect(codes(placed([{ spec: both }, onlyApp, onlyTier], [0, 0]))).toEqual([FAR, FAR, FAR, FAR]);
    expect(codes(placed([{ spec: both }, { labels: { app: 'web', tier: 'x' } }], [0]))).toEqual([0, FAR, FAR, FAR]);
  });

  test('no selector matches no pod, an empty one every pod', () => {
    expect(codes(placed([{ spec: { podAffinity: [term('zone')] } }, web()], [0]))).toEqual([FAR, FAR, FAR, FAR]);
    expect(codes(placed([{ spec: { podAffinity: [term('zone', {})] } }, {}], [0]))).toEqual([0, 0, FAR, FAR]);
  });
});

describe('namespaces', () => {
  const wants = (more: Partial<PodAffinityTerm>): FakePod => ({ spec: { podAffinity: [term('zone', app('web'), more)] } });
  const near = [0, 0, FAR, FAR];
  const none = [FAR, FAR, FAR, FAR];
  test.each<[string, Partial<PodAffinityTerm>, string, number[]]>([
    ['own by default', {}, 'ns', near],
    ['no other by default', {}, 'prod', none],
    ['listed', { namespaces: ['prod'] }, 'prod', near],
    ['a list excludes the own', { namespaces: ['prod'] }, 'ns', none],
    ['selected by label', { namespaceSelector: { matchLabels: { env: 'prod' } } }, 'prod', near],
    ['not selected', { namespaceSelector: { matchLabels: { env: 'dev' } } }, 'prod', none],
    ['an empty selector is all', { namespaceSelector: {} }, 'unknown', near],
    ['listed or selected', { namespaces: ['ns'], namespaceSelector: { matchLabels: { env: 'prod' } } }, 'prod', near],
    [
      'an absent namespace has no labels',
      { namespaceSelector: { matchExpressions: [{ key: 'env', operator: 'DoesNotExist' }] } },
      'unknown',
      near,
    ],
  ])('%s', (_, more, namespace, expected) => {
    expect(codes(placed([wants(more), web({}, namespace)], [0], { prod: { env: 'prod' } }))).toEqual(expected);
  });
});

describe('required anti-affinity', () => {
  const apart: PodConstraints = { podAntiAffinity: [term('zone', app('web'))] };

  test('keeps the new pod away, except where the key is missing', () => {
    expect(codes(placed([{ spec: apart }, web()], [0]))).toEqual([ANTI, ANTI, 0, 0]);
  });

  test('of a placed pod keeps others away', () => {
    const index = placed([web(), { spec: apart }], [2]);
    expect(codes(index)).toEqual([0, 0, EXISTING, 0]);
    expect(index.isRequiredConcern(0)).toBe(true);
    index.remove(1, 2);
    expect(codes(index)).toEqual([0, 0, 0, 0]);
    expect(index.isRequiredConcern(0)).toBe(false);
  });

  test('of a placed pod counts in the namespace of that pod', () => {
    expect(codes(placed([web({}, 'other'), { spec: apart }], [0]))).toEqual([0, 0, 0, 0]);
  });

  test('own refusal is reported before that of others', () => {
    expect(codes(placed([web(apart), web(apart)], [0]))).toEqual([ANTI, ANTI, 0, 0]);
  });

  test('co-location in a zone with one pod per host', () => {
    const spread = web({ podAffinity: [term('zone', app('web'))], podAntiAffinity: [term('host', app('web'))] });
    expect(codes(placed([spread, spread], [0]))).toEqual([ANTI, 0, FAR, FAR]);
  });
});

describe('preferred terms', () => {
  const prefers = (weight: number, key = 'zone', value = 'web'): readonly WeightedPodAffinityTerm[] => [
    { weight, podAffinityTerm: term(key, app(value)) },
  ];
  const scores = (index: PodAffinityIndex): [boolean, number[]] => {
    const out = new Float64Array(ZONES.length).fill(99);
    return [index.scoreInto(0, out), [...out]];
  };

  test('weight times matching pods per zone (the example of spec 03 section 8.3)', () => {
    const index = placed([{ spec: { preferredPodAffinity: prefers(1) } }, web(), web(), web()], [0, 1, 1]);
    expect(scores(index)).toEqual([true, [3, 3, 0, 0]]);
  });

  test('both directions, both signs', () => {
    const index = placed(
      [
        web({ preferredPodAntiAffinity: prefers(5, 'host') }),
        web({ preferredPodAffinity: prefers(20) }),
        web({ preferredPodAntiAffinity: prefers(3) }),
      ],
      [0, 2],
    );
    expect(scores(index)).toEqual([true, [15, 20, -8, 0]]);
  });

  test('required terms of placed pods have no weight', () => {
    const index = placed(
      [web({ preferredPodAffinity: prefers(1, 'zone', 'db') }), { spec: { podAffinity: [term('zone', app('web'))] } }],
      [0],
    );
    expect(scores(index)).toEqual([false, [0, 0, 0, 0]]);
  });

  test('are not read without the plugin', () => {
    const view = fakeView({ nodes: ZONES, pods: [{ spec: { preferredPodAffinity: prefers(1) } }, web()] });
    const index = new PodAffinityIndex(view, fakeNodeOrder(view), { scorePreferred: false });
    index.add(1, 0);
    expect(scores(index)).toEqual([false, [0, 0, 0, 0]]);
    expect(index.isRequiredConcern(0)).toBe(false);
  });
});

test('the change count moves exactly when a number does', () => {
  const index = placed([{ spec: { podAntiAffinity: [term('zone', app('web'))] } }, web(), { labels: { app: 'db' } }]);
  index.add(2, 0);
  index.add(1, 3);
  expect(index.changeCount).toBe(0);
  index.add(1, 0);
  expect(index.changeCount).toBe(1);
  index.remove(1, 0);
  expect(index.changeCount).toBe(2);
});

describe('equals a recomputation from the placed pods after any adds and removes', () => {
  const NAMESPACES: Readonly<Record<string, Labels>> = { ns: { env: 'prod' }, other: { env: 'dev' } };
  const label = fc.constantFrom('x', 'y');
  const anyLabels = fc.record({ app: label, team: label }, { requiredKeys: [] });
  const anyNode = fc.record({ zone: fc.constantFrom('a', 'b'), rack: fc.constantFrom('r', 's') }, { requiredKeys: [] });
  const requirement = fc.oneof(
    fc.record({
      key: fc.constantFrom('app', 'team'),
      operator: fc.constantFrom('In', 'NotIn'),
      values: fc.array(label, { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ key: fc.constantFrom('app', 'team'), operator: fc.constantFrom('Exists', 'DoesNotExist') }),
  );
  const selector: fc.Arbitrary<LabelSelector> = fc.record(
    { matchLabels: fc.record({ app: label }), matchExpressions: fc.array(requirement, { maxLength: 2 }) },
    { requiredKeys: [] },
  );
  const namespaceSelector: fc.Arbitrary<LabelSelector> = fc.constantFrom(
    {},
    { matchLabels: { env: 'prod' } },
    { matchExpressions: [{ key: 'env', operator: 'NotIn', values: ['prod'] }] },
  );
  const anyTerm: fc.Arbitrary<PodAffinityTerm> = fc.record(
    {
      topologyKey: fc.constantFrom('zone', 'rack', 'host', 'nowhere'),
      labelSelector: selector,
      namespaces: fc.subarray(['ns', 'other', 'third']),
      namespaceSelector,
    },
    { requiredKeys: ['topologyKey'] },
  );
  const terms = fc.array(anyTerm, { maxLength: 2 });
  const weighted = fc.array(fc.record({ weight: fc.integer({ min: 1, max: 100 }), podAffinityTerm: anyTerm }), { maxLength: 2 });
  const anySpec: fc.Arbitrary<PodConstraints> = fc.record(
    { podAffinity: terms, podAntiAffinity: terms, preferredPodAffinity: weighted, preferredPodAntiAffinity: weighted },
    { requiredKeys: [] },
  );
  const anyPod: fc.Arbitrary<FakePod> = fc.record(
    { namespace: fc.constantFrom('ns', 'other', 'third'), labels: anyLabels, spec: anySpec },
    { requiredKeys: ['namespace'] },
  );
  const steps = fc.array(fc.record({ pod: fc.nat(9), node: fc.nat(9), isRemoval: fc.boolean() }), { maxLength: 12 });

  function compare(index: PodAffinityIndex, twin: AffinityTwin, pods: readonly FakePod[], nodeCount: number): void {
    const scores = new Float64Array(nodeCount);
    pods.forEach((pod, row) => {
      const isContributing = index.scoreInto(row, scores);
      const prepared = index.prepare(row);
      const expected = Array.from(scores, (_, node) => twin.check(pod, node));
      expect(Array.from(scores, (_, node) => prepared.check(node))).toEqual(expected);
      const expectedScores = Array.from(scores, (_, node) => twin.score(pod, node));
      // Plain numbers: a sum may be −0 in one and 0 in the other.
      expect(Array.from(scores, (s) => s + 0)).toEqual(expectedScores.map((s) => s + 0));
      if (!isContributing) expect(expectedScores.every((s) => s === 0)).toBe(true);
      expect(index.isRequiredConcern(row)).toBe(twin.isConcern(pod));
    });
  }

  // With many host names the counts of that key start sparse and become dense.
  test.each([
    ['small clusters', 0, 400],
    ['many hosts', 100, 60],
  ])('%s', (_, moreNodes, numRuns) => {
    let checksThatRefused = 0;
    let scoresThatCounted = 0;
    fc.assert(
      fc.property(
        fc.array(anyNode, { minLength: 1, maxLength: 5 }),
        fc.array(anyPod, { minLength: 1, maxLength: 6 }),
        steps,
        (labels, pods, moves) => {
          const all = [...labels, ...Array.from({ length: moreNodes }, () => ({}))];
          const nodes = all.map((own, i) => ({ name: `n${i}`, labels: { ...own, host: `h${i}` } }));
          const objects = Object.entries(NAMESPACES).map(([key, l]) => ({
            kind: 'namespace' as const,
            key,
            object: { metadata: { labels: l } },
          }));
          const view = fakeView({ nodes, pods, objects });
          const index = new PodAffinityIndex(view, fakeNodeOrder(view), { scorePreferred: true });
          const twin = new AffinityTwin(nodes, NAMESPACES);
          for (const { pod, node, isRemoval } of moves) {
            if (isRemoval) {
              const [gone] = twin.placed.splice(pod % Math.max(twin.placed.length, 1), 1);
              if (gone !== undefined) index.remove(pods.indexOf(gone.pod), gone.node);
            } else {
              const row = pod % pods.length;
              const at = (node * 7) % nodes.length;
              twin.placed.push({ pod: pods[row]!, node: at });
              index.add(row, at);
            }
            compare(index, twin, pods, nodes.length);
          }
          checksThatRefused += pods.filter((p) => twin.check(p, 0) !== 0).length;
          scoresThatCounted += pods.filter((p) => twin.score(p, 0) !== 0).length;
        },
      ),
      { seed: 8, numRuns },
    );
    expect(checksThatRefused).toBeGreaterThan(10);
    expect(scoresThatCounted).toBeGreaterThan(10);
  });
});
