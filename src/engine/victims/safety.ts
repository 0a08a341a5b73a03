import type { SafeEvictionConfig } from '../../base/config.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { nodeOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { type Budgets, openBudgets } from './budgets.ts';

const HOUR_MS = 3_600_000;
/** Annotations hold whole seconds, cut off: a time may be up to this much later than it says. */
const CUT_MS = 1_000;
/** How long an eviction counts. */
export const SEEN_EVICTION_MS = HOUR_MS + CUT_MS;

/** Promises about evictions that the configuration asks for (docs/safe-eviction.md), and what this cycle has used of them. */
export interface Safety {
  /** Null: not to be respected, or there are none. */
  readonly budgets: Budgets | null;
  /** Evictions per pod group and hour, Infinity = any number. */
  readonly maxPerHour: number;
  /** Nobody is evicted without a place for somebody else, and places are kept. */
  readonly keepsPlaces: boolean;
  /** Committed decisions of this cycle that took pods, by job. */
  readonly evictions: Map<number, number>;
  /** What kept the search that runs from taking candidates. */
  readonly refusals: Set<Refusal>;
}

export type Refusal = 'budget' | 'limit';

/** Null: nothing is asked for. */
export function openSafety(view: SnapshotView, config: SafeEvictionConfig | undefined): Safety | null {
  if (config === undefined) return null;
  return {
    budgets: config.respectPodDisruptionBudgets ? openBudgets(view) : null,
    maxPerHour: config.maxEvictionsPerWorkloadPerHour ?? Number.POSITIVE_INFINITY,
    keepsPlaces: config.requireCommittedPlace,
    evictions: new Map(),
    refusals: new Set(),
  };
}

/** May these pods of one job go together? */
export type UnitTest = (pods: readonly number[]) => boolean;

/** What a search has taken of the budgets, beside what is committed. */
export interface BudgetUse {
  /** Pods by budget, committed ones included. */
  readonly taken: Int32Array;
  /** Nodes on whose pods budgets may be spent; null = any. */
  readonly budgetNodes: Uint8Array | null;
  /** Nodes of units that were refused only for what the search itself had taken before. */
  readonly refusedNodes: Set<number>;
}

/** `evicted`: pods that the search has evicted already. */
export function createBudgetUse(budgets: Budgets, evicted: Iterable<number>, rule: Omit<BudgetUse, 'taken'>): BudgetUse {
  const taken = budgets.taken.slice();
  chargeBudgets(budgets, taken, evicted);
  return { taken, budgetNodes: rule.budgetNodes, refusedNodes: rule.refusedNodes };
}

/** May a search take the unit of one job next, after what it has taken and what is committed? */
export function mayTakeNext(s: Session, safety: Safety, use: BudgetUse | null, pods: readonly number[]): boolean {
  if (isOneTooMany(s, safety, pods)) {
    safety.refusals.add('limit');
    return false;
  }
  if (safety.budgets === null || use === null || fitsUse(s, safety.budgets, use, pods)) return true;
  safety.refusals.add('budget');
  return false;
}

function fitsUse(s: Session, budgets: Budgets, use: BudgetUse, pods: readonly number[]): boolean {
  if (pods.every((p) => budgets.of(p).length === 0)) return true;
  const { budgetNodes } = use;
  if (budgetNodes !== null && !pods.some((p) => nodeOf(s, p) >= 0 && budgetNodes[nodeOf(s, p)] === 1)) return false;
  if (fitsBudgets(budgets, use.taken, pods)) return true;
  if (fitsBudgets(budgets, budgets.taken, pods)) for (const p of pods) if (nodeOf(s, p) >= 0) use.refusedNodes.add(nodeOf(s, p));
  return false;
}

/** Counts pods that go; in a search with its own numbers, for good with `budgets.taken`. */
export function chargeBudgets(budgets: Budgets, taken: Int32Array, pods: Iterable<number>): void {
  for (const p of pods) for (const b of budgets.of(p)) taken[b] = taken[b]! + 1;
}

/** Does every budget allow the pods together, after `taken`? Several budgets of one pod each count. */
function fitsBudgets(budgets: Budgets, taken: Int32Array, pods: readonly number[]): boolean {
  const more = new Map<number, number>();
  for (const p of pods) {
    for (const b of budgets.of(p)) {
      const count = (more.get(b) ?? 0) + 1;
      if (taken[b]! + count > budgets.allowed[b]!) return false;
      more.set(b, count);
    }
  }
  return true;
}

/** Is the job's number of evictions within the last hour used up? A decision that takes several of its pods is one eviction. */
function isWornOut(s: Session, safety: Safety, job: number): boolean {
  if (safety.maxPerHour === Number.POSITIVE_INFINITY) return false;
  return recentEvictions(s, job).length + (safety.evictions.get(job) ?? 0) >= safety.maxPerHour;
}

/** Known evictions of the job that count now, oldest first, ms. */
function recentEvictions(s: Session, job: number): number[] {
  const text = s.view.podGroups.recentEvictionsJson[s.jobs.row[job]!]!;
  if (text === NO_ROW) return [];
  return (JSON.parse(s.view.texts.get(text)) as number[]).filter((ms) => ms + SEEN_EVICTION_MS > s.nowMs);
}

/** Would evicting pods of a job whose evictions are used up be one more? Binds that nobody has seen are just not made. */
function isOneTooMany(s: Session, safety: Safety, pods: readonly number[]): boolean {
  return isWornOut(s, safety, jobOf(s, pods[0]!)) && pods.some((p) => !s.held.has(p));
}

/** May these pods of one job be evicted on top of what is committed? */
export function mayEvict(s: Session, pods: readonly number[]): boolean {
  const { safety } = s;
  if (safety === null) return true;
  return !isOneTooMany(s, safety, pods) && (safety.budgets === null || fitsBudgets(safety.budgets, safety.budgets.taken, pods));
}

/** Counts the pods that a committed decision really evicts. */
export function recordEvictions(s: Session, pods: readonly number[]): void {
  const { safety } = s;
  if (safety === null) return;
  if (safety.budgets !== null) chargeBudgets(safety.budgets, safety.budgets.taken, pods);
  for (const job of new Set(pods.map((p) => jobOf(s, p)))) safety.evictions.set(job, (safety.evictions.get(job) ?? 0) + 1);
}

/**
 * Times for the job's annotation after this cycle, oldest first; undefined when they stay. No more are kept than the limit
 * looks at.
 */
export function newRecentEvictions(s: Session, job: number): readonly number[] | undefined {
  const { safety } = s;
  const count = safety?.evictions.get(job) ?? 0;
  if (safety === null || safety.maxPerHour === Number.POSITIVE_INFINITY || count === 0) return undefined;
  return [...recentEvictions(s, job), ...Array<number>(count).fill(s.nowMs)].slice(-safety.maxPerHour);
}

function jobOf(s: Session, podRow: number): number {
  return s.podSets.job[s.tasks.podSet[podRow]!]!;
}
