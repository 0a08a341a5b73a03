// When waiting pods were first seen, until they are seen bound.
import type { Pod } from '../base/objects.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { groupKeyOf, isFinished } from './observedStore.ts';
import type { ObservedCluster } from './ports.ts';

/** Calls back with the milliseconds from a pod's first sight without a node to its first sight with one. */
export function watchLatencies(observed: ObservedCluster, schedulerName: string, clock: Clock, onBound: (seenMs: number) => void): void {
  const firstSeen = new Map<string, { readonly uid: string; readonly atMs: number }>();
  observed.onChange((list, key, object) => {
    if (list !== 'pods') return;
    const pod = object as Pod | undefined;
    const known = firstSeen.get(key);
    if (pod === undefined || isFinished(pod)) {
      firstSeen.delete(key);
      return;
    }
    const uid = pod.metadata.uid ?? '';
    if (pod.spec.nodeName) {
      if (known?.uid === uid) onBound(clock.monotonicMs() - known.atMs);
      firstSeen.delete(key);
    } else if (known?.uid !== uid && pod.spec.schedulerName === schedulerName && groupKeyOf(pod) !== '') {
      firstSeen.set(key, { uid, atMs: clock.monotonicMs() });
    }
  });
}
