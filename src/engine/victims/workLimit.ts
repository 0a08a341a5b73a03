import type { SchedulerConfig } from '../../base/config.ts';
import { parseGoDurationMs } from '../../base/duration.ts';
import type { VictimAction } from './eligibility.ts';

/**
 * The configured search times (spec 04 section 1.1) bound the work, which is counted, so that what is decided does not depend
 * on the speed of the machine (section 5.9): a unit looked at is one step, a trial ten; a thread makes about so many in a
 * millisecond.
 */
const STEPS_PER_MS = 200;
export const UNIT_STEPS = 1;
export const TRIAL_STEPS = 10;

/** What one run of an action may spend. */
export interface ActionLimit {
  left: number;
  readonly jobMost: number;
  readonly jobLeast: number;
  readonly narrowMost: number;
  readonly wideMost: number;
}

/** What one search may spend: in all, and with trials of one unit's nodes each or of all nodes. */
export interface SearchLimit {
  readonly most: number;
  readonly narrowMost: number;
  readonly wideMost: number;
  /** The action has less left than a job may have. */
  readonly isReduced: boolean;
}

/** What a search has spent. */
export interface Spent {
  steps: number;
  /** It ended because nothing was left. */
  isAll: boolean;
}

export const NO_LIMIT: SearchLimit = Object.freeze({
  most: Number.POSITIVE_INFINITY,
  narrowMost: Number.POSITIVE_INFINITY,
  wideMost: Number.POSITIVE_INFINITY,
  isReduced: false,
});

/** For one run of the action. */
export function openActionLimit({ scenarioSearchBudgets: budgets }: SchedulerConfig, action: VictimAction): ActionLimit {
  const actions = (budgets.maxActionSearchDuration ?? {}) as Readonly<Record<string, string>>;
  const generators = (budgets.maxGeneratorSearchDuration ?? {}) as Readonly<Record<string, string>>;
  return {
    left: most(actions[action] ?? actions.default),
    jobMost: most(budgets.maxJobSearchDuration),
    jobLeast: steps(budgets.minJobSearchDuration),
    narrowMost: most(generators.NodeLocalGreedy ?? generators.default),
    wideMost: most(generators.MultiNodeGang ?? generators.default),
  };
}

function steps(duration: unknown): number {
  return typeof duration === 'string' ? parseGoDurationMs(duration) * STEPS_PER_MS : 0;
}

/** A maximum of 0 is none. */
function most(duration: unknown): number {
  return steps(duration) || Number.POSITIVE_INFINITY;
}

/** For the next search of the action; null: nothing is left for it. */
export function nextSearchLimit(a: ActionLimit): SearchLimit | null {
  if (a.left <= 0 && a.jobLeast === 0) return null;
  const isReduced = a.jobMost < Number.POSITIVE_INFINITY && a.left < a.jobMost;
  return { most: Math.max(Math.min(a.left, a.jobMost), a.jobLeast), narrowMost: a.narrowMost, wideMost: a.wideMost, isReduced };
}
