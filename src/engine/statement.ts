import { SignatureFlag } from '../base/codes.ts';
import { NO_ROW } from '../base/rows.ts';
import { isSamePlacement, type ZonePlacement } from './numa/align.ts';
import { evictTask, nodeOf, placeTask, restoreTask, setStatus, statusOf, unplaceTask } from './session/occupy.ts';
import type { Session } from './session/session.ts';
import { Status } from './session/status.ts';
import { mark, rollback, seal } from './state/journal.ts';
import { createGroup } from './state/ledger.ts';

interface Marks {
  readonly podRow: number;
  readonly node: number;
  readonly journalMark: number;
  readonly draMark: number;
  readonly numaMark: number;
}

/** A task was put on a node. GPU groups are kept by name: numbers of new groups do not survive an undo. */
export interface Placement extends Marks {
  readonly kind: 'place';
  readonly status: 2 | 3;
  readonly groupNames: readonly string[];
  readonly oldGroups: readonly number[] | undefined;
  /** Status before its virtual eviction, for a task that moves. */
  readonly evictedFrom: Status | undefined;
  /** NUMA zones, and those the task had before. */
  readonly zones: ZonePlacement | null;
  readonly oldZones: ZonePlacement | null;
}

/** A task was evicted in mind: it holds its node as Releasing. */
export interface Eviction extends Marks {
  readonly kind: 'evict';
  readonly oldStatus: Status;
}

/** An eviction was taken back: the task stays where it was. */
export interface Restoration extends Marks {
  readonly kind: 'restore';
}

/** A place promised earlier in the cycle was taken back: the task waits again. */
export interface Withdrawal extends Marks {
  readonly kind: 'withdraw';
  readonly oldGroups: readonly number[] | undefined;
}

export type Operation = Placement | Eviction | Restoration | Withdrawal;

/** Operations that are committed or undone together (spec 03 section 5). */
export interface Statement {
  readonly session: Session;
  readonly ops: Operation[];
  /** GPU groups that were there when it began; those with higher numbers are its own. */
  readonly groupsBefore: number;
}

export function createStatement(session: Session): Statement {
  return { session, ops: [], groupsBefore: session.state.cells[session.state.base.groupCount]! };
}

/** Operations are made by the million: each is one literal. */
function numaMarkOf(s: Session): number {
  return s.numa === null ? 0 : s.numa.mark();
}

/**
 * Places a task, creating groups for names the node does not have. False, with nothing changed, when claims fail. A task
 * that was evicted in mind and comes to its own node, devices and zones again simply stays (spec 03 section 5.1).
 */
export function place(
  st: Statement,
  podRow: number,
  node: number,
  status: 2 | 3,
  groupNames: readonly string[],
  zones: ZonePlacement | null,
): boolean {
  const s = st.session;
  // Trials may let victims stay or come back beside new devices; the allocate action goes by the checks of its nodes alone.
  if (s.evicted.size > 0 && freeSlots(st, node) < 1) return false;
  const isBack = s.evicted.has(podRow) && nodeOf(s, podRow) === node;
  if (isBack && holdsGroups(s, podRow, groupNames) && holdsZones(s, podRow, zones)) return restore(st, podRow, node);
  const journalMark = mark(s.journal);
  const draMark = s.dra.mark();
  const numaMark = numaMarkOf(s);
  const oldGroups = s.tasks.groups.get(podRow);
  const groups = groupNames.map((name) => groupNumber(s, node, name));
  if (groups.includes(NO_ROW) || !placeTask(s, podRow, node, status, groups)) {
    rollback(s.journal, journalMark);
    return false;
  }
  const evictedFrom = s.evicted.get(podRow);
  s.evicted.delete(podRow);
  const oldZones = s.numa?.place(podRow, zones, status === Status.allocated) ?? null;
  st.ops.push({ kind: 'place', podRow, node, journalMark, draMark, numaMark, status, groupNames, oldGroups, evictedFrom, zones, oldZones });
  return true;
}

