import { formatHuman } from '../../base/formatNumber.ts';
import { classOf } from '../placement/classIndex.ts';
import { dynamicChecks } from '../placement/dynamicChecks.ts';
import { claimColumns, placeTask, REAL } from '../placement/placeTask.ts';
import { preCheck } from '../placement/prepredicates.ts';
import { deviceMib, type Request } from '../placement/requests.ts';
import { requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import type { SlotColumns } from '../state/layout.ts';
import { createStatement, undoTo } from '../statement.ts';
import type { Constraint } from './explanation.ts';
import { nodeReasons } from './nodeReasons.ts';

export interface Fit {
  /** Null when all tasks find a place as things stand. */
  readonly constraint: Constraint | null;
  readonly remedies: readonly string[];
}

/**
 * How far the tasks of a job's next step get on what is idle or leaving now, and why the first that fails does. Everything
 * is undone; topology constraints are left out of account.
 */
export function explainFit(s: Session, job: number, tasks: readonly number[]): Fit {
  const st = createStatement(s);
  let placed = 0;
  let failure: Fit | null = null;
  for (const p of tasks) {
    if (placeTask(st, p, job, REAL)) placed++;
    else failure ??= failureOf(s, job, p);
  }
  undoTo(st, 0);
  if (failure === null) return { constraint: null, remedies: [] };
  if (failure.constraint?.kind === 'podCannotRun' || tasks.length === 1) return failure;
  const text = `places are found for ${placed} of ${tasks.length} pods that are needed together; ${failure.constraint!.text}`;
  const missing = tasks.length - placed;
  const remedies = failure.remedies.map((remedy) => (missing > 1 ? `${missing} times: ${remedy}` : remedy));
  return { constraint: { ...failure.constraint!, kind: 'gang', text, placed, needed: tasks.length }, remedies };
}

function failureOf(s: Session, job: number, podRow: number): Fit {
  const pod = s.view.texts.get(s.view.pods.keyText[podRow]!);
  const pre = preCheck(s, podRow);
  if (pre !== null) return { constraint: { kind: 'podCannotRun', text: (pre.invariant ?? pre.text).trim() }, remedies: [] };
  const request = requestOf(s, podRow);
  const signatureRow = s.view.pods.signatureRow[podRow]!;
  const checks = dynamicChecks(s, podRow, job);
  const columns =
    checks?.usesDra === true ? claimColumns(s, podRow, request, signatureRow) : classOf(s.classes, request, signatureRow).columns;
  const counts = new Map<string, number>();
  for (let n = 0; n < s.state.sizes.nodes; n++) {
    for (const reason of nodeReasons(s, podRow, columns, checks, n)) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  // What is idle but promised already gives no reason of its own.
  if (counts.size === 0 && s.state.sizes.nodes > 0) counts.set('what is free is promised to other pods of this cycle', s.state.sizes.nodes);
  const nodes = [...counts].map(([reason, count]) => ({ reason, nodes: count }));
  nodes.sort((a, b) => b.nodes - a.nodes || (a.reason < b.reason ? -1 : 1));
  const text = `no node takes pod ${pod}${s.state.sizes.nodes === 0 ? ': there are no nodes' : ''}`;
  return { constraint: { kind: 'nodeFit', text, nodes }, remedies: remediesFor(s, request, columns, podRow) };
}

/** An amount that a node must have free. */
interface Wanted {
  /** What it is for a number of units, such as "2 free GPUs". */
  readonly name: (count: string) => string;
  readonly amount: number;
  readonly unit: number;
  readonly freeOn: (n: number) => number;
}

const plural = (singular: string, many: string): Wanted['name'] => {
  return (count) => `${count} ${count === '1' ? singular : many}`;
};

/** What is missing on the nodes that the pod may use at all. */
function remediesFor(s: Session, r: Request, columns: SlotColumns, podRow: number): string[] {
  const usable: number[] = [];
  for (let n = 0; n < s.state.sizes.nodes; n++) if (columns.before[n] === 0 && columns.after[n] === 0) usable.push(n);
  if (usable.length === 0) return ['a node that its selector, affinity, tolerations and kind of GPU allow: there is none'];
  const wanted = wantedOf(s, r, podRow);
  const short = wanted.flatMap((w) => {
    const best = usable.reduce((a, b) => (w.freeOn(b) > w.freeOn(a) ? b : a));
    const most = w.freeOn(best);
    if (most >= w.amount) return [];
    const have = formatHuman(Math.max(0, most), w.unit);
    return [`a node with ${w.name(formatHuman(w.amount, w.unit))}: the most now is ${have}, on node ${s.nodeName[best]!}`];
  });
  if (short.length > 0 || wanted.length < 2) return short;
  const lacking = (n: number): Wanted[] => wanted.filter((w) => w.freeOn(n) < w.amount);
  const nearest = usable.reduce((a, b) => (lacking(b).length < lacking(a).length ? b : a));
  const missing = lacking(nearest);
  if (missing.length === 0) return [];
  const what = missing
    .map((w) => `${w.name(formatHuman(w.amount, w.unit))} instead of ${formatHuman(Math.max(0, w.freeOn(nearest)), w.unit)}`)
    .join(' and ');
  return [`${what} on node ${s.nodeName[nearest]!}, which comes closest: no node has all of it at once`];
}

/** Idle and leaving amounts together: what a pod could be promised. */
function wantedOf(s: Session, r: Request, podRow: number): Wanted[] {
  const { ledger: l, sizes } = s.state;
  const out: Wanted[] = [];
  const add = (name: Wanted['name'], amount: number, unit: number, freeOn: (n: number) => number): void => {
    if (amount > 0) out.push({ name, amount, unit, freeOn });
  };
  add(plural('free GPU', 'free GPUs'), r.wholeGpus + s.dra.gpuCountOf(podRow), 1, (n) => l.idleGpu[n]! + l.releasingGpu[n]!);
  if (r.isShared) {
    const size = r.gpuMemoryMib > 0 ? `${r.gpuMemoryMib} MiB` : `${formatHuman(r.portion, 1)} of it`;
    add(plural(`GPU with ${size} free`, `GPUs with ${size} free each`), r.deviceCount, 1, (n) => devicesWithRoom(s, r, n));
  }
  add(plural('free CPU core', 'free CPU cores'), r.milliCpu, 1000, (n) => l.idleMilliCpu[n]! + l.releasingMilliCpu[n]!);
  add(plural('GB of free memory', 'GB of free memory'), r.memoryBytes, 1e9, (n) => l.idleMemoryBytes[n]! + l.releasingMemoryBytes[n]!);
  add(plural('free pod slot', 'free pod slots'), 1, 1, (n) => l.idlePods[n]! + l.releasingPods[n]!);
  for (let k = 0; k < r.scalarDim.length; k++) {
    const dim = r.scalarDim[k]!;
    if (s.evaluator.delegatedDims[dim] === 1) continue;
    const unit = r.isMigDim[k] === 1 ? 1 : 1000;
    const free = `free ${s.dimNames[dim]!}`;
    add(
      plural(free, free),
      r.scalarAmount[k]!,
      unit,
      (n) => l.idleScalar[dim * sizes.nodes + n]! + l.releasingScalar[dim * sizes.nodes + n]!,
    );
  }
  return out;
}

/** Devices of a node that have room for one share of the request. */
function devicesWithRoom(s: Session, r: Request, n: number): number {
  const mib = deviceMib(r, s.state.facts.gpuMemoryMib[n]!);
  return roomsOf(s, n).filter((room) => room >= mib).length;
}

/** MiB that each device of a node has left, whole devices included. */
function roomsOf(s: Session, n: number): number[] {
  const { ledger: l, groups, facts } = s.state;
  const mib = facts.gpuMemoryMib[n]!;
  const rooms = new Array<number>(Math.max(0, Math.floor(l.idleGpu[n]! + l.releasingGpu[n]!))).fill(mib);
  for (let g = l.groupHead[n]!; g >= 0; g = groups.next[g]!) {
    // A group that leaves altogether is counted as a whole device already.
    if (groups.usedMib[g]! > 0 && groups.allocatedMib[g] !== groups.releasingMib[g])
      rooms.push(mib - groups.allocatedMib[g]! + groups.releasingMib[g]!);
  }
  return rooms;
}
