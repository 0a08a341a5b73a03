import { acceptedGpuMilli, nodeOf, requestOf, statusOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { Status } from '../session/status.ts';
import type { Statement } from '../statement.ts';
import type { QueueAmounts } from './fairness.ts';
import { keepInPlace, moveJob } from './replace.ts';
import type { Unit } from './units.ts';

/** A trial in which the preemptor has its place: what becomes of those that were evicted in mind for it. */
export interface Trial {
  readonly st: Statement;
  /** Units evicted so far, in victim order. */
  readonly units: readonly Unit[];
  /** Queue sums before the first eviction. */
  readonly start: QueueAmounts;
}

/** Finds places for the evicted units; returns those that left theirs, in victim order. */
export type Settle = (x: Trial) => Unit[];

/** Lets units stay, best protected first, then moves the others, best first. */
export const keepBest: Settle = (x) => keepThenMove(x, goneUnits(x).reverse());

/**
 * The same with the jobs that hold least per pod first: the few large ones that leave in their stead make the same room, and
 * fewer pods go (spec 04 section 10, selection rule).
 */
export const keepLight: Settle = (x) => {
  const s = x.st.session;
  const units = goneUnits(x).reverse();
  const jobs = new Map<number, { readonly units: Unit[]; gpuMilli: number; milliCpu: number; pods: number }>();
  for (const unit of units) {
    let job = jobs.get(unit.job);
    if (job === undefined) {
      job = { units: [], gpuMilli: 0, milliCpu: 0, pods: 0 };
      jobs.set(unit.job, job);
    }
    job.units.push(unit);
    for (const p of unit.pods) {
      const node = nodeOf(s, p);
      if (node < 0) continue;
      const request = requestOf(s, p);
      job.gpuMilli += acceptedGpuMilli(s, p, request, node);
      job.milliCpu += request.milliCpu;
      job.pods++;
    }
  }
  // Equal jobs stay best protected first; units of one job keep their order.
  const light = [...jobs.values()].sort((a, b) => a.gpuMilli / a.pods - b.gpuMilli / b.pods || a.milliCpu / a.pods - b.milliCpu / b.pods);
  return keepThenMove(
    x,
    light.flatMap((job) => job.units),
  );
};

/** Puts the evicted jobs where they score best, as if they were new, best protected first: frees places that others need. */
export const moveByScore: Settle = (x) => {
  const jobs = new Set<number>();
  for (const unit of goneUnits(x).reverse()) jobs.add(unit.job);
  for (const job of jobs) moveJob(x.st, job);
  return unitsThatLeft(x);
};

function keepThenMove(x: Trial, order: readonly Unit[]): Unit[] {
  // What is left of a job when a unit goes needs the units before it gone: a job leaves from its first unit on.
  const isLeaving = new Set<number>();
  for (const unit of order) {
    if (!isLeaving.has(unit.job) && keepInPlace(x.st, unit, x.start)) continue;
    isLeaving.add(unit.job);
  }
  // The best protected first.
  for (const job of new Set(
    goneUnits(x)
      .reverse()
      .map((unit) => unit.job),
  ))
    if (isLeaving.has(job)) moveJob(x.st, job);
  return unitsThatLeft(x);
}

/** Units taken that are gone as things stand: in a narrow search most were put back. */
export function goneUnits(x: Trial): Unit[] {
  const { evicted } = x.st.session;
  return x.units.filter((unit) => unit.pods.some((p) => evicted.has(p)));
}

/** Units with a pod that is gone or has another place, also one that it got ahead of the preemptor. */
function unitsThatLeft(x: Trial): Unit[] {
  const s = x.st.session;
  const left = x.units.filter((unit) => unit.pods.some((p) => s.evicted.has(p) || statusOf(s, p) === Status.pipelined));
  s.search.unitsLeaving += left.length;
  return left;
}

/** What a trial takes: pods deleted without a place, and all pods that leave their place. */
export interface Price {
  readonly deleted: number;
  readonly changed: number;
}

export function priceOf(s: Session, leaving: readonly Unit[]): Price {
  let deleted = 0;
  let changed = 0;
  for (const unit of leaving) {
    changed += unit.pods.length;
    for (const p of unit.pods) if (s.evicted.has(p)) deleted++;
  }
  return { deleted, changed };
}

/** Fewer pods without a place, then fewer moved (spec 04 section 10, selection rule). */
export function isCheaper(a: Price, b: Price): boolean {
  return a.deleted < b.deleted || (a.deleted === b.deleted && a.changed < b.changed);
}
