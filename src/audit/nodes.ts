import type { SchedulerConfig } from '../base/config.ts';
import type { Node } from '../base/objects.ts';
import type { SnapshotOptions } from '../base/snapshotView.ts';
import { type Amounts, allocatableOf } from './requests.ts';

/** A node of the shard. */
export interface AuditNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly node: Node;
  readonly allocatable: Amounts;
  /** MiB per device; 100 when the node does not tell. */
  readonly gpuMib: number;
  readonly isGpuMemoryKnown: boolean;
  readonly mig: 'no' | 'none' | 'single' | 'mixed';
  /** GPU devices of resource slices. */
  readonly sliceGpus: number;
  /** Why the node takes no pods, empty when it does. */
  readonly obstacles: readonly string[];
  readonly isGpuWorker: boolean;
  readonly isCpuWorker: boolean;
}

const PRESSURES: readonly string[] = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable'];

/** Labels of an object against the shard's selector (spec 03 section 2.2). */
export function isInShard(labels: Readonly<Record<string, string>> | null | undefined, config: SchedulerConfig): boolean {
  const { nodePoolLabelKey: key, nodePoolLabelValue: value } = config.params;
  if (key === '') return true;
  const found = labels?.[key];
  return value === '' ? found === undefined : found === value;
}

/** Spec 03 section 4.2. */
function gpuMemoryOf(label: string | undefined): number | null {
  if (label === undefined || !/^\+?\d{1,19}$/.test(label)) return null;
  const value = Number(label);
  const mib = value >= 2 ** 20 ? Math.trunc(value / 2 ** 20) : value;
  const floored = Math.trunc(mib / 100) * 100;
  return floored > 0 ? floored : null;
}

/** Spec 03 section 4.7. */
function migOf(labels: Readonly<Record<string, string>>, allocatable: Amounts, enabledKey: string): AuditNode['mig'] {
  const label = labels[enabledKey];
  const isEnabled =
    label !== undefined
      ? ['1', 't', 'T', 'TRUE', 'true', 'True'].includes(label)
      : [...allocatable.keys()].some((name) => name.startsWith('nvidia.com/mig-'));
  if (!isEnabled) return 'no';
  const strategy = labels['nvidia.com/mig.strategy'];
  return strategy === 'single' || strategy === 'mixed' ? strategy : 'none';
}

function obstaclesOf(node: Node): string[] {
  const out = node.spec?.unschedulable === true ? ['it is cordoned'] : [];
  for (const { type, status } of node.status?.conditions ?? []) {
    if (type === 'Ready' && status !== 'True') out.push(`its condition Ready is ${status}`);
    if (PRESSURES.includes(type) && status !== 'False') out.push(`its condition ${type} is ${status}`);
  }
  return out;
}

/** Nodes of the shard by name (spec 03 sections 2.2, 4). `sliceGpus`: GPU devices of resource slices by node name. */
export function readNodes(
  nodes: readonly Node[],
  config: SchedulerConfig,
  options: SnapshotOptions,
  sliceGpus: ReadonlyMap<string, number>,
): Map<string, AuditNode> {
  const out = new Map<string, AuditNode>();
  for (const node of nodes) {
    const labels = node.metadata.labels ?? {};
    if (!isInShard(labels, config)) continue;
    const isGpuWorker = labels[options.gpuWorkerNodeLabelKey] !== undefined;
    const isCpuWorker = labels[options.cpuWorkerNodeLabelKey] !== undefined;
    if (config.params.restrictSchedulingNodes && !isGpuWorker && !isCpuWorker) continue;
    const allocatable = allocatableOf(node.status?.allocatable ?? node.status?.capacity);
    const gpuMib = gpuMemoryOf(labels['nvidia.com/gpu.memory']);
    const name = node.metadata.name;
    out.set(name, {
      name,
      labels,
      node,
      allocatable,
      gpuMib: gpuMib ?? 100,
      isGpuMemoryKnown: gpuMib !== null,
      mig: migOf(labels, allocatable, options.migWorkerNodeLabelKey),
      sliceGpus: sliceGpus.get(name) ?? 0,
      obstacles: obstaclesOf(node),
      isGpuWorker,
      isCpuWorker,
    });
  }
  return out;
}

/** Smallest and largest GPU memory of the nodes that tell one above 100 MiB; NaN when none does (spec 02 section 2.6). */
export function gpuMemoryRange(nodes: Iterable<AuditNode>): { readonly minMib: number; readonly maxMib: number } {
  let minMib = Number.NaN;
  let maxMib = Number.NaN;
  for (const { gpuMib } of nodes) {
    if (gpuMib <= 100) continue;
    if (!(gpuMib >= minMib)) minMib = gpuMib;
    if (!(gpuMib <= maxMib)) maxMib = gpuMib;
  }
  return { minMib, maxMib };
}
