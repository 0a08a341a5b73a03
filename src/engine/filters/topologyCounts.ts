import type { SnapshotView } from '../../base/snapshotView.ts';
import { ABSENT, labelValueRow } from './labels.ts';

/** Up to this many values a key's numbers are kept in an array from the start. */
const DENSE_VALUES = 64;
/** A map that holds more than 1/8 of all values becomes an array. */
const DENSE_SHARE = 8;

/** The values of one topology key (a node label) as dense numbers. */
export class TopologyKey {
  /** Value number per node position, −1 where the node lacks the label. */
  readonly valueOf: Int32Array;
  readonly valueCount: number;

  constructor(view: SnapshotView, nodeRowAt: Int32Array, key: string) {
    const keyRow = view.texts.find(key);
    const numbers = new Map<number, number>();
    const values = new Int32Array(nodeRowAt.length).fill(-1);
    for (let node = 0; node < nodeRowAt.length; node++) {
      const value = labelValueRow(view.labelSets, view.nodes.labelSetRow[nodeRowAt[node]!]!, keyRow);
      if (value === ABSENT) continue;
      let number = numbers.get(value);
      if (number === undefined) {
        number = numbers.size;
        numbers.set(value, number);
      }
      values[node] = number;
    }
    this.valueOf = values;
    this.valueCount = numbers.size;
  }
}

/** An integer per value of a topology key, 0 where nothing was added. Sparse for keys like the host name. */
export class TopologyCounts {
  private dense: Float64Array | null;
  private readonly sparse = new Map<number, number>();
  private readonly valueCount: number;

  constructor(valueCount: number) {
    this.valueCount = valueCount;
    this.dense = valueCount <= DENSE_VALUES ? new Float64Array(valueCount) : null;
  }

  get(value: number): number {
    return this.dense === null ? (this.sparse.get(value) ?? 0) : this.dense[value]!;
  }

  add(value: number, delta: number): void {
    if (this.dense !== null) {
      this.dense[value]! += delta;
      return;
    }
    const next = (this.sparse.get(value) ?? 0) + delta;
    if (next === 0) this.sparse.delete(value);
    else this.sparse.set(value, next);
    if (this.sparse.size * DENSE_SHARE > this.valueCount) this.densify();
  }

  /** `out[value] += factor × number`, for all values. */
  addInto(out: Float64Array, factor: number): void {
    const dense = this.dense;
    if (dense === null) {
      for (const [value, count] of this.sparse) out[value]! += factor * count;
      return;
    }
    for (let value = 0; value < dense.length; value++) out[value]! += factor * dense[value]!;
  }

  private densify(): void {
    const dense = new Float64Array(this.valueCount);
    for (const [value, count] of this.sparse) dense[value] = count;
    this.sparse.clear();
    this.dense = dense;
  }
}
