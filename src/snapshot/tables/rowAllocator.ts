/** Hands out row numbers, the lowest free one first, so that the same edits always give the same rows. */
export class RowAllocator {
  /** One more than the highest row ever handed out. */
  rows = 0;
  /** Binary min-heap of free rows. */
  #free = new Int32Array(16);
  #count = 0;

  /** Rows handed out and not given back. */
  get inUse(): number {
    return this.rows - this.#count;
  }

  take(): number {
    if (this.#count === 0) return this.rows++;
    const free = this.#free;
    const lowest = free[0]!;
    const last = free[--this.#count]!;
    const count = this.#count;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && free[child + 1]! < free[child]!) child++;
      if (free[child]! >= last) break;
      free[at] = free[child]!;
      at = child;
    }
    free[at] = last;
    return lowest;
  }

  /** Takes back a row that is in use. */
  give(row: number): void {
    if (this.#count === this.#free.length) {
      const grown = new Int32Array(2 * this.#count);
      grown.set(this.#free);
      this.#free = grown;
    }
    const free = this.#free;
    let at = this.#count++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (free[parent]! <= row) break;
      free[at] = free[parent]!;
      at = parent;
    }
    free[at] = row;
  }
}
