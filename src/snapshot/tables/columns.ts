import { NO_ROW } from '../../base/rows.ts';
import { RowAllocator } from './rowAllocator.ts';

export type Column = Uint8Array | Int32Array | Uint32Array | Float64Array;
type ColumnClass = Uint8ArrayConstructor | Int32ArrayConstructor | Uint32ArrayConstructor | Float64ArrayConstructor;
export type ColumnTypes = Readonly<Record<string, ColumnClass>>;
export type ColumnsOf<T extends ColumnTypes> = { -readonly [K in keyof T]: InstanceType<T[K]> };

const FIRST_CAPACITY = 64;

/**
 * The live side of one snapshot table: columns that grow, rows that are reused. `sized` names the columns whose length
 * is not the row capacity (byte pools, hash buckets); their owner grows them with `resize`.
 */
export class Columns<T extends ColumnTypes> {
  /** Replaced by `take` and `resize`: read a column again after either. */
  readonly of: ColumnsOf<T>;
  /** Grows with every change of a row's content. */
  changes = 0;
  readonly #types: T;
  readonly #rowColumns: readonly (keyof T)[];
  readonly #rows = new RowAllocator();
  #capacity = FIRST_CAPACITY;

  constructor(types: T, sized: readonly (keyof T)[] = []) {
    this.#types = types;
    this.#rowColumns = Object.keys(types).filter((name) => !sized.includes(name));
    const columns: Record<string, Column> = {};
    for (const name of Object.keys(types)) columns[name] = new types[name]!(sized.includes(name) ? 0 : FIRST_CAPACITY);
    this.of = columns as ColumnsOf<T>;
  }

  /** One more than the highest row ever used. */
  get rows(): number {
    return this.#rows.rows;
  }

  get inUse(): number {
    return this.#rows.inUse;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** The lowest free row, marked as used; its other columns hold whatever was there. */
  take(): number {
    const row = this.#rows.take();
    if (row >= this.#capacity) {
      this.#capacity *= 2;
      for (const name of this.#rowColumns) this.resize(name, this.#capacity);
    }
    this.of.used![row] = 1;
    this.changes++;
    return row;
  }

  give(row: number): void {
    this.of.used![row] = 0;
    this.changes++;
    this.#rows.give(row);
  }

  /** Makes a column `length` elements long, keeping what fits. */
  resize(name: keyof T, length: number): void {
    const old: Column = this.of[name];
    const grown = new this.#types[name]!(length);
    grown.set(old.length > length ? old.subarray(0, length) : old);
    (this.of as Record<keyof T, Column>)[name] = grown;
  }
}

/** Reference counts by row, for tables whose rows are shared. */
export class RefCounts {
  #counts = new Int32Array(FIRST_CAPACITY);

  add(row: number): void {
    if (row >= this.#counts.length) this.#counts = grownTo(this.#counts, row + 1, 0);
    this.#counts[row]!++;
  }

  /** True when that was the last reference. */
  drop(row: number): boolean {
    return --this.#counts[row]! === 0;
  }
}

/** Which row of a table an interned row is the key of. */
export class RowIndex {
  #rowOf = new Int32Array(FIRST_CAPACITY).fill(NO_ROW);

  get(key: number): number {
    return key >= 0 && key < this.#rowOf.length ? this.#rowOf[key]! : NO_ROW;
  }

  set(key: number, row: number): void {
    if (key >= this.#rowOf.length) this.#rowOf = grownTo(this.#rowOf, key + 1, NO_ROW);
    this.#rowOf[key] = row;
  }
}

function grownTo(old: Int32Array, length: number, fill: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(Math.max(2 * old.length, length)).fill(fill, old.length);
  grown.set(old);
  return grown;
}
