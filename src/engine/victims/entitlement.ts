import { type Need, needOf } from '../jobs/selectTasks.ts';
import { createQueueKeys, precedes, type QueueKeys, updateQueueKeys } from '../queues/queueOrder.ts';
import type { Session } from '../session/session.ts';
import type { Statement } from '../statement.ts';
import { divergingPair } from './eligibility.ts';
import { evictedTasks, moveStep } from './replace.ts';
import type { Unit } from './units.ts';

/**
 * Victims that stand before the reclaimer in the scheduling order are placed before it (spec 04 sections 5.5, 12.6): what
 * they are entitled to is not the reclaimer's to take. The order is looked at anew after each, since their queues then hold
 * more. `units`: in victim order.
 */
export function placeThoseAhead(st: Statement, job: number, need: Need, units: readonly Unit[]): void {
  const s = st.session;
  const keys = createQueueKeys(s.queues);
  // Per victim queue, its jobs in scheduling order, the best protected first.
  const waiting = new Map<number, number[]>();
  const seen = new Set<number>();
  for (let i = units.length - 1; i >= 0; i--) {
    const victim = units[i]!.job;
    if (seen.has(victim)) continue;
    seen.add(victim);
    const queue = s.jobs.queue[victim]!;
    const list = waiting.get(queue);
    if (list === undefined) waiting.set(queue, [victim]);
    else list.push(victim);
  }
  for (let next = firstAhead(s, keys, job, need, waiting); next !== null; next = firstAhead(s, keys, job, need, waiting)) {
    next.shift();
  }

  function firstAhead(session: Session, k: QueueKeys, reclaimer: number, asked: Need, lists: ReadonlyMap<number, number[]>): number[] | null {
    for (const [queue, list] of lists) {
      const victim = list[0];
      if (victim === undefined) continue;
      const tasks = evictedTasks(session, victim);
      if (tasks.length > 0 && !isAhead(session, k, reclaimer, asked, queue, needOf(session, tasks, session.minGpuMib, true))) continue;
      if (tasks.length > 0) moveStep(st, victim);
      return list;
    }
    return null;
  }
}

/** Does the victim's side of the diverging pair come first, each side with what it asks for? */
function isAhead(s: Session, keys: QueueKeys, reclaimer: number, asked: Need, victimQueue: number, victimNeed: Need): boolean {
  const [mine, theirs] = divergingPair(s, s.jobs.queue[reclaimer]!, victimQueue);
  updateQueueKeys(s, keys, mine, asked);
  updateQueueKeys(s, keys, theirs, victimNeed);
  if (precedes(s, keys, theirs, mine)) return true;
  if (precedes(s, keys, mine, theirs)) return false;
  return s.queues.createdMs[theirs]! - s.queues.createdMs[mine]! < 0 || (s.queues.createdMs[theirs] === s.queues.createdMs[mine] && theirs < mine);
}
