import type { Need } from '../jobs/selectTasks.ts';
import { divergingPair } from '../queues/queueTree.ts';
import type { Eligibility, VictimAction } from './eligibility.ts';
import { gpuBudgetMilli } from './fairness.ts';
import { goneUnits, type Trial } from './settle.ts';
import { freeGpus } from './slots.ts';
import { addAmounts, type VictimWalk } from './victimWalk.ts';

interface Asking extends Trial {
  readonly action: VictimAction;
  readonly job: number;
  readonly need: Need;
  readonly eligibility: Eligibility;
  readonly walk: VictimWalk;
}

/**
 * Reclaim only: idle and leaving GPUs of the cluster and all that may be taken for good are less than what is asked for.
 * Moving victims about makes no room, so no search can succeed (spec 04 section 12.4).
 */
export function isOverBudget(x: Asking): boolean {
  if (x.action !== 'reclaim' || x.need.gpuMilli === 0) return false;
  const s = x.st.session;
  let room = 0;
  // The ledgers as they were: what the units hold now is taken off again below.
  for (let n = 0; n < s.state.sizes.nodes; n++) room += Math.max(0, freeGpus(s, n)) * 1000;
  for (const unit of goneUnits(x)) {
    const sum = new Float64Array(3);
    addAmounts(s, sum, 0, unit, 1);
    room -= sum[2]!;
  }
  // Leaf queues below one diverging ancestor share its budget.
  const budgets = new Map<number, number>();
  const held = new Map<number, number>();
  const own = s.jobs.queue[x.job]!;
  for (let q = 0; q < s.queues.count; q++) {
    if (x.walk.order.jobs[q] === undefined || x.eligibility.queueVerdict[q] !== 1) continue;
    const [, side] = divergingPair(s, own, q);
    budgets.set(side, gpuBudgetMilli(s, x.start, own, q, x.need, x.walk.order.largestGpuMilli));
    held.set(side, (held.get(side) ?? 0) + x.start.allocated[3 * q + 2]!);
  }
  let budget = 0;
  for (const [side, most] of budgets) budget += Math.min(most, held.get(side)!);
  return room + budget < x.need.gpuMilli;
}
