import { attemptJob } from '../actions/attemptJob.ts';
import { type Need, needOf } from '../jobs/selectTasks.ts';
import { type Course, TrialEnd, WHOLE_COURSE } from '../parallel.ts';
import { nodeOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { evict, restore, type Statement, undoTo } from '../statement.ts';
import { cheapestNodes } from './cheapestNodes.ts';
import { createEligibility, type Eligibility, type VictimAction } from './eligibility.ts';
import { nobodyWaiting, openTrials, placeThoseAhead, standsAhead, type WaitingJobs } from './entitlement.ts';
import { copyQueueAmounts, isFair, type QueueAmounts } from './fairness.ts';
import { comesHome, type RoomElsewhere } from './homeward.ts';
import { isOverBudget } from './overBudget.ts';
import { takePromises } from './promiseSearch.ts';
import { SIMULATION } from './replace.ts';
import {
  chunksOf,
  goneUnits,
  isCheaper,
  keepBest,
  keepFirst,
  keepLight,
  keptHeavier,
  moveByScore,
  type Price,
  priceOf,
  type Settle,
  stuckJobs,
} from './settle.ts';
import { createSlotCounters, type SlotCounter, slotsNow, updateSlots } from './slots.ts';
import { areLast, spareMost } from './spareMost.ts';
import { meetAgain, nodesOf, noteUnit, type Taken } from './taken.ts';
import type { Unit } from './units.ts';
import { afterEviction, createVictimWalk, popUnit, type VictimOrder, type VictimWalk } from './victimWalk.ts';
import { NO_LIMIT, type SearchLimit, type Spent, TRIAL_STEPS, UNIT_STEPS } from './workLimit.ts';

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
interface Search {
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
}

/** A search that found an answer; the statement holds it. */
export interface Solution {
  /** Units that leave their place, in victim order. */
  readonly units: readonly Unit[];
  /** Queue sums before the first eviction. */
  readonly start: QueueAmounts;
}

/**
 * Finds victims for a job (spec 04 sections 10, 12): walks the units in victim order, evicting each in mind, until the
 * counters say that the tasks may fit; then tries it for real with the placement code, lets everything stay that can, moves
 * what has a place elsewhere, and checks the action's rule. On success the statement holds the evictions and placements; on
 * failure it is as it was.
 */
export function searchVictims(st: Statement, wanted: Wanted): Solution | null {
  const s = st.session;
  const { action, job, tasks, order } = wanted;
  const need = needOf(s, tasks, s.minGpuMib, true);
  const start = copyQueueAmounts(s);
  if (action === 'reclaim') openTrials(s, wanted.waiting, job);
  const eligibility = createEligibility(s, action, job, need, start);
  const counters = createSlotCounters(s, tasks);
  const search: Search = {
    wanted,
    st,
    action,
    job,
    tasks,
    waiting: wanted.waiting,
    course: wanted.course,
    need,
    start,
    eligibility,
    walk: createVictimWalk(s, order, eligibility, wanted.jobLimit),
    counters,
    units: [],
    unitOfPod: new Map(),
    base: st.ops.length,
    isNarrow: false,
    unitNodes: [],
    fullNodes: new Map(),
    isFull: counters.every((c) => c.total === 0),
    elsewhere: new Map(),
    isHopeless: false,
    steps: 0,
    ceiling: wanted.limit.most,
  };
  // R9: what fits without evicting anybody evicts nobody.
  let solution = hasEnoughSlots(search) ? tryHere(search, null) : null;
  // Promises of this cycle hold nothing: nobody is evicted while one of them will do.
  solution ??= inTurn(search, () => (takePromises(search) ? { units: [], start } : null));
  if (solution === null && tasks.length === 1) {
    search.isNarrow = true;
    solution = within(search, wanted.limit.narrowMost, searchSingle);
    search.isNarrow = false;
    if (solution === null && !search.isHopeless) restart(search, order);
  }
  if (!search.isHopeless) solution ??= within(search, wanted.limit.wideMost, searchGang);
  if (solution === null) undoTo(st, search.base);
  wanted.spent.steps += search.steps;
  wanted.spent.isAll ||= search.steps >= wanted.limit.most;
  return solution;
}

/** Makes a part of the search with at most so many steps. */
function within(x: Search, most: number, part: (x: Search) => Solution | null): Solution | null {
  const all = x.wanted.limit.most;
  x.ceiling = Math.min(all, x.steps + most);
  const solution = part(x);
  x.ceiling = all;
  return solution;
}

/** Everything as before the first eviction. */
function restart(x: Search, order: VictimOrder): void {
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

function hasEnoughSlots(x: Search): boolean {
  return x.counters.every((c) => c.total >= c.wanted);
}

/** Takes the next unit; false when there is none, or when there is no more use in it. */
function takeUnit(x: Search, taken: Taken | null = null): boolean {
  const s = x.st.session;
  if (x.course.isOver()) x.isHopeless = true;
  if (x.isHopeless || x.steps >= x.ceiling) return false;
  x.steps += UNIT_STEPS;
  const unit = popUnit(s, x.walk);
  if (unit === null) return false;
  s.search.unitsPopped++;
  for (const p of unit.pods) evict(x.st, p, nodeOf(s, p));
  for (const p of unit.pods) x.unitOfPod.set(p, x.units.length);
  x.units.push(unit);
  if (taken !== null) noteUnit(s, taken, unit);
  else {
    for (const p of unit.pods) {
      const n = nodeOf(s, p);
      if (n >= 0) for (const c of x.counters) updateSlots(s, c, n);
    }
  }
  afterEviction(s, x.walk, unit);
  return true;
}

/**
 * One task: a unit is worth a trial only where it makes room, so every trial is confined to the nodes of the latest unit
 * (as in the reference's node-local search), and the first that holds is the answer. Jobs that have lost all are put back
 * after their trial: only where a later unit meets them again do they count, so a trial costs what its node holds.
 */
function searchSingle(x: Search): Solution | null {
  const counter = x.counters[0]!;
  const taken: Taken = { unitsOfJob: new Map(), jobsOnNode: new Map() };
  for (let before = x.st.ops.length; takeUnit(x, taken); before = x.st.ops.length) {
    const unit = x.units[x.units.length - 1]!;
    const own = x.st.ops.length;
    const nodes = nodesOf(x.st.session, unit);
    meetAgain(x.st, taken, nodes);
    for (const n of nodes) updateSlots(x.st.session, counter, n);
    x.unitNodes = nodes;
    x.fullNodes.clear();
    if (!nodes.some((n) => counter.slots[n]! > 0)) x.st.session.search.filtered++;
    for (const n of nodes) {
      if (counter.slots[n]! <= 0) continue;
      const solution = tryHere(x, Int32Array.of(n));
      if (solution !== null) return solution;
    }
    if (x.isHopeless) return null;
    undoTo(x.st, unit.isCore ? before : own);
  }
  return null;
}

/**
 * Several tasks: trials begin at the first prefix with enough slots. After the first failure the whole list is tried once;
 * if even that leaves no room, nothing helps. Otherwise trials go on at growing distances.
 */
function searchGang(x: Search): Solution | null {
  let step = 1;
  let nextTrial = 0;
  let isKnownPossible = false;
  for (let more = takeUnit(x); more; ) {
    const hasRoom = hasEnoughSlots(x);
    const isDue = hasRoom && x.units.length >= nextTrial;
    if (!hasRoom) x.st.session.search.filtered++;
    if (isDue) {
      const solution = tryHere(x, cheapestNodes(x.st.session, x.counters, x.units)) ?? tryHere(x, null);
      if (solution !== null) return solution;
      if (x.isHopeless) return null;
      if (!isKnownPossible) {
        if (isImpossible(x)) return null;
        isKnownPossible = true;
      }
      nextTrial = x.units.length + step;
      step *= 2;
    }
    more = takeUnit(x);
    // The last prefix is always tried.
    if (!more && !x.isHopeless && !isDue && hasEnoughSlots(x))
      return tryHere(x, cheapestNodes(x.st.session, x.counters, x.units)) ?? tryHere(x, null);
  }
  return null;
}

/** A trial of its own: with all candidates gone. */
function isImpossible(x: Search): boolean {
  if (!isMine(x)) return x.isHopeless;
  x.isHopeless = !isPossibleWithAll(x);
  x.course.end(x.isHopeless ? TrialEnd.hopeless : TrialEnd.nothing);
  return x.isHopeless;
}

/** Is the next trial to be made by this thread? */
function isMine(x: Search): boolean {
  if (x.course.isOver()) x.isHopeless = true;
  if (x.isHopeless || x.steps >= x.ceiling) return false;
  x.steps += TRIAL_STEPS;
  return x.course.take();
}

/** Would the tasks fit if every candidate left? The units taken for the question are given back. */
function isPossibleWithAll(x: Search): boolean {
  const s = x.st.session;
  const mark = x.st.ops.length;
  const probe = createVictimWalk(s, x.walk.order, x.eligibility, x.walk.jobLimit);
  for (let unit = popUnit(s, probe); unit !== null; unit = popUnit(s, probe)) {
    for (const p of unit.pods) evict(x.st, p, nodeOf(s, p));
    afterEviction(s, probe, unit);
  }
  const isPossible = attemptJob(x.st, x.job, x.tasks, SIMULATION) !== 'failed';
  s.search.simulations++;
  undoTo(x.st, mark);
  return isPossible;
}

/** A trial that holds. */
interface Outcome {
  readonly settle: Settle;
  readonly leaving: readonly Unit[];
  readonly price: Price;
}

/**
 * Places the job with the units taken so far evicted, on the given nodes; null and everything as before when it does not
 * hold. What can stay, stays, in the way that takes fewer pods from their places; where that does not do, everybody is put
 * where it scores best.
 */
function tryHere(x: Search, nodes: Int32Array | null): Solution | null {
  return inTurn(x, () => {
    const found = tryNodes(x, nodes);
    return found === null ? null : withoutThoseAhead(x, found);
  });
}

/** Makes a trial if it is this thread's turn. */
function inTurn(x: Search, trial: () => Solution | null): Solution | null {
  if (!isMine(x)) return null;
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

/**
 * A reclaim that moves others is searched for again as if nobody waited. That it is served is settled: jobs that wait stand
 * for their queues, and so put victims before the reclaimer that are not by themselves. Once it is, those need not get out
 * of its way (spec 04 section 12.6). The answer that takes less is kept.
 */
function withoutThoseAhead(x: Search, found: Solution): Solution | null {
  const { st, wanted } = x;
  const price = priceOf(st.session, found.units);
  if (x.action !== 'reclaim' || wanted.isFirstTaken === true || price.changed === price.deleted) return found;
  undoTo(st, x.base);
  const direct = searchVictims(st, { ...wanted, waiting: nobodyWaiting(), course: WHOLE_COURSE, limit: NO_LIMIT, isFirstTaken: true });
  if (direct !== null && isCheaper(priceOf(st.session, direct.units), price)) return direct;
  undoTo(st, x.base);
  return searchVictims(st, { ...wanted, course: WHOLE_COURSE, limit: NO_LIMIT, isFirstTaken: true });
}

function tryNodes(x: Search, nodes: Int32Array | null): Solution | null {
  const mark = x.st.ops.length;
  const again = (): boolean => {
    undoTo(x.st, mark);
    return placePreemptor(x, nodes);
  };
  let best: Outcome | null = null;
  if (again()) {
    const evicted = goneUnits(x);
    best = settleBy(x, keepBest);
    let latest = best;
    // Less than one unit is not to be had.
    const mayBeLighter = best?.leaving.length !== 1 && keptHeavier(x.st.session, evicted, best?.leaving ?? goneUnits(x));
    // Whoever had to leave and finds no place may stay if another leaves.
    const stuck = best === null && x.isNarrow && x.action === 'consolidation' ? stuckJobs(x.st.session, evicted) : null;
    if (best === null) {
      undoTo(x.st, mark);
      x.isHopeless = isOverBudget(x);
      if (x.isHopeless) return null;
    }
    if (mayBeLighter) {
      again();
      latest = settleBy(x, keepLight);
      if (best === null || (latest !== null && isCheaper(latest.price, best.price))) best = latest;
    }
    if (best === null && stuck !== null) {
      again();
      latest = settleBy(x, keepFirst(stuck));
      best = latest;
    }
    if (best === null && x.action !== 'preempt') {
      again();
      latest = settleBy(x, moveByScore);
      best = latest;
    }
    if (best !== null) {
      if (best !== latest) {
        again();
        best.settle(x);
      }
      return { units: withFewerMoves(x, again, best, mark), start: x.start };
    }
  }
  undoTo(x.st, mark);
  return null;
}

function settleBy(x: Search, settle: Settle): Outcome | null {
  const { session } = x.st;
  const leaving = settle(x);
  if (isValid(x, leaving)) return { settle, leaving, price: priceOf(session, leaving) };
  session.search.rejected++;
  return null;
}

/**
 * Units that only moved made room for nobody if the job also fits, anywhere, with them back in place: all of them are tried
 * first, then parts, kept when that takes fewer pods from their places (spec 04 section 12.5).
 */
function withFewerMoves(x: Search, again: () => boolean, found: Outcome, mark: number): readonly Unit[] {
  const { leaving } = found;
  const moved: Unit[] = [];
  const isLeaving = new Set<number>();
  for (const unit of leaving.toReversed()) {
    if (!isLeaving.has(unit.job) && unit.pods.every((p) => !x.st.session.evicted.has(p))) moved.push(unit);
    else isLeaving.add(unit.job);
  }
  if (moved.length === 0) return leaving;
  let { price } = found;
  const kept = spareMost(moved, (stay) => {
    const others = areLast(stay, moved) ? settleBeside(x, found, mark, stay) : null;
    if (others === null || others.price.deleted > price.deleted || others.price.changed >= price.changed) return false;
    price = others.price;
    return true;
  });
  const fewer = kept.length === 0 ? null : settleBeside(x, found, mark, kept);
  if (fewer !== null) return fewer.leaving;
  again();
  return found.settle(x);
}

/** The trial anew, anywhere, with only those out of place that left it and do not `stay`. Null when that does not hold. */
function settleBeside(x: Search, { settle, leaving }: Outcome, mark: number, stay: readonly Unit[]): Outcome | null {
  const s = x.st.session;
  const out = new Set(leaving);
  for (const unit of stay) out.delete(unit);
  undoTo(x.st, mark);
  for (const unit of x.units) if (!out.has(unit)) for (const p of unit.pods) if (s.evicted.has(p)) restore(x.st, p, nodeOf(s, p));
  return placePreemptor(x, null) ? settleBy(x, settle) : null;
}

function placePreemptor(x: Search, nodes: Int32Array | null): boolean {
  const s = x.st.session;
  s.search.simulations++;
  const involved = nodes === null ? null : restoreElsewhere(x, nodes);
  if (x.action === 'reclaim') {
    // A gang on many nodes is put back alike in the trials of all of them.
    const key = x.isNarrow && involved !== null && x.unitNodes.length > 1 ? involved.join() : '';
    if (nodes !== null && x.fullNodes.get(key)?.includes(nodes[0]!)) return false;
    const units = goneUnits(x);
    if (nodes !== null && goesBack(x, units)) {
      if (key !== '') x.fullNodes.set(key, x.unitNodes);
      return false;
    }
    placeThoseAhead(x.st, x.waiting, x.job, units);
    if (key !== '' && !x.fullNodes.has(key)) {
      const full = x.unitNodes.filter((n) => slotsNow(s, x.counters[0]!, n) === 0);
      x.fullNodes.set(key, full);
    }
  }
  return attemptJob(x.st, x.job, x.tasks, { pipelineOnly: true, nodes }) !== 'failed';
}

/** A unit that stands ahead and takes up what it left leaves the nodes as full as they were. */
function goesBack(x: Search, units: readonly Unit[]): boolean {
  const unit = units[0];
  if (!x.isNarrow || !x.isFull || units.length !== 1 || unit !== x.units[x.units.length - 1]) return false;
  return comesHome(x.st.session, unit!, x.unitNodes, x.elsewhere) && standsAhead(x.st.session, x.waiting, x.job, unit!.job);
}

/** Units of jobs that have nothing on the nodes of a trial are no part of it; returns the jobs that have. */
function restoreElsewhere(x: Search, nodes: Int32Array): number[] {
  const s = x.st.session;
  const isUsed = nodes.length === 1 ? null : new Uint8Array(s.state.sizes.nodes);
  if (isUsed !== null) for (const n of nodes) isUsed[n] = 1;
  const involved = new Set<number>();
  const only = nodes[0]!;
  for (const p of s.evicted.keys()) {
    const n = nodeOf(s, p);
    if (isUsed === null ? n === only : isUsed[n] === 1) involved.add(jobOf(s, p));
  }
  let others: number[] | null = null;
  for (const p of s.evicted.keys()) {
    if (involved.has(jobOf(s, p))) continue;
    if (others === null) others = [p];
    else others.push(p);
  }
  if (others !== null) for (const p of others) restore(x.st, p, nodeOf(s, p));
  return involved.size === 1 ? [...involved] : [...involved].sort((a, b) => a - b);
}

function jobOf(s: Session, podRow: number): number {
  return s.podSets.job[s.tasks.podSet[podRow]!]!;
}

function isValid(x: Search, leaving: readonly Unit[]): boolean {
  const s = x.st.session;
  switch (x.action) {
    case 'consolidation':
      return leaving.every((unit) => unit.pods.every((p) => !s.evicted.has(p)));
    case 'reclaim':
      return isFair(s, x.start, x.job, x.need, chunksOf(s, leaving));
    case 'preempt':
      return true;
  }
}
