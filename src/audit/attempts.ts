import type { Decision } from '../base/decisions.ts';

/** A decision by names, as `kai decide` writes it down. Rows and UIDs are not needed; a UID that is there is compared. */
export type AuditDecision = Pick<
  Decision,
  'kind' | 'action' | 'pod' | 'podGroup' | 'node' | 'receivedType' | 'gpuCount' | 'gpuPortion' | 'gpuGroups' | 'details'
> & {
  readonly podUid?: string;
};

/** The decisions of one committed attempt. */
export interface Attempt {
  readonly action: string;
  /** Pod group that the attempt serves: the one that is placed or for which others are evicted; '' for a stale gang. */
  readonly servedGroup: string;
  readonly decisions: AuditDecision[];
}

/** Actions that evict for a pending job. */
export const EVICTING_ACTIONS: ReadonlySet<string> = new Set(['reclaim', 'preempt', 'consolidation']);

/**
 * Decisions in the order of their actions. Binds may come later in a cycle than they were decided: until nothing can take
 * them back any more.
 */
export function inActionOrder(decisions: readonly AuditDecision[], actions: readonly string[]): AuditDecision[] {
  return [...decisions].sort((a, b) => actions.indexOf(a.action) - actions.indexOf(b.action));
}

/**
 * Splits a cycle's decisions, which come in action order, into attempts. In the evicting actions an attempt is all evictions for one pod group and the
 * places that follow for it and its victims; elsewhere it is a run of decisions on one pod group.
 */
export function splitAttempts(decisions: readonly AuditDecision[]): Attempt[] {
  const attempts: Attempt[] = [];
  let victims = new Set<string>();
  for (const decision of decisions) {
    const { action, kind, podGroup } = decision;
    const current = attempts.at(-1);
    const isEvicting = EVICTING_ACTIONS.has(action);
    const evictor = kind === 'evict' && isEvicting ? (decision.details?.evictorPodGroup ?? '') : '';
    const served = kind === 'evict' ? (isEvicting ? evictor : '') : podGroup;
    const isSame = isEvicting
      ? kind === 'evict'
        ? evictor === current?.servedGroup
        : podGroup === current?.servedGroup || victims.has(podGroup)
      : podGroup === current?.decisions[0]?.podGroup;
    if (current !== undefined && current.action === action && isSame) current.decisions.push(decision);
    else {
      attempts.push({ action, servedGroup: served, decisions: [decision] });
      victims = new Set();
    }
    if (kind === 'evict') victims.add(podGroup);
  }
  return attempts;
}
