// From a decision to a bound pod (spec 07 section 6): shared GPUs, volumes, claims, config maps, and last the binding itself.
// What a failed attempt has done is undone, the last step first.
import { ReceivedType } from '../base/codes.ts';
import type { BindRequest } from '../base/objects.ts';
import { backoffMs, type Clock, SYSTEM_CLOCK } from '../kubernetes/clock.ts';
import { BinderApi, type BinderApiOptions, hasStatus, inContext, StepError, textOf } from './binderApi.ts';
import { reserveExtendedClaim } from './extendedClaim.ts';
import { GpuReservations, type GroupPlace } from './gpuReservations.ts';
import { GroupIndex } from './groupIndex.ts';
import { KeyedMutex } from './keyedMutex.ts';
import { groupLabels, type LivePod, podPath, withoutGroups } from './livePod.ts';
import { isHonoured, OpenBindRequests } from './openBindRequests.ts';
import { createPlainBinder, isPlain } from './plain.ts';
import { type BinderPlugin, parseBinderPlugins } from './pluginConfig.ts';
import type { BindOrder, BindOutcome, ObservedCluster, PodBinder } from './port.ts';
import { DEFAULT_RESERVATION, type ReservationSettings } from './reservationPod.ts';
import { reserveClaims } from './resourceClaims.ts';
import { writeMemoryLimit, writeSharedGpuConfigMaps } from './sharedGpuConfigMaps.ts';
import { UndoStack } from './undoStack.ts';
import { VolumeBinder } from './volumes.ts';

export interface BinderSettings {
  readonly reservation: ReservationSettings;
  /** Steps before the binding, in order: `parseBinderPlugins`. */
  readonly plugins: readonly BinderPlugin[];
  /** Version of `resource.k8s.io` to write: v1, v1beta2 or v1beta1. */
  readonly draVersion: string;
}

/** Upstream's defaults (spec 07 sections 6.1 and 6.13). */
export const DEFAULT_BINDER_SETTINGS: BinderSettings = Object.freeze({
  reservation: DEFAULT_RESERVATION,
  plugins: parseBinderPlugins(''),
  draVersion: 'v1',
});

export interface BinderOptions extends Omit<BinderApiOptions, 'clock'> {
  readonly observed: ObservedCluster;
  readonly clock?: Clock;
  readonly settings?: BinderSettings;
  /** Nodes of this shard; others have a binder of their own. Default: all. */
  readonly isOwnNode?: (node: string) => boolean;
  /** What could not be undone or looked after; for the log. Must not throw. */
  readonly onTrouble?: (message: string) => void;
}

type Found = { readonly pod: LivePod; readonly outcome?: undefined } | { readonly outcome: BindOutcome; readonly pod?: undefined };

const SWEEP_PERIOD_MS = 60_000;
const SWEEP_AGE_MS = 30_000;
const LABELS = 'the GPU group labels';
const LOOK_BACKOFF = { firstMs: 500, maxMs: 10_000 };

export class Binder implements PodBinder {
  readonly #api: BinderApi;
  readonly #clock: Clock;
  readonly #settings: BinderSettings;
  readonly #observed: ObservedCluster;
  readonly #plain: PodBinder;
  readonly #reservations: GpuReservations;
  readonly #index: GroupIndex;
  readonly #volumes: VolumeBinder;
  readonly #perPod = new KeyedMutex();
  readonly #isOwnNode: (node: string) => boolean;
  readonly #trouble: (message: string) => void;
  readonly #stopped = new AbortController();

  constructor(options: BinderOptions) {
    const { connection, writes, observed, clock = SYSTEM_CLOCK, settings = DEFAULT_BINDER_SETTINGS } = options;
    this.#api = new BinderApi({ connection, writes, clock });
    this.#clock = clock;
    this.#settings = settings;
    this.#observed = observed;
    this.#plain = createPlainBinder({ writes, connection });
    this.#isOwnNode = options.isOwnNode ?? (() => true);
    this.#trouble = options.onTrouble ?? (() => undefined);
    this.#reservations = new GpuReservations(this.#api, settings.reservation, new OpenBindRequests(this.#api), this.#trouble);
    this.#index = new GroupIndex(observed, settings.reservation.namespace, (place) => this.#requestSync(place));
    this.#volumes = new VolumeBinder(this.#api);
  }

