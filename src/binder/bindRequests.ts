// Decisions as BindRequests for another binder, and the removal of those that nobody needs (spec 01 section 1.5, 03 section 10).
import type { BindRequest } from '../base/objects.ts';
import { type Clock, SYSTEM_CLOCK } from '../kubernetes/clock.ts';
import { BinderApi, type BinderApiOptions, hasStatus, textOf } from './binderApi.ts';
import { namedAllocation } from './extendedClaim.ts';
import { KeyedMutex } from './keyedMutex.ts';
import { BIND_REQUESTS_PATH, isHonoured } from './openBindRequests.ts';
import { bindAnnotations } from './plain.ts';
import type { BindOrder, BindOutcome, PodBinder } from './port.ts';

export interface BindRequestsOptions extends Omit<BinderApiOptions, 'clock'> {
  readonly clock?: Clock;
  /** Label that the shard's objects carry; written when the order has a node pool. */
  readonly nodePoolLabelKey: string;
  /** Removals that failed; for the log. Must not throw. */
  readonly onTrouble?: (message: string) => void;
}

/** A written request is protected from removal by older snapshots for so long. */
const FRESH_MS = 60_000;

export class BindRequests implements PodBinder {
  readonly #api: BinderApi;
  readonly #clock: Clock;
  readonly #nodePoolLabelKey: string;
  readonly #trouble: (message: string) => void;
  readonly #locks = new KeyedMutex();
  /** By key, in order of writing: when a request of ours was written. */
  readonly #written = new Map<string, number>();
  readonly #removing = new Map<string, Promise<void>>();

  constructor({ connection, writes, clock = SYSTEM_CLOCK, nodePoolLabelKey, onTrouble }: BindRequestsOptions) {
    this.#api = new BinderApi({ connection, writes, clock });
    this.#clock = clock;
    this.#nodePoolLabelKey = nodePoolLabelKey;
    this.#trouble = onTrouble ?? (() => undefined);
  }

  /** Writes the request of an order; one of the same name that is over makes room. Never rejects. */
  bind(order: BindOrder): Promise<BindOutcome> {
    return this.#locks.run(order.key, async () => {
      try {
        return await this.#write(order);
      } catch (error) {
        return { kind: 'failed', message: textOf(error) };
      }
    });
  }

  /** Removes requests by "namespace/name" (`CycleReport.staleBindRequests`) unless they were written since. Never rejects. */
  async removeStale(keys: readonly string[]): Promise<void> {
    this.#forgetOld();
    await Promise.all(
      keys.map((key) => {
        let removal = this.#removing.get(key);
        if (removal === undefined) {
          removal = this.#locks.run(key, () => this.#remove(key)).finally(() => this.#removing.delete(key));
          this.#removing.set(key, removal);
        }
        return removal;
      }),
    );
  }

  async #write(order: BindOrder): Promise<BindOutcome> {
    const [path, folder] = pathsOf(order.key);
    const manifest = bindRequestManifest(order, this.#nodePoolLabelKey);
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#api.create(folder, manifest);
        break;
      } catch (error) {
        if (!hasStatus(error, 409) || attempt === 3) throw error;
      }
      const existing = await this.#api.find<BindRequest>(path);
      if (existing === undefined) continue;
      const isOurs = existing.metadata.ownerReferences?.some(({ uid }) => uid === order.pod.metadata.uid) === true;
      if (isOurs && isHonoured(existing, order.pod.metadata.uid)) break;
      await this.#api.delete(path, existing.metadata.uid);
    }
    this.#written.delete(order.key);
    this.#written.set(order.key, this.#clock.monotonicMs());
    return { kind: 'requested' };
  }

  async #remove(key: string): Promise<void> {
    if (this.#written.has(key)) return;
    const [path] = pathsOf(key);
    try {
      const existing = await this.#api.find<BindRequest>(path);
      if (existing !== undefined) await this.#api.delete(path, existing.metadata.uid);
    } catch (error) {
      this.#trouble(`removing the bind request ${key}: ${textOf(error)}`);
    }
  }

  #forgetOld(): void {
    const beforeMs = this.#clock.monotonicMs() - FRESH_MS;
    for (const [key, writtenMs] of this.#written) {
      if (writtenMs >= beforeMs) return;
      this.#written.delete(key);
    }
  }
}

/** The object that upstream's scheduler would create (spec 03 section 10). Throws StepError for a container that does not exist. */
function bindRequestManifest(order: BindOrder, nodePoolLabelKey: string): object {
  const { pod, node, nodePool, details, gpuGroups, gpuCount } = order;
  const { name, namespace, uid } = pod.metadata;
  const { resourceClaimAllocations, extendedResourceClaimAllocation, predictedNUMAZones } = details ?? {};
  return {
    apiVersion: 'scheduling.run.ai/v1alpha2',
    kind: 'BindRequest',
    metadata: {
      name,
      namespace,
      labels: { 'selected-node': node, ...(nodePool === '' || nodePoolLabelKey === '' ? {} : { [nodePoolLabelKey]: nodePool }) },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }],
    },
    spec: {
      podName: name,
      selectedNode: node,
      selectedGPUGroups: gpuGroups.length === 0 ? undefined : gpuGroups,
      receivedResourceType: bindAnnotations(order)['received-resource-type'],
      receivedGPU: { count: gpuCount === 0 ? undefined : gpuCount, portion: order.gpuPortion },
      resourceClaimAllocations: resourceClaimAllocations?.length ? resourceClaimAllocations : undefined,
      extendedResourceClaimAllocation: extendedResourceClaimAllocation ? namedAllocation(extendedResourceClaimAllocation, pod) : undefined,
      predictedNUMAZones: predictedNUMAZones?.length ? predictedNUMAZones : undefined,
    },
  };
}

/** Paths of the object and of its folder. */
function pathsOf(key: string): readonly [string, string] {
  const slash = key.indexOf('/');
  const folder = `${BIND_REQUESTS_PATH}/namespaces/${key.slice(0, slash)}/bindrequests`;
  return [`${folder}/${key.slice(slash + 1)}`, folder];
}
