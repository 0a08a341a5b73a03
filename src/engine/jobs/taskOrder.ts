import { PodFlag } from '../../base/codes.ts';
import type { Session } from '../session/session.ts';

/** Role and priority of a pod as one number, smaller first (spec 02 section 9.2 rules 1–3). */
function rank(s: Session, podRow: number): number {
  const flags = s.view.pods.flags[podRow]!;
  const master = s.plugins.has('kubeflow') && (flags & PodFlag.kubeflowMaster) !== 0 ? 0 : 1;
  const head = s.plugins.has('ray') && (flags & PodFlag.rayHead) !== 0 ? 0 : 1;
  let priority = 0;
  if (s.plugins.has('taskorder')) {
    // With the label before without it; readable ones by value, then unreadable ones.
    if ((flags & PodFlag.hasTaskPriority) !== 0) priority = -s.view.pods.taskPriority[podRow]!;
    else priority = (flags & PodFlag.badTaskPriority) !== 0 ? 2 ** 32 : 2 ** 33;
  }
  return (master * 2 + head) * 2 ** 36 + priority;
}

/** A pod without creation time counts as the oldest, as a zero time does. */
function timeOf(createdMs: number): number {
  return Number.isNaN(createdMs) ? Number.NEGATIVE_INFINITY : createdMs;
}

/** Pods of a set in task order: role, priority label, creation time, UID (spec 02 section 9.2). Sorted once per cycle. */
export function sortedPods(s: Session, podSet: number): Int32Array {
  const { first, size, pods, isSorted } = s.podSets;
  const slice = pods.subarray(first[podSet]!, first[podSet]! + size[podSet]!);
  if (isSorted[podSet] === 1) return slice;
  isSorted[podSet] = 1;
  if (slice.length < 2) return slice;
  const { createdMs, uidText } = s.view.pods;
  const ranks = new Map<number, number>();
  for (const p of slice) ranks.set(p, rank(s, p));
  slice.sort((a, b) => {
    const byRank = ranks.get(a)! - ranks.get(b)!;
    if (byRank !== 0) return byRank;
    const timeA = timeOf(createdMs[a]!);
    const timeB = timeOf(createdMs[b]!);
    if (timeA !== timeB) return timeA < timeB ? -1 : 1;
    const ua = s.view.texts.get(uidText[a]!);
    const ub = s.view.texts.get(uidText[b]!);
    return ua < ub ? -1 : ua > ub ? 1 : 0;
  });
  return slice;
}
