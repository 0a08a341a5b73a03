import { attemptJob } from '../actions/attemptJob.ts';
import { needOf } from '../jobs/selectTasks.ts';
import { TrialEnd } from '../parallel.ts';
import { nodeOf } from '../session/occupy.ts';
import { evict, type Statement, undoTo } from '../statement.ts';
import { cheapestNodes } from './cheapestNodes.ts';
import { createEligibility } from './eligibility.ts';
import { openTrials } from './entitlement.ts';
import { copyQueueAmounts } from './fairness.ts';
import { takePromises } from './promiseSearch.ts';
import { SIMULATION } from './replace.ts';
import {
  hasEnoughSlots,
  inTurn,
  isMine,
  makeTrial,
  nextUnitOf,
  restart,
  type Search,
  type Solution,
  takeUnit,
  type Wanted,
  within,
} from './searchState.ts';
import { createSlotCounters, updateSlots } from './slots.ts';
import { meetAgain, nodesOf, noteUnit, type Taken } from './taken.ts';
import { tryHere, tryNodes } from './trial.ts';
import type { Unit } from './units.ts';
import { afterEviction, createVictimWalk, popUnit } from './victimWalk.ts';

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
    anew: (other) => searchVictims(st, other),
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

/**
 * One task: a unit is worth a trial only where it makes room, so every trial is confined to the nodes of one unit (as in the
 * reference's node-local search), and the first that holds is the answer. Jobs that have lost all are put back after their
 * trial: only where a later unit meets them again do they count, so a trial costs what its node holds, and whoever does not
 * make it need not evict them at all.
 */
function searchSingle(x: Search): Solution | null {
  const s = x.st.session;
  const taken: Taken = { unitsOfJob: new Map(), jobsOnNode: new Map() };
  for (let unit = nextUnitOf(x); unit !== null; unit = nextUnitOf(x)) {
    const isOwn = isMine(x);
    const before = x.st.ops.length;
    if (isOwn || !unit.isCore) for (const p of unit.pods) evict(x.st, p, nodeOf(s, p));
    noteUnit(s, taken, unit);
    afterEviction(s, x.walk, unit);
    if (!isOwn) continue;
    const own = x.st.ops.length;
    const solution = makeTrial(x, () => tryUnit(x, taken, unit));
    if (solution !== null || x.isHopeless) return solution;
    undoTo(x.st, unit.isCore ? before : own);
  }
  return null;
}

/** The latest unit is gone, and with it those before it that were on its nodes: does the task have room on one of these? */
function tryUnit(x: Search, taken: Taken, unit: Unit): Solution | null {
  const s = x.st.session;
  const counter = x.counters[0]!;
  const nodes = nodesOf(s, unit);
  meetAgain(x.st, taken, nodes);
  for (const n of nodes) updateSlots(s, counter, n);
  x.unitNodes = nodes;
  x.fullNodes.clear();
  if (!nodes.some((n) => counter.slots[n]! > 0)) s.search.filtered++;
  for (const n of nodes) {
    if (counter.slots[n]! <= 0) continue;
    const solution = tryNodes(x, Int32Array.of(n));
    if (solution !== null || x.isHopeless) return solution;
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
      const solution = tryPrefix(x);
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
    if (!more && !x.isHopeless && !isDue && hasEnoughSlots(x)) return tryPrefix(x);
  }
  return null;
}

/** Two trials: on the cheapest nodes with room, and anywhere. */
function tryPrefix(x: Search): Solution | null {
  return inTurn(x, () => tryNodes(x, cheapestNodes(x.st.session, x.counters, x.units))) ?? tryHere(x, null);
}

/** A trial of its own: with all candidates gone. */
function isImpossible(x: Search): boolean {
  if (!isMine(x)) return x.isHopeless;
  x.isHopeless = !isPossibleWithAll(x);
  x.course.end(x.isHopeless ? TrialEnd.hopeless : TrialEnd.nothing);
  return x.isHopeless;
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
