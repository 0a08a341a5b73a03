import type { SnapshotView } from '../base/snapshotView.ts';
import type { TableName } from './generated/layout.gen.ts';
import type { Column } from './tables/columns.ts';
import { textColumnsOf } from './view.ts';

/** Columns of a table of a sealed snapshot by name. */
export function columnsOf(view: SnapshotView, table: TableName): Readonly<Record<string, Column>> & { readonly rows: number } {
  const columns: unknown = table === 'texts' ? textColumnsOf(view) : view[table];
  return columns as Readonly<Record<string, Column>> & { readonly rows: number };
}

/** The part of a column that holds rows, or used bytes and pairs. */
export function usedPartOf(view: SnapshotView, table: TableName, name: string): Column {
  const columns = columnsOf(view, table);
  const column = columns[name]!;
  if (table === 'texts' && name === 'bytes') return column.subarray(0, columns.bytesUsed![0]);
  if (table === 'labelSets' && name === 'pairs') return column.subarray(0, pairsEnd(view));
  return name === 'buckets' || name === 'bytesUsed' ? column : column.subarray(0, columns.rows);
}

function pairsEnd(view: SnapshotView): number {
  const { rows, used, pairStart, pairCount } = view.labelSets;
  let end = 0;
  for (let row = 0; row < rows; row++) if (used[row] === 1) end = Math.max(end, pairStart[row]! + 2 * pairCount[row]!);
  return end;
}

/** Rows in use. */
export function countUsed(view: SnapshotView, table: TableName): number {
  const { used, rows } = columnsOf(view, table);
  let count = 0;
  for (let row = 0; row < rows; row++) count += used![row]!;
  return count;
}
