import { nodeOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { evict, type Statement } from '../statement.ts';
import type { Unit } from './units.ts';

/** Units taken so far, by what later units may share with them. */
export interface Taken {
  readonly unitsOfJob: Map<number, Unit[]>;
  readonly jobsOnNode: Map<number, Set<number>>;
}

export function noteUnit(s: Session, taken: Taken, unit: Unit): void {
  const units = taken.unitsOfJob.get(unit.job);
  if (units === undefined) taken.unitsOfJob.set(unit.job, [unit]);
  else units.push(unit);
  for (const n of nodesOf(s, unit)) {
    const jobs = taken.jobsOnNode.get(n);
    if (jobs === undefined) taken.jobsOnNode.set(n, new Set([unit.job]));
    else jobs.add(unit.job);
  }
}

/** Evicts again what was put back of the jobs that had something on these nodes. */
export function meetAgain(st: Statement, taken: Taken, nodes: readonly number[]): void {
  const s = st.session;
  for (const n of nodes) {
    for (const job of taken.jobsOnNode.get(n) ?? []) {
      for (const unit of taken.unitsOfJob.get(job)!) for (const p of unit.pods) if (!s.evicted.has(p)) evict(st, p, nodeOf(s, p));
    }
  }
}

/** Nodes that the unit's pods are on, ascending. */
export function nodesOf(s: Session, unit: Unit): number[] {
  const nodes: number[] = [];
  let last = -1;
  for (const p of unit.pods) {
    const n = nodeOf(s, p);
    if (n < 0 || n === last) continue;
    if (!nodes.includes(n)) nodes.push(n);
    last = n;
  }
  return nodes.length < 2 ? nodes : nodes.sort((a, b) => a - b);
}
