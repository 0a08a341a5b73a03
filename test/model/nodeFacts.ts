// Nodes as spec 03 section 4 reads them.
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { Node } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { amountOf, MIG_PREFIX, readAmounts, sumLists } from './amounts.ts';
import type { NodeFacts } from './types.ts';

const { cpuWorkerNodeLabelKey, gpuWorkerNodeLabelKey, migWorkerNodeLabelKey } = DEFAULT_SNAPSHOT_OPTIONS;
const BYTES_FROM = 1_048_576;
const UNKNOWN_MIB = 100;

export function isOfShard(labels: Readonly<Record<string, string>> | null | undefined, config: SchedulerConfig): boolean {
  const { nodePoolLabelKey: key, nodePoolLabelValue: value } = config.params;
  if (key === '') return true;
  const own = labels?.[key];
  return value === '' ? own === undefined : own === value;
}

function gpuMib(label: string | undefined): number | undefined {
  if (label === undefined || !/^\d+$/.test(label)) return undefined;
  const value = Number(label);
  const mib = value >= BYTES_FROM ? Math.trunc(value / BYTES_FROM) : value;
  return mib - (mib % 100);
}

export function isGpuWorker(facts: NodeFacts): boolean {
  return gpuWorkerNodeLabelKey in facts.labels;
}

export function isCpuWorker(facts: NodeFacts): boolean {
  return cpuWorkerNodeLabelKey in facts.labels;
}

/** What speaks against a node as such, by its spec and conditions (spec 03 section 7.3 step 5). */
export function nodeProblems(node: Node): string[] {
  const problems = node.spec?.unschedulable === true ? ['node is unschedulable'] : [];
  const status = new Map((node.status?.conditions ?? []).map((c) => [c.type, c.status]));
  if ((status.get('Ready') ?? 'True') !== 'True') problems.push('node has NotReady condition');
  for (const type of ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable']) {
    if ((status.get(type) ?? 'False') !== 'False') problems.push(`node has ${type} condition`);
  }
  return problems;
}

function factsOf(node: Node): NodeFacts {
  const labels = node.metadata.labels ?? {};
  const allocatable = readAmounts(sumLists([node.status?.allocatable]));
  const gpus = amountOf(allocatable, 'gpu');
  const known = gpuMib(labels['nvidia.com/gpu.memory']);
  const count = labels['nvidia.com/gpu.count'];
  const migLabel = labels[migWorkerNodeLabelKey];
  const hasMig = Object.keys(allocatable).some((name) => name.startsWith(MIG_PREFIX));
  const isMig = migLabel === undefined ? hasMig : ['1', 't', 'T', 'TRUE', 'true', 'True'].includes(migLabel);
  const strategy = labels['nvidia.com/mig.strategy'];
  return {
    name: node.metadata.name,
    node,
    labels,
    allocatable,
    gpuMib: known ?? UNKNOWN_MIB,
    isGpuMemoryKnown: known !== undefined,
    labelledGpus: count !== undefined && /^\d+$/.test(count) ? Number(count) : Math.trunc(gpus),
    isMig,
    migStrategy: isMig && (strategy === 'single' || strategy === 'mixed') ? strategy : 'none',
    isCpuOnly: !isMig && gpus <= 0,
  };
}

/** Nodes of the shard by name; with restricted scheduling only those that are some kind of worker (spec 03 section 2.2). */
export function nodesOfShard(nodes: readonly Node[], config: SchedulerConfig): Map<string, NodeFacts> {
  const facts = nodes.filter((node) => isOfShard(node.metadata.labels, config)).map(factsOf);
  const kept = config.params.restrictSchedulingNodes ? facts.filter((f) => isGpuWorker(f) || isCpuWorker(f)) : facts;
  return new Map(kept.map((f) => [f.name, f]));
}

/** Smallest and largest GPU memory over the nodes that have more than the unknown amount (spec 03 section 2.7). */
export function gpuMemoryRange(nodes: Iterable<NodeFacts>): { minGpuMib: number | undefined; maxGpuMib: number | undefined } {
  const known = [...nodes].map((f) => f.gpuMib).filter((mib) => mib > UNKNOWN_MIB);
  if (known.length === 0) return { minGpuMib: undefined, maxGpuMib: undefined };
  return { minGpuMib: Math.min(...known), maxGpuMib: Math.max(...known) };
}
