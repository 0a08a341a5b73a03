import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../src/kubernetes/clock.ts';

/** Time that passes only when a test says so. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly fire: () => void }[] = [];
  readonly randoms: number[] = [];

  nowMs(): number {
    return Date.parse('2026-01-01T12:00:00Z') + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  random(): number {
    return this.randoms.shift() ?? 0.5;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = { atMs: this.#nowMs + delayMs, fire: resolve };
      this.#timers.push(timer);
      signal?.addEventListener('abort', () => {
        this.#timers = this.#timers.filter((t) => t !== timer);
        resolve();
      });
    });
  }

  /** Lets all that is due happen, in order of its time, and what follows from it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const next = this.#timers.filter((t) => t.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((t) => t !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.fire();
      await settle();
    }
    this.#nowMs = untilMs;
    await settle();
  }
}

/** A clock that does not wait: every sleep is over at once, and is written down. */
export class HastyClock implements Clock {
  readonly sleptMs: number[] = [];
  #nowMs = 0;

  nowMs(): number {
    return Date.parse('2026-01-01T12:00:00Z') + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs + performance.now();
  }

  random(): number {
    return 0.5;
  }

  async sleep(delayMs: number): Promise<void> {
    this.sleptMs.push(delayMs);
    this.#nowMs += delayMs;
    await nextTurn();
  }
}

/** Lets promises and immediates run that do not wait for the outside. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await nextTurn();
}

/** Waits for a condition as long as it takes; the test's own time limit ends it. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 2));
}
