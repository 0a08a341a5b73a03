import type { TakenBack } from '../../base/decisions.ts';
import { isMemberSatisfied, jobCount, rootOf } from '../jobs/gang.ts';
import { sortedPods } from '../jobs/taskOrder.ts';
import { nodeOf, statusOf, unplaceTask } from '../session/occupy.ts';
import type { Session, SubGroupMember } from '../session/session.ts';
import { Status } from '../session/status.ts';
import { SET_CELL } from '../state/layout.ts';

/**
 * A place promised to a pod earlier in the cycle holds nothing (spec 04 section 3.1): when the rest of its gang, or of a
 * member above it, is taken, the promise is undone and the pod waits again. Returns the promises that are gone.
 */
export function undoLostPromises(s: Session, job: number): TakenBack[] {
  if (jobCount(s, job, SET_CELL.pipelined) === 0) return [];
  const lost: number[] = [];
  collectLost(s, { name: '', set: rootOf(s, job), podSet: -1 }, false, lost);
  return lost.map((p) => {
    const node = nodeOf(s, p);
    unplaceTask(s, p, node);
    s.numa?.unplace(p);
    s.held.delete(p);
    s.counts.pipelined--;
    return {
      pod: s.view.texts.get(s.view.pods.keyText[p]!),
      node: s.view.texts.get(s.view.nodes.nameText[s.state.facts.row[node]!]!),
      isPromise: true,
    };
  });
}

/** Waiting pods below a member that lacks something, or whose parents do. */
function collectLost(s: Session, m: SubGroupMember, isPartOfLost: boolean, into: number[]): void {
  const isLost = isPartOfLost || !isMemberSatisfied(s, m);
  if (m.set !== null) {
    for (const child of m.set.members) collectLost(s, child, isLost, into);
    return;
  }
  if (!isLost) return;
  for (const p of sortedPods(s, m.podSet)) if (statusOf(s, p) === Status.pipelined) into.push(p);
}
