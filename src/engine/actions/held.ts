import type { RawDecision } from '../../base/decisions.ts';
import type { Session } from '../session/session.ts';

const TAKING: ReadonlySet<string> = new Set(['consolidation', 'reclaim', 'preempt', 'stalegangeviction']);

/**
 * May an action after `action` take back what this one binds? Then binds of preemptible jobs are held until the cycle ends:
 * a bind that is taken back is simply never made (spec 09 row 4).
 */
export function isTakenBackLater(s: Session, action: string): boolean {
  const at = s.config.actions.indexOf(action);
  return s.config.actions.slice(at + 1).some((name) => TAKING.has(name));
}

/** Hands out the held binds, job by job in the order in which they were made. */
export function releaseHeld(s: Session, emit: (batch: readonly RawDecision[]) => void): void {
  let batch: RawDecision[] = [];
  for (const decision of s.held.values()) {
    if (batch.length > 0 && batch[0]!.podGroupRow !== decision.podGroupRow) {
      emit(batch);
      batch = [];
    }
    if (!s.postponed.has(decision.podGroupRow)) batch.push(decision);
    else {
      // Some of its pods wait now, so all that nobody has seen yet wait with them (spec 03 section 6.8).
      batch.push({ ...decision, kind: 'pipeline' });
      s.counts.bound--;
      s.counts.pipelined++;
    }
  }
  if (batch.length > 0) emit(batch);
  s.held.clear();
}
