import { COLUMNS } from '../generated/layout.gen.ts';
import { Columns, RefCounts } from './columns.ts';
import type { TextTable } from './textTable.ts';

export type Labels = Readonly<Record<string, string>>;

const FIRST_PAIRS = 256;

/** Interned label sets: equal labels share a row. Pairs stand in one pool of ints, compacted when half of it is waste. */
export class LabelSetTable {
  readonly columns = new Columns(COLUMNS.labelSets, ['pairs']);
  readonly #texts: TextTable;
  readonly #refs = new RefCounts();
  readonly #rowOf = new Map<string, number>();
  readonly #keyOf: string[] = [];
  #pairsEnd = 0;
  #waste = 0;

  constructor(texts: TextTable) {
    this.#texts = texts;
    this.columns.resize('pairs', FIRST_PAIRS);
  }

  /** End of the used part of `pairs`, in ints. */
  get pairsEnd(): number {
    return this.#pairsEnd;
  }

  /** The row of a label set, one reference more. No labels are a set like any other. */
  acquire(labels: Labels): number {
    const names = Object.keys(labels).sort();
    const texts = this.#texts;
    const pairs: number[] = [];
    for (const name of names) pairs.push(texts.acquire(name), texts.acquire(labels[name]!));
    const key = pairs.join();
    const found = this.#rowOf.get(key);
    if (found !== undefined) {
      for (const text of pairs) texts.release(text);
      this.#refs.add(found);
      return found;
    }
    const row = this.#insert(pairs);
    this.#rowOf.set(key, row);
    this.#keyOf[row] = key;
    this.#refs.add(row);
    return row;
  }

  release(row: number): void {
    if (row < 0 || !this.#refs.drop(row)) return;
    const { pairs, pairStart, pairCount } = this.columns.of;
    const from = pairStart[row]!;
    const ints = 2 * pairCount[row]!;
    for (let i = from; i < from + ints; i++) this.#texts.release(pairs[i]!);
    this.#rowOf.delete(this.#keyOf[row]!);
    this.#keyOf[row] = '';
    this.#waste += ints;
    this.columns.give(row);
    if (2 * this.#waste > this.#pairsEnd && this.#waste > FIRST_PAIRS) this.#compact();
  }

  #insert(pairs: readonly number[]): number {
    const row = this.columns.take();
    const needed = this.#pairsEnd + pairs.length;
    if (needed > this.columns.of.pairs.length) this.columns.resize('pairs', Math.max(2 * this.columns.of.pairs.length, needed));
    this.columns.of.pairStart[row] = this.#pairsEnd;
    this.columns.of.pairCount[row] = pairs.length / 2;
    this.columns.of.pairs.set(pairs, this.#pairsEnd);
    this.#pairsEnd = needed;
    return row;
  }

  #compact(): void {
    const { pairs: old, used, pairStart, pairCount } = this.columns.of;
    const pairs = new Int32Array(old.length);
    let at = 0;
    for (let row = 0; row < this.columns.rows; row++) {
      if (used[row] === 0) continue;
      const from = pairStart[row]!;
      const ints = 2 * pairCount[row]!;
      for (let i = 0; i < ints; i++) pairs[at + i] = old[from + i]!;
      pairStart[row] = at;
      at += ints;
    }
    this.columns.of.pairs = pairs;
    this.#pairsEnd = at;
    this.#waste = 0;
  }
}
