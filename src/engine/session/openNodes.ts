import { MigStrategy, NodeFlag } from '../../base/codes.ts';
import type { SchedulerConfig } from '../../base/config.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { DraSession } from '../dra/session.ts';
import { readAmounts } from '../placement/requests.ts';
import { NodeKind, type State } from '../state/layout.ts';
import { shardFilter } from './openQueues.ts';

/** Nodes of the shard in name order: rows of view.nodes and their names. */
export interface NodeList {
  readonly rows: Int32Array;
  readonly names: readonly string[];
}

/** Selects and orders the nodes (spec 03 sections 2.2, 2.3); not-ready nodes stay in. */
export function listNodes(view: SnapshotView, config: SchedulerConfig): NodeList {
  const inShard = shardFilter(view, config);
  const c = view.nodes;
  const workers = NodeFlag.cpuWorker | NodeFlag.gpuWorker;
  const found: { row: number; name: string }[] = [];
  for (let row = 0; row < c.rows; row++) {
    if (c.used[row] !== 1 || !inShard(c.poolText[row]!)) continue;
    if (config.params.restrictSchedulingNodes && (c.flags[row]! & workers) === 0) continue;
    found.push({ row, name: view.texts.get(c.nameText[row]!) });
  }
  found.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return { rows: Int32Array.from(found, (f) => f.row), names: found.map((f) => f.name) };
}

/**
 * Resource names beyond CPU, memory, GPUs and pods that any node offers or any pod asks for, sorted. A function of the
 * snapshot alone: planner and search workers number the dimensions alike.
 */
export function listDims(view: SnapshotView): string[] {
  const names = new Set<string>();
  const seen = new Set<number>();
  const addAll = (textRow: number): void => {
    if (textRow === NO_ROW || seen.has(textRow)) return;
    seen.add(textRow);
    for (const name of Object.keys(readAmounts(view, textRow) ?? {})) names.add(name);
  };
  for (let row = 0; row < view.nodes.rows; row++) if (view.nodes.used[row] === 1) addAll(view.nodes.scalarsJson[row]!);
  for (let row = 0; row < view.shapes.rows; row++) if (view.shapes.used[row] === 1) addAll(view.shapes.scalarsJson[row]!);
  return [...names].sort();
}

/** Fills the fact columns and the empty ledgers (Idle = Allocatable) of every node. */
export function fillNodes(view: SnapshotView, state: State, nodes: NodeList, dimNames: readonly string[], dra: DraSession): void {
  const c = view.nodes;
  const { facts, ledger } = state;
  const count = nodes.rows.length;
  const dimOf = new Map(dimNames.map((name, d) => [name, d] as const));
  const parsed = new Map<number, Readonly<Record<string, number>>>();
  facts.allocScalar.fill(0);
  state.cells.fill(0);
  for (let n = 0; n < count; n++) {
    const row = nodes.rows[n]!;
    const draGpus = dra.nodeGpuCount(row);
    const pluginGpus = c.allocGpu[row]!;
    const gpus = pluginGpus + draGpus;
    const flags = c.flags[row]!;
    facts.row[n] = row;
    facts.flags[n] = flags;
    facts.allocMilliCpu[n] = c.allocMilliCpu[row]!;
    facts.allocMemoryBytes[n] = c.allocMemoryBytes[row]!;
    facts.allocGpu[n] = gpus;
    facts.allocPods[n] = c.allocPods[row]!;
    facts.gpuMemoryMib[n] = c.gpuMemoryMib[row]!;
    facts.devices[n] = Math.trunc(gpus);
    facts.spreadDevices[n] = c.gpuCountLabel[row]! >= 0 ? c.gpuCountLabel[row]! : Math.trunc(gpus);
    facts.kind[n] = kindOf(flags, c.migStrategyCode[row]!, gpus, draGpus, pluginGpus);
    ledger.idleMilliCpu[n] = facts.allocMilliCpu[n]!;
    ledger.idleMemoryBytes[n] = facts.allocMemoryBytes[n]!;
    ledger.idleGpu[n] = gpus;
    ledger.idlePods[n] = facts.allocPods[n]!;
    ledger.groupHead[n] = -1;
    const text = c.scalarsJson[row]!;
    if (text === NO_ROW) continue;
    let amounts = parsed.get(text);
    if (amounts === undefined) {
      amounts = readAmounts(view, text) ?? {};
      parsed.set(text, amounts);
    }
    for (const name of Object.keys(amounts)) {
      const at = dimOf.get(name)! * count + n;
      facts.allocScalar[at] = amounts[name]!;
      ledger.idleScalar[at] = amounts[name]!;
    }
  }
}

function kindOf(flags: number, strategy: number, gpus: number, draGpus: number, pluginGpus: number): number {
  let kind = 0;
  const isMig = (flags & NodeFlag.migEnabled) !== 0;
  if (isMig) {
    kind |= NodeKind.migEnabled;
    if (strategy === MigStrategy.single) kind |= NodeKind.migSingle;
    if (strategy === MigStrategy.mixed) kind |= NodeKind.migMixed;
  }
  if (draGpus > 0) kind |= NodeKind.draGpu | (pluginGpus > 0 ? 0 : NodeKind.draOnly);
  if (!isMig && gpus <= 0) kind |= NodeKind.cpuOnly;
  return kind;
}

/** Smallest and largest known GPU memory in MiB; NaN when no node tells (spec 03 section 2.7). */
export function gpuMemoryRange(state: State): { min: number; max: number } {
  let min = Number.NaN;
  let max = Number.NaN;
  for (const mib of state.facts.gpuMemoryMib) {
    if (mib <= 100) continue;
    if (!(mib >= min)) min = mib;
    if (!(mib <= max)) max = mib;
  }
  return { min, max };
}
