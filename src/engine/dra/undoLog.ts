/**
 * How to undo what happened since a mark, newest first. Claims, devices and charges are objects of their own, not cells
 * of the shared state, so each change leaves a function that restores exactly what it found.
 */
export class UndoLog {
  readonly #undo: (() => void)[] = [];

  push(undo: () => void): void {
    this.#undo.push(undo);
  }

  mark(): number {
    return this.#undo.length;
  }

  /** Undoes every change since the mark. */
  rollback(to: number): void {
    while (this.#undo.length > to) this.#undo.pop()!();
  }

  /** Forgets how to undo: what happened so far is final, and earlier marks are void. */
  seal(): void {
    this.#undo.length = 0;
  }
}
