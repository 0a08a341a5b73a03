import { type SharedSearch, WHOLE_COURSE } from '../engine/parallel.ts';
import { Board, FAILED, NO_TRIAL, type Stop } from './board.ts';
import { throwIfCancelled } from './cancel.ts';
import { CONTROL, PLANNER_HEARTBEAT_MS } from './protocol.ts';
import { addCost, KnownCourse, RecordingCourse, resetTrials, ring, SharedCourse, sleepUntilRung } from './teamwork.ts';

/** Searching less than this in a cycle is never worth a second session. */
const MIN_SEARCH_MS = 2;

export interface LeadOptions {
  /** Search workers that may help; none: nothing is shared or written down. */
  readonly followers: number;
  readonly memory: SharedArrayBuffer;
  /** Followers start with the cycle. */
  readonly isSearchBound: boolean;
  /** The planner makes no trial itself, so that what followers find is what counts: for tests of the equality of both. */
  readonly leavesAllTrials: boolean;
}

/** The planner's side of shared victim searches (see `Board`). Time decides only who makes a trial, never what comes of it. */
export class Lead {
  sharedSearches = 0;
  /** Search workers follow the cycle. */
  isShared = false;
  readonly #control: Int32Array;
  readonly #board: Board | null;
  readonly #leavesAllTrials: boolean;
  readonly #startMs = performance.now();
  /** Time a follower needs to come to the first search: about what the planner needed. */
  #catchUpMs = Number.NaN;
  #searchMs = 0;
  #isLogFull = false;

  constructor(control: Int32Array, options: LeadOptions) {
    this.#control = control;
    this.#board = options.followers > 0 ? new Board(control, options.memory) : null;
    this.#leavesAllTrials = options.leavesAllTrials;
    if (this.#board !== null && options.isSearchBound) this.#share(this.#board);
  }

  /** More time went into searches than into all that a follower must do before it can help. */
  get isSearchBound(): boolean {
    return this.#searchMs > Math.max(MIN_SEARCH_MS, this.#catchUpMs);
  }

  tell(isPlaced: boolean): void {
    if (this.#board !== null) this.#publish(this.#board, isPlaced ? 0 : FAILED);
  }

  find<T>(search: SharedSearch<T>): T | null {
    const board = this.#board;
    if (board === null || this.#isLogFull) return search.run(WHOLE_COURSE);
    throwIfCancelled(this.#control);
    const startMs = performance.now();
    if (Number.isNaN(this.#catchUpMs)) this.#catchUpMs = startMs - this.#startMs;
    if (!this.isShared && (this.#leavesAllTrials || this.isSearchBound)) this.#share(board);
    const found = this.isShared && search.isDivisible ? this.#findTogether(board, search) : this.#findAlone(board, search);
    this.#searchMs += performance.now() - startMs;
    return found;
  }

  #share(board: Board): void {
    this.isShared = true;
    board.clear();
    Atomics.store(this.#control, CONTROL.follow, 1);
    Atomics.add(this.#control, CONTROL.epoch, 1);
    Atomics.notify(this.#control, CONTROL.epoch);
  }

  #findAlone<T>(board: Board, search: SharedSearch<T>): T | null {
    const course = new RecordingCourse();
    const found = search.run(search.isDivisible ? course : WHOLE_COURSE);
    this.#publish(board, found === null ? FAILED : Math.max(0, course.foundAt));
    return found;
  }

  #findTogether<T>(board: Board, search: SharedSearch<T>): T | null {
    const { counts } = search;
    const before = { ...counts };
    const attempt = board.known();
    board.open(attempt, search.fingerprint);
    ring(this.#control, CONTROL.followerBell, CONTROL.followersAsleep);
    const course = new SharedCourse(board, this.#control, attempt, counts, (own, trial) => this.#mayTake(board, attempt, own, trial));
    let found = search.run(course);
    const stop = this.#awaitTrials(board, attempt, course.trials);
    if (stop.trial < NO_TRIAL && course.foundAt !== stop.trial) {
      if (found !== null) search.undo(found);
      Object.assign(counts, before);
      found = search.run(new KnownCourse(stop.trial));
    }
    if ((found !== null) !== (stop.trial < NO_TRIAL && stop.isFound))
      throw new Error('a victim search came out otherwise on another thread');
    // The counts are those of one thread that makes every trial: they must not tell how many there were.
    resetTrials(counts, before, course.beyond);
    for (let trial = 0; trial < Math.min(course.trials, stop.trial + 1) && board.isShared(trial); trial++) {
      addCost(counts, board.cost(attempt, trial)!);
    }
    this.sharedSearches++;
    this.#publish(board, found === null ? FAILED : stop.trial);
    return found;
  }

  #mayTake(board: Board, attempt: number, course: SharedCourse, trial: number): boolean {
    if (!this.#leavesAllTrials || !board.isShared(trial)) return true;
    const isUntaken = (): boolean => board.taken(attempt) <= trial && !course.isOver();
    while (isUntaken()) this.#sleep(isUntaken);
    return false;
  }

  /** Waits until every trial that comes before the end is made; returns the end. */
  #awaitTrials(board: Board, attempt: number, trials: number): Stop {
    for (let trial = 0; trial < Math.min(trials, board.stop(attempt).trial + 1) && board.isShared(trial); trial++) {
      const isMissing = (): boolean => board.cost(attempt, trial) === null && trial <= board.stop(attempt).trial;
      while (isMissing()) this.#sleep(isMissing);
    }
    return board.stop(attempt);
  }

  #sleep(isAwaited: () => boolean): void {
    throwIfCancelled(this.#control);
    sleepUntilRung(this.#control, CONTROL.plannerBell, CONTROL.plannerAsleep, isAwaited, PLANNER_HEARTBEAT_MS);
  }

  #publish(board: Board, outcome: number): void {
    if (this.#isLogFull) return;
    this.#isLogFull = !board.publish(outcome);
    if (this.#isLogFull) {
      Atomics.store(this.#control, CONTROL.solo, 1);
      this.isShared = false;
    }
    if (this.isShared || this.#isLogFull) ring(this.#control, CONTROL.followerBell, CONTROL.followersAsleep);
  }
}