/** Pod slots of a node, idle and leaving, without those for the reservation pods of devices that the statement opened. */
export function freeSlots(st: Statement, n: number): number {
  const { ledger: l, groups, cells, base } = st.session.state;
  let slots = l.idlePods[n]! + l.releasingPods[n]!;
  if (cells[base.groupCount]! === st.groupsBefore) return slots;
  for (let g = l.groupHead[n]!; g >= 0; g = groups.next[g]!) if (g >= st.groupsBefore && groups.usedMib[g]! > 0) slots--;
  return slots;
}

function holdsGroups(s: Session, podRow: number, groupNames: readonly string[]): boolean {
  const held = s.tasks.groups.get(podRow) ?? [];
  return held.length === groupNames.length && held.every((g, i) => s.groupNames[g] === groupNames[i]);
}

function holdsZones(s: Session, podRow: number, zones: ZonePlacement | null): boolean {
  return zones === null || isSamePlacement(zones, s.numa?.zonesOf(podRow) ?? null);
}

/** Number of the node's group with this name, made if it is not there; NO_ROW when no more can be made in this cycle. */
function groupNumber(s: Session, node: number, name: string): number {
  for (let g = s.state.ledger.groupHead[node]!; g >= 0; g = s.state.groups.next[g]!) if (s.groupNames[g] === name) return g;
  if (s.state.cells[s.state.base.groupCount]! >= s.state.sizes.groups) return NO_ROW;
  const g = createGroup(s.journal, s.state, node);
  s.groupNames[g] = name;
  s.groupOfName.set(name, g);
  return g;
}

/** Does a group of the cycle bear this name, on whatever node? Groups that were undone do not count. */
export function isGroupName(s: Session, name: string): boolean {
  const g = s.groupOfName.get(name);
  return g !== undefined && g < s.state.cells[s.state.base.groupCount]! && s.groupNames[g] === name;
}

/** Evicts an allocated task virtually: its amounts become releasing, its queue no longer pays (spec 03 section 5.1). */
export function evict(st: Statement, podRow: number, node: number): void {
  const s = st.session;
  const journalMark = mark(s.journal);
  const draMark = s.dra.mark();
  const numaMark = numaMarkOf(s);
  const oldStatus = evictTask(s, podRow, node);
  s.numa?.evict(podRow);
  s.evicted.set(podRow, oldStatus);
  showHeld(s, podRow, node, false);
  st.ops.push({ kind: 'evict', podRow, node, journalMark, draMark, numaMark, oldStatus });
}

/**
 * Takes a virtual eviction back, with whatever was placed meanwhile staying; the caller looks at the node's ledgers. False,
 * with nothing changed, when the task's claimed devices are gone.
 */
export function restore(st: Statement, podRow: number, node: number): boolean {
  const s = st.session;
  const oldStatus = s.evicted.get(podRow);
  if (oldStatus === undefined) throw new Error(`pod row ${podRow} is not evicted`);
  const journalMark = mark(s.journal);
  const draMark = s.dra.mark();
  const numaMark = numaMarkOf(s);
  if (!restoreTask(s, podRow, node, oldStatus)) return false;
  s.numa?.restore(podRow);
  s.evicted.delete(podRow);
  showHeld(s, podRow, node, true);
  st.ops.push({ kind: 'restore', podRow, node, journalMark, draMark, numaMark });
  return true;
}

/** Takes back the place that an earlier statement of the cycle promised to a waiting task. Not for tasks with claims or zones. */
export function withdraw(st: Statement, podRow: number): void {
  const s = st.session;
  const node = nodeOf(s, podRow);
  const journalMark = mark(s.journal);
  const draMark = s.dra.mark();
  const numaMark = numaMarkOf(s);
  const oldGroups = s.tasks.groups.get(podRow);
  unplaceTask(s, podRow, node);
  st.ops.push({ kind: 'withdraw', podRow, node, journalMark, draMark, numaMark, oldGroups });
}

