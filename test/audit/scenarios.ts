// Small clusters with decisions that are right, to be broken one rule at a time.
import type { AuditDecision } from '../../src/audit/audit.ts';
import { ReceivedType } from '../../src/base/codes.ts';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { ClusterObjects, Node, Pod, PodGroup, Queue } from '../../src/base/objects.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { emptyObjects } from '../support/randomCluster.ts';

export const NOW_MS = Date.parse('2026-01-01T12:00:00Z');
const CONFIG: SchedulerConfig = loadConfig({}).config;

/** A cluster and a cycle's decisions. Tests change copies. */
export interface Scenario {
  objects: { -readonly [K in keyof ClusterObjects]: ClusterObjects[K][number][] };
  decisions: AuditDecision[];
  config: SchedulerConfig;
}

export function node(name: string, gpus: number): Node {
  const allocatable = { cpu: '16', memory: '64Gi', pods: '10', 'nvidia.com/gpu': String(gpus) };
  const labels = { zone: name, 'nvidia.com/gpu.memory': '40000' };
  return { metadata: { name, labels }, status: { allocatable, conditions: [{ type: 'Ready', status: 'True' }] } };
}

export function queue(
  name: string,
  parentQueue: string,
  gpu: { readonly quota: number; readonly limit?: number; readonly overQuotaWeight?: number },
): Queue {
  const open = { quota: -1, limit: -1, overQuotaWeight: 1 };
  return {
    metadata: { name, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { parentQueue, resources: { cpu: open, memory: open, gpu: { limit: -1, overQuotaWeight: 1, ...gpu } } },
  };
}

export function group(name: string, queueName: string, spec: PodGroup['spec'] = {}, annotations: Record<string, string> = {}): PodGroup {
  return {
    metadata: { name, namespace: 'ns', creationTimestamp: '2026-01-01T01:00:00Z', annotations },
    spec: { queue: queueName, ...spec },
  };
}

/** Asks for whole GPUs; runs where `nodeName` says. */
export function pod(name: string, groupName: string, gpus: number, nodeName?: string): Pod {
  return {
    metadata: { name, namespace: 'ns', uid: name, creationTimestamp: '2026-01-01T02:00:00Z', annotations: { 'pod-group-name': groupName } },
    spec: {
      schedulerName: 'kai-scheduler',
      nodeName,
      containers: [{ name: 'main', resources: { requests: { cpu: '1', 'nvidia.com/gpu': String(gpus) } } }],
    },
    status: { phase: nodeName === undefined ? 'Pending' : 'Running' },
  };
}

/** Asks for half a GPU. */
export function sharedPod(name: string, groupName: string): Pod {
  const plain = pod(name, groupName, 0);
  return {
    ...plain,
    metadata: { ...plain.metadata, annotations: { ...plain.metadata.annotations, 'gpu-fraction': '0.5' } },
    spec: { ...plain.spec, containers: [{ name: 'main', resources: { requests: { cpu: '1' } } }] },
  };
}

export function place(
  kind: 'bind' | 'pipeline',
  action: string,
  podName: string,
  podGroup: string,
  nodeName: string,
  gpus: number,
): AuditDecision {
  return {
    kind,
    action,
    pod: `ns/${podName}`,
    podGroup: `ns/${podGroup}`,
    node: nodeName,
    receivedType: ReceivedType.regular,
    gpuCount: gpus,
    gpuPortion: gpus > 0 ? '1.00' : '0.00',
    gpuGroups: [],
  };
}

export function share(podName: string, podGroup: string, nodeName: string, gpuGroup: string): AuditDecision {
  return {
    ...place('bind', 'allocate', podName, podGroup, nodeName, 1),
    receivedType: ReceivedType.fraction,
    gpuPortion: '0.50',
    gpuGroups: [gpuGroup],
  };
}

export function evict(
  action: string,
  podName: string,
  podGroup: string,
  nodeName: string,
  evictor: string,
  isMoved = false,
): AuditDecision {
  const details = { evictedPods: 1, isMoved, ...(evictor === '' ? {} : { evictorPodGroup: `ns/${evictor}` }) };
  return { ...place('bind', action, podName, podGroup, nodeName, 0), kind: 'evict', receivedType: ReceivedType.none, details };
}

function scenario(fill: Partial<ClusterObjects>, decisions: AuditDecision[]): Scenario {
  const objects = { ...emptyObjects(), ...structuredClone(fill) } as Scenario['objects'];
  objects.priorityClasses.push(...[50, 75, 125].map((value) => ({ metadata: { name: `p${value}` }, value })));
  return { objects, decisions, config: CONFIG };
}

/** A non-preemptible gang of two with a pod to spare, and two pods that share a GPU. */
export function allocateScenario(): Scenario {
  return scenario(
    {
      nodes: [node('n1', 4), node('n2', 4)],
      queues: [queue('dept', '', { quota: 4, limit: 8 }), queue('team', 'dept', { quota: 4, limit: 6 })],
      podGroups: [group('gang', 'team', { minMember: 2, priorityClassName: 'p125' }), group('half', 'team')],
      pods: [pod('g0', 'gang', 1), pod('g1', 'gang', 1), pod('g2', 'gang', 1), sharedPod('h0', 'half'), sharedPod('h1', 'half')],
    },
    [
      place('bind', 'allocate', 'g0', 'gang', 'n1', 1),
      place('bind', 'allocate', 'g1', 'gang', 'n1', 1),
      place('bind', 'allocate', 'g2', 'gang', 'n1', 1),
      share('h0', 'half', 'n1', 'shared-1'),
      share('h1', 'half', 'n1', 'shared-1'),
    ],
  );
}

/** A higher priority takes a gang of two that fills the node. */
export function preemptScenario(): Scenario {
  return scenario(
    {
      nodes: [node('n1', 4)],
      queues: [queue('team', '', { quota: 4 }), queue('other', '', { quota: 4 })],
      podGroups: [group('low', 'team', { minMember: 2, priorityClassName: 'p50' }), group('high', 'team', { priorityClassName: 'p75' })],
      pods: [pod('l0', 'low', 2, 'n1'), pod('l1', 'low', 2, 'n1'), pod('x0', 'high', 4)],
    },
    [
      evict('preempt', 'l1', 'low', 'n1', 'high'),
      evict('preempt', 'l0', 'low', 'n1', 'high'),
      place('pipeline', 'preempt', 'x0', 'high', 'n1', 4),
    ],
  );
}

/** Queue `rich` holds 6 of 8 GPUs with a share of 4; `poor` takes back two of them. */
export function reclaimScenario(): Scenario {
  const running = [0, 1, 2, 3, 4, 5].map((i) => pod(`r${i}`, `rich-${i}`, 1, i < 4 ? 'n1' : 'n2'));
  return scenario(
    {
      nodes: [node('n1', 4), node('n2', 4)],
      queues: [queue('rich', '', { quota: 4 }), queue('poor', '', { quota: 4 })],
      podGroups: [...running.map((_, i) => group(`rich-${i}`, 'rich')), group('own', 'poor'), group('more', 'poor')],
      pods: [...running, pod('own0', 'own', 2, 'n2'), pod('m0', 'more', 2)],
    },
    [
      evict('reclaim', 'r5', 'rich-5', 'n2', 'more'),
      evict('reclaim', 'r4', 'rich-4', 'n2', 'more'),
      place('pipeline', 'reclaim', 'm0', 'more', 'n2', 2),
    ],
  );
}

/** One pod moves, so that a pod of 4 GPUs gets a whole node. */
export function consolidationScenario(): Scenario {
  return scenario(
    {
      nodes: [node('n1', 4), node('n2', 4)],
      queues: [queue('team', '', { quota: 8 })],
      podGroups: [group('small', 'team'), group('stays', 'team'), group('big', 'team')],
      pods: [pod('s0', 'small', 1, 'n1'), pod('t0', 'stays', 1, 'n2'), pod('b0', 'big', 4)],
    },
    [
      evict('consolidation', 's0', 'small', 'n1', 'big', true),
      place('pipeline', 'consolidation', 'b0', 'big', 'n1', 4),
      place('pipeline', 'consolidation', 's0', 'small', 'n2', 1),
    ],
  );
}

/** A gang of which one pod is gone for an hour. */
export function staleScenario(): Scenario {
  const annotations = { 'kai.scheduler/stale-podgroup-timestamp': '2026-01-01T11:00:00Z' };
  return scenario(
    {
      nodes: [node('n1', 4)],
      queues: [queue('team', '', { quota: 4 })],
      podGroups: [group('gang', 'team', { minMember: 3 }, annotations)],
      pods: [pod('g0', 'gang', 1, 'n1'), pod('g1', 'gang', 1, 'n1')],
    },
    [evict('stalegangeviction', 'g0', 'gang', 'n1', ''), evict('stalegangeviction', 'g1', 'gang', 'n1', '')],
  );
}
