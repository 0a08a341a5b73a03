import { MigStrategy, NodeFlag } from '../../base/codes.ts';
import type { Taint } from '../../base/constraints.ts';
import type { Node } from '../../base/objects.ts';
import { valueCeil } from '../../base/quantity.ts';
import type { SnapshotOptions } from '../../base/snapshotView.ts';
import type { COLUMNS } from '../generated/layout.gen.ts';
import type { Labels } from '../tables/labelSetTable.ts';
import type { RecordOf } from '../tables/recordTable.ts';
import { canonicalJson } from './canonicalJson.ts';
import { parseInt64, toInt32 } from './numbers.ts';
import type { Report } from './report.ts';
import { amountsJson, MIG_PREFIX, readResources, toAmounts } from './resources.ts';

export type NodeRecord = RecordOf<typeof COLUMNS.nodes>;

const GPU_MEMORY = 'nvidia.com/gpu.memory';
/** Label values from here on are bytes (spec 03 section 4.2). */
const FIRST_BYTE_VALUE = 1 << 20;
const UNKNOWN_GPU_MIB = 100;

/** Conditions that speak against a node unless they are `False`. */
const PRESSURE: Readonly<Record<string, number>> = {
  MemoryPressure: NodeFlag.memoryPressure,
  DiskPressure: NodeFlag.diskPressure,
  PIDPressure: NodeFlag.pidPressure,
  NetworkUnavailable: NodeFlag.networkUnavailable,
};

/** A node as a row: spec 03 sections 3.1, 4.2, 4.7. Its capacity stands in for an absent allocatable, as in Kubernetes. */
export function projectNode(node: Node, name: string, options: SnapshotOptions, report: Report): NodeRecord {
  const labels = report.labels(node.metadata);
  const list = node.status?.allocatable ?? node.status?.capacity;
  const allocatable = toAmounts(readResources(list, 'status.allocatable', report));
  const gpuMemory = readGpuMemory(labels[GPU_MEMORY], report);
  const isMig = isMigEnabled(labels[options.migWorkerNodeLabelKey], allocatable.others);
  let flags = conditionFlags(node);
  if (gpuMemory !== null) flags |= NodeFlag.gpuMemoryKnown;
  if (isMig) flags |= NodeFlag.migEnabled;
  if (labels[options.gpuWorkerNodeLabelKey] !== undefined) flags |= NodeFlag.gpuWorker;
  if (labels[options.cpuWorkerNodeLabelKey] !== undefined) flags |= NodeFlag.cpuWorker;
  const gpuCount = parseInt64(labels['nvidia.com/gpu.count']);
  return {
    nameText: name,
    labelSetRow: labels,
    taintsJson: taintsJson(node.spec?.taints),
    flags,
    migStrategyCode: isMig ? migStrategyOf(labels['nvidia.com/mig.strategy']) : MigStrategy.none,
    allocMilliCpu: allocatable.milliCpu,
    allocMemoryBytes: allocatable.memoryBytes,
    allocGpu: allocatable.gpus,
    allocPods: Math.max(0, valueCeil(list?.pods ?? 0) || 0),
    scalarsJson: amountsJson(allocatable.others),
    gpuMemoryMib: gpuMemory ?? UNKNOWN_GPU_MIB,
    gpuCountLabel: gpuCount >= 0 ? toInt32(gpuCount) : -1,
    poolText: poolOf(labels, options),
    createdMs: report.timeMs(node.metadata.creationTimestamp, 'metadata.creationTimestamp'),
  };
}

function conditionFlags(node: Node): number {
  let flags = node.spec?.unschedulable === true ? NodeFlag.unschedulable : 0;
  for (const { type, status } of node.status?.conditions ?? []) {
    if (type === 'Ready') flags |= status === 'True' ? 0 : NodeFlag.notReady;
    else if (status !== 'False' && Object.hasOwn(PRESSURE, type)) flags |= PRESSURE[type] ?? 0;
  }
  return flags;
}

/** MiB per device, rounded down to a multiple of 100; null = unknown. A device without memory is unknown too. */
function readGpuMemory(text: string | undefined, report: Report): number | null {
  if (text === undefined) return null;
  const value = parseInt64(text);
  const mib = value >= FIRST_BYTE_VALUE ? Math.floor(value / FIRST_BYTE_VALUE) : value;
  const rounded = Math.floor(mib / 100) * 100;
  if (rounded > 0) return rounded;
  report.add(`metadata.labels[${GPU_MEMORY}]`, `not a GPU memory of at least 100 MiB: ${JSON.stringify(text)}`);
  return null;
}

/** The label decides where it is there (unreadable = no), else whether the node offers MIG profiles. */
function isMigEnabled(label: string | undefined, amounts: ReadonlyMap<string, number> | null): boolean {
  if (label !== undefined) return /^(?:1|t|T|TRUE|true|True)$/.test(label);
  if (amounts !== null) for (const name of amounts.keys()) if (name.startsWith(MIG_PREFIX)) return true;
  return false;
}

function migStrategyOf(label: string | undefined): MigStrategy {
  if (label === 'single') return MigStrategy.single;
  return label === 'mixed' ? MigStrategy.mixed : MigStrategy.none;
}

function taintsJson(taints: readonly Taint[] | null | undefined): string | null {
  if (!taints?.length) return null;
  return canonicalJson(taints.map(({ key, value, effect }): Taint => ({ key, value: value || undefined, effect })));
}

/** Labels as the node-pool filter needs them: an empty value is a value, absence is null (spec 01 section 2.10). */
export function poolOf(labels: Labels, options: SnapshotOptions): string | null {
  return labels[options.nodePoolLabelKey] ?? null;
}
