import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClusterObjects, Node, Pod, PodGroup, Queue } from '../../src/base/objects.ts';
import { seededRandom, shuffled } from './draw.ts';
import { type AuditedDecision, auditDecisions } from './ledger.ts';
import { CLUSTER_NOW_MS, clusterArbitrary, emptyObjects, randomCluster } from './randomCluster.ts';

const SEED = 20260101;

describe('random clusters', () => {
  test('what already runs in them is in order, whatever the choices', () => {
    const property = (objects: ClusterObjects): void => {
      const pods = objects.pods.filter((pod) => pod.spec.nodeName !== undefined);
      // Every pod that holds a node is taken away and bound again where it was: the auditor must have nothing to say of the nodes.
      const names = new Set(pods.map((pod) => pod.metadata.uid));
      const again = objects.pods.map((pod) => (names.has(pod.metadata.uid) ? unbound(pod) : pod));
      const without = { ...objects, pods: again, bindRequests: objects.bindRequests.filter((r) => r.status?.phase !== 'Succeeded') };
      const ready = objects.nodes.map((node) => ({ ...node, spec: {}, status: { ...node.status, conditions: [] } }));
      const decisions = pods.map((pod) => bind(pod, pod.spec.nodeName ?? '', groupsOf(pod, objects)));
      const problems = auditDecisions({ ...without, nodes: ready }, decisions, CLUSTER_NOW_MS);
      expect(problems.filter((text) => text.startsWith('now,'))).toEqual([]);
    };
    fc.assert(fc.property(clusterArbitrary(), property), { seed: SEED, numRuns: 150 });
    for (let seed = 0; seed < 150; seed++) property(randomCluster(seed));
  });

  test('a seed always gives the same cluster, and the clusters have all the features', () => {
    expect(randomCluster(7)).toEqual(randomCluster(7));
    const text = Array.from({ length: 200 }, (_, seed) => JSON.stringify(randomCluster(seed))).join('\n');
    for (const feature of [
      'gpu-fraction-num-devices',
      'gpu-memory',
      'mig-1g.5gb',
      'minSubGroup',
      'podAntiAffinity',
      'hostPort',
      'taints',
    ]) {
      expect(text, feature).toContain(feature);
    }
    for (const feature of ['selectedGPUGroups', 'default-scheduler', 'deletionTimestamp', 'non-preemptible', '"limit":0.5', '"quota":-1']) {
      expect(text, feature).toContain(feature);
    }
  });

  test('shrinking ends at the smallest cluster that still fails', () => {
    const result = fc.check(
      fc.property(clusterArbitrary(), (objects) => !objects.pods.some((pod) => pod.metadata.annotations?.['gpu-fraction'] !== undefined)),
      { seed: SEED },
    );
    const [objects] = result.counterexample ?? [];
    expect([objects?.nodes.length, objects?.queues.length, objects?.podGroups.length, objects?.pods.length]).toEqual([1, 1, 1, 1]);
  });

  test('shuffling keeps every element', () => {
    const list = Array.from({ length: 50 }, (_, i) => i);
    const out = shuffled(list, seededRandom(1));
    expect(out).not.toEqual(list);
    expect([...out].sort((a, b) => a - b)).toEqual(list);
  });
});

function unbound(pod: Pod): Pod {
  const { nodeName: _, ...spec } = pod.spec;
  const { deletionTimestamp: _time, ...metadata } = pod.metadata;
  return { metadata, spec, status: { phase: 'Pending' } };
}

function groupsOf(pod: Pod, objects: ClusterObjects): readonly string[] {
  const request = objects.bindRequests.find((r) => r.spec?.podName === pod.metadata.name && r.status?.phase === 'Succeeded');
  const label = pod.metadata.labels?.['runai-gpu-group'];
  return request?.spec?.selectedGPUGroups ?? (label === undefined ? [] : [label]);
}

function bind(pod: Pod, node: string, gpuGroups: readonly string[] = [], kind: AuditedDecision['kind'] = 'bind'): AuditedDecision {
  return { kind, pod: `${pod.metadata.namespace}/${pod.metadata.name}`, node, gpuGroups };
}

