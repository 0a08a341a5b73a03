import type { Need } from '../jobs/selectTasks.ts';
import { type Course, TrialEnd } from '../parallel.ts';
import { nodeOf } from '../session/occupy.ts';
import { evict, type Statement, undoTo } from '../statement.ts';
import type { Eligibility, VictimAction } from './eligibility.ts';
import type { WaitingJobs } from './entitlement.ts';
import type { QueueAmounts } from './fairness.ts';
import type { RoomElsewhere } from './homeward.ts';
import { type SlotCounter, updateSlots } from './slots.ts';
import type { Unit } from './units.ts';
import { afterEviction, createVictimWalk, popUnit, type VictimOrder, type VictimWalk } from './victimWalk.ts';
import { type SearchLimit, type Spent, TRIAL_STEPS, UNIT_STEPS } from './workLimit.ts';

/** For whom victims are wanted, and among whom. */
export interface Wanted {
  readonly action: VictimAction;
  readonly job: number;
  readonly tasks: readonly number[];
  readonly order: VictimOrder;
  readonly waiting: WaitingJobs;
  /** Most jobs that may take part. */
  readonly jobLimit: number;
  readonly course: Course;
  readonly limit: SearchLimit;
  /** What the search spends is written here. */
  readonly spent: Spent;
  /** The first answer is taken as it is. */
  readonly isFirstTaken?: boolean;
}

/** One preemptor's search. */
export interface Search {
  readonly wanted: Wanted;
  readonly st: Statement;
  readonly action: VictimAction;
  readonly job: number;
  readonly tasks: readonly number[];
  readonly waiting: WaitingJobs;
  readonly course: Course;
  readonly need: Need;
  readonly start: QueueAmounts;
  readonly eligibility: Eligibility;
  walk: VictimWalk;
  readonly counters: readonly SlotCounter[];
  /** Units evicted so far, in victim order. */
  readonly units: Unit[];
  readonly unitOfPod: Map<number, number>;
  /** Statement length before the first eviction. */
  readonly base: number;
  /** It is known that no set of victims will do, or that an earlier trial, made by another thread, has the answer. */
  isHopeless: boolean;
  /** Trials are of one unit's nodes each. */
  isNarrow: boolean;
  /** Nodes that the latest unit is on. */
  unitNodes: readonly number[];
  /** Those of them that have no room once those ahead are placed, by the jobs that take part. */
  readonly fullNodes: Map<string, readonly number[]>;
  /** No node had room when the search began. */
  readonly isFull: boolean;
  readonly elsewhere: RoomElsewhere;
  /** Steps made, whoever makes the trials, and those that may be made in this part of the search. */
  steps: number;
  ceiling: number;
  /** The whole search anew, from a statement as it was before. */
  readonly anew: (wanted: Wanted) => Solution | null;
}

/** A search that found an answer; the statement holds it. */
export interface Solution {
  /** Units that leave their place, in victim order. */
  readonly units: readonly Unit[];
  /** Queue sums before the first eviction. */
  readonly start: QueueAmounts;
}

/** Makes a part of the search with at most so many steps. */
export function within(x: Search, most: number, part: (x: Search) => Solution | null): Solution | null {
  const all = x.wanted.limit.most;
  x.ceiling = Math.min(all, x.steps + most);
  const solution = part(x);
  x.ceiling = all;
  return solution;
}

/** Everything as before the first eviction. */
export function restart(x: Search, order: VictimOrder): void {
  const s = x.st.session;
  undoTo(x.st, x.base);
  for (const unit of x.units) {
    for (const p of unit.pods) {
      const n = nodeOf(s, p);
      if (n >= 0) for (const c of x.counters) updateSlots(s, c, n);
    }
  }
  x.units.length = 0;
  x.unitOfPod.clear();
  x.walk = createVictimWalk(s, order, x.eligibility, x.walk.jobLimit);
}

export function hasEnoughSlots(x: Search): boolean {
  return x.counters.every((c) => c.total >= c.wanted);
}

/** The next unit, not evicted yet; null when there is none, or when there is no more use in it. */
export function nextUnitOf(x: Search): Unit | null {
  const s = x.st.session;
  if (x.course.isOver()) x.isHopeless = true;
  if (x.isHopeless || x.steps >= x.ceiling) return null;
  x.steps += UNIT_STEPS;
  const unit = popUnit(s, x.walk);
  if (unit === null) return null;
  s.search.unitsPopped++;
  for (const p of unit.pods) x.unitOfPod.set(p, x.units.length);
  x.units.push(unit);
  return unit;
}

/** Takes the next unit; false as above. */
export function takeUnit(x: Search): boolean {
  const s = x.st.session;
  const unit = nextUnitOf(x);
  if (unit === null) return false;
  for (const p of unit.pods) evict(x.st, p, nodeOf(s, p));
  for (const p of unit.pods) {
    const n = nodeOf(s, p);
    if (n >= 0) for (const c of x.counters) updateSlots(s, c, n);
  }
  afterEviction(s, x.walk, unit);
  return true;
}

/** Is the next trial to be made by this thread? */
export function isMine(x: Search): boolean {
  if (x.course.isOver()) x.isHopeless = true;
  if (x.isHopeless || x.steps >= x.ceiling) return false;
  x.steps += TRIAL_STEPS;
  return x.course.take();
}

/** Makes a trial if it is this thread's turn. */
export function inTurn(x: Search, trial: () => Solution | null): Solution | null {
  return isMine(x) ? makeTrial(x, trial) : null;
}

/** Makes a trial that is this thread's. */
export function makeTrial(x: Search, trial: () => Solution | null): Solution | null {
  const counts = x.st.session.search;
  const { simulations, rejected, narrowSimulations, narrowRejected } = counts;
  const solution = trial();
  if (x.isNarrow) {
    // Searches inside of the trial are part of it.
    counts.narrowSimulations = narrowSimulations + counts.simulations - simulations;
    counts.narrowRejected = narrowRejected + counts.rejected - rejected;
  }
  if (solution !== null) x.course.end(TrialEnd.found);
  else x.course.end(x.isHopeless ? TrialEnd.hopeless : TrialEnd.nothing);
  return solution;
}
