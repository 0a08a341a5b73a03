import { attemptJob } from '../actions/attemptJob.ts';
import { WHOLE_COURSE } from '../parallel.ts';
import { nodeOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { restore, undoTo } from '../statement.ts';
import { nobodyWaiting, placeThoseAhead, standsAhead } from './entitlement.ts';
import { isFair } from './fairness.ts';
import { comesHome } from './homeward.ts';
import { isOverBudget } from './overBudget.ts';
import { inTurn, type Search, type Solution } from './searchState.ts';
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
import { slotsNow } from './slots.ts';
import { areLast, spareMost } from './spareMost.ts';
import type { Unit } from './units.ts';
import { NO_LIMIT } from './workLimit.ts';

/** A trial that holds. */
interface Outcome {
  readonly settle: Settle;
  readonly leaving: readonly Unit[];
  readonly price: Price;
}

/** `tryNodes` as a trial of its own. */
export function tryHere(x: Search, nodes: Int32Array | null): Solution | null {
  return inTurn(x, () => tryNodes(x, nodes));
}

/**
 * Places the job with the units taken so far evicted, on the given nodes; null and everything as before when it does not
 * hold. What can stay, stays, in the way that takes fewer pods from their places; where that does not do, everybody is put
 * where it scores best.
 */
export function tryNodes(x: Search, nodes: Int32Array | null): Solution | null {
  const found = tryAllWays(x, nodes);
  return found === null ? null : withoutThoseAhead(x, found);
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
  const direct = x.anew({ ...wanted, waiting: nobodyWaiting(), course: WHOLE_COURSE, limit: NO_LIMIT, isFirstTaken: true });
  if (direct !== null && isCheaper(priceOf(st.session, direct.units), price)) return direct;
  undoTo(st, x.base);
  return x.anew({ ...wanted, course: WHOLE_COURSE, limit: NO_LIMIT, isFirstTaken: true });
}

function tryAllWays(x: Search, nodes: Int32Array | null): Solution | null {
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