const node = (name: string, more: Partial<Node['status']> & { unschedulable?: boolean } = {}): Node => ({
  metadata: { name, labels: { 'nvidia.com/gpu.memory': '10000' } },
  spec: { unschedulable: more.unschedulable ?? false },
  status: { allocatable: { cpu: '2', memory: '4Gi', pods: '4', 'nvidia.com/gpu': '2', ...more.allocatable }, ...more },
});
const pod = (
  name: string,
  requests: Record<string, string>,
  annotations: Record<string, string> = {},
  labels: Record<string, string> = {},
): Pod => ({
  metadata: { name, namespace: 'ns', uid: name, labels, annotations: { 'pod-group-name': 'job', ...annotations } },
  spec: { schedulerName: 'kai-scheduler', containers: [{ name: 'main', resources: { requests } }] },
  status: { phase: 'Pending' },
});
const running = (p: Pod, nodeName: string, deletionTimestamp?: string): Pod => ({
  metadata: { ...p.metadata, deletionTimestamp: deletionTimestamp ?? null },
  spec: { ...p.spec, nodeName },
  status: { phase: 'Running' },
});
const queue = (limit = -1, quota = -1): Queue => {
  const all = { quota: -1, limit: -1, overQuotaWeight: 1 };
  return { metadata: { name: 'queue' }, spec: { resources: { cpu: all, memory: all, gpu: { quota, limit, overQuotaWeight: 1 } } } };
};
const job = (spec: PodGroup['spec'] = {}): PodGroup => ({
  metadata: { name: 'job', namespace: 'ns', uid: 'job' },
  spec: { queue: 'queue', ...spec },
});

function cluster(pods: Pod[], more: Partial<ClusterObjects> = {}): ClusterObjects {
  return { ...emptyObjects(), nodes: [node('n1')], queues: [queue()], podGroups: [job()], pods, ...more };
}
const GPU = { 'nvidia.com/gpu': '1' };
const HALF = { 'gpu-fraction': '0.5' };

