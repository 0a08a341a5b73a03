import { PodFlag, RequestType, SignatureFlag } from '../../base/codes.ts';
import { NO_ROW } from '../../base/rows.ts';
import { deviceMib, devicePortion, gpuHundredths, type Request } from '../placement/requests.ts';
import { add, write } from '../state/journal.ts';
import { QUEUE_CELL, SET_CELL, TASK_CELL } from '../state/layout.ts';
import { addToGroup, Charge, chargeGpus, chargeNode, moveInGroup, removeFromGroup } from '../state/ledger.ts';
import type { Session } from './session.ts';
import { ACTIVE_ALLOCATED, ACTIVE_USED, ALIVE, ALLOCATED, isIn, Status } from './status.ts';

/** Cell numbers of a task, a queue and a pod set. */
export function taskCell(s: Session, column: number, podRow: number): number {
  return s.state.base.task + column * s.state.sizes.pods + podRow;
}
export function queueCell(s: Session, column: number, queue: number): number {
  return s.state.base.queue + column * s.state.sizes.queues + queue;
}
function setCell(s: Session, column: number, podSet: number): number {
  return s.state.base.podSet + column * s.state.sizes.podSets + podSet;
}

export function statusOf(s: Session, podRow: number): Status {
  return s.state.cells[taskCell(s, TASK_CELL.status, podRow)]! as Status;
}
/** Node number of a task, −1 = none. */
export function nodeOf(s: Session, podRow: number): number {
  return s.state.cells[taskCell(s, TASK_CELL.node, podRow)]!;
}
export function countOf(s: Session, column: number, podSet: number): number {
  return s.state.cells[setCell(s, column, podSet)]!;
}
export function requestOf(s: Session, podRow: number): Request {
  return s.request(s.view.pods.shapeRow[podRow]!);
}

function chargeOf(status: Status): Charge {
  if (status === Status.releasing) return Charge.releasing;
  return status === Status.pipelined ? Charge.pipelined : Charge.used;
}

/** Puts a task's amounts on a node's ledgers, or takes them off (spec 03 sections 4.1, 4.4, 4.8). */
function chargeTask(s: Session, podRow: number, node: number, status: Status, groups: readonly number[], sign: 1 | -1): void {
  chargeAmounts(s, podRow, node, requestOf(s, podRow), status, groups, sign);
  const signature = s.view.signatures.flags[s.view.pods.signatureRow[podRow]!]!;
  if ((signature & SignatureFlag.hostPorts) !== 0) sign === 1 ? s.ports.add(podRow, node) : s.ports.remove(podRow, node);
  if (s.hasPodAffinity) sign === 1 ? s.affinity.add(podRow, node) : s.affinity.remove(podRow, node);
  if (s.csi !== null && status !== Status.binding) {
    if (sign === 1) s.csi.add(podRow, node, isIn(ALIVE, status));
    else s.csi.remove(podRow, node, isIn(ALIVE, status));
  }
}

function chargeAmounts(
  s: Session,
  podRow: number,
  node: number,
  r: Request,
  status: Status,
  groups: readonly number[],
  sign: 1 | -1,
): void {
  const charge = chargeOf(status);
  const isReservation = (s.view.pods.flags[podRow]! & PodFlag.reservation) !== 0;
  chargeNode(s.journal, s.state, node, r, isReservation ? 0 : r.wholeGpus, charge, sign);
  if (!r.isShared) return;
  const mib = deviceMib(r, s.state.facts.gpuMemoryMib[node]!);
  for (const g of groups) (sign === 1 ? addToGroup : removeFromGroup)(s.journal, s.state, g, mib, charge);
}

