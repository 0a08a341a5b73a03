/**
 * Shares the event loop between the lists that are read at the same time: all of them together work at most `budgetMs` before
 * timers and sockets get their turn again. A worker asks `isSpent` between two items and, when it is, awaits `next`.
 */
export class TurnBudget {
  readonly #budgetMs: number;
  readonly #nowMs: () => number;
  readonly #waiting: (() => void)[] = [];
  #startedMs = Number.NaN;

  constructor(budgetMs: number, nowMs: () => number = () => performance.now()) {
    this.#budgetMs = budgetMs;
    this.#nowMs = nowMs;
  }

  isSpent(): boolean {
    if (Number.isNaN(this.#startedMs)) {
      this.#startedMs = this.#nowMs();
      setImmediate(this.#advance);
      return this.#waiting.length > 0;
    }
    return this.#waiting.length > 0 || this.#nowMs() - this.#startedMs >= this.#budgetMs;
  }

  /** Resolves when it is the caller's turn, in order of asking. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** One waiting worker per pass of the loop. */
  readonly #advance = (): void => {
    const resume = this.#waiting.shift();
    if (resume === undefined) {
      this.#startedMs = Number.NaN;
      return;
    }
    this.#startedMs = this.#nowMs();
    setImmediate(this.#advance);
    resume();
  };
}
