import type { SearchCounts } from '../base/decisions.ts';
import { type Course, TrialEnd } from '../engine/parallel.ts';
import type { Board } from './board.ts';
import { addRow, createRow, TrialMeter } from './counts.ts';
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
  readonly inTrials = createRow();
  readonly #stop: number;
  readonly #meter: TrialMeter;
  #next = 0;

  constructor(stop: number, counts: SearchCounts) {
    this.#stop = stop;
    this.#meter = new TrialMeter(counts);
  }

  take(): boolean {
    if (this.#next++ !== this.#stop) return false;
    this.#meter.begin();
    return true;
  }

  end(): void {
    addRow(this.inTrials, this.#meter.end());
  }

  isOver(): boolean {
    return this.#next > this.#stop;
  }
}

/** The end of a search as a thread knows it: looked at anew only when it may have changed. */
export class KnownEnd {
  readonly #board: Board;
  readonly #attempt: number;
  #ends: number;
  #trial: number;

  constructor(board: Board, attempt: number) {
    this.#board = board;
    this.#attempt = attempt;
    this.#ends = board.ends();
    this.#trial = board.stop(attempt).trial;
  }

  /** As `Stop.trial`. */
  trial(): number {
    const ends = this.#board.ends();
    if (ends !== this.#ends) {
      this.#ends = ends;
      this.#trial = this.#board.stop(this.#attempt).trial;
    }
    return this.#trial;
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
  readonly #choice: TrialChoice;
  readonly #meter: TrialMeter;
  #trials = 0;

  constructor(board: Board, control: Int32Array, attempt: number, counts: SearchCounts, choice: TrialChoice) {
    this.#board = board;
    this.#control = control;
    this.#attempt = attempt;
    this.#choice = choice;
    this.#meter = new TrialMeter(counts);
  }

  take(): boolean {
    if (!this.#choice.isMine(this.#trials++)) return false;
    this.#meter.begin();
    return true;
  }

  end(result: TrialEnd): void {
    const trial = this.#trials - 1;
    if (result !== TrialEnd.nothing) this.#board.stopAt(this.#attempt, trial, result === TrialEnd.found);
    this.#board.finish(this.#attempt, trial, this.#meter.end());
    ring(this.#control, CONTROL.plannerBell, CONTROL.plannerAsleep);
  }

  isOver(): boolean {
    return this.#choice.isOver(this.#trials);
  }
}
