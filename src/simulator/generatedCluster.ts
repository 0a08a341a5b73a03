import type { Node, PriorityClass, Queue } from '../base/objects.ts';
import type { Random } from './random.ts';
import { EPOCH_MS, timestamp } from './workload.ts';

const RACK_NODES = 16;
const ZONES = 3;

interface NodeKind {
  readonly name: string;
  readonly weight: number;
  readonly gpus: number;
  readonly product: string;
  readonly gpuMemoryMib: number;
  readonly cores: number;
  readonly memoryGib: number;
}

const NODE_KINDS: readonly NodeKind[] = Object.freeze([
  { name: 'a100', weight: 70, gpus: 8, product: 'NVIDIA-A100-SXM4-80GB', gpuMemoryMib: 81920, cores: 128, memoryGib: 1024 },
  { name: 'l40s', weight: 20, gpus: 4, product: 'NVIDIA-L40S', gpuMemoryMib: 46068, cores: 64, memoryGib: 512 },
  { name: 'cpu', weight: 10, gpus: 0, product: '', gpuMemoryMib: 0, cores: 64, memoryGib: 256 },
]);

/**
 * `count` nodes of three kinds (8 GPUs, 4 GPUs, CPU only; 70 : 20 : 10) in racks of 16 over three zones. The first is
 * always an 8-GPU node, so that the smallest cluster can run GPU jobs.
 */
export function generateNodes(count: number, random: Random): Node[] {
  const weights = NODE_KINDS.map((k) => k.weight);
  const racks = Math.ceil(count / RACK_NODES);
  return Array.from({ length: count }, (_, i) => {
    const kind = NODE_KINDS[i === 0 ? 0 : random.nextWeighted(weights)] as NodeKind;
    const rack = Math.floor(i / RACK_NODES);
    return nodeOf(kind, i, rack, Math.floor((rack * ZONES) / racks));
  });
}

function nodeOf(kind: NodeKind, index: number, rack: number, zone: number): Node {
  const name = `${kind.name}-${String(index).padStart(5, '0')}`;
  const labels: Record<string, string> = {
    'kubernetes.io/hostname': name,
    'topology.kubernetes.io/zone': `zone-${zone + 1}`,
    'topology.kubernetes.io/rack': `rack-${String(rack + 1).padStart(3, '0')}`,
  };
  const allocatable: Record<string, string> = { cpu: String(kind.cores), memory: `${kind.memoryGib}Gi`, pods: '110' };
  if (kind.gpus > 0) {
    labels['nvidia.com/gpu.product'] = kind.product;
    labels['nvidia.com/gpu.memory'] = String(kind.gpuMemoryMib);
    labels['nvidia.com/gpu.count'] = String(kind.gpus);
    allocatable['nvidia.com/gpu'] = String(kind.gpus);
  }
  return {
    metadata: { name, uid: `node-${index}`, creationTimestamp: timestamp(EPOCH_MS), labels },
    spec: {},
    status: { allocatable, capacity: allocatable, conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

/** Devices of the GPU nodes of a node list. */
export function totalGpus(nodes: readonly Node[]): number {
  return nodes.reduce((sum, n) => sum + Number(n.status?.allocatable?.['nvidia.com/gpu'] ?? 0), 0);
}

interface Team {
  readonly name: string;
  /** Part of the cluster's GPUs that is guaranteed. */
  readonly quota: number;
  readonly weight: number;
  /** Part of the cluster's GPUs that is never exceeded; null = no limit. */
  readonly limit: number | null;
  /** Part of all jobs that this team submits. */
  readonly demand: number;
}

const DEPARTMENTS: Readonly<Record<string, readonly Team[]>> = Object.freeze({
  research: [
    { name: 'language', quota: 0.25, weight: 3, limit: null, demand: 0.32 },
    { name: 'vision', quota: 0.15, weight: 2, limit: null, demand: 0.18 },
    { name: 'robotics', quota: 0.1, weight: 1, limit: 0.2, demand: 0.12 },
  ],
  product: [
    { name: 'search', quota: 0.15, weight: 2, limit: null, demand: 0.1 },
    { name: 'ads', quota: 0.1, weight: 1, limit: null, demand: 0.14 },
  ],
  platform: [
    { name: 'ci', quota: 0.05, weight: 1, limit: 0.1, demand: 0.08 },
    { name: 'batch', quota: 0, weight: 1, limit: null, demand: 0.06 },
  ],
});

/** Leaf queues with the part of all jobs that each submits. */
export const TEAMS: readonly { readonly queue: string; readonly demand: number }[] = Object.freeze(
  Object.values(DEPARTMENTS).flatMap((teams) => teams.map((t) => ({ queue: t.name, demand: t.demand }))),
);

/** Three departments with their teams; GPU quotas are whole devices, 80 % of the cluster in sum; CPU and memory are free. */
export function generateQueues(gpus: number): Queue[] {
  const queues: Queue[] = [];
  for (const [department, teams] of Object.entries(DEPARTMENTS)) {
    const quotas = teams.map((t) => Math.floor(t.quota * gpus));
    const quota = quotas.reduce((sum, q) => sum + q, 0);
    queues.push(queueOf(department, '', quota, Math.max(1, teams.length - 1), -1));
    teams.forEach((t, i) => {
      const limit = t.limit === null ? -1 : Math.max(1, Math.floor(t.limit * gpus));
      queues.push(queueOf(t.name, department, quotas[i] ?? 0, t.weight, limit));
    });
  }
  return queues;
}

function queueOf(name: string, parentQueue: string, quota: number, overQuotaWeight: number, limit: number): Queue {
  const free = { quota: -1, overQuotaWeight: 1, limit: -1 };
  return {
    metadata: { name, uid: `queue-${name}`, creationTimestamp: timestamp(EPOCH_MS) },
    spec: {
      ...(parentQueue === '' ? {} : { parentQueue }),
      resources: { cpu: free, memory: free, gpu: { quota, overQuotaWeight, limit } },
    },
  };
}

/** The priority classes of an installation, by rising value; 100 and above is not preemptible (spec 02 section 4.1). */
export const PRIORITY_CLASSES: readonly PriorityClass[] = Object.freeze(
  Object.entries({ train: 50, 'build-preemptible': 75, build: 100, inference: 125 }).map(([name, value]) => ({
    metadata: { name, uid: `priority-${name}`, creationTimestamp: timestamp(EPOCH_MS) },
    value,
  })),
);
