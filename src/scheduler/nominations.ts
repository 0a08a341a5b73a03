// Safe eviction, `requireCommittedPlace`: the place of a preemptor is told to the cluster, so that following cycles keep it.
import type { Decision } from '../base/decisions.ts';
import type { Pod } from '../base/objects.ts';
import type { WriteQueue } from '../kubernetes/writeQueue.ts';
import type { ClusterState } from './clusterState.ts';
import { podNominationPatch } from './patches.ts';

export interface NominationsOptions {
  readonly state: Pick<ClusterState, 'pod'>;
  readonly writes: Pick<WriteQueue, 'submit'>;
  /** Asked at each decision. */
  readonly isPlaceKept: () => boolean;
}

/** `status.nominatedNodeName` of pods that victims make room for. Only nominations of this process are ever taken back. */
export class Nominations {
  readonly #options: NominationsOptions;
  /** UIDs by key of pods that were nominated and are not known to be bound. */
  readonly #nominated = new Map<string, string>();
  readonly #servedInCycle = new Set<string>();

  constructor(options: NominationsOptions) {
    this.#options = options;
  }

  /** A decision of the running cycle on a pod that waits. */
  note(pod: Pod, decision: Decision): void {
    this.#servedInCycle.add(decision.pod);
    if (!this.#options.isPlaceKept() || !isServedByVictims(decision)) return;
    this.#nominated.set(decision.pod, decision.podUid);
    if (pod.status?.nominatedNodeName !== decision.node) void this.#options.writes.submit(podNominationPatch(pod, decision.node));
  }

  /** The pod is bound or gone. */
  forget(key: string): void {
    this.#nominated.delete(key);
  }

  /** Takes back the nominations of pods that the cycle neither bound nor promised a place. */
  endCycle(): void {
    for (const [key, uid] of this.#nominated) {
      if (this.#servedInCycle.has(key)) continue;
      this.#nominated.delete(key);
      const pod = this.#options.state.pod(key);
      if (pod?.metadata.uid === uid) void this.#options.writes.submit(podNominationPatch(pod, null));
    }
    this.#servedInCycle.clear();
  }
}

/** Pods that only move to make room are recreated under other UIDs: nothing can be kept for them. */
function isServedByVictims({ kind, action, podGroup, details }: Decision): boolean {
  return kind === 'pipeline' && action !== 'allocate' && (details?.evictorPodGroup ?? podGroup) === podGroup;
}
