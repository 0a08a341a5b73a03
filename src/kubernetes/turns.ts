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
    this.#begin();
    return this.#nowMs() - this.#startedMs >= this.#budgetMs;
  }

  /** Resolves in a later pass of the loop, in order of asking. */
  next(): Promise<void> {
    this.#begin();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #begin(): void {
    if (!Number.isNaN(this.#startedMs)) return;
    this.#startedMs = this.#nowMs();
    setImmediate(this.#advance);
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
