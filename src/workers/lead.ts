import { Interruption } from '../base/jobFault.ts';
import { type SharedSearch, WHOLE_COURSE } from '../engine/parallel.ts';
import { Board, EXHAUSTED, FAILED, NO_TRIAL } from './board.ts';
import { throwIfCancelled } from './cancel.ts';
import { addRow, countsSince, createRow, readCounts, writeCounts } from './counts.ts';
import { LeadCourse, type Offering } from './leadCourse.ts';
import { CONTROL, PLANNER_HEARTBEAT_MS } from './protocol.ts';
import { HelperCourse, KnownCourse, ring, sleepUntilRung } from './teamwork.ts';

/** Searching less than this in a cycle is never worth a second session. */
const MIN_SEARCH_MS = 2;
/** A search is offered when it has lasted so long: most are over before. */
const OFFER_AFTER_MS = 0.2;
/** … and has made so many trials: few that are long would rather be made twice. */
const OFFER_AFTER_TRIALS = 8;
/** So long the planner waits for trials that other threads have taken; then it makes them as well. */
const PATIENCE_MS = 1;
/** Shared trials after which is asked whether the help is worth it, and the part of them that others must have made. */
const ASK_AFTER_TRIALS = 3000;
const WORTHWHILE_SHARE = 0.15;
const MAX_RELUCTANCE = 64;
/** Bad experience counts for less with every cycle. */
const FORGETTING = 0.9;

export interface LeadOptions {
  /** Search workers that may help; none: nothing is shared or written down. */
  readonly followers: number;
  readonly memory: SharedArrayBuffer;
  /** Followers start with the cycle. */
  readonly isSearchBound: boolean;
  /** Factor on the time that must have gone into searches before followers are asked for: 1 = no experience against it. */
  readonly reluctance: number;
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
  readonly #options: LeadOptions;
  readonly #startMs = performance.now();
  /** Time a follower needs to come to the first search: about what the planner needed. */
  #catchUpMs = Number.NaN;
  /** Time spent in searches that were, or would have been, offered, from that moment on. */
  #longMs = 0;
  /** The planner goes on alone until the cycle ends. */
  #isAlone = false;
  /** Shared trials of this cycle, and those of them that the planner made. */
  #trials = 0;
  #made = 0;