describe('the auditor', () => {
  const one = pod('a', GPU);
  const two = pod('b', GPU);
  const three = pod('c', GPU);

  test('has nothing against a good cycle', () => {
    const leaving = running(pod('old', { 'nvidia.com/gpu': '2' }), 'n2', '2026-01-01T12:00:10Z');
    const half = [pod('h1', {}, HALF), pod('h2', {}, HALF)] as const;
    const objects = cluster([one, two, ...half, leaving], { nodes: [node('n1'), node('n2')] });
    const decisions = [bind(one, 'n1'), bind(half[0], 'n1', ['g']), bind(half[1], 'n1', ['g']), bind(two, 'n2', [], 'pipeline')];
    expect(auditDecisions(objects, decisions, CLUSTER_NOW_MS)).toEqual([]);
  });

  const half = ['h1', 'h2', 'h3'].map((name) => pod(name, {}, HALF));
  const memory = ['m1', 'm2'].map((name) => pod(name, {}, { 'gpu-memory': '6000' }));
  const gone = '2026-01-01T12:00:10Z';
  const cases: [string, ClusterObjects, AuditedDecision[], RegExp][] = [
    ['GPUs', cluster([one, two, three]), [one, two, three].map((p) => bind(p, 'n1')), /now, node n1: gpu 3 of 2/],
    [
      'CPU',
      cluster([pod('a', { cpu: '1500m' }), pod('b', { cpu: '600m' })]),
      [bind(pod('a', {}), 'n1'), bind(pod('b', {}), 'n1')],
      /cpu 2100 of 2000/,
    ],
    ['memory', cluster([pod('a', { memory: '5Gi' })]), [bind(one, 'n1')], /memory 5368709120 of 4294967296/],
    ['an unknown resource', cluster([pod('a', { 'example.com/nic': '1' })]), [bind(one, 'n1')], /example.com\/nic 1 of 0/],
    [
      'pod slots',
      cluster(['a', 'b', 'c', 'd', 'e'].map((n) => pod(n, {}))),
      ['a', 'b', 'c', 'd', 'e'].map((n) => bind(pod(n, {}), 'n1')),
      /pods 5 of 4/,
    ],
    ['a shared GPU', cluster(half), half.map((p) => bind(p, 'n1', ['g'])), /gpu group g 15000 of 10000 MiB/],
    ['GPU memory', cluster(memory), memory.map((p) => bind(p, 'n1', ['g'])), /gpu group g 12000 of 10000 MiB/],
    ['groups count as devices', cluster(half), half.map((p, i) => bind(p, 'n1', [`g${i}`])), /gpu 3 of 2/],
    ['a missing group', cluster(half), [bind(half[0] as Pod, 'n1', [])], /0 GPU groups for 1 devices/],
    [
      'what is leaving still holds',
      cluster([running(pod('old', { 'nvidia.com/gpu': '2' }), 'n1', gone), one]),
      [bind(one, 'n1')],
      /now, node n1: gpu 3 of 2/,
    ],
    [
      'pipelined beyond what leaves',
      cluster([running(pod('old', { 'nvidia.com/gpu': '1' }), 'n1', gone), running(pod('stays', GPU), 'n1'), one, two]),
      [bind(one, 'n1', [], 'pipeline'), bind(two, 'n1', [], 'pipeline')],
      /later, node n1: gpu 3 of 2/,
    ],
    ['placed twice', cluster([one]), [bind(one, 'n1'), bind(one, 'n1')], /ns\/a: placed twice/],
    ['a running pod', cluster([running(one, 'n1')]), [bind(one, 'n1')], /ns\/a: placed, but it is not pending/],
    ['an unknown node', cluster([one]), [bind(one, 'n9')], /node n9 is not in the session/],
    ['a cordoned node', cluster([one], { nodes: [node('n1', { unschedulable: true })] }), [bind(one, 'n1')], /cordoned or not ready/],
    [
      'an unready node',
      cluster([one], { nodes: [node('n1', { conditions: [{ type: 'Ready', status: 'Unknown' }] })] }),
      [bind(one, 'n1')],
      /not ready/,
    ],
    ['half a gang', cluster([one, two], { podGroups: [job({ minMember: 2 })] }), [bind(one, 'n1')], /ns\/job: placed in part/],
    [
      'a gang bound and pipelined',
      cluster([one, two], { podGroups: [job({ minMember: 2 })] }),
      [bind(one, 'n1'), bind(two, 'n1', [], 'pipeline')],
      /bound in part, the rest only pipelined/,
    ],
    [
      'too few sub-groups',
      cluster([pod('a', GPU, {}, { 'kai.scheduler/subgroup-name': 'x' })], {
        podGroups: [job({ minSubGroup: 2, subGroups: ['x', 'y', 'z'].map((name) => ({ name, minMember: 1 })) })],
      }),
      [bind(one, 'n1')],
      /placed in part/,
    ],
    [
      'a malformed tree',
      cluster([one], { podGroups: [job({ subGroups: [{ name: 'x', parent: 'gone' }] })] }),
      [bind(one, 'n1')],
      /malformed/,
    ],
    ['no queue', cluster([one], { queues: [] }), [bind(one, 'n1')], /its queue does not exist/],
    ['over the limit', cluster([one, two], { queues: [queue(1)] }), [bind(one, 'n1'), bind(two, 'n1')], /queue queue: gpu 2 over limit 1/],
    [
      'over the limit of the parent',
      cluster([one], {
        queues: [
          { ...queue(), spec: { ...queue().spec, parentQueue: 'top' } },
          { ...queue(0.5), metadata: { name: 'top' } },
        ],
      }),
      [bind(one, 'n1')],
      /queue top: gpu 1 over limit 0.5/,
    ],
    [
      'firm pods over quota',
      cluster([one, two], { queues: [queue(-1, 1)], podGroups: [job({ preemptibility: 'non-preemptible' })] }),
      [bind(one, 'n1'), bind(two, 'n1')],
      /gpu non-preemptible 2 over quota 1/,
    ],
    ['no pod group', cluster([one], { podGroups: [] }), [bind(one, 'n1')], /placed without a pod group/],
  ];
  test.each(cases)('finds %s', (_name, objects, decisions, expected) => {
    expect(auditDecisions(objects, decisions, CLUSTER_NOW_MS).join('\n')).toMatch(expected);
  });
});
