// The shapes in which somebody is taken from: reclaim, preempt, consolidation, full cycles.
import type { ClusterObjects, OtherObject, Pod } from '../src/base/objects.ts';
import { assemble, benchNode, benchQueue, fourQueues, GPUS_PER_NODE, inFour, type JobOptions, plainNodes, type Shape } from './shapes.ts';

const ALL_ACTIONS = ['allocate', 'consolidation', 'reclaim', 'preempt', 'stalegangeviction'];
const RECLAIM = ['reclaim'];
const WHOLE_NODE = { 'nvidia.com/gpu': String(GPUS_PER_NODE) };

/** Even jobs run on node i mod nodes, odd ones wait. */
const halfRunning =
  (nodes: number) =>
  (j: number): JobOptions => ({ queue: inFour(j), ...(j % 2 === 0 ? { node: `node-${j % nodes}` } : {}) });

/** Two queues under one unlimited parent. */
function twoQueues(running: { quota: number; weight: number }, waiting: { quota: number; weight: number }) {
  return [
    benchQueue('root', -1),
    benchQueue('queue-0', running.quota, 'root', running.weight),
    benchQueue('queue-1', waiting.quota, 'root', waiting.weight),
  ];
}

/** 8·N running singles of queue-0, then one pending gang of queue-1 with whole-node pods. */
function gangAgainstSingles(
  nodes: number,
  deserved: { running: number; waiting: number },
  gang: { pods: number; spec?: Partial<Pod['spec']>; topology?: string },
  labels: (node: number) => Readonly<Record<string, string>> = () => ({}),
): ClusterObjects {
  const singles = GPUS_PER_NODE * nodes;
  const queues = twoQueues({ quota: deserved.running, weight: 0 }, { quota: deserved.waiting, weight: 0 });
  const list = Array.from({ length: nodes }, (_, n) => benchNode(n, labels(n)));
  const objects = assemble(list, queues, singles + 1, (j) =>
    j < singles
      ? { queue: 'queue-0', node: `node-${j % nodes}` }
      : {
          queue: 'queue-1',
          pods: gang.pods,
          requests: WHOLE_NODE,
          labels: { gang: 'yes' },
          ...(gang.spec === undefined ? {} : { spec: gang.spec }),
        },
  );
  if (gang.topology === undefined) return objects;
  const topologies = [
    { metadata: { name: 'racks' }, spec: { levels: [{ nodeLabel: gang.topology }, { nodeLabel: 'kubernetes.io/hostname' }] } },
  ];
  const constraint = { topology: 'racks', requiredTopologyLevel: gang.topology };
  const podGroups = objects.podGroups.map((g, i) => (i < singles ? g : { ...g, spec: { ...g.spec, topologyConstraint: constraint } }));
  return { ...objects, podGroups, topologies: topologies as unknown as OtherObject[] };
}

const RACK = 'example.com/rack';
const hopeless = (nodes: number) => ({ running: GPUS_PER_NODE * nodes - 79, waiting: 80 });
const enough = (nodes: number) => ({ running: GPUS_PER_NODE * nodes - 80, waiting: 80 });

/** 8·N running and 8·N pending singles: every running one must go. */
function buildSingles(nodes: number): ClusterObjects {
  const singles = GPUS_PER_NODE * nodes;
  const queues = twoQueues({ quota: 0, weight: 1 }, { quota: singles, weight: 1 });
  return assemble(plainNodes(nodes), queues, 2 * singles, (j) =>
    j < singles ? { queue: 'queue-0', node: `node-${j % nodes}` } : { queue: 'queue-1' },
  );
}

/** CPU nodes of 80 cores, 7,370 running CPU jobs of one queue, three pending jobs that name a missing claim. */
function buildMissingClaim(nodes: number, jobs: number): ClusterObjects {
  const allocatable = { cpu: '80', memory: '320G', pods: '250' };
  const list = Array.from({ length: nodes }, (_, n) => ({
    ...benchNode(n),
    status: { allocatable, capacity: allocatable, conditions: [{ type: 'Ready', status: 'True' }] },
  }));
  const running = jobs - 3;
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'missing' } }];
  return assemble(list, twoQueues({ quota: 0, weight: 0 }, { quota: 0, weight: 0 }), jobs, (j) =>
    j < running
      ? { queue: 'queue-0', node: `node-${j % nodes}`, requests: { cpu: `${500 + 250 * (j % 19)}m` } }
      : { queue: 'queue-1', requests: { cpu: '1' }, spec: { volumes } },
  );
}

const large = (name: string, about: string, sizes: readonly number[], build: (nodes: number) => ClusterObjects): Shape => ({
  name,
  about,
  actions: RECLAIM,
  sizes: sizes.map((n) => [n, GPUS_PER_NODE * n + 1] as const),
  jobsFor: (nodes) => GPUS_PER_NODE * nodes + 1,
  build: (nodes) => build(nodes),
  changedShare: 0,
});

