import { BOARD, CONTROL } from './protocol.ts';

/** Index of the first trial that ended the search: none so far. */
export const NO_TRIAL = 0x3fff_ffff;
export const FAILED = -1;
/** Failed because nothing was left to search with. */
export const EXHAUSTED = -2;

/** How a shared search ended: at which trial, and whether that one found an answer. */
export interface Stop {
  readonly trial: number;
  readonly isFound: boolean;
}

/**
 * The memory in which planner and followers share victim searches. The log has one outcome per attempt of the cycle, in
 * order: FAILED or EXHAUSTED, or the trial that found the answer; and what the search spent. Words about one search carry the number of its attempt in their upper
 * half, so that a thread that comes late, for a search that is over, changes nothing.
 */
export class Board {
  readonly #control: Int32Array;
  readonly #writer: number;
  /** 0: next trial to be taken. 8: first trial that ended the search, times 2, plus 1 if it found an answer. */
  readonly #heads: BigInt64Array;
  /** Per trial: attempt + 1 in the upper half once it is made, the thread that made it in the lower. */
  readonly #trials: BigInt64Array;
  readonly #log: Int32Array;
  /** What trials cost, in rows of the thread that made them: a late thread writes over nothing but its own. */
  readonly #costs: Int32Array;

  /** `writer`: number of the thread, 0 = the planner. */
  constructor(control: Int32Array, memory: SharedArrayBuffer, writer: number) {
    this.#control = control;
    this.#writer = writer;
    this.#heads = new BigInt64Array(memory, 0, BOARD.headWords);
    this.#trials = new BigInt64Array(memory, 8 * BOARD.headWords, BOARD.trials);
    const logAt = 8 * (BOARD.headWords + BOARD.trials);
    this.#log = new Int32Array(memory, logAt, 2 * BOARD.logEntries);
    this.#costs = new Int32Array(memory, logAt + 4 * 2 * BOARD.logEntries);
  }

  /** For a new cycle, before any thread looks. */
  clear(): void {
    this.#heads.fill(0n);
    this.#trials.fill(0n);
  }

  /** Number of attempts whose outcome is known. */
  known(): number {
    return Atomics.load(this.#control, CONTROL.known);
  }

  outcome(attempt: number): number {
    return this.#log[2 * attempt]!;
  }

  spent(attempt: number): number {
    return this.#log[2 * attempt + 1]!;
  }

  /** Planner only. False: the log is full. */
  publish(outcome: number, spent: number): boolean {
    const attempt = this.#control[CONTROL.known]!;
    if (attempt === BOARD.logEntries) return false;
    this.#log[2 * attempt] = outcome;
    this.#log[2 * attempt + 1] = spent;
    Atomics.store(this.#control, CONTROL.known, attempt + 1);
    return true;
  }

  /** Planner only: offers a search from a trial on; those before it are made. */
  open(attempt: number, fingerprint: number, trial: number): void {
    Atomics.store(this.#control, CONTROL.fingerprint, fingerprint);
    Atomics.store(this.#heads, 8, pack(attempt + 1, 2 * NO_TRIAL));
    Atomics.store(this.#control, CONTROL.takenHint, hintOf(attempt, trial));
    Atomics.add(this.#control, CONTROL.ends, 1);
    Atomics.store(this.#heads, 0, pack(attempt + 1, trial));
  }

  isOpen(attempt: number): boolean {
    return upper(Atomics.load(this.#heads, 0)) === attempt + 1;
  }

  fingerprint(): number {
    return Atomics.load(this.#control, CONTROL.fingerprint);
  }

  /** Trials taken so far; NO_TRIAL when the search is over. */
  taken(attempt: number): number {
    const head = Atomics.load(this.#heads, 0);
    return upper(head) === attempt + 1 ? lower(head) : NO_TRIAL;
  }

  /** Takes a trial if nobody has it. */
  take(attempt: number, trial: number): boolean {
    const hint = Atomics.load(this.#control, CONTROL.takenHint);
    if (hint > hintOf(attempt, trial) && hint <= hintOf(attempt, BOARD.trials)) return false;
    const from = pack(attempt + 1, trial);
    if (Atomics.compareExchange(this.#heads, 0, from, from + 1n) !== from) return false;
    Atomics.store(this.#control, CONTROL.takenHint, hintOf(attempt, trial + 1));
    return true;
  }

  /** Differs from what it was if the end of the search may have changed since. */
  ends(): number {
    return Atomics.load(this.#control, CONTROL.ends);
  }

  /** The first trial known to have ended the search; trial −1 when it is another search's turn. */
  stop(attempt: number): Stop {
    const head = Atomics.load(this.#heads, 8);
    if (upper(head) !== attempt + 1) return { trial: -1, isFound: false };
    return { trial: lower(head) >> 1, isFound: (lower(head) & 1) === 1 };
  }

  /** Says that a trial ended the search; the first in order counts. */
  stopAt(attempt: number, trial: number, isFound: boolean): void {
    const word = pack(attempt + 1, 2 * trial + (isFound ? 1 : 0));
    for (let head = Atomics.load(this.#heads, 8); upper(head) === attempt + 1 && word < head; ) {
      const seen = Atomics.compareExchange(this.#heads, 8, head, word);
      if (seen === head) break;
      head = seen;
    }
    Atomics.add(this.#control, CONTROL.ends, 1);
  }

  /** Says that this thread has made a trial. Whoever makes one again finds the same. */
  finish(attempt: number, trial: number, cost: Int32Array): void {
    this.#costs.set(cost, this.#costAt(this.#writer, trial));
    const word = pack(attempt + 1, this.#writer);
    for (let old = Atomics.load(this.#trials, trial); upper(old) < attempt + 1; ) {
      const seen = Atomics.compareExchange(this.#trials, trial, old, word);
      if (seen === old) return;
      old = seen;
    }
  }

  isMade(attempt: number, trial: number): boolean {
    return upper(Atomics.load(this.#trials, trial)) === attempt + 1;
  }

  /** Adds what a trial that is made cost. */
  addCost(trial: number, sum: Int32Array): void {
    const at = this.#costAt(lower(Atomics.load(this.#trials, trial)), trial);
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + this.#costs[at + i]!;
  }

  isShared(trial: number): boolean {
    return trial < BOARD.trials;
  }

  #costAt(writer: number, trial: number): number {
    return (writer * BOARD.trials + trial) * BOARD.costWords;
  }
}

/** Within one search it grows with the trial. Numbers come again after many searches: it is a hint. */
function hintOf(attempt: number, trial: number): number {
  return (((attempt + 1) & 0xffff) << 14) | trial;
}

function pack(attempt: number, value: number): bigint {
  return (BigInt(attempt) << 32n) | BigInt(value >>> 0);
}
function upper(word: bigint): number {
  return Number(word >> 32n);
}
function lower(word: bigint): number {
  return Number(word & 0xffff_ffffn);
}