  constructor(control: Int32Array, options: LeadOptions) {
    this.#control = control;
    this.#board = options.followers > 0 ? new Board(control, options.memory, 0) : null;
    this.#options = options;
    if (this.#board !== null && options.isSearchBound) this.#share(this.#board);
  }

  /** More time went into long searches than into all that a follower must do before it can help. */
  get isSearchBound(): boolean {
    return !this.#isAlone && this.#longMs > this.#options.reluctance * Math.max(MIN_SEARCH_MS, this.#catchUpMs);
  }

  /** For the next cycle: grows when help was of little use, and shrinks again. */
  get reluctance(): number {
    const { reluctance } = this.#options;
    if (this.#trials < ASK_AFTER_TRIALS) return Math.max(1, reluctance * FORGETTING);
    return this.#isHelpful() ? Math.max(1, reluctance / 2) : Math.min(MAX_RELUCTANCE, reluctance * 4);
  }

  tell(isPlaced: boolean): void {
    if (this.#board !== null) this.#publish(this.#board, isPlaced ? 0 : FAILED, 0);
  }

  find<T>(search: SharedSearch<T>): T | null {
    const board = this.#board;
    if (board === null || this.#isAlone) return search.run(WHOLE_COURSE);
    throwIfCancelled(this.#control);
    const startMs = performance.now();
    if (Number.isNaN(this.#catchUpMs)) this.#catchUpMs = startMs - this.#startMs;
    if (!this.isShared && (this.#options.leavesAllTrials || this.isSearchBound)) this.#share(board);
    return search.isDivisible ? this.#findTogether(board, search, startMs) : this.#findWhole(board, search);
  }

  #share(board: Board): void {
    this.isShared = true;
    board.clear();
    Atomics.store(this.#control, CONTROL.follow, 1);
    Atomics.add(this.#control, CONTROL.epoch, 1);
    Atomics.notify(this.#control, CONTROL.epoch);
  }

  #findWhole<T>(board: Board, search: SharedSearch<T>): T | null {
    const found = search.run(WHOLE_COURSE);
    this.#publish(board, found === null ? failureOf(search) : 0, search.spent.steps);
    return found;
  }

  #findTogether<T>(board: Board, search: SharedSearch<T>, startMs: number): T | null {
    const { counts } = search;
    const before = createRow();
    readCounts(counts, before);
    const attempt = board.known();
    const course = new LeadCourse(board, attempt, counts, this.#offering(board, attempt, search.fingerprint, startMs));
    let found = search.run(course);
    if (course.trials > OFFER_AFTER_TRIALS) this.#longMs += Math.max(0, performance.now() - startMs - OFFER_AFTER_MS);
    if (course.offeredFrom < 0) {
      this.#publish(board, found === null ? failureOf(search) : course.foundAt, search.spent.steps);
      return found;
    }
    const last = (): number => Math.min(course.trials, board.stop(attempt).trial + 1);
    if (this.#isLate(board, attempt, course.offeredFrom, last)) {
      if (found !== null) search.undo(found);
      found = null;
      this.#makeMissing(board, attempt, search, course.offeredFrom, last);
    }
    const stop = board.stop(attempt);
    let { inTrials } = course;
    if (stop.trial < NO_TRIAL && (found === null || course.foundAt !== stop.trial)) {
      if (found !== null) search.undo(found);
      writeCounts(counts, before);
      const known = new KnownCourse(stop.trial, counts);
      found = search.run(known);
      inTrials = known.inTrials;
    }
    if ((found !== null) !== (stop.trial < NO_TRIAL && stop.isFound))
      throw new Interruption('a victim search came out otherwise on another thread');
    // The counts of one thread that makes every trial: they must not tell how many there were.
    const sum = createRow();
    countsSince(counts, inTrials, sum);
    addRow(sum, course.unshared);
    for (let trial = course.offeredFrom, end = last(); trial < end && board.isShared(trial); trial++) board.addCost(trial, sum);
    writeCounts(counts, sum);
    this.sharedSearches++;
    this.#publish(board, found === null ? failureOf(search) : stop.trial, search.spent.steps);
    this.#weigh(last() - course.offeredFrom, course.made);
    return found;
  }

  #offering(board: Board, attempt: number, fingerprint: number, startMs: number): Offering {
    const isAtOnce = this.#options.leavesAllTrials;
    return {
      isDue: (trial) => this.isShared && (isAtOnce || (trial >= OFFER_AFTER_TRIALS && performance.now() - startMs > OFFER_AFTER_MS)),
      offer: (trial) => {
        board.open(attempt, fingerprint, trial);
        ring(this.#control, CONTROL.followerBell, CONTROL.followersAsleep);
      },
      leave: isAtOnce
        ? (trial) => {
            const isUntaken = (): boolean => board.taken(attempt) <= trial && board.stop(attempt).trial >= trial;
            while (isUntaken()) this.#sleep(isUntaken, PLANNER_HEARTBEAT_MS);
          }
        : null,
    };
  }

  /** Waits until every trial that comes before the end is made. True: some are not, after a while. */
  #isLate(board: Board, attempt: number, from: number, last: () => number): boolean {
    const untilMs = performance.now() + PATIENCE_MS;
    for (let trial = from; trial < last() && board.isShared(trial); trial++) {
      const isMissing = (): boolean => trial < last() && !board.isMade(attempt, trial);
      while (isMissing()) {
        if (!this.#options.leavesAllTrials && performance.now() >= untilMs) return true;
        this.#sleep(isMissing, this.#options.leavesAllTrials ? PLANNER_HEARTBEAT_MS : PATIENCE_MS);
      }
    }
    return false;
  }

  /** Whoever has taken them may have been put off by the machine: what they would find is found here. */
  #makeMissing<T>(board: Board, attempt: number, search: SharedSearch<T>, from: number, last: () => number): void {
    const before = createRow();
    readCounts(search.counts, before);
    const spent = { ...search.spent };
    const found = search.run(
      new HelperCourse(board, this.#control, attempt, search.counts, {
        isMine: (trial) => trial >= from && trial < last() && board.isShared(trial) && !board.isMade(attempt, trial),
        isOver: (trial) => trial >= last(),
      }),
    );
    if (found !== null) search.undo(found);
    // The walk was counted before.
    writeCounts(search.counts, before);
    Object.assign(search.spent, spent);
  }

  #isHelpful(): boolean {
    return this.#trials - this.#made >= WORTHWHILE_SHARE * this.#trials;
  }

  /** On a busy machine followers come too late to be of use: then they are sent home. */
  #weigh(trials: number, made: number): void {
    if (Atomics.load(this.#control, CONTROL.caughtUp) === 0) return;
    this.#trials += trials;
    this.#made += made;
    if (this.#trials >= ASK_AFTER_TRIALS && !this.#isHelpful() && !this.#options.leavesAllTrials) this.#goAlone();
  }

  #sleep(isAwaited: () => boolean, timeoutMs: number): void {
    throwIfCancelled(this.#control);
    sleepUntilRung(this.#control, CONTROL.plannerBell, CONTROL.plannerAsleep, isAwaited, timeoutMs);
  }

  #publish(board: Board, outcome: number, spent: number): void {
    if (this.#isAlone) return;
    if (!board.publish(outcome, spent)) this.#goAlone();
    else if (this.isShared) ring(this.#control, CONTROL.followerBell, CONTROL.followersAsleep);
  }

  #goAlone(): void {
    this.#isAlone = true;
    this.isShared = false;
    Atomics.store(this.#control, CONTROL.solo, 1);
    ring(this.#control, CONTROL.followerBell, CONTROL.followersAsleep);
  }
}

function failureOf<T>({ spent }: SharedSearch<T>): number {
  return spent.isAll ? EXHAUSTED : FAILED;
}