/** Undoes operations, newest first, until `count` are left. */
export function undoTo(st: Statement, count: number): void {
  const s = st.session;
  const first = st.ops[count];
  if (first === undefined) return;
  for (let i = st.ops.length - 1; i >= count; i--) {
    const op = st.ops[i]!;
    if (op.kind === 'place') undoIndexes(s, op);
    else if (op.kind === 'withdraw') redoIndexes(s, op);
    else if (op.kind === 'evict') {
      s.evicted.delete(op.podRow);
      showHeld(s, op.podRow, op.node, true);
      if (op.node >= 0) moveStorage(s, op.podRow, op.node, true);
    } else {
      s.evicted.set(op.podRow, statusOf(s, op.podRow));
      showHeld(s, op.podRow, op.node, false);
      if (op.node >= 0) moveStorage(s, op.podRow, op.node, false);
    }
  }
  rollback(s.journal, first.journalMark);
  s.dra.rollback(first.draMark);
  s.numa?.rollback(first.numaMark);
  st.ops.length = count;
}

/**
 * A pod whose bind is taken back will never be where it was: unlike a running victim (spec 04 section 5.5), it is nothing
 * that others must avoid or may stand beside.
 */
function showHeld(s: Session, podRow: number, node: number, isShown: boolean): void {
  if (node < 0 || !s.held.has(podRow)) return;
  const change = isShown ? 'add' : 'remove';
  if (hasHostPorts(s, podRow)) s.ports[change](podRow, node);
  if (s.hasPodAffinity) s.affinity[change](podRow, node);
}

function hasHostPorts(s: Session, podRow: number): boolean {
  return (s.view.signatures.flags[s.view.pods.signatureRow[podRow]!]! & SignatureFlag.hostPorts) !== 0;
}

/** Filters that look at other pods keep their own counts: they are taken back one by one. */
function undoIndexes(s: Session, p: Placement): void {
  if (hasHostPorts(s, p.podRow)) s.ports.remove(p.podRow, p.node);
  if (s.hasPodAffinity) s.affinity.remove(p.podRow, p.node);
  s.csi?.remove(p.podRow, p.node, true);
  if (p.evictedFrom !== undefined) s.evicted.set(p.podRow, p.evictedFrom);
  if (p.oldGroups === undefined) s.tasks.groups.delete(p.podRow);
  else s.tasks.groups.set(p.podRow, p.oldGroups);
  s.numa?.stamp(p.podRow, p.oldZones);
}

function redoIndexes(s: Session, { podRow, node, oldGroups }: Withdrawal): void {
  if (hasHostPorts(s, podRow)) s.ports.add(podRow, node);
  if (s.hasPodAffinity) s.affinity.add(podRow, node);
  s.csi?.add(podRow, node, true);
  if (oldGroups !== undefined) s.tasks.groups.set(podRow, oldGroups);
}

function moveStorage(s: Session, podRow: number, node: number, toAlive: boolean): void {
  s.csi?.remove(podRow, node, !toAlive);
  s.csi?.add(podRow, node, toAlive);
}

function placementsOf(st: Statement): Placement[] {
  return st.ops.filter((op) => op.kind === 'place');
}

/**
 * Turns every allocation of a job's own statement into waiting (spec 03 section 5.4): same tasks, nodes, devices and zones.
 * Placements that wait already keep their turn, converted ones follow. False when one of them cannot be made again.
 */
export function convertToPipelined(st: Statement): boolean {
  const s = st.session;
  const all = placementsOf(st);
  undoTo(st, 0);
  // New groups keep the order in which they were made: ties between them go by it.
  const before = mark(s.journal);
  for (const p of all) for (const name of p.groupNames) groupNumber(s, p.node, name);
  const order = [...all.filter((p) => p.status === Status.pipelined), ...all.filter((p) => p.status === Status.allocated)];
  const isDone = order.every((p) => place(st, p.podRow, p.node, Status.pipelined, p.groupNames, p.zones));
  const first = st.ops[0];
  if (first === undefined) rollback(s.journal, before);
  else st.ops[0] = { ...first, journalMark: before };
  return isDone;
}

/** Makes the operations final: allocated tasks become Binding, the undo log is forgotten. Returns the placements. */
export function commit(st: Statement): Placement[] {
  const s = st.session;
  const placements = placementsOf(st);
  for (const p of placements) if (statusOf(s, p.podRow) === Status.allocated) setStatus(s, p.podRow, Status.binding);
  seal(s.journal);
  s.dra.seal();
  s.numa?.seal();
  return placements;
}
