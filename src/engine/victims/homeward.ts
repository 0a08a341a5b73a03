import { isFlat } from '../jobs/gang.ts';
import { needOf } from '../jobs/selectTasks.ts';
import { classAmong, classOf } from '../placement/classIndex.ts';
import { dynamicChecks } from '../placement/dynamicChecks.ts';
import { preCheck } from '../placement/prepredicates.ts';
import { findViolation } from '../queues/capacity.ts';
import { nodeOf, requestOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { evictedTasks } from './replace.ts';
import { slotsOn } from './slots.ts';
import type { Unit } from './units.ts';

/**
 * Per class (shape and signature of its pods) the nodes that may have room for it as things are without a trial: those that
 * were not looked at outside of one. Null: there is such a node.
 */
export type RoomElsewhere = Map<string, number[] | null>;

/**
 * Does a unit that alone is evicted, given its turn, take up the very room that it left? So it is where its pods are alike,
 * no other node has room for one, and theirs have room for just as many as they are. True only when that is certain.
 */
export function comesHome(s: Session, unit: Unit, nodes: readonly number[], elsewhere: RoomElsewhere): boolean {
  const { job, pods } = unit;
  if (s.numa !== null || s.hasPodAffinity || !isFlat(s, job) || s.evicted.size !== pods.length) return false;
  if (s.topology.isOn && (s.jobs.rootConstraint.has(job) || s.jobs.setConstraint.has(s.jobs.firstSet[job]!))) return false;
  const { shapeRow, signatureRow } = s.view.pods;
  const shape = shapeRow[pods[0]!]!;
  const signature = signatureRow[pods[0]!]!;
  const request = requestOf(s, pods[0]!);
  if (request.isShared) return false;
  for (const p of pods) {
    if (shapeRow[p] !== shape || signatureRow[p] !== signature || dynamicChecks(s, p, job) !== null || preCheck(s, p) !== null)
      return false;
  }
  const tasks = evictedTasks(s, job);
  if (tasks.length !== pods.length || findViolation(s, job, needOf(s, tasks, s.maxGpuMib, false)) !== null) return false;
  const key = `${shape}/${signature}`;
  let unknown = elsewhere.get(key);
  if (unknown === undefined) {
    const c = classOf(s.classes, request, signature);
    unknown = nodes.slice();
    for (let n = 0; n < c.columns.key.length && unknown !== null; n++) {
      if (c.columns.key[n] !== Number.NEGATIVE_INFINITY && !nodes.includes(n)) unknown = null;
    }
    elsewhere.set(key, unknown);
  }
  if (unknown === null) return false;
  const others = unknown.filter((n) => !nodes.includes(n));
  const { columns } = classAmong(s.classes, request, signature, Int32Array.of(...nodes, ...others));
  const isOpen = (n: number): boolean => columns.key[n] !== Number.NEGATIVE_INFINITY;
  if (others.some(isOpen)) {
    elsewhere.set(key, null);
    return false;
  }
  // What was looked at now is known to be closed.
  if (others.length > 0) elsewhere.set(key, nodesIn(unknown, nodes));
  return nodes.every((n) => isOpen(n) && slotsOn(s, request, 0, n) === countOn(s, pods, n));
}

function nodesIn(list: readonly number[], nodes: readonly number[]): number[] {
  return list.filter((n) => nodes.includes(n));
}

function countOn(s: Session, pods: readonly number[], node: number): number {
  let count = 0;
  for (const p of pods) if (nodeOf(s, p) === node) count++;
  return count;
}
