import { Interruption } from '../base/jobFault.ts';
import type { SearchPort, SearchRequest, SharedSearch } from '../engine/parallel.ts';
import { WHOLE_COURSE } from '../engine/parallel.ts';
import { Board, EXHAUSTED, FAILED } from './board.ts';
import { CONTROL, SEARCHER_HEARTBEAT_MS } from './protocol.ts';
import { HelperCourse, KnownCourse, KnownEnd, sleepUntilRung } from './teamwork.ts';

/** Thrown by the port when the planner needs no more help; ends the follower's cycle. */
export class CycleOver extends Interruption {}

/** The port of a search worker that follows a cycle: it knows what came of every attempt, and joins the search that goes on. */
export class FollowerPort implements SearchPort {
  readonly #control: Int32Array;
  readonly #board: Board;
  /** Number of the next attempt. */
  #attempt = 0;
  #isCaughtUp = false;

  /** `index`: number of the search worker, from 1. */
  constructor(control: Int32Array, memory: SharedArrayBuffer, index: number) {
    this.#control = control;
    this.#board = new Board(control, memory, index);
  }

  search(request: SearchRequest, inline: (from: number, to: number) => void): void {
    inline(0, request.rows);
  }

  isKnownToFail(): boolean {
    this.#awaitOutcome();
    return this.#board.outcome(this.#attempt) === FAILED;
  }

  tell(isPlaced: boolean): void {
    if (isPlaced !== (this.#board.outcome(this.#attempt) !== FAILED)) throw diverged();
    this.#attempt++;
  }

  find<T>(search: SharedSearch<T>): T | null {
    if (search.isDivisible) this.#help(search);
    this.#awaitOutcome();
    const attempt = this.#attempt++;
    const outcome = this.#board.outcome(attempt);
    if (outcome < 0) {
      Object.assign(search.spent, { steps: this.#board.spent(attempt), isAll: outcome === EXHAUSTED });
      return null;
    }
    const found = search.run(search.isDivisible ? new KnownCourse(outcome, search.counts) : WHOLE_COURSE);
    if (found === null) throw diverged();
    return found;
  }

  /** Makes trials of the search if it goes on or is still to come. What it finds is found again with the outcome. */
  #help<T>(search: SharedSearch<T>): void {
    const board = this.#board;
    const attempt = this.#attempt;
    this.#sleepWhile(() => board.known() === attempt && !board.isOpen(attempt));
    if (!this.#isCaughtUp) Atomics.add(this.#control, CONTROL.caughtUp, 1);
    this.#isCaughtUp = true;
    const fingerprint = board.fingerprint();
    // Only as long as the outcome is unknown is it this search's.
    if (board.known() > attempt) return;
    if (fingerprint !== search.fingerprint) throw diverged();
    const end = new KnownEnd(board, attempt);
    const course = new HelperCourse(board, this.#control, attempt, search.counts, {
      // The next trial that nobody has taken is never behind one who goes on.
      isMine: (trial) => board.isShared(trial) && board.take(attempt, trial),
      isOver: (trial) => !board.isShared(trial) || board.known() > attempt || trial > end.trial(),
    });
    const found = search.run(course);
    if (found !== null) search.undo(found);
  }

  #awaitOutcome(): void {
    const attempt = this.#attempt;
    this.#sleepWhile(() => this.#board.known() === attempt);
  }

  #sleepWhile(isAwaited: () => boolean): void {
    throwIfOver(this.#control);
    while (isAwaited()) {
      sleepUntilRung(this.#control, CONTROL.followerBell, CONTROL.followersAsleep, isAwaited, SEARCHER_HEARTBEAT_MS);
      throwIfOver(this.#control);
    }
  }
}

function throwIfOver(control: Int32Array): void {
  if (Atomics.load(control, CONTROL.stop) === 1 || Atomics.load(control, CONTROL.solo) === 1) throw new CycleOver('the cycle is over');
}

function diverged(): Error {
  return new Interruption('a search worker that follows the cycle came to another state than the planner');
}
