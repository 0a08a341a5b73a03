import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../src/kubernetes/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly number: number;
  readonly fire: () => void;
}

/** Time that stands still while anything can go on, and then jumps to the next timer. */
export class VirtualClock implements Clock {
  #nowMs = Date.parse('2026-01-01T00:00:00Z');
  #number = 0;
  readonly #timers = new Set<Timer>();
  readonly #random: () => number;

  constructor(random: () => number = () => 0.5) {
    this.#random = random;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  random(): number {
    return this.#random();
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer: Timer = { atMs: this.#nowMs + delayMs, number: this.#number++, fire: resolve };
      this.#timers.add(timer);
      signal?.addEventListener('abort', () => {
        this.#timers.delete(timer);
        resolve();
      });
    });
  }

  /** Lets time pass until the promise is settled; throws when `limitMs` do not suffice. */
  async run<T>(promise: Promise<T>, limitMs = 86_400_000): Promise<T> {
    let isOver = false;
    const mark = (): void => {
      isOver = true;
    };
    promise.then(mark, mark);
    const endMs = this.#nowMs + limitMs;
    for (;;) {
      await setImmediate();
      if (isOver) return promise;
      if (!this.#advance(endMs)) throw new Error(`nothing goes on, or not within ${limitMs} ms`);
    }
  }

  #advance(endMs: number): boolean {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (next === undefined || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.number < next.number)) next = timer;
    }
    if (next === undefined || next.atMs > endMs) return false;
    this.#timers.delete(next);
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.fire();
    return true;
  }
}
