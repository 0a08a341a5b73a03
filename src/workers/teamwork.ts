import type { SearchCounts } from '../base/decisions.ts';
import { type Course, TrialEnd } from '../engine/parallel.ts';
import type { Board } from './board.ts';
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
  readonly beyond = { simulations: 0, rejected: 0, unitsLeaving: 0 };
  readonly #board: Board;
  readonly #control: Int32Array;
  readonly #attempt: number;
  readonly #counts: SearchCounts;
  readonly #mayTake: (course: SharedCourse, trial: number) => boolean;
  #before = { simulations: 0, rejected: 0, unitsLeaving: 0 };

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
    const { simulations, rejected, unitsLeaving } = this.#counts;
    this.#before = { simulations, rejected, unitsLeaving };
    return true;
  }

  end(result: TrialEnd): void {
    const trial = this.trials - 1;
    if (result !== TrialEnd.nothing) this.#board.stopAt(this.#attempt, trial, result === TrialEnd.found);
    if (result === TrialEnd.found) this.foundAt = trial;
    const cost = {
      simulations: this.#counts.simulations - this.#before.simulations,
      rejected: this.#counts.rejected - this.#before.rejected,
      unitsLeaving: this.#counts.unitsLeaving - this.#before.unitsLeaving,
    };
    if (this.#board.isShared(trial)) this.#board.finish(this.#attempt, trial, cost);
    else addCost(this.beyond, cost);
    ring(this.#control, CONTROL.plannerBell, CONTROL.plannerAsleep);
  }

  isOver(): boolean {
    return this.trials > this.#board.stop(this.#attempt).trial;
  }
}

export function addCost<T extends { simulations: number; rejected: number; unitsLeaving: number }>(
  sum: T,
  cost: { readonly simulations: number; readonly rejected: number; readonly unitsLeaving: number },
): void {
  sum.simulations += cost.simulations;
  sum.rejected += cost.rejected;
  sum.unitsLeaving += cost.unitsLeaving;
}