/** Moves the DRA ledger along and charges the node for the devices that it counts differently afterwards. */
function chargeClaims(s: Session, podRow: number, node: number, change: () => boolean): boolean {
  if (!s.dra.isConcerned(podRow)) return true;
  const nodeRow = s.state.facts.row[node]!;
  const before = { ...s.dra.chargedGpus(nodeRow) };
  if (!change()) return false;
  const after = s.dra.chargedGpus(nodeRow);
  chargeGpus(s.journal, s.state, node, after.used - before.used, Charge.used);
  chargeGpus(s.journal, s.state, node, after.releasing - before.releasing, Charge.releasing);
  chargeGpus(s.journal, s.state, node, after.pipelined - before.pipelined, Charge.pipelined);
  return true;
}

function draState(status: Status): 'used' | 'releasing' | 'pipelined' {
  if (status === Status.releasing) return 'releasing';
  return status === Status.pipelined ? 'pipelined' : 'used';
}

/** A pod that is on a node when the cycle opens. */
export function occupyAtOpen(s: Session, podRow: number, node: number, status: Status, groups: readonly number[]): void {
  chargeTask(s, podRow, node, status, groups, 1);
  if (groups.length > 0) s.tasks.groups.set(podRow, groups);
  chargeClaims(s, podRow, node, () => {
    s.dra.openPod(podRow, s.state.facts.row[node]!, draState(status));
    return true;
  });
}

/**
 * Places a pending task on a node as Allocated or Pipelined: node, GPU groups, claims, queue, counters. False, with
 * nothing changed, when a claim cannot be allocated.
 */
export function placeTask(s: Session, podRow: number, node: number, status: 2 | 3, groups: readonly number[]): boolean {
  const placed = chargeClaims(s, podRow, node, () => s.dra.place(podRow, s.state.facts.row[node]!, draState(status)));
  if (!placed) return false;
  chargeTask(s, podRow, node, status, groups, 1);
  if (groups.length > 0) s.tasks.groups.set(podRow, groups);
  setStatus(s, podRow, status);
  write(s.journal, taskCell(s, TASK_CELL.node, podRow), node);
  chargeQueues(s, podRow, node, 1);
  return true;
}

/**
 * Undoes a `placeTask` of this cycle whose place waits, whatever happened on the node since: the task is pending again, or
 * leaves its old node for nowhere if it was to move.
 */
export function unplaceTask(s: Session, podRow: number, node: number): void {
  chargeTask(s, podRow, node, Status.pipelined, s.tasks.groups.get(podRow) ?? [], -1);
  s.tasks.groups.delete(podRow);
  chargeQueues(s, podRow, node, -1);
  chargeClaims(s, podRow, node, () => {
    s.dra.unplace(podRow, s.state.facts.row[node]!);
    return true;
  });
  const isMoving = s.view.pods.nodeText[podRow] !== NO_ROW || s.tasks.bindRequest[podRow]! >= 0;
  setStatus(s, podRow, isMoving ? Status.releasing : Status.pending);
  write(s.journal, taskCell(s, TASK_CELL.node, podRow), NO_ROW);
}

/** An allocated task becomes Releasing on its node (none: only its status and queue change). Returns the status it had. */
export function evictTask(s: Session, podRow: number, node: number): Status {
  const old = statusOf(s, podRow);
  if (node >= 0) {
    recharge(s, podRow, node, old, Status.releasing, (nodeRow) => {
      s.dra.evict(podRow, nodeRow);
      return true;
    });
    chargeQueues(s, podRow, node, -1);
  }
  setStatus(s, podRow, Status.releasing);
  return old;
}

/** The reverse of `evictTask`, whatever happened on the node since. False, with nothing changed, when its devices are gone. */
export function restoreTask(s: Session, podRow: number, node: number, status: Status): boolean {
  if (node >= 0) {
    if (!recharge(s, podRow, node, Status.releasing, status, (nodeRow) => s.dra.unevict(podRow, nodeRow, draState(status)))) return false;
    chargeQueues(s, podRow, node, 1);
  }
  setStatus(s, podRow, status);
  return true;
}

const NO_GROUPS: readonly number[] = Object.freeze([]);

