import { addSearchCounts, emptySearchCounts, type SearchCounts, searchCountsSince } from '../base/decisions.ts';
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

/** Goes straight to the trial that is known to end the search. */
export class KnownCourse implements Course {
  /** What that trial cost. */
  readonly inTrials = emptySearchCounts();
  readonly #stop: number;
  readonly #counts: SearchCounts;
  #before = emptySearchCounts();
  #next = 0;

  constructor(stop: number, counts: SearchCounts) {
    this.#stop = stop;
    this.#counts = counts;
  }

  take(): boolean {
    this.#before = { ...this.#counts };
    return this.#next++ === this.#stop;
  }

  end(): void {
    addSearchCounts(this.inTrials, searchCountsSince(this.#before, this.#counts));
  }

  isOver(): boolean {
    return this.#next > this.#stop;
  }
}

/** Which trials of a search are a thread's to make, and when no later one matters. */
export interface TrialChoice {
  isMine(trial: number): boolean;
  /** `trial`: the next one. */
  isOver(trial: number): boolean;
}

/** A helper's way through a search: it walks past all trials, makes those of its choice and puts them on the board. */
export class HelperCourse implements Course {
  readonly #board: Board;
  readonly #control: Int32Array;
  readonly #attempt: number;
  readonly #counts: SearchCounts;
  readonly #choice: TrialChoice;
  #trials = 0;
  #before = emptySearchCounts();

  constructor(board: Board, control: Int32Array, attempt: number, counts: SearchCounts, choice: TrialChoice) {
    this.#board = board;
    this.#control = control;
    this.#attempt = attempt;
    this.#counts = counts;
    this.#choice = choice;
  }

  take(): boolean {
    if (!this.#choice.isMine(this.#trials++)) return false;
    this.#before = { ...this.#counts };
    return true;
  }

  end(result: TrialEnd): void {
    const trial = this.#trials - 1;
    if (result !== TrialEnd.nothing) this.#board.stopAt(this.#attempt, trial, result === TrialEnd.found);
    this.#board.finish(this.#attempt, trial, searchCountsSince(this.#before, this.#counts));
    ring(this.#control, CONTROL.plannerBell, CONTROL.plannerAsleep);
  }

  isOver(): boolean {
    return this.#choice.isOver(this.#trials);
  }
}
