import { NodeFlag } from '../../base/codes.ts';
import type { PodClass } from '../placement/classIndex.ts';
import { checkNode, type DynamicChecks, needOnNode } from '../placement/dynamicChecks.ts';
import { Lack } from '../placement/evaluate.ts';
import { PREDICATE_TEXT, PredicateCode } from '../placement/reasons.ts';
import type { Request } from '../placement/requests.ts';
import { findViolation, violationError } from '../queues/capacity.ts';
import { requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import type { SlotColumns } from '../state/layout.ts';

export const NO_NODES = 'no nodes with enough resources were found';
/** Codes whose texts differ from node to node or from pod to pod. */
const NAMED_CODES: readonly number[] = [
  PredicateCode.queueCapacity,
  PredicateCode.legacyMig,
  PredicateCode.gpuMemoryUnknown,
  PredicateCode.migBesideLegacyMig,
  PredicateCode.unmappedDraNode,
  PredicateCode.nodeCondition,
  PredicateCode.gpuWorkerOnly,
  PredicateCode.cpuWorkerOnly,
  PredicateCode.dra,
];
const OVERHEAD_BIT = 30;

/**
 * Records why no node takes a task, as a histogram over nodes, each counted once per reason (spec 03 section 7.4). Uses the
 * class's running counts where every reason has one text; otherwise looks at the nodes one by one. `among`: the nodes that
 * the task was tried on, null = all.
 */
export function recordNodeReasons(
  s: Session,
  podRow: number,
  columns: SlotColumns,
  checks: DynamicChecks | null,
  c: PodClass | null,
  among: Int32Array | null,
): void {
  if (among !== null) {
    recordAmong(s, podRow, columns, checks, among);
    return;
  }
  if (s.errors.task.has(podRow)) return;
  const counts = new Map<string, number>();
  if (c !== null && checks === null && c.lackCount[OVERHEAD_BIT] === 0 && NAMED_CODES.every((code) => c.codeCount[code] === 0)) {
    const r = c.request;
    for (let bit = 0; bit < OVERHEAD_BIT; bit++) if (c.lackCount[bit]! > 0) addCount(counts, lackText(s, r, bit), c.lackCount[bit]!);
    for (const code of Object.keys(PREDICATE_TEXT)) {
      const number = c.codeCount[Number(code)]!;
      if (number > 0) addCount(counts, PREDICATE_TEXT[Number(code)]!, number);
    }
    const refused = s.numa?.orderOf(c)?.refusedCount ?? 0;
    if (refused > 0) addCount(counts, PREDICATE_TEXT[PredicateCode.numa]!, refused);
  } else {
    for (let n = 0; n < s.state.sizes.nodes; n++) {
      for (const reason of nodeReasons(s, podRow, columns, checks, n)) addCount(counts, reason, 1);
    }
  }
  s.errors.task.set(podRow, histogram(NO_NODES, counts));
}

/** A task of a topology job is tried on several node sets: its reasons add up, each node counting once. */
function recordAmong(s: Session, podRow: number, columns: SlotColumns, checks: DynamicChecks | null, among: Int32Array): void {
  let refusals = s.topology.refusals.get(podRow);
  if (refusals === undefined) {
    if (s.errors.task.has(podRow)) return;
    refusals = { isCounted: new Uint8Array(s.state.sizes.nodes), counts: new Map() };
    s.topology.refusals.set(podRow, refusals);
  }
  for (const n of among) {
    if (refusals.isCounted[n] === 1) continue;
    refusals.isCounted[n] = 1;
    for (const reason of nodeReasons(s, podRow, columns, checks, n)) addCount(refusals.counts, reason, 1);
  }
  s.errors.task.set(podRow, histogram(NO_NODES, refusals.counts));
}

function addCount(counts: Map<string, number>, reason: string, number: number): void {
  counts.set(reason, (counts.get(reason) ?? 0) + number);
}

/** `head: n reason. \nm reason.`, sorted as plain strings; the bare head without reasons. */
function histogram(head: string, counts: ReadonlyMap<string, number>): string {
  if (counts.size === 0) return head;
  const parts = [...counts].map(([reason, number]) => `${number} ${reason}`).sort();
  return `${head}: ${parts.join('. \n')}.`;
}

/** Short reasons of one node; empty when it gives none. */
export function nodeReasons(s: Session, podRow: number, columns: SlotColumns, checks: DynamicChecks | null, n: number): string[] {
  const r = requestOf(s, podRow);
  const lack = columns.lack[n]!;
  if (lack !== 0) {
    const suffix = (lack & Lack.overhead) === 0 ? '' : overheadSuffix(r);
    const texts: string[] = [];
    for (let bit = 0; bit < OVERHEAD_BIT; bit++) if (((lack >> bit) & 1) === 1) texts.push(lackText(s, r, bit) + suffix);
    return texts;
  }
  let code = columns.code[n]!;
  if (checks !== null && (code === 0 ? columns.key[n] !== Number.NEGATIVE_INFINITY : code > PredicateCode.nodeCondition)) {
    // Codes stand in the order of the checks: the first that refuses names the reason (spec 03 section 7.3).
    const dynamic = checkNode(s, checks, n);
    if (dynamic !== 0 && (code === 0 || dynamic < code)) code = dynamic;
  }
  if (code === 0 && columns.key[n] !== Number.NEGATIVE_INFINITY && checks?.usesDra === true) {
    const reason = s.dra.check(podRow, s.state.facts.row[n]!);
    if (reason !== null) return [reason];
  }
  if (code === 0 && columns.key[n] !== Number.NEGATIVE_INFINITY && isRefusedByZones(s, podRow, r, n)) code = PredicateCode.numa;
  return code === 0 ? [] : codeTexts(s, podRow, code, n);
}

function isRefusedByZones(s: Session, podRow: number, r: Request, n: number): boolean {
  const kind = s.numa?.kindOf(r, s.dra.gpuCountOf(podRow) > 0) ?? null;
  return kind !== null && s.numa?.verdictsOf(kind).isRefused[n] === 1;
}

function lackText(s: Session, r: Request, bit: number): string {
  const lacks = "node(s) didn't have enough resources: ";
  switch (1 << bit) {
    case Lack.gpus:
      return `${lacks}GPUs`;
    case Lack.gpuMemory:
      return `${lacks}GPU memory`;
    case Lack.cpu:
      return `${lacks}CPU cores`;
    case Lack.memory:
      return `${lacks}memory`;
    case Lack.pods:
      return `${lacks}pods`;
    default: {
      const k = bit - Lack.firstScalar;
      const name = s.dimNames[r.scalarDim[k]!]!;
      return r.isMigDim[k] === 1 ? `node(s) didn't have enough of mig profile: ${name}` : `${lacks}${name}`;
    }
  }
}

function overheadSuffix(r: Request): string {
  const amounts = r.overhead?.amounts ?? {};
  const list = Object.keys(amounts).sort();
  const text = list.map((name) => ` ${name}: ${name === 'cpu' ? `${amounts[name]!}m` : amounts[name]!}`).join('');
  return `. Not enough resources due to pod overhead resources. The overhead resources are${text}`;
}

const CONDITIONS: readonly (readonly [flag: number, text: string])[] = [
  [NodeFlag.unschedulable, 'node is unschedulable'],
  [NodeFlag.notReady, 'node has NotReady condition'],
  [NodeFlag.memoryPressure, 'node has MemoryPressure condition'],
  [NodeFlag.diskPressure, 'node has DiskPressure condition'],
  [NodeFlag.pidPressure, 'node has PIDPressure condition'],
  [NodeFlag.networkUnavailable, 'node has NetworkUnavailable condition'],
];

/** Texts of a predicate's refusal; several only for node conditions (spec 01 section 5.6). */
function codeTexts(s: Session, podRow: number, code: number, n: number): string[] {
  const pod = s.view.texts.get(s.view.pods.keyText[podRow]!);
  const node = s.nodeName[n]!;
  switch (code) {
    case PredicateCode.queueCapacity: {
      const job = s.podSets.job[s.tasks.podSet[podRow]!]!;
      const need = needOnNode(s, podRow, n);
      const violation = findViolation(s, job, need);
      if (violation === null) return [];
      const error = violationError(s, job, need, violation);
      return [`node does not have enough capacity. Reason: ${error.reason}, Details: ${error.message}`];
    }
    case PredicateCode.legacyMig:
      return [`Legacy MIG jobs cannot be scheduled on node ${node}`];
    case PredicateCode.migBesideLegacyMig:
      return [`MIG job cannot be scheduled on node with legacy MIG jobs: <[${legacyMigPods(s, n).join(' ')}]>`];
    case PredicateCode.gpuMemoryUnknown:
      return [`node is not a gpu node or the gpu memory count on the node was not synced yet, task: <${pod}>, node: <${node}>`];
    case PredicateCode.unmappedDraNode:
      return ['device-plugin GPU requests cannot be scheduled on DRA-only nodes'];
    case PredicateCode.nodeCondition:
      return CONDITIONS.filter(([flag]) => (s.state.facts.flags[n]! & flag) !== 0).map(([, text]) => text);
    case PredicateCode.storageLedger:
      return [s.csi?.fitError(podRow, n, false) ?? ''].filter((text) => text !== '');
    case PredicateCode.gpuWorkerOnly:
      return [`gpu task: <${pod}> can't run on non gpu nodes, node: <${node}>`];
    case PredicateCode.cpuWorkerOnly:
      return [`cpu task: <${pod}> can't run on non cpu nodes, node: <${node}>`];
    default: {
      const text = PREDICATE_TEXT[code];
      return text === undefined ? [] : [text];
    }
  }
}

function legacyMigPods(s: Session, n: number): string[] {
  return [...s.legacyMigNode]
    .filter(([, node]) => node === n)
    .map(([podRow]) => s.view.texts.get(s.view.pods.keyText[podRow]!))
    .sort();
}
