import type { Queue, QueueResource } from '../../base/objects.ts';
import type { SnapshotOptions } from '../../base/snapshotView.ts';
import type { COLUMNS } from '../generated/layout.gen.ts';
import type { RecordOf } from '../tables/recordTable.ts';
import { poolOf } from './node.ts';
import { toInt32 } from './numbers.ts';
import { type Report, textOrNull } from './report.ts';

export type QueueRecord = RecordOf<typeof COLUMNS.queues>;

/** Historical usage as shares of the cluster, 0 = no data. */
export interface QueueUsage {
  readonly cpu: number;
  readonly memory: number;
  readonly gpu: number;
}
export const NO_USAGE: QueueUsage = Object.freeze({ cpu: 0, memory: 0, gpu: 0 });

const DEFAULT_PRIORITY = 100;
const BYTES_PER_MB = 1_000_000;
const UNLIMITED = -1;

/** A queue as a row: spec 02 section 5.1, 01 section 1.2. */
export function projectQueue(queue: Queue, name: string, usage: QueueUsage, options: SnapshotOptions, report: Report): QueueRecord {
  const spec = queue.spec ?? {};
  const cpu = readResource(spec.resources?.cpu, 1, 'spec.resources.cpu', report);
  const memory = readResource(spec.resources?.memory, BYTES_PER_MB, 'spec.resources.memory', report);
  const gpu = readResource(spec.resources?.gpu, 1, 'spec.resources.gpu', report);
  const priority = spec.priority === null ? undefined : spec.priority;
  return {
    nameText: name,
    displayText: textOrNull(spec.displayName),
    parentText: textOrNull(spec.parentQueue),
    poolText: poolOf(report.labels(queue.metadata), options),
    priority: toInt32(readNumber(priority, DEFAULT_PRIORITY, 'spec.priority', report)),
    createdMs: report.timeMs(queue.metadata.creationTimestamp, 'metadata.creationTimestamp'),
    quotaMilliCpu: cpu.quota,
    quotaMemoryBytes: memory.quota,
    quotaGpu: gpu.quota,
    limitMilliCpu: cpu.limit,
    limitMemoryBytes: memory.limit,
    limitGpu: gpu.limit,
    weightCpu: cpu.weight,
    weightMemory: memory.weight,
    weightGpu: gpu.weight,
    usageCpu: usage.cpu,
    usageMemory: usage.memory,
    usageGpu: usage.gpu,
    preemptMinRuntimeMs: report.durationMs(spec.preemptMinRuntime, 'spec.preemptMinRuntime'),
    reclaimMinRuntimeMs: report.durationMs(spec.reclaimMinRuntime, 'spec.reclaimMinRuntime'),
  };
}

/** Absent values are 0: no guarantee, nothing allowed, no surplus. Any negative amount is unlimited (02 section 5.1, deviation); weights are as given. */
function readResource(resource: QueueResource | null | undefined, scale: number, field: string, report: Report) {
  const quota = readNumber(resource?.quota, 0, `${field}.quota`, report);
  const limit = readNumber(resource?.limit, 0, `${field}.limit`, report);
  const weight = readNumber(resource?.overQuotaWeight, 0, `${field}.overQuotaWeight`, report);
  return { quota: quota < 0 ? UNLIMITED : quota * scale, limit: limit < 0 ? UNLIMITED : limit * scale, weight };
}

function readNumber(value: unknown, absent: number, field: string, report: Report): number {
  if (value === undefined || value === null) return absent;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  report.add(field, `not a number: ${JSON.stringify(value)}`);
  return absent;
}

/** A share that can be computed with: finite and not negative. */
export function usageShare(value: number): number {
  return Number.isFinite(value) && value > 0 ? value : 0;
}
