import { setImmediate as nextTurn } from 'node:timers/promises';
import { RingReader } from '../base/byteRing.ts';
import { BatchDecoder } from '../base/decisionCodec.ts';
import type { RawDecision } from '../base/decisions.ts';

/** Longest time that draining holds the event loop, and decisions decoded between two looks at the clock. */
const SLICE_MS = 2;
const SLICE_DECISIONS = 256;
const HEARTBEAT_MS = 1000;

/** Main's end of the decision ring. */
export class DecisionReader {
  readonly #ring: RingReader;
  readonly #actions: readonly string[];
  #decoder: BatchDecoder | undefined;

  /** `actions`: the list the writer's encoder was given. */
  constructor(buffer: SharedArrayBuffer, actions: readonly string[]) {
    this.#ring = new RingReader(buffer);
    this.#actions = actions;
  }

  /**
   * Hands every committed batch to `take`, until `isOver()` holds and the ring is empty. Whoever makes `isOver` true calls
   * `wake`. Once `isGivenUp()` holds, nothing more is taken. Rejects with what `take` throws.
   */
  async drain(isOver: () => boolean, isGivenUp: () => boolean, take: (batch: readonly RawDecision[]) => void): Promise<void> {
    while (!isGivenUp()) {
      const isLast = isOver(); // asked first: what was committed before the end is still drained below
      if (this.#drainSlice(take)) await nextTurn();
      else if (isLast) return;
      else await this.#ring.waitForMore(HEARTBEAT_MS);
    }
  }

  wake(): void {
    this.#ring.wake();
  }

  /** True when the slice's time was used up and there may be more. */
  #drainSlice(take: (batch: readonly RawDecision[]) => void): boolean {
    const endMs = performance.now() + SLICE_MS;
    for (;;) {
      if (this.#decoder === undefined) {
        const message = this.#ring.read();
        if (message === undefined) return false;
        this.#decoder = new BatchDecoder(message, this.#actions);
      }
      const batch = this.#decoder.next(SLICE_DECISIONS);
      if (batch !== undefined) {
        this.#decoder = undefined;
        take(batch);
      }
      if (performance.now() >= endMs) return true;
    }
  }
}
