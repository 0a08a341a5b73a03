import { Buffer } from 'node:buffer';
import type { TextsColumns } from '../base/columns.gen.ts';
import { NO_ROW, type TextRow } from '../base/rows.ts';
import type { Texts } from '../base/text.ts';
import { findBucket, TextKey } from './tables/textKey.ts';

/** Read side of the interned strings; decodes a string when it is first asked for. */
export class TextsView implements Texts {
  readonly capacity: number;
  readonly columns: TextsColumns;
  readonly #bytes: Buffer;
  readonly #key = new TextKey();
  #decoded: (string | undefined)[] | null = null;

  constructor(columns: TextsColumns) {
    this.columns = columns;
    this.capacity = columns.rows;
    this.#bytes = Buffer.from(columns.bytes.buffer, columns.bytes.byteOffset, columns.bytes.byteLength);
  }

  get(row: number): string {
    if (row < 0) return '';
    this.#decoded ??= new Array<string | undefined>(this.capacity);
    const known = this.#decoded[row];
    if (known !== undefined) return known;
    const text = this.#decode(row);
    this.#decoded[row] = text;
    return text;
  }

  find(text: string): TextRow | -1 {
    const { buckets } = this.columns;
    if (buckets.length === 0) return NO_ROW;
    this.#key.set(text);
    return buckets[findBucket(this.columns, this.#key)] as TextRow | -1;
  }

  #decode(row: number): string {
    const start = this.columns.start[row]!;
    return this.#bytes.toString('utf8', start, start + this.columns.lengthBytes[row]!);
  }
}
