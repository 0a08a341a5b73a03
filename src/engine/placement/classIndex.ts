import type { CycleCounts } from '../../base/decisions.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { SearchPort } from '../parallel.ts';
import type { Journal } from '../state/journal.ts';
import type { SlotColumns } from '../state/layout.ts';
import { type Evaluator, evaluateNode, staticCodesInto } from './evaluate.ts';
import type { Request } from './requests.ts';
import { createWinnerTree, rebuildTree, updateTree, type WinnerTree } from './winnerTree.ts';

/**
 * Pods that ask for the same and are constrained alike form a class. A class is evaluated on all nodes once; afterwards
 * only nodes whose ledgers changed are evaluated again, so that a pod's cost does not grow with the number of nodes.
 */
export interface PodClass {
  readonly shapeRow: number;
  readonly signatureRow: number;
  readonly request: Request;
  readonly isGpuTask: boolean;
  slot: number;
  columns: SlotColumns;
  readonly tree: WinnerTree;
  /** Position in the journal's list of changed nodes up to which the columns are current. */
  cursor: number;
  lastUse: number;
  /** Number of nodes per bit of `lack` and per predicate code. */
  readonly lackCount: Int32Array;
  readonly codeCount: Int32Array;
}

/** All classes of a cycle; as many are kept current as there are slots, the least recently used gives way. */
export interface ClassIndex {
  readonly view: SnapshotView;
  readonly evaluator: Evaluator;
  readonly journal: Journal;
  readonly port: SearchPort;
  readonly counts: CycleCounts;
  readonly byKey: Map<number, PodClass>;
  readonly inSlot: (PodClass | null)[];
  readonly stamp: Int32Array;
  stampValue: number;
  clock: number;
}

const BITS = 32;
const NEVER = -1;
/** Changes read per node that may be evaluated: reading one is that much cheaper. */
const CHANGES_READ = 32;

export function createClassIndex(
  view: SnapshotView,
  evaluator: Evaluator,
  journal: Journal,
  port: SearchPort,
  counts: CycleCounts,
): ClassIndex {
  const { sizes } = evaluator.state;
  return {
    view,
    evaluator,
    journal,
    port,
    counts,
    byKey: new Map(),
    inSlot: new Array<PodClass | null>(sizes.slots).fill(null),
    stamp: new Int32Array(sizes.nodes),
    stampValue: 0,
    clock: 0,
  };
}

/** The class of a shape and signature, with current columns. */
export function classOf(ix: ClassIndex, request: Request, signatureRow: number): PodClass {
  const c = findClass(ix, request, signatureRow);
  catchUp(ix, c);
  return c;
}

/** The same, current on these nodes only: for trials that look at few nodes while many change. */
export function classAmong(ix: ClassIndex, request: Request, signatureRow: number, nodes: Int32Array): PodClass {
  const c = findClass(ix, request, signatureRow);
  if (c.cursor === NEVER || ix.journal.changedLength - c.cursor <= nodes.length) catchUp(ix, c);
  else for (const n of nodes) renewNode(ix, c, n);
  return c;
}

function findClass(ix: ClassIndex, request: Request, signatureRow: number): PodClass {
  const key = request.shapeRow * ix.view.signatures.used.length + signatureRow;
  let c = ix.byKey.get(key);
  if (c === undefined) {
    c = createClass(ix, request, signatureRow);
    ix.byKey.set(key, c);
  }
  c.lastUse = ++ix.clock;
  if (ix.inSlot[c.slot] !== c) takeSlot(ix, c);
  return c;
}

function createClass(ix: ClassIndex, request: Request, signatureRow: number): PodClass {
  ix.counts.classes++;
  return {
    shapeRow: request.shapeRow,
    signatureRow,
    request,
    isGpuTask: request.isGpuTask,
    slot: 0,
    columns: ix.evaluator.state.slot(0),
    tree: createWinnerTree(ix.evaluator.state.sizes.nodes),
    cursor: NEVER,
    lastUse: 0,
    lackCount: new Int32Array(BITS),
    codeCount: new Int32Array(BITS),
  };
}

function takeSlot(ix: ClassIndex, c: PodClass): void {
  let slot = ix.inSlot.indexOf(null);
  if (slot < 0) {
    slot = 0;
    for (let k = 1; k < ix.inSlot.length; k++) if (ix.inSlot[k]!.lastUse < ix.inSlot[slot]!.lastUse) slot = k;
  }
  ix.inSlot[slot] = c;
  c.slot = slot;
  c.columns = ix.evaluator.state.slot(slot);
  c.cursor = NEVER;
}

/** Brings the columns up to date: node by node, or all at once when more than a tenth changed. */
function catchUp(ix: ClassIndex, c: PodClass): void {
  const { journal } = ix;
  if (c.cursor === journal.changedLength) return;
  if (c.cursor === NEVER || !renewChanged(ix, c, Math.max(64, ix.evaluator.state.sizes.nodes / 10))) {
    evaluateAll(ix, c);
    return;
  }
  c.cursor = journal.changedLength;
}

/** Evaluates the nodes that changed, at most `limit`; false when there are more. Trials change the same few again and again. */
function renewChanged(ix: ClassIndex, c: PodClass, limit: number): boolean {
  const { journal } = ix;
  if (journal.changedLength - c.cursor > CHANGES_READ * limit) return false;
  const stamp = ++ix.stampValue;
  let count = 0;
  for (let i = c.cursor; i < journal.changedLength; i++) {
    const n = journal.changed[i]!;
    if (ix.stamp[n] === stamp) continue;
    ix.stamp[n] = stamp;
    if (++count > limit) return false;
    renewNode(ix, c, n);
  }
  return true;
}

function renewNode(ix: ClassIndex, c: PodClass, n: number): void {
  countNode(c, n, -1);
  evaluateNode(ix.evaluator, c.request, c.isGpuTask, c.columns, n, 0, 0);
  ix.counts.nodesEvaluated++;
  countNode(c, n, 1);
  updateTree(c.tree, c.columns.key, n);
}

function evaluateAll(ix: ClassIndex, c: PodClass): void {
  const { evaluator } = ix;
  const nodes = evaluator.state.sizes.nodes;
  ix.port.search({ shapeRow: c.shapeRow, signatureRow: c.signatureRow, slot: c.slot, rows: nodes }, (from, to) =>
    evaluateRange(evaluator, ix.view, c.request, c.signatureRow, c.columns, from, to),
  );
  ix.counts.nodesEvaluated += nodes;
  c.lackCount.fill(0);
  c.codeCount.fill(0);
  for (let n = 0; n < nodes; n++) countNode(c, n, 1);
  rebuildTree(c.tree, c.columns.key);
  c.cursor = ix.journal.changedLength;
}

/** A part of a search: what planner and search workers do alike. */
export function evaluateRange(
  e: Evaluator,
  view: SnapshotView,
  request: Request,
  signatureRow: number,
  columns: SlotColumns,
  from: number,
  to: number,
): void {
  staticCodesInto(e, view, request, signatureRow, request.isGpuTask, columns, from, to);
  for (let n = from; n < to; n++) evaluateNode(e, request, request.isGpuTask, columns, n, 0, 0);
}

function countNode(c: PodClass, n: number, sign: 1 | -1): void {
  const code = c.columns.code[n]!;
  if (code !== 0) c.codeCount[code] = c.codeCount[code]! + sign;
  for (let bits = c.columns.lack[n]!; bits !== 0; bits &= bits - 1) {
    const bit = 31 - Math.clz32(bits & -bits);
    c.lackCount[bit] = c.lackCount[bit]! + sign;
  }
}
