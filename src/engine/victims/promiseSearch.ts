import { attemptJob } from '../actions/attemptJob.ts';
import { jobCount } from '../jobs/gang.ts';
import { type Need, selectTasks } from '../jobs/selectTasks.ts';
import { nodeOf } from '../session/occupy.ts';
import { SET_CELL } from '../state/layout.ts';
import { type Statement, undoTo, withdraw } from '../statement.ts';
import type { Eligibility, VictimAction } from './eligibility.ts';
import { placeThoseAhead, type WaitingJobs } from './entitlement.ts';
import { type Chunk, isFair, type QueueAmounts } from './fairness.ts';
import { moveStep } from './replace.ts';
import { type SlotCounter, updateSlots } from './slots.ts';
import type { Unit } from './units.ts';
import { addAmounts, afterEviction, createVictimWalk, popUnit, type VictimWalk } from './victimWalk.ts';

interface PromiseSearch {
  readonly st: Statement;
  readonly action: VictimAction;
  readonly job: number;
  readonly tasks: readonly number[];
  readonly waiting: WaitingJobs;
  readonly need: Need;
  readonly start: QueueAmounts;
  readonly eligibility: Eligibility;
  readonly walk: VictimWalk;
  readonly counters: readonly SlotCounter[];
}

/**
 * Serves a job with places that were promised in this cycle to others who lose nothing by it: they go on waiting (spec 04
 * section 3.1). Who may lose a promise, and in which order, is as for victims: one job's after the other's for a single
 * task, the first sufficient ones together for several. On success the statement holds it; else all is as before.
 */
export function takePromises(x: PromiseSearch): boolean {
  const s = x.st.session;
  const { order } = x.walk;
  if (x.action === 'consolidation' || s.safety?.keepsPlaces === true || order.promised.every((list) => list === undefined)) return false;
  const walk = createVictimWalk(s, { ...order, jobs: [...order.promised], isOfPromises: true }, x.eligibility, Number.POSITIVE_INFINITY);
  const base = x.st.ops.length;
  const isSingle = x.tasks.length === 1;
  const taken: Unit[] = [];
  const chunks: Chunk[] = [];
  const touched = new Set<number>();
  const putBack = (): void => {
    undoTo(x.st, base);
    for (const n of touched) for (const c of x.counters) updateSlots(s, c, n);
    touched.clear();
    taken.length = 0;
    chunks.length = 0;
  };
  for (let unit = popUnit(s, walk); unit !== null; unit = popUnit(s, walk)) {
    const nodes = [...new Set(unit.pods.map((p) => nodeOf(s, p)))].sort((a, b) => a - b);
    const sum = new Float64Array(3);
    addAmounts(s, sum, 0, unit, 1);
    chunks.push({ queue: s.jobs.queue[unit.job]!, amounts: [sum[0]!, sum[1]!, sum[2]!] });
    taken.push(unit);
    const isAllowed = x.action === 'preempt' || isFair(s, x.start, x.job, x.need, chunks);
    if (isAllowed) {
      for (const p of unit.pods) withdraw(x.st, p);
      for (const n of nodes) touched.add(n);
      for (const n of nodes) for (const c of x.counters) updateSlots(s, c, n);
      const hasRoom = x.counters.every((c) => c.total >= c.wanted);
      // A trial of nodes without a slot is one that fails.
      const isVain = isSingle && !nodes.some((n) => x.counters[0]!.slots[n]! > 0);
      if (hasRoom && isVain) s.search.simulations++;
      else if (hasRoom && placeInstead(x, taken, isSingle ? Int32Array.from(nodes) : null)) return true;
    }
    if (isSingle) putBack();
    else if (!isAllowed) break;
    afterEviction(s, walk, unit);
  }
  putBack();
  return false;
}

/** Those ahead first, then the job, then what is left for the others. */
function placeInstead(x: PromiseSearch, taken: readonly Unit[], nodes: Int32Array | null): boolean {
  const { st } = x;
  const mark = st.ops.length;
  st.session.search.simulations++;
  if (x.action === 'reclaim') placeThoseAhead(st, x.waiting, x.job, taken, selectTasks);
  if (attemptJob(st, x.job, x.tasks, { pipelineOnly: true, nodes }) === 'failed') {
    undoTo(st, mark);
    return false;
  }
  for (const { job } of taken.toReversed()) if (jobCount(st.session, job, SET_CELL.pipelined) === 0) moveStep(st, job, selectTasks);
  return true;
}
