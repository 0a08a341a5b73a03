import type { Session } from '../session/session.ts';
import { SEEN_EVICTION_MS } from '../victims/safety.ts';

/**
 * The time before which a cycle on the same objects decides and says the same: the next moment at which some rule that looks
 * at the clock changes its mind, taken rather too early than too late. Infinity = no such rule applies; −Infinity when
 * what this cycle decided, or noted on a job, changes the objects.
 */
export function sameUntilMs(s: Session): number {
  const { bound, pipelined, evicted } = s.counts;
  if (bound + pipelined + evicted + s.staleSince.size + s.turns.faults.size > 0) return Number.NEGATIVE_INFINITY;
  let untilMs = Number.POSITIVE_INFINITY;
  const passes = (ms: number): void => {
    if (ms > s.nowMs && ms < untilMs) untilMs = ms;
  };
  passJobs(s, passes);
  const { pods } = s.view;
  for (let p = 0; p < pods.rows; p++) if (pods.used[p] === 1) passes(pods.deletionMs[p]! + s.config.params.stuckInReleasingThresholdMs + 1);
  return untilMs;
}

function passJobs(s: Session, passes: (ms: number) => void): void {
  const g = s.view.podGroups;
  const runtimesMs = minRuntimesMs(s);
  for (let job = 0; job < s.jobs.count; job++) {
    const row = s.jobs.row[job]!;
    for (const runtimeMs of runtimesMs) passes(g.lastStartMs[row]! + runtimeMs);
    const delayMs = g.preemptionDelayMs[row]!;
    if (delayMs > 0) {
      passes(s.jobs.createdMs[job]! + delayMs);
      passes(g.lastEvictionMs[row]! + delayMs);
    }
    const graceMs = g.stalenessGraceMs[row]!;
    const sinceMs = s.staleSince.get(job) ?? g.staleSinceMs[row]!;
    passes(sinceMs + (Number.isNaN(graceMs) ? s.config.params.defaultStalenessGracePeriodMs : graceMs));
    if (s.safety !== null && g.recentEvictionsJson[row]! >= 0) {
      for (const ms of JSON.parse(s.view.texts.get(g.recentEvictionsJson[row]!)) as number[]) passes(ms + SEEN_EVICTION_MS);
    }
  }
}

/** Every minimum runtime that some queue or the plugin names: which of them protects whom need not be known here. */
function minRuntimesMs(s: Session): Set<number> {
  const { queues } = s.view;
  const all = new Set([s.minRuntime.preemptMs, s.minRuntime.reclaimMs]);
  for (let q = 0; q < queues.rows; q++) {
    if (queues.used[q] === 1) all.add(queues.preemptMinRuntimeMs[q]!).add(queues.reclaimMinRuntimeMs[q]!);
  }
  return all;
}
