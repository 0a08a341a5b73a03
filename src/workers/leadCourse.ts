import type { SearchCounts } from '../base/decisions.ts';
import { type Course, TrialEnd } from '../engine/parallel.ts';
import type { Board } from './board.ts';
import { addRow, createRow, TrialMeter } from './counts.ts';
import { KnownEnd } from './teamwork.ts';

/** When a search is put on the board. */
export interface Offering {
  /** Asked before each trial. */
  isDue(trial: number): boolean;
  /** Offers the search from this trial on. */
  offer(trial: number): void;
  /** Waits until somebody has taken the trial, or it does not matter any more; null: the planner takes part itself. */
  readonly leave: ((trial: number) => void) | null;
}

/**
 * The planner's way through a search: alone at first; once it is offered it makes the trials that it comes to before
 * anybody else.
 */
export class LeadCourse implements Course {
  /** Trials come to so far. */
  trials = 0;
  /** The first trial that others could make, −1 = not offered. */
  offeredFrom = -1;
  /** Trials that the planner made since then. */
  made = 0;
  /** The trial of this thread that found an answer, −1 = none. */
  foundAt = -1;
  /** What the planner's trials cost, and the part of it that is not on the board. */
  readonly inTrials = createRow();
  readonly unshared = createRow();
  readonly #board: Board;
  readonly #attempt: number;
  readonly #meter: TrialMeter;
  readonly #offering: Offering;
  #end: KnownEnd | null = null;

  constructor(board: Board, attempt: number, counts: SearchCounts, offering: Offering) {
    this.#board = board;
    this.#attempt = attempt;
    this.#meter = new TrialMeter(counts);
    this.#offering = offering;
  }

  take(): boolean {
    const trial = this.trials++;
    if (this.offeredFrom < 0 && this.#board.isShared(trial) && this.#offering.isDue(trial)) {
      this.offeredFrom = trial;
      this.#offering.offer(trial);
      this.#end = new KnownEnd(this.#board, this.#attempt);
    }
    if (this.#isOnBoard(trial)) {
      if (this.#offering.leave !== null) {
        this.#offering.leave(trial);
        return false;
      }
      if (!this.#board.take(this.#attempt, trial)) return false;
      this.made++;
    }
    this.#meter.begin();
    return true;
  }

  end(result: TrialEnd): void {
    const trial = this.trials - 1;
    const cost = this.#meter.end();
    addRow(this.inTrials, cost);
    if (result === TrialEnd.found) this.foundAt = trial;
    if (this.offeredFrom >= 0 && result !== TrialEnd.nothing) this.#board.stopAt(this.#attempt, trial, result === TrialEnd.found);
    if (this.#isOnBoard(trial)) this.#board.finish(this.#attempt, trial, cost);
    else addRow(this.unshared, cost);
  }

  isOver(): boolean {
    return this.#end !== null && this.trials > this.#end.trial();
  }

  #isOnBoard(trial: number): boolean {
    return this.offeredFrom >= 0 && this.#board.isShared(trial);
  }
}
