import { emptySearchCounts, type SearchCounts } from '../base/decisions.ts';

// Counts of a search as numbers in a row: a trial may be over in microseconds.

const NAMES = Object.keys(emptySearchCounts()) as (keyof SearchCounts)[];

export function createRow(): Int32Array {
  return new Int32Array(NAMES.length);
}

export function readCounts(counts: SearchCounts, into: Int32Array): void {
  for (let i = 0; i < NAMES.length; i++) into[i] = counts[NAMES[i]!];
}

export function writeCounts(counts: SearchCounts, from: Int32Array): void {
  for (let i = 0; i < NAMES.length; i++) counts[NAMES[i]!] = from[i]!;
}

/** into = counts − before. */
export function countsSince(counts: SearchCounts, before: Int32Array, into: Int32Array): void {
  for (let i = 0; i < NAMES.length; i++) into[i] = counts[NAMES[i]!] - before[i]!;
}

export function addRow(sum: Int32Array, more: Int32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + more[i]!;
}

/** What one trial costs, measured from `begin` to `end`. */
export class TrialMeter {
  readonly cost = createRow();
  readonly #counts: SearchCounts;
  readonly #before = createRow();

  constructor(counts: SearchCounts) {
    this.#counts = counts;
  }

  begin(): void {
    readCounts(this.#counts, this.#before);
  }

  end(): Int32Array {
    countsSince(this.#counts, this.#before, this.cost);
    return this.cost;
  }
}
