import { countPods, usedPods } from './gangs.ts';
import { isSatisfied, pathTo } from './tree.ts';
import { type AuditJob, type AuditPod, isActive, type World } from './world.ts';

/** Stale gang eviction (spec 04 section 9, judged on the tree): called after the evictions of one job were replayed. */
export function checkStale(world: World, job: AuditJob, evicted: readonly AuditPod[], isEvictorNamed: boolean): void {
  const { findings, nowMs } = world;
  const object = `pod group ${job.key}`;
  if (isEvictorNamed) findings.add('wrong-evictor', object, 'a stale gang is evicted for nobody');
  if (job.tree === null || evicted.length === 0) return;
  // Evicted pods still count until they are gone.
  const used = countPods(job, usedPods);
  const isRootShort = !isSatisfied(job.tree, used);
  const hasFinished = job.pods.some((pod) => pod.status === 'succeeded');
  for (const pod of evicted) {
    const isBelowShort = pathTo(job.tree, pod.leaf).some((node) => !isSatisfied(node, used));
    if (hasFinished) findings.add('not-stale', object, `${pod.key} evicted, though a pod of it has succeeded`);
    else if (!isRootShort && !isBelowShort) findings.add('not-stale', object, `${pod.key} evicted, though it belongs to a complete part`);
  }
  if (isRootShort && job.pods.some((pod) => isActive(pod.status))) findings.add('partial-unit', object, 'a stale gang is evicted in part');
  const sinceMs = Number.isNaN(job.staleSinceMs) ? nowMs : job.staleSinceMs;
  if (job.graceMs < 0 || nowMs - sinceMs < job.graceMs) {
    findings.add(
      'stale-grace',
      object,
      job.graceMs < 0
        ? 'evicted, though its grace period never ends'
        : `evicted ${nowMs - sinceMs} ms after it became stale; the grace is ${job.graceMs} ms`,
    );
  }
}
