// The engine's decisions of the victim actions, attempt by attempt.
import type { Decision } from '../../src/base/decisions.ts';

export interface Segment {
  readonly action: string;
  /** Pod group that is served. */
  readonly preemptor: string;
  /** Pods that lose their place, in the order in which they are taken; binds of this cycle that are not made among them. */
  readonly leaving: readonly { readonly pod: string; readonly isBind: boolean }[];
  /** Waiting pods of the cycle whose promise is lost with the rest of their gang. */
  readonly lostPromises: readonly string[];
  readonly placements: readonly Decision[];
}

function segmentOf(decisions: readonly Decision[]): Segment {
  const [first] = decisions;
  const takenBack = decisions.flatMap(({ details }) => details?.takenBack ?? []);
  const evicted = decisions.filter(({ kind }) => kind === 'evict').map(({ pod }) => ({ pod, isBind: false }));
  const leaving: { pod: string; isBind: boolean }[] = [...evicted];
  const binds = takenBack.filter(({ isPromise }) => isPromise !== true);
  for (const [i, { pod, evictionsBefore = 0 }] of binds.entries()) leaving.splice(evictionsBefore + i, 0, { pod, isBind: true });
  return {
    action: first!.action,
    preemptor: preemptorOf(first!),
    leaving,
    lostPromises: takenBack.filter(({ isPromise }) => isPromise === true).map(({ pod }) => pod),
    placements: decisions.filter(({ kind }) => kind === 'pipeline'),
  };
}

function preemptorOf({ details, podGroup }: Decision): string {
  return details?.evictorPodGroup ?? podGroup;
}

/** One for each preemptor that was served; each is served at most once by an action. */
export function segmentsOf(decisions: readonly Decision[], action: string): Segment[] {
  const own = decisions.filter((decision) => decision.action === action);
  const segments: Decision[][] = [];
  for (const decision of own) {
    const last = segments.at(-1);
    if (last !== undefined && preemptorOf(last[0]!) === preemptorOf(decision)) last.push(decision);
    else segments.push([decision]);
  }
  return segments.map(segmentOf);
}
