import type { SnapshotOptions, SnapshotView } from '../base/snapshotView.ts';
import { COLUMNS, type TableName } from './generated/layout.gen.ts';
import { columnsOf, countUsed } from './sealedColumns.ts';

/** One row with its columns by name: strings, numbers, parsed JSON; NaN and NO_ROW of texts are null. */
export type RowContent = Readonly<Record<string, unknown>>;

export interface SnapshotContent {
  readonly options: SnapshotOptions;
  readonly nodes: readonly RowContent[];
  readonly pods: readonly RowContent[];
  readonly podGroups: readonly RowContent[];
  readonly queues: readonly RowContent[];
  readonly bindRequests: readonly RowContent[];
  readonly objects: readonly RowContent[];
  /** Numbers of interned rows. */
  readonly interned: Readonly<Record<'texts' | 'labelSets' | 'shapes' | 'signatures', number>>;
}

/** All tables as plain data, sorted, without row numbers: equal for snapshots that say the same. */
export function contentOf(view: SnapshotView): SnapshotContent {
  return {
    options: view.options,
    nodes: rowsOf(view, 'nodes'),
    pods: rowsOf(view, 'pods'),
    podGroups: rowsOf(view, 'podGroups'),
    queues: rowsOf(view, 'queues'),
    bindRequests: rowsOf(view, 'bindRequests'),
    objects: rowsOf(view, 'objects'),
    interned: {
      texts: countUsed(view, 'texts'),
      labelSets: countUsed(view, 'labelSets'),
      shapes: countUsed(view, 'shapes'),
      signatures: countUsed(view, 'signatures'),
    },
  };
}

function rowsOf(view: SnapshotView, table: TableName): RowContent[] {
  const { used, rows } = columnsOf(view, table);
  const out: { readonly order: string; readonly content: RowContent }[] = [];
  for (let row = 0; row < rows; row++) {
    if (used![row] === 0) continue;
    const content = rowOf(view, table, row);
    out.push({ order: JSON.stringify(content), content });
  }
  return out.sort((a, b) => (a.order < b.order ? -1 : Number(a.order > b.order))).map((r) => r.content);
}

function rowOf(view: SnapshotView, table: TableName, row: number): RowContent {
  const columns = columnsOf(view, table);
  const content: Record<string, unknown> = {};
  for (const name of Object.keys(COLUMNS[table])) {
    if (name !== 'used') content[nameOf(name)] = decodeValue(view, name, columns[name]![row]!);
  }
  return content;
}

/** Column name without what only says how the value is stored. */
function nameOf(column: string): string {
  return column.replace(/(Text|Json|Row)$/, '');
}

function decodeValue(view: SnapshotView, column: string, value: number): unknown {
  if (column === 'labelSetRow') return labelsOf(view, value);
  if (column === 'shapeRow') return rowOf(view, 'shapes', value);
  if (column === 'signatureRow') return rowOf(view, 'signatures', value);
  if (column.endsWith('Text')) return value < 0 ? null : view.texts.get(value);
  if (column.endsWith('Json')) return value < 0 ? null : (JSON.parse(view.texts.get(value)) as unknown);
  return Number.isNaN(value) ? null : value;
}

function labelsOf(view: SnapshotView, row: number): Readonly<Record<string, string>> {
  const { pairs, pairStart, pairCount } = view.labelSets;
  const labels: [string, string][] = [];
  for (let i = 0; i < pairCount[row]!; i++) {
    const at = pairStart[row]! + 2 * i;
    labels.push([view.texts.get(pairs[at]!), view.texts.get(pairs[at + 1]!)]);
  }
  return Object.fromEntries(labels);
}
