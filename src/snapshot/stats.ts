import type { SnapshotView } from '../base/snapshotView.ts';
import { COLUMNS, type TableName } from './generated/layout.gen.ts';
import { TABLE_NAMES } from './layout.ts';
import { columnsOf, countUsed, usedPartOf } from './sealedColumns.ts';

export interface TableStats {
  readonly table: TableName;
  /** Rows in use. */
  readonly rows: number;
  /** Bytes of the used part of all columns. */
  readonly bytes: number;
}

export interface SnapshotStats {
  readonly generation: number;
  /** Size of the shared memory, with the room that columns have to grow. */
  readonly bufferBytes: number;
  readonly usedBytes: number;
  readonly tables: readonly TableStats[];
  /**
   * Bytes of one node and one pod on average: their rows and what they alone bring along (texts, label sets, shapes,
   * signatures). What nodes and pods share counts for the nodes. 0 where there are none.
   */
  readonly bytesPerNode: number;
  readonly bytesPerPod: number;
}

/** Sizes of a snapshot, for `kai snapshot info`. */
export function snapshotStats(view: SnapshotView): SnapshotStats {
  const tables = TABLE_NAMES.map((table): TableStats => ({ table, rows: countUsed(view, table), bytes: tableBytes(view, table) }));
  const shared = new SharedBytes(view);
  const nodes = shared.bytesOf('nodes');
  const pods = shared.bytesOf('pods') + shared.bytesOf('shapes') + shared.bytesOf('signatures');
  return {
    generation: view.generation,
    bufferBytes: view.buffer.byteLength,
    usedBytes: tables.reduce((sum, t) => sum + t.bytes, 0),
    tables,
    bytesPerNode: nodes / Math.max(1, countUsed(view, 'nodes')),
    bytesPerPod: pods / Math.max(1, countUsed(view, 'pods')),
  };
}

function tableBytes(view: SnapshotView, table: TableName): number {
  return Object.keys(COLUMNS[table]).reduce((sum, name) => sum + usedPartOf(view, table, name).byteLength, 0);
}

/** Charges each text and label set to the table that is asked for first. */
class SharedBytes {
  readonly #view: SnapshotView;
  readonly #seenTexts = new Set<number>();
  readonly #seenLabelSets = new Set<number>();

  constructor(view: SnapshotView) {
    this.#view = view;
  }

  bytesOf(table: TableName): number {
    const columns = columnsOf(this.#view, table);
    let bytes = tableBytes(this.#view, table);
    for (const name of Object.keys(COLUMNS[table])) {
      const cost = /(Text|Json)$/.test(name) ? this.#text : name === 'labelSetRow' ? this.#labelSet : null;
      if (cost === null) continue;
      const column = columns[name]!;
      for (let row = 0; row < columns.rows; row++) if (columns.used![row] === 1) bytes += cost.call(this, column[row]!);
    }
    return bytes;
  }

  #text(row: number): number {
    if (row < 0 || this.#seenTexts.has(row)) return 0;
    this.#seenTexts.add(row);
    const texts = columnsOf(this.#view, 'texts');
    const perRow = texts.used!.BYTES_PER_ELEMENT + texts.start!.BYTES_PER_ELEMENT + texts.lengthBytes!.BYTES_PER_ELEMENT;
    const bucketShare = texts.buckets!.byteLength / Math.max(1, texts.rows);
    return texts.lengthBytes![row]! + perRow + texts.hash!.BYTES_PER_ELEMENT + bucketShare;
  }

  #labelSet(row: number): number {
    if (row < 0 || this.#seenLabelSets.has(row)) return 0;
    this.#seenLabelSets.add(row);
    const { used, pairs, pairStart, pairCount } = this.#view.labelSets;
    const from = pairStart[row]!;
    const ints = 2 * pairCount[row]!;
    let bytes = used.BYTES_PER_ELEMENT + pairStart.BYTES_PER_ELEMENT + pairCount.BYTES_PER_ELEMENT + ints * pairs.BYTES_PER_ELEMENT;
    for (let i = from; i < from + ints; i++) bytes += this.#text(pairs[i]!);
    return bytes;
  }
}
