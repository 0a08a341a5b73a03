import type { SchedulerConfig } from '../../base/config.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { QueueTable } from './session.ts';

/** Is an object with this node-pool label value part of the shard (spec 02 section 2.9, 01 section 2.10)? */
export function shardFilter(view: SnapshotView, config: SchedulerConfig): (poolText: number) => boolean {
  const { nodePoolLabelKey, nodePoolLabelValue } = config.params;
  if (nodePoolLabelKey === '') return () => true;
  if (nodePoolLabelValue === '') return (poolText) => poolText === NO_ROW;
  const wanted = view.texts.find(nodePoolLabelValue);
  return (poolText) => poolText === wanted && wanted !== NO_ROW;
}

interface Draft {
  readonly row: number;
  readonly name: string;
  readonly parentName: string;
  readonly createdMs: number;
}

/** Name of the synthetic top queue of project-level fairness; no Kubernetes name has a slash. */
const SYNTHETIC = '/default';

/**
 * Reads the queues of the shard and links the tree. Queues whose parent does not exist, or that hang on a cycle, are left
 * out with everything below them (spec 02 section 5.2). Sums (request, fair share) are zero.
 */
export function openQueues(view: SnapshotView, config: SchedulerConfig, nowMs: number): { queues: QueueTable; ofText: Int32Array } {
  const inShard = shardFilter(view, config);
  const c = view.queues;
  let drafts: Draft[] = [];
  for (let row = 0; row < c.rows; row++) {
    if (c.used[row] !== 1 || !inShard(c.poolText[row]!)) continue;
    const parent = c.parentText[row]!;
    drafts.push({
      row,
      name: view.texts.get(c.nameText[row]!),
      parentName: parent === NO_ROW ? '' : view.texts.get(parent),
      createdMs: Number.isNaN(c.createdMs[row]!) ? 0 : c.createdMs[row]!,
    });
  }
  if (!config.params.fullHierarchyFairness) {
    drafts = drafts.filter((d) => d.parentName !== '').map((d) => ({ ...d, parentName: SYNTHETIC }));
    drafts.push({ row: NO_ROW, name: SYNTHETIC, parentName: '', createdMs: nowMs });
  }
  return link(view, connected(drafts));
}

/** The queues that reach a top-level queue through existing parents, in name order. */
function connected(drafts: readonly Draft[]): Draft[] {
  const byName = new Map(drafts.map((d) => [d.name, d] as const));
  const verdict = new Map<string, boolean>();
  const reachesTop = (d: Draft): boolean => {
    const known = verdict.get(d.name);
    if (known !== undefined) return known;
    // A queue met again while its own verdict is open hangs on a cycle.
    verdict.set(d.name, false);
    const parent = d.parentName === '' ? undefined : byName.get(d.parentName);
    const ok = d.parentName === '' || (parent !== undefined && reachesTop(parent));
    verdict.set(d.name, ok);
    return ok;
  };
  return drafts.filter(reachesTop).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function link(view: SnapshotView, drafts: readonly Draft[]): { queues: QueueTable; ofText: Int32Array } {
  const count = drafts.length;
  const numberOf = new Map(drafts.map((d, q) => [d.name, q] as const));
  const c = view.queues;
  const table = {
    count,
    row: Int32Array.from(drafts, (d) => d.row),
    name: drafts.map((d) => d.name),
    displayName: drafts.map((d) => displayName(view, d)),
    parent: Int32Array.from(drafts, (d) => (d.parentName === '' ? -1 : numberOf.get(d.parentName)!)),
    isLeaf: new Uint8Array(count).fill(1),
    children: drafts.map((): number[] => []),
    top: [] as number[],
    priority: Int32Array.from(drafts, (d) => (d.row === NO_ROW ? 100 : c.priority[d.row]!)),
    createdMs: Float64Array.from(drafts, (d) => d.createdMs),
    quota: new Float64Array(3 * count),
    limit: new Float64Array(3 * count),
    weight: new Float64Array(3 * count),
    usage: new Float64Array(3 * count),
    request: new Float64Array(3 * count),
    fairShare: new Float64Array(3 * count),
    total: new Float64Array(3),
  };
  const ofText = new Int32Array(view.texts.capacity).fill(-1);
  const order = [...drafts.keys()].sort((a, b) => table.createdMs[a]! - table.createdMs[b]! || a - b);
  for (const q of order) {
    const parent = table.parent[q]!;
    if (parent < 0) table.top.push(q);
    else {
      table.children[parent]!.push(q);
      table.isLeaf[parent] = 0;
    }
    const row = table.row[q]!;
    if (row === NO_ROW) {
      for (let r = 0; r < 3; r++) {
        table.quota[3 * q + r] = -1;
        table.limit[3 * q + r] = -1;
        table.weight[3 * q + r] = 1;
      }
      continue;
    }
    ofText[c.nameText[row]!] = q;
    table.quota.set([c.quotaMilliCpu[row]!, c.quotaMemoryBytes[row]!, toMilli(c.quotaGpu[row]!)], 3 * q);
    table.limit.set([c.limitMilliCpu[row]!, c.limitMemoryBytes[row]!, toMilli(c.limitGpu[row]!)], 3 * q);
    table.weight.set([c.weightCpu[row]!, c.weightMemory[row]!, c.weightGpu[row]!], 3 * q);
    table.usage.set([c.usageCpu[row]!, c.usageMemory[row]!, c.usageGpu[row]!], 3 * q);
  }
  return { queues: table, ofText };
}

function displayName(view: SnapshotView, d: Draft): string {
  if (d.row === NO_ROW) return 'default';
  const text = view.queues.displayText[d.row]!;
  return text === NO_ROW ? d.name : view.texts.get(text);
}

/** GPUs to thousandths, rounded once here; unlimited stays −1. */
function toMilli(gpus: number): number {
  return gpus < 0 ? -1 : Math.round(gpus * 1000);
}
