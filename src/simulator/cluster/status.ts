// What a cycle's report writes on pod groups and pods (spec 01 section 5.4, 03 section 12.3).
import type { JobReport } from '../../base/decisions.ts';
import type { Pod, PodGroup, SchedulingCondition } from '../../base/objects.ts';
import { formatTime } from './pods.ts';

const CONDITION_TYPE = 'UnschedulableOnNodePool';

/** The group with new annotations and conditions; the same object when nothing changes. */
export function reportedPodGroup(group: PodGroup, job: JobReport, nodePool: string, nowMs: number): PodGroup {
  const annotations = reportedAnnotations(group, job);
  const before = group.status?.schedulingConditions ?? [];
  const after = reportedConditions(before, job, nodePool, nowMs);
  const metadata = annotations === undefined ? group.metadata : { ...group.metadata, annotations };
  if (after === before) return annotations === undefined ? group : { ...group, metadata };
  return { ...group, metadata, status: { ...group.status, schedulingConditions: after } };
}

function reportedAnnotations(group: PodGroup, job: JobReport): Record<string, string> | undefined {
  let changed: Record<string, string> | undefined;
  const set = (name: string, ms: number | undefined): void => {
    if (ms === undefined) return;
    const value = Number.isNaN(ms) ? undefined : formatTime(ms);
    if (group.metadata.annotations?.[name] === value) return;
    changed ??= { ...group.metadata.annotations };
    if (value === undefined) delete changed[name];
    else changed[name] = value;
  };
  set('kai.scheduler/last-start-timestamp', job.lastStartMs);
  set('kai.scheduler/stale-podgroup-timestamp', job.staleSinceMs);
  set('kai.scheduler/last-eviction-timestamp', job.lastEvictionMs);
  if (job.recentEvictionsMs !== undefined) {
    changed ??= { ...group.metadata.annotations };
    changed['kai.scheduler/recent-eviction-timestamps'] = job.recentEvictionsMs.map(formatTime).join(',');
  }
  return changed;
}

function transitionNumber(condition: SchedulingCondition): number {
  return /^[0-9]+$/.test(condition.transitionID ?? '') ? Number(condition.transitionID) : -1;
}

function reportedConditions(
  before: readonly SchedulingCondition[],
  job: JobReport,
  nodePool: string,
  nowMs: number,
): readonly SchedulingCondition[] {
  // A job that starts in this very cycle keeps its explanation while its binds are in flight.
  if (job.state === 'scheduled') return before.length === 0 || job.lastStartMs !== undefined ? before : [];
  if (job.state !== 'unschedulable' || !job.isConditionWanted) return before;
  const wanted = { type: CONDITION_TYPE, nodePool, reason: 'Unschedulable', message: job.message, status: 'True' } as const;
  const last = before.reduce<SchedulingCondition | undefined>(
    (best, c) => (best === undefined || transitionNumber(c) > transitionNumber(best) ? c : best),
    undefined,
  );
  const isSame =
    last !== undefined &&
    (['type', 'nodePool', 'reason', 'message', 'status'] as const).every((field) => last[field] === wanted[field]) &&
    before.findIndex((c) => c.nodePool === nodePool) === before.length - 1;
  if (isSame) return before;
  const transitionID = String(Math.max(last === undefined ? 0 : transitionNumber(last), 0) + 1);
  const reasons = job.errors.map((e) => ({ reason: e.reason, message: e.message, details: e.queueDetails }));
  const condition = { ...wanted, reasons, transitionID, lastTransitionTime: formatTime(nowMs) };
  return [...before.filter((c) => c.nodePool !== nodePool), condition];
}

interface PodCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** The pod with condition PodScheduled=False; the same object when it says so already. */
export function unschedulablePod(pod: Pod, message: string): Pod {
  const status = pod.status as { readonly conditions?: readonly PodCondition[] } | null | undefined;
  const before = status?.conditions ?? [];
  const old = before.find((c) => c.type === 'PodScheduled');
  if (old?.status === 'False' && old.reason === 'Unschedulable' && old.message === message) return pod;
  const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message };
  const conditions = [...before.filter((c) => c.type !== 'PodScheduled'), condition];
  return { ...pod, status: { ...status, conditions } as Pod['status'] };
}
