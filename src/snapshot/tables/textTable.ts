import { NO_ROW, type TextRow } from '../../base/rows.ts';
import { COLUMNS } from '../generated/layout.gen.ts';
import { Columns, RefCounts } from './columns.ts';
import { findBucket, TextKey } from './textKey.ts';

const FIRST_BYTES = 4096;
const FIRST_BUCKETS = 128;

/** Interned strings with reference counts. A string that nobody holds leaves its row, its bytes and the index. */
export class TextTable {
  readonly columns = new Columns(COLUMNS.texts, ['bytes', 'bytesUsed', 'buckets']);
  readonly #refs = new RefCounts();
  readonly #key = new TextKey();
  #wasteBytes = 0;

  constructor() {
    this.columns.resize('bytes', FIRST_BYTES);
    this.columns.resize('bytesUsed', 1);
    this.columns.resize('buckets', FIRST_BUCKETS);
    this.columns.of.buckets.fill(NO_ROW);
  }

  /** The row of `text`, one reference more. NO_ROW for null, which `release` accepts. */
  acquire(text: string | null): number {
    if (text === null) return NO_ROW;
    this.#key.set(text);
    const bucket = findBucket(this.columns.of, this.#key);
    const found = this.columns.of.buckets[bucket]!;
    const row = found >= 0 ? found : this.#insert(bucket);
    this.#refs.add(row);
    return row;
  }

  release(row: number): void {
    if (row >= 0 && this.#refs.drop(row)) this.#remove(row);
  }

  /** The row of `text` without a new reference. */
  find(text: string): TextRow | -1 {
    this.#key.set(text);
    return this.columns.of.buckets[findBucket(this.columns.of, this.#key)] as TextRow | -1;
  }

  #insert(bucket: number): number {
    const columns = this.columns;
    const key = this.#key;
    const row = columns.take();
    this.#reserveBytes(key.lengthBytes);
    const { bytes, bytesUsed, start, lengthBytes, hash, buckets } = columns.of;
    const at = bytesUsed[0]!;
    for (let i = 0; i < key.lengthBytes; i++) bytes[at + i] = key.bytes[i]!;
    bytesUsed[0] = at + key.lengthBytes;
    start[row] = at;
    lengthBytes[row] = key.lengthBytes;
    hash[row] = key.hash;
    buckets[bucket] = row;
    // At most half full, so that probes stay short.
    if (2 * columns.inUse > buckets.length) this.#rehash(2 * buckets.length);
    return row;
  }

  #remove(row: number): void {
    const { buckets, hash, lengthBytes } = this.columns.of;
    const mask = buckets.length - 1;
    let hole = hash[row]! & mask;
    while (buckets[hole] !== row) hole = (hole + 1) & mask;
    // Backward shift: whatever could stand in the hole moves there, so that no probe meets a gap.
    for (let at = (hole + 1) & mask; buckets[at]! >= 0; at = (at + 1) & mask) {
      const home = hash[buckets[at]!]! & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      buckets[hole] = buckets[at]!;
      hole = at;
    }
    buckets[hole] = NO_ROW;
    this.#wasteBytes += lengthBytes[row]!;
    this.columns.give(row);
    if (2 * this.#wasteBytes > this.columns.of.bytesUsed[0]! && this.#wasteBytes > FIRST_BYTES) this.#compact();
  }

  #reserveBytes(count: number): void {
    const { bytes, bytesUsed } = this.columns.of;
    const needed = bytesUsed[0]! + count;
    if (needed > bytes.length) this.columns.resize('bytes', Math.max(2 * bytes.length, needed));
  }

  #rehash(length: number): void {
    this.columns.resize('buckets', length);
    const { buckets, hash, used } = this.columns.of;
    const rows = this.columns.rows;
    const mask = length - 1;
    buckets.fill(NO_ROW);
    for (let row = 0; row < rows; row++) {
      if (used[row] === 0) continue;
      let at = hash[row]! & mask;
      while (buckets[at]! >= 0) at = (at + 1) & mask;
      buckets[at] = row;
    }
  }

  /** Moves the bytes of the texts in use together. */
  #compact(): void {
    const { bytes: old, used, start, lengthBytes, bytesUsed } = this.columns.of;
    const rows = this.columns.rows;
    const bytes = new Uint8Array(old.length);
    let at = 0;
    for (let row = 0; row < rows; row++) {
      if (used[row] === 0) continue;
      const from = start[row]!;
      const length = lengthBytes[row]!;
      for (let i = 0; i < length; i++) bytes[at + i] = old[from + i]!;
      start[row] = at;
      at += length;
    }
    this.columns.of.bytes = bytes;
    bytesUsed[0] = at;
    this.#wasteBytes = 0;
  }
}
