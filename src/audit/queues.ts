import type { SchedulerConfig } from '../base/config.ts';
import { parseExtendedDurationMs } from '../base/duration.ts';
import type { Queue, QueueResource } from '../base/objects.ts';
import { parseRfc3339Ms } from '../base/time.ts';
import { isInShard } from './nodes.ts';
import type { AuditQueue, Triple } from './world.ts';

/** Historical usage of a queue as shares of the cluster. */
export interface QueueUsage {
  readonly cpu: number;
  readonly memory: number;
  readonly gpu: number;
}

/** The synthetic top queue of `full-hierarchy-fairness=false`; no object has this name. */
const SYNTHETIC_NAME = '/default';
const ZERO: Triple = [0, 0, 0];

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Queues of the shard as a tree (spec 02 section 5); orphans and members of cycles are left out. */
export function readQueues(
  queues: readonly Queue[],
  config: SchedulerConfig,
  nowMs: number,
  usage: ReadonlyMap<string, QueueUsage>,
): { readonly queues: Map<string, AuditQueue>; readonly top: AuditQueue[] } {
  const isFlat = !config.params.fullHierarchyFairness;
  const kept = queues.filter((q) => isInShard(q.metadata.labels, config) && !(isFlat && (q.spec?.parentQueue ?? '') === ''));
  const byName = new Map(kept.map((q) => [q.metadata.name, q] as const));
  const out = new Map<string, Mutable<AuditQueue>>();
  const synthetic = isFlat ? syntheticQueue(nowMs) : null;
  if (synthetic !== null) out.set(SYNTHETIC_NAME, synthetic);
  const read = (name: string, open: ReadonlySet<string>): Mutable<AuditQueue> | null => {
    const known = out.get(name);
    if (known !== undefined) return known;
    const queue = byName.get(name);
    if (queue === undefined || open.has(name)) return null;
    const parentName = queue.spec?.parentQueue ?? '';
    const parent = isFlat ? synthetic : parentName === '' ? null : read(parentName, new Set([...open, name]));
    if (parent === null && (isFlat || parentName !== '')) return null;
    const record = queueRecord(queue, parent, usage.get(name));
    out.set(name, record);
    return record;
  };
  for (const name of byName.keys()) read(name, new Set());
  const order = (a: AuditQueue, b: AuditQueue): number => a.createdMs - b.createdMs || (a.name < b.name ? -1 : 1);
  for (const queue of out.values()) queue.parent?.children.push(queue);
  for (const queue of out.values()) queue.children.sort(order);
  return { queues: out, top: [...out.values()].filter((q) => q.parent === null).sort(order) };
}

function queueRecord(queue: Queue, parent: AuditQueue | null, usage: QueueUsage | undefined): AuditQueue {
  const { priority, resources, preemptMinRuntime, reclaimMinRuntime } = queue.spec ?? {};
  const parts = [resources?.cpu, resources?.memory, resources?.gpu] as const;
  const scales = [1, 1_000_000, 1000] as const;
  const amounts = (field: 'quota' | 'limit'): Triple => triple((r) => amountOf(parts[r], field, scales[r]!));
  return {
    name: queue.metadata.name,
    parent,
    children: [],
    priority: typeof priority === 'number' ? Math.trunc(priority) : 100,
    createdMs: timeOf(queue.metadata.creationTimestamp) || 0,
    quota: amounts('quota'),
    limit: amounts('limit'),
    weight: triple((r) => numberOf(parts[r]?.overQuotaWeight)),
    usage: usage === undefined ? ZERO : [usage.cpu, usage.memory, usage.gpu],
    preemptMinRuntimeMs: durationOf(preemptMinRuntime),
    reclaimMinRuntimeMs: durationOf(reclaimMinRuntime),
    ...emptySums(),
  };
}

function emptySums(): Pick<AuditQueue, 'allocated' | 'nonPreemptible' | 'request' | 'fairShare'> {
  return { allocated: ZERO, nonPreemptible: ZERO, request: ZERO, fairShare: ZERO };
}

function syntheticQueue(nowMs: number): AuditQueue {
  const unlimited: Triple = [-1, -1, -1];
  return {
    name: SYNTHETIC_NAME,
    parent: null,
    children: [],
    priority: 100,
    createdMs: nowMs,
    quota: unlimited,
    limit: unlimited,
    weight: [1, 1, 1],
    usage: ZERO,
    preemptMinRuntimeMs: Number.NaN,
    reclaimMinRuntimeMs: Number.NaN,
    ...emptySums(),
  };
}

function triple(of: (r: number) => number): Triple {
  return [of(0), of(1), of(2)];
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

/** Negative amounts are unlimited (spec 02 section 5.1); GPUs become thousandths, rounded here and nowhere else. */
function amountOf(part: QueueResource | null | undefined, field: 'quota' | 'limit', scale: number): number {
  const value = numberOf(part?.[field]);
  if (value < 0) return -1;
  return scale === 1000 ? Math.round(value * scale) : value * scale;
}

/** Milliseconds; NaN when absent or unreadable. */
export function timeOf(text: string | null | undefined): number {
  return typeof text === 'string' ? parseRfc3339Ms(text) : Number.NaN;
}

export function durationOf(text: string | null | undefined): number {
  return typeof text === 'string' && text !== '' ? parseExtendedDurationMs(text) : Number.NaN;
}
