import type { ObjectProblem } from '../../base/errors.ts';
import { LIST_NAMES } from '../../base/objects.ts';
import type { IgnoredKind } from '../../snapshot/import/loadedInput.ts';
import { type SnapshotStats, snapshotStats } from '../../snapshot/stats.ts';
import type { ClusterInput } from '../clusterInput.ts';
import { table } from './table.ts';

/** What `kai snapshot info --output json` prints. */
export interface SnapshotInfo {
  readonly files: readonly string[];
  /** Time of the recorded cycle, RFC 3339; null when the input does not tell. */
  readonly now: string | null;
  readonly config: {
    readonly actions: readonly string[];
    readonly plugins: readonly string[];
    readonly schedulerName: string;
    readonly nodePool: string;
  };
  /** API groups that count as served. */
  readonly served: { readonly dra: boolean; readonly nodeTopology: boolean };
  /** Objects by kind, without empty kinds. */
  readonly objects: Readonly<Record<string, number>>;
  readonly ignoredKinds: readonly IgnoredKind[];
  readonly snapshot: SnapshotStats;
  readonly problems: readonly ObjectProblem[];
}

export function infoDocument(files: readonly string[], { view, config, nowMs, problems, input }: ClusterInput): SnapshotInfo {
  const snapshot = snapshotStats(view);
  const counts = input === null ? tableCounts(snapshot) : LIST_NAMES.map((list): [string, number] => [list, input.objects[list].length]);
  return {
    files,
    now: nowMs === undefined ? null : new Date(nowMs).toISOString(),
    config: {
      actions: config.actions,
      plugins: config.plugins.map(({ name }) => name),
      schedulerName: config.params.schedulerName,
      nodePool: config.params.nodePoolLabelValue,
    },
    served: { dra: view.options.isDraServed, nodeTopology: view.options.isNodeTopologyServed },
    objects: Object.fromEntries(counts.filter(([, count]) => count > 0)),
    ignoredKinds: input === null ? [] : input.ignoredKinds,
    snapshot,
    problems,
  };
}

export function infoText(info: SnapshotInfo): string {
  const { config, served, snapshot } = info;
  const yesNo = (flag: boolean): string => (flag ? 'yes' : 'no');
  const facts = [
    ['files', info.files.join(', ')],
    ['recorded at', info.now ?? 'unknown'],
    ['actions', config.actions.join(', ')],
    ['plugins', config.plugins.join(', ')],
    ['scheduler', `${config.schedulerName}${config.nodePool === '' ? '' : `, node pool ${config.nodePool}`}`],
    ['served', `DRA ${yesNo(served.dra)}, node topology ${yesNo(served.nodeTopology)}`],
  ];
  const objects = Object.entries(info.objects).map(([list, count]) => [list, String(count)]);
  const tables = snapshot.tables.map(({ table: name, rows, bytes }) => [name, String(rows), String(bytes)]);
  const total = ['total', '', String(snapshot.usedBytes)];
  return [
    table(facts, ''),
    objects.length === 0 ? 'no objects' : table([['OBJECTS', 'COUNT'], ...objects], ''),
    table([['TABLE', 'ROWS', 'BYTES'], ...tables, total], ''),
    `${Math.round(snapshot.bytesPerNode)} bytes per node, ${Math.round(snapshot.bytesPerPod)} bytes per pod`,
    info.problems.length === 0 ? 'no problems' : `problems: ${info.problems.length}, listed above`,
    '',
  ]
    .join('\n\n')
    .trimEnd()
    .concat('\n');
}

/** Of a saved snapshot: the tables that hold objects. */
function tableCounts(snapshot: SnapshotStats): [string, number][] {
  const interned: ReadonlySet<string> = new Set(['texts', 'labelSets', 'shapes', 'signatures']);
  return snapshot.tables.filter(({ table: name }) => !interned.has(name)).map(({ table: name, rows }) => [name, rows]);
}
