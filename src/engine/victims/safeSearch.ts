import { addJobError } from '../report/jobErrors.ts';
import { nodeOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import type { Statement } from '../statement.ts';
import { searchVictims } from './search.ts';
import type { Solution, Wanted } from './searchState.ts';
import { createSlotCounters } from './slots.ts';
import type { VictimOrder } from './victimWalk.ts';

const BUDGET_TEXT = 'Candidates for eviction are protected by PodDisruptionBudgets';

/** `searchVictims` under the promises of safe eviction; a failure says what kept candidates where they are. */
export function searchSafely(st: Statement, wanted: Wanted): Solution | null {
  const s = st.session;
  const { safety } = s;
  if (safety === null) return searchVictims(st, wanted);
  safety.refusals.clear();
  const solution = safety.budgets === null ? searchVictims(st, wanted) : searchWithBudgets(st, wanted);
  if (solution !== null) return solution;
  for (const refusal of [...safety.refusals].sort()) {
    const message =
      refusal === 'budget' ? BUDGET_TEXT : `Candidates for eviction have reached the limit of ${safety.maxPerHour} evictions per hour`;
    addJobError(s, wanted.job, { reason: 'EvictionNotAllowed', message, detail: message, subGroup: '' });
  }
  return null;
}

/**
 * No unit that would break a budget is taken. What a search takes first it may find useless later. So a search that failed
 * after it refused units for that reason alone is made again: with budgets spent only on nodes that could take one of the
 * tasks, and for a single task at each node whose units were refused.
 */
function searchWithBudgets(st: Statement, wanted: Wanted): Solution | null {
  const s = st.session;
  const { order } = wanted;
  const refusedNodes = new Set<number>();
  const first = searchVictims(st, { ...wanted, order: { ...order, refusedNodes } });
  if (first !== null || refusedNodes.size === 0) return first;
  const open = openNodes(s, wanted.tasks);
  const second = searchVictims(st, { ...wanted, order: { ...order, budgetNodes: open, refusedNodes } });
  if (second !== null || wanted.tasks.length !== 1) return second;
  const nodes = [...refusedNodes].filter((n) => open[n] === 1).sort((a, b) => a - b);
  const byNode = jobsByNode(s, order, nodes);
  for (const n of nodes) {
    const found = searchVictims(st, { ...wanted, order: orderAt(s, order, byNode.get(n) ?? [], n) });
    if (found !== null) return found;
  }
  return null;
}

/** 1 for nodes that could take one of the tasks if enough left. */
function openNodes(s: Session, tasks: readonly number[]): Uint8Array {
  const open = new Uint8Array(s.state.sizes.nodes);
  for (const { isClosed } of createSlotCounters(s, tasks)) for (let n = 0; n < open.length; n++) if (isClosed[n] === 0) open[n] = 1;
  return open;
}

/** Candidate jobs that hold pods on the nodes, in victim order within each queue. */
function jobsByNode(s: Session, order: VictimOrder, nodes: readonly number[]): Map<number, number[]> {
  const byNode = new Map<number, number[]>(nodes.map((n) => [n, []]));
  const { first, size, pods } = s.podSets;
  for (const list of order.jobs) {
    for (const job of list ?? []) {
      const on = new Set<number>();
      for (let set = s.jobs.firstSet[job]!; set < s.jobs.firstSet[job]! + s.jobs.setCount[job]!; set++) {
        for (let i = first[set]!; i < first[set]! + size[set]!; i++) on.add(nodeOf(s, pods[i]!));
      }
      for (const n of on) byNode.get(n)?.push(job);
    }
  }
  return byNode;
}

/** The order with nothing but these jobs, and budgets for pods on one node. */
function orderAt(s: Session, order: VictimOrder, jobs: readonly number[], node: number): VictimOrder {
  const lists = new Array<number[] | undefined>(s.queues.count).fill(undefined);
  for (const job of jobs) {
    const queue = s.jobs.queue[job]!;
    const list = lists[queue];
    if (list === undefined) lists[queue] = [job];
    else list.push(job);
  }
  const budgetNodes = new Uint8Array(s.state.sizes.nodes);
  budgetNodes[node] = 1;
  return { ...order, jobs: lists, budgetNodes, refusedNodes: new Set() };
}
