// Time and chance as the adapter sees them; tests put their own in.
import { setTimeout as wait } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since the epoch, for texts that people and other machines read. */
  nowMs(): number;
  /** Milliseconds of a clock that never jumps, for durations. */
  monotonicMs(): number;
  /** Resolves after `delayMs`, or at once when `signal` is aborted; never rejects. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** A number in [0, 1), for jitter. */
  random(): number;
}

export const SYSTEM_CLOCK: Clock = Object.freeze({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (delayMs: number, signal?: AbortSignal) => {
    if (signal?.aborted) return;
    await wait(delayMs, undefined, { signal }).catch(() => undefined);
  },
  random: () => Math.random(),
});

export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * Delay before attempt `failures` + 1: doubles with each failure up to `maxMs`, of which a random half to whole is waited,
 * so that many clients do not come back together. Never shorter than what the server asked for (`retryAfterMs`, plus up to a tenth).
 */
export function backoffMs(failures: number, limits: BackoffLimits, random: number, retryAfterMs = 0): number {
  const whole = Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(30, Math.max(0, failures - 1)));
  return Math.max(whole * (0.5 + random / 2), retryAfterMs * (1 + random / 10));
}
