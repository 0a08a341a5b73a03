// The clusters that cycles are measured on. Each has one figure for its size (nodes) and one for its work (jobs); the
// sizes in `sizes` are those of the reference's own benchmarks where it has the shape.
import type { SchedulerParams } from '../src/base/config.ts';
import type { ClusterObjects, Node, Pod, PodGroup, Queue } from '../src/base/objects.ts';
import { LIST_NAMES } from '../src/base/objects.ts';

export interface Shape {
  readonly name: string;
  readonly about: string;
  readonly actions: readonly string[];
  /** Flags that are not as by default. */
  readonly flags?: Partial<SchedulerParams>;
  /** Nodes and jobs. */
  readonly sizes: readonly (readonly [nodes: number, jobs: number])[];
  /** Jobs for a number of nodes that is not listed. */
  jobsFor(nodes: number): number;
  build(nodes: number, jobs: number): ClusterObjects;
  /** Share of the jobs that leave, and as many that come, before each cycle; 0 = the cluster does not change. */
  readonly changedShare: number;
}

export const GPUS_PER_NODE = 8;
const START_MS = Date.parse('2026-01-01T00:00:00Z');
const MINUTE_MS = 60_000;

/** The time of the cycle: an hour after the newest job. */
export function cycleTimeMs(jobs: number): number {
  return START_MS + (jobs + 60) * MINUTE_MS;
}

export interface JobOptions {
  readonly pods?: number;
  readonly queue: string;
  readonly requests?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: Partial<Pod['spec']>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Node that the pods run on; absent = pending. */
  readonly node?: string;
}

const ONE_GPU: Readonly<Record<string, string>> = { 'nvidia.com/gpu': '1' };
const NO_ANNOTATIONS: Readonly<Record<string, string>> = {};

