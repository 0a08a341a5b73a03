import { NO_ROW } from '../../base/rows.ts';
import { isFlat, rootOf } from '../jobs/gang.ts';
import type { Need } from '../jobs/selectTasks.ts';
import { pathOf } from '../queues/queueTree.ts';
import { countOf } from '../session/occupy.ts';
import type { Session, SubGroupSet } from '../session/session.ts';
import { isSetAside } from '../session/turns.ts';
import { SET_CELL } from '../state/layout.ts';
import { canBeTakenFrom, type QueueAmounts } from './fairness.ts';

/** Actions that evict for a pending job. */
export type VictimAction = 'reclaim' | 'preempt' | 'consolidation';

/** Minimum runtime that protects a victim (spec 02 section 15.2); milliseconds. */
function minRuntimeMs(s: Session, action: VictimAction, preemptorQueue: number, victimQueue: number): number {
  const table = s.view.queues;
  const column = action === 'preempt' ? table.preemptMinRuntimeMs : table.reclaimMinRuntimeMs;
  const fallback = s.minRuntime[action === 'preempt' ? 'preemptMs' : 'reclaimMs'];
  const own = (q: number): number => (s.queues.row[q]! === NO_ROW ? Number.NaN : column[s.queues.row[q]!]!);
  const walkUp = (from: number): number => {
    for (let q = from; q >= 0; q = s.queues.parent[q]!) if (!Number.isNaN(own(q))) return own(q);
    return fallback;
  };
  if (action === 'preempt' || s.minRuntime.method === 'queue') return walkUp(victimQueue);
  const pp = pathOf(s, preemptorQueue);
  const pv = pathOf(s, victimQueue);
  if (pp[0] !== pv[0]) return Number.isNaN(own(pv[0]!)) ? fallback : own(pv[0]!);
  let i = 0;
  while (i + 1 < pp.length && i + 1 < pv.length && pp[i + 1] === pv[i + 1]) i++;
  return walkUp(pv[Math.min(i + 1, pv.length - 1)]!);
}

/** Is the job inside its guaranteed runtime (spec 02 section 15.3)? Without a start time it is not. */
function isProtected(s: Session, job: number, runtimeMs: number): boolean {
  const start = s.view.podGroups.lastStartMs[s.jobs.row[job]!]!;
  return !Number.isNaN(start) && s.nowMs < start + runtimeMs;
}

/** Some pod set has more pods than its minimum, or some set more members than it needs (spec 02 section 4.3, on the tree). */
function isElastic(s: Session, job: number): boolean {
  if (isFlat(s, job)) {
    const set = s.jobs.firstSet[job]!;
    return s.podSets.min[set]! < s.podSets.size[set]! || s.jobs.rootNeed[job]! === 0;
  }
  const check = (set: SubGroupSet): boolean =>
    set.need < set.members.length ||
    set.members.some((m) => (m.set === null ? s.podSets.min[m.podSet]! < s.podSets.size[m.podSet]! : check(m.set)));
  return check(rootOf(s, job));
}

/** What may be taken from a job. */
export const Taking = { nothing: 0, surplusOnly: 1, all: 2 } as const;

/** Verdict per job and per victim queue for one preemptor, computed on first use. */
export interface Eligibility {
  readonly action: VictimAction;
  readonly job: number;
  /** −1 = not asked yet, 0 no, 1 yes. */
  readonly queueVerdict: Int8Array;
  readonly runtimeMs: Float64Array;
  readonly need: Need;
  readonly start: QueueAmounts;
}

export function createEligibility(s: Session, action: VictimAction, job: number, need: Need, start: QueueAmounts): Eligibility {
  return {
    action,
    job,
    queueVerdict: new Int8Array(s.queues.count).fill(-1),
    runtimeMs: new Float64Array(s.queues.count).fill(Number.NaN),
    need,
    start,
  };
}

/** May jobs of this leaf queue be victims at all (spec 04 sections 3.2–3.5)? */
export function isQueueEligible(s: Session, e: Eligibility, queue: number): boolean {
  let verdict = e.queueVerdict[queue]!;
  if (verdict < 0) {
    verdict = computeQueue(s, e, queue) ? 1 : 0;
    e.queueVerdict[queue] = verdict;
  }
  return verdict === 1;
}

function computeQueue(s: Session, e: Eligibility, queue: number): boolean {
  if (s.queues.isLeaf[queue] !== 1) return false;
  const own = s.jobs.queue[e.job]!;
  if (e.action === 'preempt') return queue === own;
  if (e.action === 'consolidation') return true;
  return queue !== own && canBeTakenFrom(s, e.start, own, queue, e.need);
}

/** What may be taken from a candidate job of an eligible queue. */
export function takingOf(s: Session, e: Eligibility, job: number): number {
  if (job === e.job || isSetAside(s, job)) return Taking.nothing;
  if (e.action === 'consolidation') return Taking.all;
  if (e.action === 'preempt' && s.jobs.priority[job]! >= s.jobs.priority[e.job]!) return Taking.nothing;
  if (!s.plugins.has('minruntime')) return Taking.all;
  const queue = s.jobs.queue[job]!;
  if (Number.isNaN(e.runtimeMs[queue]!)) e.runtimeMs[queue] = minRuntimeMs(s, e.action, s.jobs.queue[e.job]!, queue);
  if (!isProtected(s, job, e.runtimeMs[queue]!)) return Taking.all;
  return isElastic(s, job) ? Taking.surplusOnly : Taking.nothing;
}

/** A job that holds at least one pod which could be taken. */
export function holdsPods(s: Session, job: number): boolean {
  const first = s.jobs.firstSet[job]!;
  for (let set = first; set < first + s.jobs.setCount[job]!; set++) if (countOf(s, SET_CELL.allocated, set) > 0) return true;
  return false;
}
