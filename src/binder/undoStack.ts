import { backoffMs, type Clock } from '../kubernetes/clock.ts';
import { isPassing, textOf } from './binderApi.ts';

const BACKOFF = { firstMs: 1000, maxMs: 30_000 };
/** For refusals that trying again may not change, such as a conflict. */
const MAX_REFUSALS = 4;

interface UndoStep {
  readonly name: string;
  readonly undo: () => Promise<void>;
}

/** What the steps of one order must undo when a later one fails. Undoing is idempotent and looks before it changes anything. */
export class UndoStack {
  #steps: UndoStep[] = [];

  /** Registered before the step begins: it may fail half-way. */
  push(name: string, undo: () => Promise<void>): void {
    this.#steps.push({ name, undo });
  }

  keepOnly(name: string): void {
    this.#steps = this.#steps.filter((step) => step.name === name);
  }

  /**
   * Undoes the last step first. While the server does not answer it is asked again, until `signal` ends it; a step that is refused
   * does not keep the others from being undone. Never rejects.
   */
  async rollBack(clock: Clock, signal: AbortSignal, trouble: (message: string) => void): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await undoOne(step, clock, signal, trouble);
  }
}

async function undoOne({ name, undo }: UndoStep, clock: Clock, signal: AbortSignal, trouble: (message: string) => void): Promise<void> {
  for (let attempt = 1, refusals = 0; ; attempt++) {
    try {
      await undo();
      return;
    } catch (error) {
      if (!isPassing(error)) refusals++;
      const isOver = refusals === MAX_REFUSALS || signal.aborted;
      trouble(`undoing ${name}${isOver ? ' is given up' : ''}: ${textOf(error)}`);
      if (isOver) return;
      await clock.sleep(backoffMs(attempt, BACKOFF, clock.random()), signal);
    }
  }
}
