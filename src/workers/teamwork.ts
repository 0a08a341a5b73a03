import { emptySearchCounts, type SearchCounts, searchCountsSince } from '../base/decisions.ts';
import { type Course, TrialEnd } from '../engine/parallel.ts';
import type { Board, TrialCost } from './board.ts';
import { CONTROL } from './protocol.ts';

/** Sleeps until the bell rings or the time is over; `isAwaited` is looked at again after the sleeper is known as one. */
export function sleepUntilRung(control: Int32Array, bell: number, asleep: number, isAwaited: () => boolean, timeoutMs: number): void {
  const rung = Atomics.load(control, bell);
  if (!isAwaited()) return;
  Atomics.add(control, asleep, 1);
  Atomics.wait(control, bell, rung, timeoutMs);
  Atomics.sub(control, asleep, 1);
}

export function ring(control: Int32Array, bell: number, asleep: number): void {
  Atomics.add(control, bell, 1);
  if (Atomics.load(control, asleep) > 0) Atomics.notify(control, bell);
}

/** Takes every trial and remembers which one found the answer. */
export class RecordingCourse implements Course {
  foundAt = -1;
  #trial = -1;

  take(): boolean {
    this.#trial++;
    return true;
  }

  end(result: TrialEnd): void {
    if (result === TrialEnd.found) this.foundAt = this.#trial;
  }

  isOver(): boolean {
    return false;
  }
}

/** Goes straight to the trial that is known to end the search. */
export class KnownCourse implements Course {
  readonly #stop: number;
  #next = 0;

  constructor(stop: number) {
    this.#stop = stop;
  }

  take(): boolean {
    return this.#next++ === this.#stop;
  }

  end(): void {}

  isOver(): boolean {
    return this.#next > this.#stop;
  }
}

/**
 * One thread's way through a shared search: it walks past all trials and makes those that it comes to first. So the next
 * trial that nobody has taken is never behind a thread that goes on.
 */
export class SharedCourse implements Course {
  /** Trials come to so far. */
  trials = 0;
  /** The trial of this thread that found an answer, −1 = none. */
  foundAt = -1;
  /** Cost of trials that are too many for the board. */
  readonly beyond = emptySearchCounts();
  readonly #board: Board;
  readonly #control: Int32Array;
  readonly #attempt: number;
  readonly #counts: SearchCounts;
  readonly #mayTake: (course: SharedCourse, trial: number) => boolean;
  #before = emptySearchCounts();

  /** `mayTake`: asked at each trial of the board; it may wait, and takes part in the decision who makes the trial. */
  constructor(
    board: Board,
    control: Int32Array,
    attempt: number,
    counts: SearchCounts,
    mayTake: (course: SharedCourse, trial: number) => boolean,
  ) {
    this.#board = board;
    this.#control = control;
    this.#attempt = attempt;
    this.#counts = counts;
    this.#mayTake = mayTake;
  }

  take(): boolean {
    const trial = this.trials++;
    if (!this.#mayTake(this, trial)) return false;
    if (this.#board.isShared(trial) && !(this.#board.taken(this.#attempt) === trial && this.#board.take(this.#attempt, trial)))
      return false;
    this.#before = { ...this.#counts };
    return true;
  }

  end(result: TrialEnd): void {
    const trial = this.trials - 1;
    if (result !== TrialEnd.nothing) this.#board.stopAt(this.#attempt, trial, result === TrialEnd.found);
    if (result === TrialEnd.found) this.foundAt = trial;
    const { simulations, rejected, unitsLeaving, narrowSimulations } = searchCountsSince(this.#before, this.#counts);
    const cost = { simulations, rejected, unitsLeaving, isNarrow: narrowSimulations > 0 };
    if (this.#board.isShared(trial)) this.#board.finish(this.#attempt, trial, cost);
    else addCost(this.beyond, cost);
    ring(this.#control, CONTROL.plannerBell, CONTROL.plannerAsleep);
  }

  isOver(): boolean {
    return this.trials > this.#board.stop(this.#attempt).trial;
  }
}

export function addCost(sum: SearchCounts, { simulations, rejected, unitsLeaving, isNarrow }: TrialCost): void {
  sum.simulations += simulations;
  sum.rejected += rejected;
  sum.unitsLeaving += unitsLeaving;
  if (!isNarrow) return;
  sum.narrowSimulations += simulations;
  sum.narrowRejected += rejected;
}

const OF_TRIALS = ['simulations', 'rejected', 'unitsLeaving', 'narrowSimulations', 'narrowRejected'] as const;

/** Sets what trials add to back to what it was before, plus what some have added since. */
export function resetTrials(sum: SearchCounts, before: SearchCounts, since: SearchCounts): void {
  for (const name of OF_TRIALS) sum[name] = before[name] + since[name];
}
