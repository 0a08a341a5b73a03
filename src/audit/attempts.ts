import type { Decision } from '../base/decisions.ts';

/** A bind of this cycle that an evicting action took back before anybody saw it, or a promise that it undid. */
export interface TakenBack {
  /** "namespace/name" */
  readonly pod: string;
  readonly node: string;
  /** Evictions of the attempt that come before it; absent = none. */
  readonly evictionsBefore?: number;
  /** The pod only waited; the promise may have been seen. */
  readonly isPromise?: boolean;
}

/**
 * A decision by names, as `kai decide` writes it down. Rows and UIDs are not needed; a UID that is there is compared.
 * `details.takenBack`: the binds that the attempt of this decision took back, in the order of eviction, and the promises that
 * it undid, on any one of its decisions. `details.evictorPodGroup` on a new place tells whom the attempt serves where the pod is not one of it.
 */
export type AuditDecision = Pick<
  Decision,
  'kind' | 'action' | 'pod' | 'podGroup' | 'node' | 'receivedType' | 'gpuCount' | 'gpuPortion' | 'gpuGroups'
> & {
  readonly podUid?: string;
  readonly details?: NonNullable<Decision['details']> & { readonly takenBack?: readonly TakenBack[] };
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
 * Splits a cycle's decisions into attempts, action by action in the configured order: binds may be handed out later than they
 * were decided, when nothing can take them back any more. In the evicting actions an attempt is all that is done for one
 * pod group; elsewhere it is all that one pod group gets or loses.
 */
export function splitAttempts(decisions: readonly AuditDecision[], actions: readonly string[]): Attempt[] {
  const ordered = [...decisions].sort((a, b) => actions.indexOf(a.action) - actions.indexOf(b.action));
  const attempts = new Map<string, Attempt>();
  /** Attempt that evicted a pod, by action and pod. */
  const evictedBy = new Map<string, Attempt>();
  let current: Attempt | undefined;
  for (const decision of ordered) {
    const { action, kind, pod, podGroup, details } = decision;
    const served = EVICTING_ACTIONS.has(action)
      ? (details?.evictorPodGroup ?? (kind === 'evict' ? '' : servedBy(decision, current, evictedBy.get(`${action} ${pod}`))))
      : kind === 'evict'
        ? ''
        : podGroup;
    const key = `${action} ${kind === 'evict' && served === '' ? podGroup : served}`;
    current = attempts.get(key) ?? { action, servedGroup: served, decisions: [] };
    attempts.set(key, current);
    current.decisions.push(decision);
    if (kind === 'evict') evictedBy.set(`${action} ${pod}`, current);
  }
  return [...attempts.values()];
}

/** What the attempts took back before anybody saw it: all binds, and promises that no decision before had made. */
export function unseenPlaces(attempts: readonly Attempt[]): TakenBack[] {
  const seen = new Set<string>();
  const unseen: TakenBack[] = [];
  for (const { decisions } of attempts) {
    for (const back of decisions.flatMap((d) => d.details?.takenBack ?? [])) {
      if (back.isPromise !== true || !seen.has(back.pod)) unseen.push(back);
    }
    for (const { kind, pod } of decisions) if (kind === 'pipeline') seen.add(pod);
  }
  return unseen;
}

/** A moved pod belongs to the attempt that evicted it, a waiting pod of a victim to the attempt that goes on; all others serve themselves. */
function servedBy({ action, podGroup }: AuditDecision, current: Attempt | undefined, evictor: Attempt | undefined): string {
  if (evictor !== undefined) return evictor.servedGroup;
  const isVictim = current?.action === action && current.decisions.some((d) => d.kind === 'evict' && d.podGroup === podGroup);
  return isVictim ? current!.servedGroup : podGroup;
}
