import type { TextRow } from './rows.ts';

/** Read side of the interned strings of a snapshot. */
export interface Texts {
  /** One more than the highest text row: size for arrays indexed by text row. */
  readonly capacity: number;
  /** The string of a row; `''` for NO_ROW. */
  get(row: number): string;
  /** The row that holds `text`, or NO_ROW. */
  find(text: string): TextRow | -1;
}
