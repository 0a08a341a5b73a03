// What a cycle's report means for a pod group's annotations and conditions (spec 01 sections 2.12 and 5.4). Pure.
import type { JobReport } from '../base/decisions.ts';
import type { PodGroup, SchedulingCondition } from '../base/objects.ts';
import { wholeSeconds } from './events.ts';
import { newestTransition } from './overlays.ts';

const CONDITION_TYPE = 'UnschedulableOnNodePool';
const COMPARED = ['type', 'nodePool', 'reason', 'message', 'status'] as const;

/** Annotations to change, null = remove; undefined when nothing changes. */
export function changedAnnotations(group: PodGroup, job: JobReport): Record<string, string | null> | undefined {
  const times = {
    'kai.scheduler/last-start-timestamp': job.lastStartMs,
    'kai.scheduler/stale-podgroup-timestamp': job.staleSinceMs,
    'kai.scheduler/last-eviction-timestamp': job.lastEvictionMs,
  };
  const values: [string, string | null][] = [];
  for (const [name, ms] of Object.entries(times)) if (ms !== undefined) values.push([name, Number.isNaN(ms) ? null : wholeSeconds(ms)]);
  if (job.recentEvictionsMs !== undefined)
    values.push(['kai.scheduler/recent-eviction-timestamps', job.recentEvictionsMs.map(wholeSeconds).join(',')]);
  const changed = values.filter(([name, value]) => (group.metadata.annotations?.[name] ?? null) !== value);
  return changed.length === 0 ? undefined : Object.fromEntries(changed);
}

/**
 * The group's conditions after the cycle, or undefined when they stay. `lastTransition`: the highest number that this process wrote
 * on the group, so that numbers grow also after a removal.
 */
export function changedConditions(
  group: PodGroup,
  job: JobReport,
  nodePool: string,
  lastTransition: number,
  nowMs: number,
): readonly SchedulingCondition[] | undefined {
  const before = group.status?.schedulingConditions ?? [];
  // A job that starts in this very cycle keeps its explanation while its binds are in flight.
  if (job.state === 'scheduled') return before.length === 0 || job.lastStartMs !== undefined ? undefined : [];
  if (job.state !== 'unschedulable' || !job.isConditionWanted) return undefined;
  const wanted = { type: CONDITION_TYPE, nodePool, reason: 'Unschedulable', message: job.message, status: 'True' } as const;
  const newest = newestTransition(before);
  const last = before.find((c) => Number(c.transitionID ?? -1) === newest) ?? before[0];
  const isSame = last !== undefined && COMPARED.every((field) => last[field] === wanted[field]);
  if (isSame && before.findIndex((c) => c.nodePool === nodePool) === before.length - 1) return undefined;
  const reasons = job.errors.map(({ reason, message, queueDetails }) =>
    queueDetails === undefined ? { reason, message } : { reason, message, details: { queueDetails } },
  );
  return appended(before, { ...wanted, reasons }, Math.max(newest, lastTransition), nowMs);
}

/** The conditions of a group that the scheduler could not work on. */
export function brokenConditions(
  group: PodGroup,
  message: string,
  nodePool: string,
  lastTransition: number,
  nowMs: number,
): readonly SchedulingCondition[] {
  const before = group.status?.schedulingConditions ?? [];
  const reasons = [{ reason: 'InternalError', message }];
  const condition = { type: CONDITION_TYPE, nodePool, reason: 'Unschedulable', message, status: 'True', reasons };
  return appended(before, condition, Math.max(newestTransition(before), lastTransition), nowMs);
}

function appended(
  before: readonly SchedulingCondition[],
  condition: SchedulingCondition,
  newest: number,
  nowMs: number,
): readonly SchedulingCondition[] {
  const transitionID = String(Math.max(newest, 0) + 1);
  return [
    ...before.filter((c) => c.nodePool !== condition.nodePool),
    { ...condition, transitionID, lastTransitionTime: wholeSeconds(nowMs) },
  ];
}
