import { NO_ROW } from '../../base/rows.ts';
import type { COLUMNS } from '../generated/layout.gen.ts';
import { type Column, Columns, type ColumnTypes, RefCounts, type RowIndex } from './columns.ts';
import type { LabelSetTable, Labels } from './labelSetTable.ts';
import type { TextTable } from './textTable.ts';

/** What a projection gives for a column: text columns take strings, rows of interned tables what is interned there. */
type Value<Name> = Name extends `${string}Text` | `${string}Json`
  ? string | null
  : Name extends 'labelSetRow'
    ? Labels
    : Name extends 'shapeRow'
      ? ShapeRecord
      : Name extends 'signatureRow'
        ? SignatureRecord
        : number;
export type RecordOf<T> = { readonly [K in Exclude<keyof T, 'used'>]: Value<K> };
export type ShapeRecord = RecordOf<typeof COLUMNS.shapes>;
export type SignatureRecord = RecordOf<typeof COLUMNS.signatures>;

/** Something that holds shared rows. `acquire` adds a reference; rows given back to `release` may be NO_ROW. */
interface Pool<V> {
  acquire(value: V): number;
  release(row: number): void;
}

/** Where the shared rows of a table's columns live. */
export interface Pools {
  readonly texts: TextTable;
  readonly labelSets: LabelSetTable;
  readonly shapes: InternedTable<typeof COLUMNS.shapes>;
  readonly signatures: InternedTable<typeof COLUMNS.signatures>;
}

interface Field {
  readonly name: string;
  readonly pool: Pool<unknown> | null;
}

/** Writes records into rows, column by column; new shared rows are acquired before old ones are released. */
class RowWriter<T extends ColumnTypes> {
  readonly #columns: Columns<T>;
  readonly #fields: readonly Field[];

  constructor(types: T, columns: Columns<T>, pools: Partial<Pools>) {
    this.#columns = columns;
    this.#fields = Object.keys(types)
      .filter((name) => name !== 'used')
      .map((name) => ({ name, pool: poolOf(name, pools) }));
  }

  /** Makes a row that was just taken empty: its shared columns hold nothing that could be released. */
  clear(row: number): void {
    const of = this.#columns.of as Record<string, Column>;
    for (const field of this.#fields) if (field.pool !== null) of[field.name]![row] = NO_ROW;
  }

  write(row: number, record: RecordOf<T>): void {
    const of = this.#columns.of as Record<string, Column>;
    const values = record as Readonly<Record<string, unknown>>;
    for (const { name, pool } of this.#fields) {
      const column = of[name]!;
      const old = column[row]!;
      column[row] = pool === null ? (values[name] as number) : pool.acquire(values[name]);
      pool?.release(old);
      if (!Object.is(column[row], old)) this.#columns.changes++;
    }
  }

  release(row: number): void {
    const of = this.#columns.of as Record<string, Column>;
    for (const { name, pool } of this.#fields) if (pool !== null) pool.release(of[name]![row]!);
  }
}

function poolOf(column: string, pools: Partial<Pools>): Pool<unknown> | null {
  if (/(Text|Json)$/.test(column)) return pools.texts as Pool<unknown>;
  if (column === 'labelSetRow') return pools.labelSets as Pool<unknown>;
  if (column === 'shapeRow') return pools.shapes as Pool<unknown>;
  if (column === 'signatureRow') return pools.signatures as Pool<unknown>;
  return null;
}

/** Rows shared by all objects that have the same content; `keyOf` gives equal keys for equal records only. */
export class InternedTable<T extends ColumnTypes> {
  readonly columns: Columns<T>;
  readonly #writer: RowWriter<T>;
  readonly #keyOf: (record: RecordOf<T>) => string;
  readonly #refs = new RefCounts();
  readonly #rowOf = new Map<string, number>();
  readonly #keys: string[] = [];

  constructor(types: T, texts: TextTable, keyOf: (record: RecordOf<T>) => string) {
    this.columns = new Columns(types);
    this.#writer = new RowWriter(types, this.columns, { texts });
    this.#keyOf = keyOf;
  }

  acquire(record: RecordOf<T>): number {
    const key = this.#keyOf(record);
    let row = this.#rowOf.get(key);
    if (row === undefined) {
      row = this.columns.take();
      this.#writer.clear(row);
      this.#writer.write(row, record);
      this.#rowOf.set(key, row);
      this.#keys[row] = key;
    }
    this.#refs.add(row);
    return row;
  }

  release(row: number): void {
    if (row < 0 || !this.#refs.drop(row)) return;
    this.#writer.release(row);
    this.#rowOf.delete(this.#keys[row]!);
    this.#keys[row] = '';
    this.columns.give(row);
  }
}

/** One row per object, found by the object's key. */
export class RecordTable<T extends ColumnTypes> {
  readonly columns: Columns<T>;
  readonly #writer: RowWriter<T>;
  readonly #texts: TextTable;
  readonly #keyColumn: keyof T & string;

  /** `keyColumn` is the text column that holds the key. */
  constructor(types: T, pools: Pools, keyColumn: keyof T & string) {
    this.columns = new Columns(types);
    this.#writer = new RowWriter(types, this.columns, pools);
    this.#texts = pools.texts;
    this.#keyColumn = keyColumn;
  }

  /** Adds or replaces the row of `key`, which `index` finds. Returns the row. */
  put(index: RowIndex, key: string, record: RecordOf<T>): number {
    let row = index.get(this.#texts.find(key));
    const isNew = row === NO_ROW;
    if (isNew) {
      row = this.columns.take();
      this.#writer.clear(row);
    }
    this.#writer.write(row, record);
    if (isNew) index.set((this.columns.of as Record<string, Column>)[this.#keyColumn]![row]!, row);
    return row;
  }

  /** Removes the row of `key`; an unknown key is ignored. */
  remove(index: RowIndex, key: string): void {
    const text = this.#texts.find(key);
    const row = index.get(text);
    if (row === NO_ROW) return;
    index.set(text, NO_ROW);
    this.#writer.release(row);
    this.columns.give(row);
  }
}