const small = (
  name: string,
  about: string,
  actions: readonly string[],
  sizes: Shape['sizes'],
  optionsOf: (nodes: number) => (j: number) => JobOptions,
): Shape => ({
  name,
  about,
  actions,
  sizes,
  jobsFor: (nodes) => 5 * nodes,
  build: (nodes, jobs) => assemble(plainNodes(nodes), fourQueues(nodes), jobs, optionsOf(nodes)),
  changedShare: 0,
});

const SMALL: Shape['sizes'] = [
  [10, 50],
  [50, 200],
];
const FULL: Shape['sizes'] = [...SMALL, [100, 500]];
/** Jobs of 8 down to 3 GPUs that wait beside the running ones of `buildFragmented`. */
const FRAGMENTED_WAITING = 6;

/**
 * Every node holds a pod of seven GPUs, and one GPU is idle: each waiting job could have any node if its pod moved, but there
 * is nowhere to go. Each makes all trials that there are.
 */
function buildFragmented(nodes: number): ClusterObjects {
  return assemble(plainNodes(nodes), fourQueues(nodes), nodes + FRAGMENTED_WAITING, (j) => {
    const gpus = j < nodes ? GPUS_PER_NODE - 1 : GPUS_PER_NODE - (j - nodes);
    return { queue: inFour(j), requests: { 'nvidia.com/gpu': String(gpus) }, ...(j < nodes ? { node: `node-${j}` } : {}) };
  });
}

const LARGE = [10, 50, 100, 200, 500, 1000];

export const VICTIM_SHAPES: readonly Shape[] = [
  small('reclaim', 'everything runs, nothing to do', RECLAIM, SMALL, (nodes) => (j) => ({ queue: inFour(j), node: `node-${j % nodes}` })),
  small('preempt', 'half runs, half waits', ['preempt'], SMALL, halfRunning),
  small('consolidation', 'half runs, half waits', ['consolidation'], SMALL, halfRunning),
  small('full-cycle', 'half runs, half waits, all actions', ALL_ACTIONS, FULL, halfRunning),
  large('reclaim-large', 'a gang of N/2 whole nodes against singles of a queue that deserves nothing', LARGE, (nodes) =>
    gangAgainstSingles(nodes, { running: 0, waiting: GPUS_PER_NODE * nodes }, { pods: Math.max(1, Math.floor(nodes / 2)) }),
  ),
  {
    name: 'reclaim-singles',
    about: 'every running single gives way to a pending one',
    actions: ALL_ACTIONS,
    sizes: [10, 50, 100, 200, 500].map((n) => [n, 2 * GPUS_PER_NODE * n] as const),
    jobsFor: (nodes) => 2 * GPUS_PER_NODE * nodes,
    build: (nodes) => buildSingles(nodes),
    changedShare: 0,
  },
  large('reclaim-hopeless', 'a gang of ten whole nodes, one GPU short of what may be taken', LARGE, (nodes) =>
    gangAgainstSingles(nodes, hopeless(nodes), { pods: 10 }),
  ),
  large('reclaim-hopeless-anti-affinity', 'ten pods that exclude each other on nine racks', [100], (nodes) => {
    const terms = [{ labelSelector: { matchLabels: { gang: 'yes' } }, topologyKey: RACK }];
    const spec = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } } };
    return gangAgainstSingles(nodes, enough(nodes), { pods: 10, spec }, (n) => ({ [RACK]: `rack-${n % 9}` }));
  }),
  large('reclaim-hopeless-topology', 'ten whole nodes in one of twelve racks', [100], (nodes) =>
    gangAgainstSingles(nodes, enough(nodes), { pods: 10, topology: RACK }, (n) => ({ [RACK]: `rack-${n % 12}` })),
  ),
  {
    name: 'consolidation-hopeless',
    about: 'six jobs of 3 to 8 GPUs, one GPU idle on every node, pods that have nowhere to move',
    actions: ['consolidation'],
    flags: { maxNumberConsolidationPreemptees: -1 },
    sizes: [100, 200, 500, 1000].map((n) => [n, n + FRAGMENTED_WAITING] as const),
    jobsFor: (nodes) => nodes + FRAGMENTED_WAITING,
    build: buildFragmented,
    changedShare: 0,
  },
  {
    name: 'reclaim-missing-pvc',
    about: 'three jobs name a claim that does not exist',
    actions: RECLAIM,
    sizes: [[1500, 7373]],
    jobsFor: (nodes) => Math.floor((7370 / 1500) * nodes) + 3,
    build: buildMissingClaim,
    changedShare: 0,
  },
];