export function benchNode(
  index: number,
  labels: Readonly<Record<string, string>> = {},
  taints?: NonNullable<Node['spec']>['taints'],
): Node {
  const name = `node-${index}`;
  const allocatable = { cpu: '20000m', memory: '20G', pods: '110', 'nvidia.com/gpu': String(GPUS_PER_NODE) };
  return {
    metadata: { name, uid: name, labels: { 'kubernetes.io/hostname': name, 'nvidia.com/gpu.memory': '100', ...labels } },
    spec: taints === undefined ? {} : { taints },
    status: { allocatable, capacity: allocatable, conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

/** A queue with unlimited CPU, memory and GPU limit; over-quota weight 1. */
export function benchQueue(name: string, gpuQuota: number, parentQueue?: string, gpuWeight = 1): Queue {
  const open = { quota: -1, limit: -1, overQuotaWeight: 1 };
  const resources = { cpu: open, memory: open, gpu: { quota: gpuQuota, limit: -1, overQuotaWeight: gpuWeight } };
  return {
    metadata: { name, uid: name, creationTimestamp: new Date(START_MS).toISOString() },
    spec: { ...(parentQueue === undefined ? {} : { parentQueue }), resources },
  };
}

/** `queue-0`, `queue-1` under `dept-a`, `queue-2`, `queue-3` under `dept-b`: a quarter of the GPUs each. */
export function fourQueues(nodes: number): Queue[] {
  const gpus = nodes * GPUS_PER_NODE;
  const leaves = [0, 1, 2, 3].map((q) => benchQueue(`queue-${q}`, gpus / 4, q < 2 ? 'dept-a' : 'dept-b'));
  return [benchQueue('dept-a', gpus / 2), benchQueue('dept-b', gpus / 2), ...leaves];
}

function benchJob(index: number, options: JobOptions): { group: PodGroup; pods: Pod[] } {
  const { pods: count = 1, queue, requests = ONE_GPU, annotations = NO_ANNOTATIONS, node } = options;
  const name = `job-${index}`;
  const creationTimestamp = new Date(START_MS + index * MINUTE_MS).toISOString();
  const pods = Array.from({ length: count }, (_, i): Pod => {
    const pod = `${name}-${i}`;
    return {
      metadata: {
        name: pod,
        namespace: 'bench',
        uid: pod,
        creationTimestamp,
        labels: options.labels ?? {},
        annotations: { ...annotations, 'pod-group-name': name },
      },
      spec: {
        schedulerName: 'kai-scheduler',
        containers: [{ name: 'main', resources: { requests } }],
        ...options.spec,
        ...(node === undefined ? {} : { nodeName: node }),
      },
      status: { phase: node === undefined ? 'Pending' : 'Running' },
    };
  });
  const spec = { queue, priorityClassName: 'train', minMember: count };
  return { group: { metadata: { name, namespace: 'bench', uid: name, creationTimestamp }, spec }, pods };
}

export function assemble(
  nodes: readonly Node[],
  queues: readonly Queue[],
  jobs: number,
  optionsOf: (job: number) => JobOptions,
): ClusterObjects {
  const podGroups: PodGroup[] = [];
  const pods: Pod[] = [];
  for (let j = 0; j < jobs; j++) {
    const job = benchJob(j, optionsOf(j));
    podGroups.push(job.group);
    pods.push(...job.pods);
  }
  const empty = Object.fromEntries(LIST_NAMES.map((list) => [list, []])) as unknown as ClusterObjects;
  const priorityClasses = [{ metadata: { name: 'train', uid: 'train' }, value: 50 }];
  return { ...empty, nodes, queues, podGroups, pods, priorityClasses };
}

export const plainNodes = (count: number): Node[] => Array.from({ length: count }, (_, i) => benchNode(i));
export const inFour = (job: number): string => `queue-${job % 4}`;
const ALLOCATE = ['allocate'];

/** 20 kinds of pods, 1.45 GPUs on average: with five pods per node nine tenths of the GPUs are asked for. */
function scaleRequests(kind: number): Readonly<Record<string, string>> {
  const gpus = kind < 2 ? 0 : kind < 13 ? 1 : kind < 18 ? 2 : 4;
  const amounts = { cpu: `${500 + 100 * kind}m`, memory: `${256 + 64 * kind}Mi` };
  return gpus === 0 ? amounts : { ...amounts, 'nvidia.com/gpu': String(gpus) };
}
const SCALE_REQUESTS = Array.from({ length: 20 }, (_, kind) => scaleRequests(kind));

function buildManyQueues(nodes: number, jobs: number): ClusterObjects {
  const gpus = nodes * GPUS_PER_NODE;
  const departments = Array.from({ length: 5 }, (_, d) => benchQueue(`dept-${d}`, gpus / 5));
  const leaves = Array.from({ length: 20 }, (_, q) => benchQueue(`queue-${q}`, gpus / 20, `dept-${q % 5}`));
  return assemble(plainNodes(nodes), [...departments, ...leaves], jobs, (j) => ({ queue: `queue-${j % 20}` }));
}

const PORTIONS = ['0.5', '0.25', '0.1', '0.7', '0.3'];

const POOLS = 8;
/** Eight pools by label, every second one tainted; a pod is bound to one pool by selector, affinity or both. */
function buildAffinity(nodes: number, jobs: number): ClusterObjects {
  const taint = [{ key: 'example.com/dedicated', value: 'gpu', effect: 'NoSchedule' }];
  const list = Array.from({ length: nodes }, (_, i) =>
    benchNode(i, { 'example.com/pool': `pool-${i % POOLS}` }, i % 2 === 1 ? taint : undefined),
  );
  const specs = Array.from({ length: POOLS }, (_, pool): Partial<Pod['spec']> => {
    const values = [`pool-${pool}`, `pool-${(pool + 2) % POOLS}`];
    const terms = [{ matchExpressions: [{ key: 'example.com/pool', operator: 'In', values }] }];
    const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } };
    const tolerations = pool % 2 === 1 ? [{ key: 'example.com/dedicated', operator: 'Exists' }] : [];
    return pool < POOLS / 2 ? { nodeSelector: { 'example.com/pool': `pool-${pool}` }, tolerations } : { affinity, tolerations };
  });
  return assemble(list, fourQueues(nodes), jobs, (j) => ({ queue: inFour(j), spec: specs[j % POOLS] ?? {} }));
}

/** Four fifths of the GPUs held by running one-GPU jobs; nothing waits until pods are changed. */
function buildResident(nodes: number, jobs: number): ClusterObjects {
  return assemble(plainNodes(nodes), fourQueues(nodes), jobs, (j) => ({ queue: inFour(j), node: `node-${j % nodes}` }));
}

export const SHAPES: readonly Shape[] = [
  {
    name: 'allocate',
    about: 'one-GPU jobs, four queues',
    actions: ALLOCATE,
    sizes: [
      [10, 50],
      [50, 200],
      [100, 500],
    ],
    jobsFor: (nodes) => 5 * nodes,
    build: (nodes, jobs) => assemble(plainNodes(nodes), fourQueues(nodes), jobs, (j) => ({ queue: inFour(j) })),
    changedShare: 0,
  },
  {
    name: 'many-queues',
    about: 'one-GPU jobs, 20 queues under 5 departments',
    actions: ALLOCATE,
    sizes: [[50, 200]],
    jobsFor: (nodes) => 4 * nodes,
    build: buildManyQueues,
    changedShare: 0,
  },
  {
    name: 'gang',
    about: 'gangs of 4 one-GPU pods, four queues',
    actions: ALLOCATE,
    sizes: [[50, 100]],
    jobsFor: (nodes) => 2 * nodes,
    build: (nodes, jobs) => assemble(plainNodes(nodes), fourQueues(nodes), jobs, (j) => ({ queue: inFour(j), pods: 4 })),
    changedShare: 0,
  },
  {
    name: 'scale',
    about: 'five pods per node, 20 kinds of requests, four queues',
    actions: ALLOCATE,
    sizes: [[1000, 5000]],
    jobsFor: (nodes) => 5 * nodes,
    build: (nodes, jobs) =>
      assemble(plainNodes(nodes), fourQueues(nodes), jobs, (j) => ({ queue: inFour(j), requests: SCALE_REQUESTS[j % 20] ?? ONE_GPU })),
    changedShare: 0,
  },
  {
    name: 'fraction',
    about: 'fractions of GPUs in five sizes, four queues',
    actions: ALLOCATE,
    sizes: [[100, 1000]],
    jobsFor: (nodes) => 10 * nodes,
    build: (nodes, jobs) =>
      assemble(plainNodes(nodes), fourQueues(nodes), jobs, (j) => ({
        queue: inFour(j),
        requests: {},
        annotations: { 'gpu-fraction': PORTIONS[j % PORTIONS.length] ?? '0.5' },
      })),
    changedShare: 0,
  },
  {
    name: 'affinity',
    about: 'eight node pools with selectors, node affinity and taints, four queues',
    actions: ALLOCATE,
    sizes: [[100, 500]],
    jobsFor: (nodes) => 5 * nodes,
    build: buildAffinity,
    changedShare: 0,
  },
  {
    name: 'resident',
    about: 'four fifths of the GPUs in use, 1 % of the pods leave and as many new ones come',
    actions: ALLOCATE,
    sizes: [[100, 640]],
    jobsFor: (nodes) => Math.floor(6.4 * nodes),
    build: buildResident,
    changedShare: 0.01,
  },
];

/** The pending successor of job `index` in the shape `resident`. */
export function residentSuccessor(index: number): { group: PodGroup; pods: Pod[] } {
  return benchJob(index, { queue: inFour(index) });
}