  /** Looks after reservation pods until `stop`: at once, and every minute. Call when the watched objects are complete. */
  async start(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.sweep();
      await this.#clock.sleep(SWEEP_PERIOD_MS, this.#stopped.signal);
    }
  }

  /** Starts a look at each GPU group that seems wrong by what is observed. */
  sweep(): void {
    for (const place of this.#index.suspects(this.#clock.nowMs(), SWEEP_AGE_MS)) this.#requestSync(place);
  }

  /** Ends the care for reservation pods and waits until nothing of it is under way. Orders end by their own signals. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#index.stop();
    this.#reservations.stop();
    await this.#reservations.settled();
  }

  /** Waits until nothing that was started in the background is under way. */
  settled(): Promise<void> {
    return this.#reservations.settled();
  }

  /** Never rejects. Orders for the same pod follow each other. How long a pod that failed stays away is for the caller to say. */
  bind(order: BindOrder): Promise<BindOutcome> {
    return this.#perPod.run(order.pod.metadata.uid ?? '', async () => {
      try {
        return await this.#bind(order);
      } catch (error) {
        return failed(error instanceof StepError ? error.message : `Internal Error: ${textOf(error)}`);
      }
    });
  }

  async #bind(order: BindOrder): Promise<BindOutcome> {
    const request = this.#observed.get('bindRequests', order.key) as BindRequest | undefined;
    if (request !== undefined && isHonoured(request, order.pod.metadata.uid)) return { kind: 'requested' };
    const stale = staleExtendedClaim(order);
    if (stale !== undefined) return failed(stale);
    if (isPlain(order)) {
      await this.#syncNode(order);
      const outcome = await this.#plain.bind(order);
      return outcome.kind === 'failed' ? this.#unlessBound(order, outcome) : outcome;
    }
    const groups = order.receivedType === ReceivedType.fraction ? order.gpuGroups : [];
    this.#reservations.hold(order.node, groups);
    let outcome: BindOutcome | undefined;
    try {
      await this.#syncNode(order);
      outcome = await this.#bindInSteps(order, groups);
      return outcome;
    } finally {
      this.#reservations.release(order.node, groups);
      if (outcome?.kind !== 'bound') for (const group of groups) this.#reservations.requestSync({ node: order.node, group });
    }
  }

  /**
   * Spec 07 section 6.4 step 1: frees the cards that reservation pods without users still hold, or the kubelet would turn the pod
   * away. Asks the API server only when such a reservation pod is observed on the node.
   */
  async #syncNode({ key, node }: BindOrder): Promise<void> {
    const unused = this.#index.unused(node);
    if (unused.length === 0) return;
    try {
      await this.#reservations.syncUnheld(node, unused);
    } catch (error) {
      throw inContext(`failed to sync reservation for pod <${key}> on node <${node}>`, error);
    }
  }

  async #bindInSteps(order: BindOrder, groups: readonly string[]): Promise<BindOutcome> {
    const undo = new UndoStack();
    let outcome: BindOutcome;
    try {
      const found = await this.#look(order);
      if (found.pod === undefined) return found.outcome;
      await this.#prepare(order, found.pod, groups, undo);
      outcome = await this.#plain.bind(order);
      if (outcome.kind === 'failed') outcome = failed(`failed to bind pod <${order.key}> to node <${order.node}>: ${outcome.message}`);
    } catch (error) {
      outcome = failed(textOf(error));
    }
    if (outcome.kind === 'failed') outcome = await this.#unlessBound(order, outcome);
    if (outcome.kind === 'bound') return outcome;
    const trouble = (message: string): void => this.#trouble(`pod ${order.key}: ${message}`);
    // Whoever bound it elsewhere may use the same claims and config maps; only our groups are not theirs.
    if (outcome.kind === 'boundElsewhere') undo.keepOnly(LABELS);
    await undo.rollBack(this.#clock, this.#stopped.signal, trouble);
    return outcome;
  }

  async #prepare(order: BindOrder, pod: LivePod, groups: readonly string[], undo: UndoStack): Promise<void> {
    const devices = await this.#reserveGpus(order, pod, groups, undo);
    for (const plugin of this.#settings.plugins) {
      if (order.signal.aborted) throw new StepError('given up before the binding');
      try {
        await this.#runPlugin(plugin, order, pod, devices, undo);
      } catch (error) {
        throw inContext(`plugin ${plugin.name} failed in PreBind`, error);
      }
    }
    if (order.signal.aborted) throw new StepError('given up before the binding');
  }

  async #runPlugin(plugin: BinderPlugin, order: BindOrder, pod: LivePod, devices: readonly string[], undo: UndoStack): Promise<void> {
    const { node, gpuPortion: portion, signal } = order;
    const isShared = order.receivedType === ReceivedType.fraction;
    switch (plugin.name) {
      case 'volumebinding':
        return this.#volumes.bind(pod, node, plugin.bindTimeoutMs, undo, signal);
      case 'dynamicresources':
        return this.#reserveClaims(order, pod, this.#clock.monotonicMs() + plugin.bindTimeoutMs, undo);
      case 'gpusharing':
        if (isShared) await writeSharedGpuConfigMaps(this.#api, pod, { devices, portion, isCdi: plugin.isCdiEnabled }, undo);
        return;
      case 'hamicore':
        if (isShared) await writeMemoryLimit(this.#api, pod, node, portion);
    }
  }

  /** Labels first: from then on the pod is known as a user of its groups. Gives the device ids in the order of the groups. */
  async #reserveGpus(order: BindOrder, pod: LivePod, groups: readonly string[], undo: UndoStack): Promise<string[]> {
    if (order.receivedType !== ReceivedType.fraction) return [];
    if (groups.length === 0) throw new StepError('no SelectedGPUGroups for fractional pod: invalid binding request');
    const { key, node, signal } = order;
    const { name, namespace, uid } = pod.metadata;
    const reserving = (group: string, error: unknown): StepError =>
      inContext(`failed to reserve GPUs for pod <${key}> in gpu group <${group}>`, error);
    undo.push(LABELS, () => this.#removeLabels(pod, groups));
    try {
      await this.#api.patch(podPath(namespace, name), 'merge', { metadata: { uid, labels: groupLabels(pod, groups) } });
    } catch (error) {
      throw reserving(groups[0]!, inContext(`failed to patch pod <${key}> with GPU group label`, error));
    }
    const results = await Promise.allSettled(groups.map((group) => this.#reservations.reserve(pod, node, group, signal)));
    return results.map((result, i) => {
      if (result.status === 'rejected') throw reserving(groups[i]!, result.reason);
      return result.value;
    });
  }

  async #removeLabels(pod: LivePod, groups: readonly string[]): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    const now = await this.#api.find<LivePod>(podPath(namespace, name));
    const labels = now?.metadata.uid === uid ? withoutGroups(now, groups) : null;
    if (labels === null) return;
    try {
      await this.#api.patch(podPath(namespace, name), 'merge', { metadata: { uid, labels } });
    } catch (error) {
      if (!hasStatus(error, 404, 409)) throw error;
    }
  }

  async #reserveClaims({ node, key, details }: BindOrder, pod: LivePod, deadlineMs: number, undo: UndoStack): Promise<void> {
    const { draVersion } = this.#settings;
    try {
      await reserveClaims(this.#api, pod, details?.resourceClaimAllocations ?? [], { version: draVersion, deadlineMs }, undo);
      const extended = details?.extendedResourceClaimAllocation;
      if (extended !== undefined) await reserveExtendedClaim(this.#api, pod, extended, draVersion, undo);
    } catch (error) {
      throw inContext(`K8sPlugin DynamicResources failed Bind for pod: ${key} and node ${node}. error`, error);
    }
  }

  /** The pod as it is now, or the outcome when there is nothing to bind. Throws StepError. */
  async #look(order: BindOrder): Promise<Found> {
    const { name, namespace = 'default', uid } = order.pod.metadata;
    const pod = await this.#api.find<LivePod>(podPath(namespace, name));
    if (pod === undefined || pod.metadata.uid !== uid) return { outcome: { kind: 'gone' } };
    const node = pod.spec.nodeName ?? '';
    if (node !== '') return { outcome: node === order.node ? { kind: 'bound' } : { kind: 'boundElsewhere', node } };
    return pod.metadata.deletionTimestamp ? { outcome: { kind: 'gone' } } : { pod };
  }

  /**
   * What a failure has really come to: the answer to a binding that was carried out may have been lost, and a running pod must not
   * lose its GPUs. Asks until there is an answer, or until the end of this process: then nothing may be undone, and it rejects.
   */
  async #unlessBound(order: BindOrder, failure: BindOutcome): Promise<BindOutcome> {
    for (let attempt = 1; ; attempt++) {
      try {
        const found = await this.#look(order);
        return found.outcome ?? failure;
      } catch (error) {
        this.#trouble(`pod ${order.key}: cannot find out whether it is bound: ${textOf(error)}`);
        if (this.#stopped.signal.aborted) throw new StepError(`${textOf(error)}; nothing was undone, the pod may be bound`);
        await this.#clock.sleep(backoffMs(attempt, LOOK_BACKOFF, this.#clock.random()), this.#stopped.signal);
      }
    }
  }

  #requestSync(place: GroupPlace): void {
    if (this.#isOwnNode(place.node)) this.#reservations.requestSync(place);
  }
}

/**
 * The kubelet waits for the claim that the status names, and the API server never takes the name back. After a failed attempt with
 * devices of a class the pod can therefore only start with such devices, or as a new pod: bound without, it would hold its GPUs and
 * never run.
 */
function staleExtendedClaim({ pod, details }: BindOrder): string | undefined {
  const name = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  if (!name || details?.extendedResourceClaimAllocation !== undefined) return undefined;
  return `the status of the pod names resource claim ${name} of an earlier attempt, without which the kubelet would not start it; delete the pod to have it created anew`;
}

function failed(message: string): BindOutcome {
  return { kind: 'failed', message };
}
