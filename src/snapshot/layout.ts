import { Builder, ByteBuffer } from 'flatbuffers';
import { KaiError } from '../base/errors.ts';
import { Snapshot } from './generated/kai/snapshot.ts';
import { accessTables, COLUMNS, type Need, type TableName, writeTables } from './generated/layout.gen.ts';
import type { Column } from './tables/columns.ts';

/** Raised when tables or columns change their meaning; a column that is only added needs no new version. */
export const LAYOUT_VERSION = 1;
export const FILE_IDENTIFIER = 'KAIS';

/** Columns start on cache lines: threads share none, and every element type fits. */
export const ALIGN_BYTES = 64;
/** FlatBuffers addresses with signed 32 bits. */
const MAX_BYTES = 2 ** 31 - 1;

export const TABLE_NAMES = Object.keys(COLUMNS) as TableName[];

interface Place {
  readonly table: TableName;
  readonly column: string;
  readonly byteOffset: number;
  readonly elementBytes: number;
  readonly count: number;
}

/** Where everything stands in a snapshot of given capacities. */
export interface Layout {
  readonly byteLength: number;
  /** The FlatBuffers tables; the columns follow behind. */
  readonly head: Uint8Array;
  readonly places: readonly Place[];
  readonly optionsOffset: number;
}

/** What a snapshot is filled with. `column` gives the used part, which may be shorter than the capacity. */
export interface Source {
  readonly generation: number;
  readonly optionsText: number;
  rows(table: TableName): number;
  column(table: TableName, column: string): Column;
}

/** The layout for columns of these capacities (elements). */
export function planLayout(capacity: (table: TableName, column: string) => number): Layout {
  const head = emptyTables();
  const buffer = new ByteBuffer(head);
  const root = Snapshot.getRootAsSnapshot(buffer);
  const tables = accessTables(root, need);
  let end = head.length;
  // The tables refer to an empty vector; each reference is turned to the column's place, with its length in front of it.
  const place = (tableAt: number, field: number, elementBytes: number, count: number): number => {
    const referenceAt = tableAt + buffer.__offset(tableAt, 4 + 2 * field);
    const byteOffset = alignUp(end + 4);
    buffer.writeInt32(referenceAt, byteOffset - 4 - referenceAt);
    end = byteOffset + elementBytes * count;
    return byteOffset;
  };
  const places: Place[] = [];
  const optionsOffset = place(root.bb_pos, 2, 4, 1);
  for (const table of TABLE_NAMES) {
    const columns = COLUMNS[table];
    Object.entries(columns).forEach(([column, type], i) => {
      const elementBytes = type.BYTES_PER_ELEMENT;
      const count = capacity(table, column);
      places.push({ table, column, elementBytes, count, byteOffset: place(tables[table].bb_pos, i + 1, elementBytes, count) });
    });
  }
  const byteLength = alignUp(end);
  if (byteLength > MAX_BYTES)
    throw new KaiError('SNAPSHOT_TOO_LARGE', `a snapshot of ${byteLength} bytes; at most ${MAX_BYTES} are possible`);
  return { byteLength, head, places, optionsOffset };
}

/** Writes a snapshot into `target`, which is at least `layout.byteLength` long. What is there already need not be zero. */
export function fillSnapshot(target: Uint8Array, layout: Layout, source: Source): void {
  target.set(layout.head);
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  const writeCount = (byteOffset: number, count: number): void => view.setUint32(byteOffset - 4, count, true);
  writeCount(layout.optionsOffset, 1);
  view.setInt32(layout.optionsOffset, source.optionsText, true);
  for (const { table, column, byteOffset, count } of layout.places) {
    writeCount(byteOffset, count);
    const used = source.column(table, column);
    target.set(new Uint8Array(used.buffer, used.byteOffset, used.byteLength), byteOffset);
  }
  const root = Snapshot.getRootAsSnapshot(new ByteBuffer(target));
  root.mutate_generation(source.generation);
  const tables = accessTables(root, need);
  for (const table of TABLE_NAMES) tables[table].mutate_rows(source.rows(table));
}

/** Used for parts of a snapshot that must be there. */
export const need: Need = (part, name) => {
  if (part === null) throw new KaiError('SNAPSHOT_CORRUPTED', `the snapshot has no ${name}`);
  return part;
};

function emptyTables(): Uint8Array {
  const builder = new Builder(8192);
  // Otherwise a field that equals its default has no bytes and cannot be changed in place.
  builder.forceDefaults(true);
  builder.startVector(4, 0, 4);
  const empty = builder.endVector();
  builder.finish(writeTables(builder, LAYOUT_VERSION, empty), FILE_IDENTIFIER);
  return builder.asUint8Array();
}

function alignUp(bytes: number): number {
  return Math.ceil(bytes / ALIGN_BYTES) * ALIGN_BYTES;
}
