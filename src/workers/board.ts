import { BOARD, CONTROL } from './protocol.ts';

/** Index of the first trial that ended the search: none so far. */
export const NO_TRIAL = 0x3fff_ffff;
export const FAILED = -1;

/** What a trial cost, as the counts of the search see it. */
export interface TrialCost {
  readonly simulations: number;
  readonly rejected: number;
  readonly unitsLeaving: number;
  readonly isNarrow: boolean;
}

/** How a shared search ended: at which trial, and whether that one found an answer. */
export interface Stop {
  readonly trial: number;
  readonly isFound: boolean;
}

/**
 * The memory in which planner and followers share victim searches. The log has one outcome per attempt of the cycle, in
 * order: FAILED, or the trial that found the answer. Words about one search carry the number of its attempt in their upper
 * half, so that a thread that comes late, for a search that is over, changes nothing.
 */
export class Board {
  readonly #control: Int32Array;
  /** 0: next trial to be taken. 8: first trial that ended the search, times 2, plus 1 if it found an answer. */
  readonly #heads: BigInt64Array;
  /** Per trial: attempt + 1 in the upper half once it is made, its cost in the lower. */
  readonly #trials: BigInt64Array;
  readonly #log: Int32Array;

  constructor(control: Int32Array, memory: SharedArrayBuffer) {
    this.#control = control;
    this.#heads = new BigInt64Array(memory, 0, BOARD.headWords);
    this.#trials = new BigInt64Array(memory, 8 * BOARD.headWords, BOARD.trials);
    this.#log = new Int32Array(memory, 8 * (BOARD.headWords + BOARD.trials), BOARD.logEntries);
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
    return this.#log[attempt]!;
  }

  /** Planner only. False: the log is full. */
  publish(outcome: number): boolean {
    const attempt = this.#control[CONTROL.known]!;
    if (attempt === BOARD.logEntries) return false;
    this.#log[attempt] = outcome;
    Atomics.store(this.#control, CONTROL.known, attempt + 1);
    return true;
  }

  /** Planner only: offers a search from a trial on; those before it are made. */
  open(attempt: number, fingerprint: number, trial: number): void {
    Atomics.store(this.#control, CONTROL.fingerprint, fingerprint);
    Atomics.store(this.#heads, 8, pack(attempt + 1, 2 * NO_TRIAL));
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
    const from = pack(attempt + 1, trial);
    return Atomics.compareExchange(this.#heads, 0, from, from + 1n) === from;
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
      if (seen === head) return;
      head = seen;
    }
  }

  /** Says that a trial is made. */
  finish(attempt: number, trial: number, cost: TrialCost): void {
    const word = pack(attempt + 1, cost.simulations | (cost.rejected << 5) | (cost.isNarrow ? 1 << 10 : 0) | (cost.unitsLeaving << 11));
    for (let old = Atomics.load(this.#trials, trial); old < word; ) {
      const seen = Atomics.compareExchange(this.#trials, trial, old, word);
      if (seen === old) return;
      old = seen;
    }
  }

  /** What a trial of the search cost; null while it is not made. */
  cost(attempt: number, trial: number): TrialCost | null {
    const word = Atomics.load(this.#trials, trial);
    if (upper(word) !== attempt + 1) return null;
    const bits = lower(word);
    return { simulations: bits & 31, rejected: (bits >> 5) & 31, isNarrow: ((bits >> 10) & 1) === 1, unitsLeaving: bits >>> 11 };
  }

  isShared(trial: number): boolean {
    return trial < BOARD.trials;
  }
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
