import { setTimeout as sleep } from 'node:timers/promises';
import { EPOCH_MS } from './workload.ts';

export interface PaceOptions {
  /** Virtual time per real time at most; Infinity = as fast as it goes. */
  readonly speed: number;
  /** Real time after which the run stops; Infinity = never. */
  readonly wallLimitMs: number;
  readonly signal: AbortSignal;
}

/** `beforeStep` for `Simulation.run`: holds the run back to the wanted speed and ends it in time or when aborted. */
export function createPace({ speed, wallLimitMs, signal }: PaceOptions): (nowMs: number) => Promise<boolean> {
  const startedMs = performance.now();
  return async (nowMs) => {
    const dueMs = (nowMs - EPOCH_MS) / speed;
    const waitMs = Math.min(dueMs, wallLimitMs) - (performance.now() - startedMs);
    if (waitMs > 0 && !signal.aborted) {
      try {
        await sleep(waitMs, undefined, { signal });
      } catch {
        return false;
      }
    }
    return !signal.aborted && performance.now() - startedMs < wallLimitMs;
  };
}
