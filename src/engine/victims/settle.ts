import { acceptedGpuMilli, nodeOf, requestOf, statusOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { Status } from '../session/status.ts';
import type { Statement } from '../statement.ts';
import type { Chunk, QueueAmounts } from './fairness.ts';
import { keepInPlace, moveJob } from './replace.ts';
import type { Unit } from './units.ts';
import { addAmounts } from './victimWalk.ts';

/** A trial in which the preemptor has its place: what becomes of those that were evicted in mind for it. */
export interface Trial {
  readonly st: Statement;
  /** Units evicted so far, in victim order. */
  readonly units: readonly Unit[];
  /** Place in `units` of the unit that a pod belongs to. */
  readonly unitOfPod: ReadonlyMap<number, number>;
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
  const perJob = new Map<number, Unit[]>();
  for (const unit of units) {
    const own = perJob.get(unit.job);
    if (own === undefined) perJob.set(unit.job, [unit]);
    else own.push(unit);
  }
  // Equal jobs stay best protected first; units of one job keep their order.
  const weighed = [...perJob.values()].map((own) => ({ own, weight: weightOf(s, { ...own[0]!, pods: own.flatMap((unit) => unit.pods) }) }));
  weighed.sort((a, b) => a.weight - b.weight);
  return keepThenMove(
    x,
    weighed.flatMap(({ own }) => own),
  );
};

/** The same with these jobs first: others leave in their stead. */
export function keepFirst(jobs: ReadonlySet<number>): Settle {
  return (x) => {
    const units = goneUnits(x).reverse();
    return keepThenMove(x, [...units.filter((unit) => jobs.has(unit.job)), ...units.filter((unit) => !jobs.has(unit.job))]);
  };
}

/** Jobs that lost pods for good; null when they are all that were evicted. */
export function stuckJobs(s: Session, evicted: readonly Unit[]): ReadonlySet<number> | null {
  const jobs = new Set<number>();
  for (const p of s.evicted.keys()) jobs.add(s.podSets.job[s.tasks.podSet[p]!]!);
  return evicted.every((unit) => jobs.has(unit.job)) ? null : jobs;
}

/** Did one of the evicted units stay that holds more per pod than one that left? If not, `keepLight` does as `keepBest` did. */
export function keptHeavier(s: Session, evicted: readonly Unit[], leaving: readonly Unit[]): boolean {
  const left = new Set(leaving);
  if (left.size === evicted.length) return false;
  let lightest = Number.POSITIVE_INFINITY;
  for (const unit of leaving) lightest = Math.min(lightest, weightOf(s, unit));
  return evicted.some((unit) => !left.has(unit) && weightOf(s, unit) > lightest);
}

/** GPUs per pod of a unit, then CPUs, in one number. */
function weightOf(s: Session, unit: Unit): number {
  let gpuMilli = 0;
  let milliCpu = 0;
  for (const p of unit.pods) {
    const node = nodeOf(s, p);
    const request = requestOf(s, p);
    if (node >= 0) gpuMilli += acceptedGpuMilli(s, p, request, node);
    milliCpu += request.milliCpu;
  }
  return (gpuMilli * 1e9 + milliCpu) / unit.pods.length;
}

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
  return unitsOf(x, x.st.session.evicted.keys());
}

/** Units with one of these pods, in victim order. A narrow trial is about few of the many that were taken. */
function unitsOf(x: Trial, pods: Iterable<number>): Unit[] {
  const found = new Set<number>();
  let last = -1;
  for (const p of pods) {
    const at = x.unitOfPod.get(p);
    if (at === undefined || at === last) continue;
    found.add(at);
    last = at;
  }
  if (found.size === 1) return [x.units[last]!];
  return [...found].sort((a, b) => a - b).map((at) => x.units[at]!);
}

/** Units with a pod that is gone or has another place, also one that it got ahead of the preemptor. */
function unitsThatLeft(x: Trial): Unit[] {
  const s = x.st.session;
  const pods = [...s.evicted.keys()];
  for (const op of x.st.ops) if (op.kind === 'place' && statusOf(s, op.podRow) === Status.pipelined) pods.push(op.podRow);
  const left = unitsOf(x, pods);
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

/** What is taken for good, unit by unit; moved pods count only if the configuration says so (spec 04 section 6.1.1). */
export function chunksOf(s: Session, leaving: readonly Unit[]): Chunk[] {
  const chunks: Chunk[] = [];
  for (const unit of leaving) {
    const pods = s.config.params.allowConsolidatingReclaim ? unit.pods.filter((p) => s.evicted.has(p)) : unit.pods;
    if (pods.length === 0) continue;
    const sum = new Float64Array(3);
    addAmounts(s, sum, 0, { ...unit, pods }, 1);
    chunks.push({ queue: s.jobs.queue[unit.job]!, amounts: [sum[0]!, sum[1]!, sum[2]!] });
  }
  return chunks;
}
