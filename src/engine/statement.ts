import { mark, rollback, seal } from './state/journal.ts';
import { createGroup } from './state/ledger.ts';
import { SignatureFlag } from '../base/codes.ts';
import { placeTask, setStatus, statusOf } from './session/occupy.ts';
import type { Session } from './session/session.ts';
import { Status } from './session/status.ts';

/** One placement of a trial. GPU groups are kept by name: numbers of new groups do not survive an undo. */
export interface Placement {
  readonly podRow: number;
  readonly node: number;
  readonly status: 2 | 3;
  readonly groupNames: readonly string[];
  readonly journalMark: number;
  readonly draMark: number;
  readonly oldGroups: readonly number[] | undefined;
}

/** Placements of one job that are committed or undone together (spec 03 section 5). */
export interface Statement {
  readonly session: Session;
  readonly placements: Placement[];
}

export function createStatement(session: Session): Statement {
  return { session, placements: [] };
}

/** Places a task, creating groups for names the node does not have. False, with nothing changed, when claims fail. */
export function place(st: Statement, podRow: number, node: number, status: 2 | 3, groupNames: readonly string[]): boolean {
  const s = st.session;
  const journalMark = mark(s.journal);
  const draMark = s.dra.mark();
  const oldGroups = s.tasks.groups.get(podRow);
  const groups = groupNames.map((name) => groupNumber(s, node, name));
  if (!placeTask(s, podRow, node, status, groups)) {
    rollback(s.journal, journalMark);
    return false;
  }
  st.placements.push({ podRow, node, status, groupNames, journalMark, draMark, oldGroups });
  return true;
}

function groupNumber(s: Session, node: number, name: string): number {
  for (let g = s.state.ledger.groupHead[node]!; g >= 0; g = s.state.groups.next[g]!) if (s.groupNames[g] === name) return g;
  const g = createGroup(s.journal, s.state, node);
  s.groupNames[g] = name;
  return g;
}

/** Undoes placements, newest first, until `count` are left. */
export function undoTo(st: Statement, count: number): void {
  const s = st.session;
  const first = st.placements[count];
  if (first === undefined) return;
  for (let i = st.placements.length - 1; i >= count; i--) {
    const p = st.placements[i]!;
    const flags = s.view.signatures.flags[s.view.pods.signatureRow[p.podRow]!]!;
    if ((flags & SignatureFlag.hostPorts) !== 0) s.ports.remove(p.podRow, p.node);
    if (s.hasPodAffinity) s.affinity.remove(p.podRow, p.node);
    s.csi?.remove(p.podRow, p.node, true);
    if (p.oldGroups === undefined) s.tasks.groups.delete(p.podRow);
    else s.tasks.groups.set(p.podRow, p.oldGroups);
  }
  rollback(s.journal, first.journalMark);
  s.dra.rollback(first.draMark);
  st.placements.length = count;
}

/**
 * Turns every allocation of the statement into waiting (spec 03 section 5.4): same tasks, nodes and devices. Placements
 * that wait already keep their turn, converted ones follow. False when one of them cannot be made again.
 */
export function convertToPipelined(st: Statement): boolean {
  const all = st.placements.slice();
  undoTo(st, 0);
  const order = [...all.filter((p) => p.status === Status.pipelined), ...all.filter((p) => p.status === Status.allocated)];
  return order.every((p) => place(st, p.podRow, p.node, Status.pipelined, p.groupNames));
}

/** Makes the placements final: allocated tasks become Binding, the undo log is forgotten. Returns what was placed. */
export function commit(st: Statement): readonly Placement[] {
  const s = st.session;
  for (const p of st.placements) if (statusOf(s, p.podRow) === Status.allocated) setStatus(s, p.podRow, Status.binding);
  seal(s.journal);
  return st.placements;
}