/** Charges a task that stays on its node another way, as used or as leaving. Filters that look at other pods see it all the time. */
function recharge(s: Session, podRow: number, node: number, from: Status, to: Status, moveClaims: (nodeRow: number) => boolean): boolean {
  if (!chargeClaims(s, podRow, node, () => moveClaims(s.state.facts.row[node]!))) return false;
  const r = requestOf(s, podRow);
  const groups = s.tasks.groups.get(podRow) ?? [];
  chargeAmounts(s, podRow, node, r, from, NO_GROUPS, -1);
  chargeAmounts(s, podRow, node, r, to, NO_GROUPS, 1);
  if (r.isShared) {
    const mib = deviceMib(r, s.state.facts.gpuMemoryMib[node]!);
    for (const g of groups) moveInGroup(s.journal, s.state, g, mib, to === Status.releasing ? 1 : -1);
  }
  if (s.csi !== null) {
    s.csi.remove(podRow, node, isIn(ALIVE, from));
    s.csi.add(podRow, node, isIn(ALIVE, to));
  }
  return true;
}

/** Changes a task's status and its pod set's counters; ledgers are the caller's business. */
export function setStatus(s: Session, podRow: number, status: Status): void {
  const old = statusOf(s, podRow);
  write(s.journal, taskCell(s, TASK_CELL.status, podRow), status);
  const podSet = s.tasks.podSet[podRow]!;
  if (podSet >= 0) {
    countStatus(s, podSet, old, -1);
    countStatus(s, podSet, status, 1);
  }
}

export function countStatus(s: Session, podSet: number, status: Status, sign: 1 | -1): void {
  const j = s.journal;
  if (isIn(ACTIVE_ALLOCATED, status)) add(j, setCell(s, SET_CELL.active, podSet), sign);
  if (isIn(ACTIVE_USED, status)) add(j, setCell(s, SET_CELL.used, podSet), sign);
  if (isIn(ALIVE, status)) add(j, setCell(s, SET_CELL.alive, podSet), sign);
  if (isIn(ALLOCATED, status)) add(j, setCell(s, SET_CELL.allocated, podSet), sign);
  if (status === Status.pipelined) add(j, setCell(s, SET_CELL.pipelined, podSet), sign);
  if (status === Status.pending) add(j, setCell(s, SET_CELL.pending, podSet), sign);
}

/** GPUs that a task holds on a node, in thousandths: accepted resources of spec 02 section 2.4. */
export function acceptedGpuMilli(s: Session, podRow: number, r: Request, node: number): number {
  if (r.type === RequestType.migInstance) return r.migGpus * 1000;
  if (r.isShared) return gpuHundredths(devicePortion(r, s.state.facts.gpuMemoryMib[node]!), r.deviceCount) * 10;
  return r.wholeGpus * 1000 + s.dra.gpuCountOf(podRow) * 1000;
}

/** Adds a task's accepted resources to its queue and all ancestors, or takes them off (spec 02 section 6.3). */
export function chargeQueues(s: Session, podRow: number, node: number, sign: 1 | -1): void {
  const podSet = s.tasks.podSet[podRow]!;
  if (podSet < 0) return;
  const job = s.podSets.job[podSet]!;
  const r = requestOf(s, podRow);
  const gpuMilli = acceptedGpuMilli(s, podRow, r, node);
  const isFixed = s.jobs.isPreemptible[job]! === 0;
  const j = s.journal;
  for (let q = s.jobs.queue[job]!; q >= 0; q = s.queues.parent[q]!) {
    add(j, queueCell(s, QUEUE_CELL.milliCpu, q), sign * r.milliCpu);
    add(j, queueCell(s, QUEUE_CELL.memoryBytes, q), sign * r.memoryBytes);
    add(j, queueCell(s, QUEUE_CELL.gpuMilli, q), sign * gpuMilli);
    if (!isFixed) continue;
    add(j, queueCell(s, QUEUE_CELL.npMilliCpu, q), sign * r.milliCpu);
    add(j, queueCell(s, QUEUE_CELL.npMemoryBytes, q), sign * r.memoryBytes);
    add(j, queueCell(s, QUEUE_CELL.npGpuMilli, q), sign * gpuMilli);
  }
}
