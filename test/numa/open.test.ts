import { describe, expect, test } from 'vitest';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { readZones, ZonePolicy } from '../../src/engine/numa/nodeZones.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import {
  type ClusterSpec,
  configOf,
  cycle,
  NOW_MS,
  type NodeSpec,
  open,
  type PodSpec,
  record,
  single,
  snapshot,
  zones,
} from './cluster.ts';

// Topology objects, placement records and the ledger when a cycle opens (spec 03 sections 11A.1, 11A.6, 11A.8).

const GPU = 'nvidia.com/gpu';
const BIG = { cpu: '64', memory: '512Gi', pods: '110', [GPU]: '8' };
const zone = (name: string, resources: object = { cpu: '4' }, type = 'Node') => ({
  name,
  type,
  resources: Object.entries(resources).map(([resource, allocatable]) => ({ name: resource, allocatable, available: allocatable })),
});

function read(topology: object, isKnown: (name: string) => boolean = () => false) {
  const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
  writer.put('nodes', { metadata: { name: 'n' }, status: { allocatable: BIG } });
  writer.put('nodeResourceTopologies', { metadata: { name: 'n' }, ...topology });
  const view = writer.seal();
  const nodeOfText = new Int32Array(view.texts.capacity).fill(-1);
  nodeOfText[view.texts.find('n')] = 0;
  return readZones(view, 1, nodeOfText, isKnown).nodes[0]!;
}

describe('topology objects', () => {
  test('zones in the order of their numbers, others by name behind', () => {
    const names = ['b', 'node-10', 'node-2', 'x2', 'a', 'node-2a'];
    expect(read({ zones: [...names.map((name) => zone(name)), zone('socket-0', {}, 'Socket')] }).names).toEqual([
      'node-2',
      'x2',
      'node-10',
      'a',
      'b',
      'node-2a',
    ]);
    expect(read({ zones: [zone('socket-0', {}, 'Socket')] })).toBeNull();
    expect(read({ zones: 'none' })).toBeNull();
  });

  test('policy and scope, old and new', () => {
    const policyOf = (topology: object) => {
      const { policy, isPodScope } = read({ zones: [zone('node-0')], ...topology }).profile;
      return [policy, isPodScope];
    };
    const attributes = (policy: string, scope?: string) => ({
      attributes: [
        { name: 'topologyManagerPolicy', value: policy },
        ...(scope === undefined ? [] : [{ name: 'topologyManagerScope', value: scope }]),
      ],
    });
    expect(policyOf(attributes('restricted', 'pod'))).toEqual([ZonePolicy.restricted, true]);
    expect(policyOf(attributes('best-effort', 'Pod'))).toEqual([ZonePolicy.bestEffort, false]);
    expect(policyOf(attributes('single-numa-node'))).toEqual([ZonePolicy.singleNumaNode, false]);
    expect(policyOf({ ...attributes('strange', 'pod'), topologyPolicies: ['Restricted'] })).toEqual([ZonePolicy.none, true]);
    expect(policyOf({ ...attributes('', 'pod'), topologyPolicies: ['Restricted'] })).toEqual([ZonePolicy.restricted, false]);
    expect(policyOf({ topologyPolicies: ['SingleNUMANodePodLevel', 'Restricted'] })).toEqual([ZonePolicy.singleNumaNode, true]);
    expect(policyOf({ topologyPolicies: ['None'] })).toEqual([ZonePolicy.none, false]);
    expect(policyOf({})).toEqual([ZonePolicy.none, false]);
  });

  test('resources that the cycle knows; both GPU names are one', () => {
    const resources = { cpu: '4', memory: '1Gi', 'amd.com/gpu': '1', [GPU]: '2', 'x.io/known': '3', 'x.io/other': '4' };
    const node = read(
      { zones: [zone('node-0', resources), zone('node-1', { cpu: '1500m', memory: 'bad' })] },
      (name) => name === 'x.io/known',
    );
    expect(node.profile.resources).toEqual(['cpu', 'memory', GPU, 'x.io/known']);
    expect([...node.allocatable]).toEqual([4000, 2 ** 30, 2, 3, 1500, 0, 0, 0]);
  });
});

