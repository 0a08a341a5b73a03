// Safe eviction, `requireCommittedPlace`: the place of a preemptor is told to the cluster, so that following cycles keep it.
import type { Decision } from '../base/decisions.ts';
import type { Pod } from '../base/objects.ts';
import { FIELD_MANAGER, jsonOf, type KubeConnection } from '../kubernetes/connection.ts';
import type { WriteQueue } from '../kubernetes/writeQueue.ts';
import type { ClusterState } from './clusterState.ts';
import { keyOf } from './observedStore.ts';
import { podNominationPatch } from './patches.ts';

export interface NominationsOptions {
  readonly state: Pick<ClusterState, 'pod' | 'nominatedPods'>;
  readonly writes: Pick<WriteQueue, 'submit'>;
  readonly connection: Pick<KubeConnection, 'request'>;
  /** Asked at each decision. */
  readonly isPlaceKept: () => boolean;
  /** Pods of other shards have a scheduler of their own. */
  readonly isOwn: (pod: Pod) => boolean;
}

/** So often the nominations of a predecessor are looked for when the API server does not answer. */
const MAX_ADOPTIONS = 10;

/**
 * `status.nominatedNodeName` of pods that victims make room for. Only nominations that this program has written are ever taken back:
 * those of this process, and those of one that has ended, which are told by the field's manager.
 */
export class Nominations {
  readonly #options: NominationsOptions;
  /** UIDs by key of pods that were nominated and are not known to be bound. */
  readonly #nominated = new Map<string, string>();
  readonly #servedInCycle = new Set<string>();
  #adoptionsLeft = MAX_ADOPTIONS;
  #isAdopting = false;

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
    if (this.#adoptionsLeft > 0 && !this.#isAdopting && this.#options.isPlaceKept()) void this.#adopt();
  }

  /** Makes nominations of a process that has ended ours: the next cycles serve them, or they are taken back. */
  async #adopt(): Promise<void> {
    this.#isAdopting = true;
    this.#adoptionsLeft--;
    try {
      for (const pod of this.#options.state.nominatedPods()) {
        const key = keyOf(pod.metadata);
        const uid = pod.metadata.uid ?? '';
        if (this.#nominated.has(key) || !this.#options.isOwn(pod) || !(await this.#isOfThisProgram(pod))) continue;
        const now = this.#options.state.pod(key);
        if (now?.metadata.uid === uid && !now.spec.nodeName) this.#nominated.set(key, uid);
      }
      this.#adoptionsLeft = 0;
    } catch {
      // The API server does not answer, or makes no sense: the next cycles try again.
    } finally {
      this.#isAdopting = false;
    }
  }

  async #isOfThisProgram({ metadata: { name, namespace = 'default', uid } }: Pod): Promise<boolean> {
    const response = await this.#options.connection.request({ method: 'GET', path: `/api/v1/namespaces/${namespace}/pods/${name}` });
    if (response.status !== 200) return false;
    const { metadata } = jsonOf(response) as { readonly metadata?: LiveMetadata };
    if (metadata?.uid !== uid) return false;
    return metadata?.managedFields?.some(isNominationOfOurs) === true;
  }
}

interface LiveMetadata {
  readonly uid?: string;
  readonly managedFields?: readonly ManagedFields[];
}

interface ManagedFields {
  readonly manager?: string;
  readonly fieldsV1?: { readonly 'f:status'?: Readonly<Record<string, unknown>> };
}

function isNominationOfOurs({ manager, fieldsV1 }: ManagedFields): boolean {
  return manager === FIELD_MANAGER && fieldsV1?.['f:status']?.['f:nominatedNodeName'] !== undefined;
}

/** Pods that only move to make room are recreated under other UIDs: nothing can be kept for them. */
function isServedByVictims({ kind, action, podGroup, details }: Decision): boolean {
  return kind === 'pipeline' && action !== 'allocate' && (details?.evictorPodGroup ?? podGroup) === podGroup;
}