describe('records', () => {
  const four: NodeSpec = {
    name: 'n',
    allocatable: BIG,
    topology: { policy: 'single-numa-node', zones: zones(2, { cpu: '4' }, { cpu: '1' }) },
  };
  const cpus = { cpu: '3', memory: '1Gi' };
  const observed = (zoneName: string) => ({ 'kai.scheduler/numa-placement-observed': record([zoneName, { cpu: '3' }]) });
  const predicted = (zoneName: string) => ({ 'kai.scheduler/numa-placement-predicted': record([zoneName, { cpu: '3' }]) });
  const promised = (zoneName: string) => ({
    metadata: { name: 'p', namespace: 'ns' },
    spec: { podName: 'p', selectedNode: 'n', predictedNUMAZones: [{ zone: zoneName, amount: { cpu: '3' } }] },
  });
  const held = (annotations: Readonly<Record<string, string>>, rest: Partial<PodSpec> = {}) =>
    single({ name: 'p', node: 'n', containers: [cpus], annotations, ...rest });
  const free = (spec: Partial<ClusterSpec>, when: 'later' | 'bindable' = 'later') => {
    const ledger = open({ nodes: [four], jobs: [], ...spec }).ledger('n', when);
    return [ledger['node-0']!['cpu'], ledger['node-1']!['cpu']];
  };

  test('observed before promised before predicted', () => {
    expect(free({ jobs: [held({ ...observed('node-1'), ...predicted('node-0') })], bindRequests: [promised('node-0')] })).toEqual([
      4000, 1000,
    ]);
    expect(free({ jobs: [held(predicted('node-0'))], bindRequests: [promised('node-1')] })).toEqual([4000, 1000]);
    expect(free({ jobs: [held(predicted('node-0'))] })).toEqual([1000, 4000]);
    expect(free({ jobs: [held({})] })).toEqual([4000, 4000]);
    // A pod that is only promised its node is there already.
    const { node: _, ...pending } = held({}).pods[0]!;
    expect(free({ jobs: [single(pending)], bindRequests: [promised('node-1')] })).toEqual([4000, 1000]);
  });

  test('a record with an unknown zone counts for nothing', () => {
    const both = { 'kai.scheduler/numa-placement-observed': record(['node-0', { cpu: '1' }], ['node-7', { cpu: '2' }]) };
    expect(free({ jobs: [held({ ...both, ...predicted('node-1') })] })).toEqual([4000, 4000]);
  });

  test('pods of every quality of service are taken off; only handled ones can give back', () => {
    const c = open({ nodes: [four], jobs: [held(observed('node-0'), { qos: 'Burstable' })] });
    expect(c.ledger('n', 'later')).toEqual({ 'node-0': { cpu: 1000 }, 'node-1': { cpu: 4000 } });
    expect(c.numa.zonesOf(c.pod('p'))).toBeNull();
    const guaranteed = open({ nodes: [four], jobs: [held(observed('node-0'))] });
    expect([...guaranteed.numa.zonesOf(guaranteed.pod('p'))!.amount]).toEqual([3000]);
  });

  test('leaving pods hold their zones for binds alone', () => {
    const jobs = [held(observed('node-0'), { deletion: '2026-01-02T00:00:10Z' })];
    expect(free({ jobs })).toEqual([4000, 4000]);
    expect(free({ jobs }, 'bindable')).toEqual([1000, 4000]);
  });

  test('reconstructAvailable false takes the object at its word', () => {
    const jobs = [held(observed('node-0'))];
    for (const text of ['false', '0', 'F']) expect(free({ jobs, arguments: { reconstructAvailable: text } })).toEqual([1000, 1000]);
    for (const text of ['true', 'what']) expect(free({ jobs, arguments: { reconstructAvailable: text } })).toEqual([1000, 4000]);
  });
});

test('without zones, or without the plugin, nothing is built', () => {
  const node: NodeSpec = { name: 'n', allocatable: BIG };
  const jobs = [single({ name: 'p', containers: [{ cpu: '3', memory: '1Gi' }] })];
  expect(open({ nodes: [node], jobs }).s.numa).toBeNull();
  expect(cycle({ nodes: [node], jobs }).placed).toEqual({ p: 'n' });
});

test('the same decisions for any number of workers', async () => {
  const nodes = Array.from({ length: 40 }, (_, k): NodeSpec => {
    const policy = ['single-numa-node', 'restricted', 'best-effort', 'none'][k % 4]!;
    return { name: `n${k}`, allocatable: BIG, topology: { policy, zones: zones(1 + (k % 5), { cpu: '8', [GPU]: '3' }) } };
  });
  const jobs = Array.from({ length: 60 }, (_, k) => ({
    name: `j${k}`,
    priority: 50 + (k % 3),
    pods: Array.from({ length: 1 + (k % 4) }, (_p, i) => ({
      name: `j${k}-${i}`,
      qos: k % 5 === 0 ? ('Burstable' as const) : ('Guaranteed' as const),
      containers: [{ cpu: String(1 + (k % 7)), [GPU]: String(1 + (k % 4)) }],
    })),
  }));
  const spec: ClusterSpec = { nodes, jobs, actions: ['allocate', 'consolidation', 'reclaim', 'preempt'] };
  const view = snapshot(spec);
  const results = [];
  for (const workers of [0, 2]) {
    const runner = createCycleRunner(workers === 0 ? { workers } : { workers, searchHandoverMs: 0 });
    results.push((await runner.run(view, configOf(spec), NOW_MS)).decisions);
    await runner.close();
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[0]!.filter((d) => d.details?.predictedNUMAZones !== undefined).length).toBeGreaterThan(20);
});
