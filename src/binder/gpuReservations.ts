// Reservation pods: at most one per node and GPU group, none without users (spec 07 section 7). The API server decides what is
// true: each operation lists the group live and under the group's lock; what the watch says only starts operations.
import type { Pod } from '../base/objects.ts';
import { type BinderApi, hasStatus, inContext, StepError, textOf } from './binderApi.ts';
import { KeyedMutex } from './keyedMutex.ts';
import { GROUP_LABEL, type LivePod, MULTI_GROUP_PREFIX, podKey, podPath } from './livePod.ts';
import type { OpenBindRequests } from './openBindRequests.ts';
import { deviceOf, type ReservationPod, type ReservationSettings, reservationManifest, reservationName } from './reservationPod.ts';

const POLL_MS = 1000;
const FIRST_POLLS_MS = [100, 200, 400] as const;
const SYNC_ATTEMPTS = 5;
const SYNC_PAUSE_MS = 1000;

interface UserPod extends Pod {
  readonly status?: NonNullable<Pod['status']> | null;
}

/** A group on a node. A group is one device, so it has one node; by mistake it may have several. */
export interface GroupPlace {
  readonly node: string;
  readonly group: string;
}

export class GpuReservations {
  readonly #api: BinderApi;
  readonly #settings: ReservationSettings;
  readonly #requests: OpenBindRequests;
  readonly #trouble: (message: string) => void;
  readonly #locks = new KeyedMutex();
  /** Orders under way by place: they are about to have users. */
  readonly #holds = new Map<string, number>();
  /** Places to look at whose turn has not come. */
  readonly #wanted = new Set<string>();
  /** Syncs that bindings wait for and that have not begun. */
  readonly #waiting = new Map<string, Promise<void>>();
  readonly #running = new Set<Promise<void>>();
  readonly #stopped = new AbortController();

  constructor(api: BinderApi, settings: ReservationSettings, requests: OpenBindRequests, trouble: (message: string) => void) {
    this.#api = api;
    this.#settings = settings;
    this.#requests = requests;
    this.#trouble = trouble;
  }

  /** While held, a reservation pod without users stays. */
  hold(node: string, groups: readonly string[]): void {
    for (const group of groups) {
      const key = keyOf({ node, group });
      this.#holds.set(key, (this.#holds.get(key) ?? 0) + 1);
    }
  }

  /** Ends a hold. Does not look whether the reservation pods are still needed: `sync` does. */
  release(node: string, groups: readonly string[]): void {
    for (const group of groups) {
      const key = keyOf({ node, group });
      const left = (this.#holds.get(key) ?? 0) - 1;
      if (left > 0) this.#holds.set(key, left);
      else this.#holds.delete(key);
    }
  }

  /**
   * UUID of the device behind the group, reserved if it is not yet. The caller holds the group and has labelled the pod.
   * Throws StepError, also when `signal` is aborted.
   */
  async reserve(pod: LivePod, node: string, group: string, signal: AbortSignal): Promise<string> {
    const place = { node, group };
    return this.#locks.run(keyOf(place), async () => {
      let name = (await this.#usable(place))?.metadata.name;
      if (name === undefined) {
        await this.#create(place, pod);
        name = reservationName(node, group);
      }
      return this.#awaitDevice(name, signal);
    });
  }

  /** Looks in the background whether the place is as it should be; tries again a few times. Several requests become one. */
  requestSync(place: GroupPlace): void {
    const key = keyOf(place);
    if (this.#stopped.signal.aborted || this.#wanted.has(key)) return;
    this.#wanted.add(key);
    const running = this.#syncWithRetries(place, key).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Waits until nothing requested is under way. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #syncWithRetries(place: GroupPlace, key: string): Promise<void> {
    for (let attempt = 1; !this.#stopped.signal.aborted; attempt++) {
      try {
        // A request that comes from now on needs another look.
        await this.sync(place, () => this.#wanted.delete(key));
        return;
      } catch (error) {
        if (attempt === SYNC_ATTEMPTS) {
          this.#trouble(`GPU group ${place.group} on node ${place.node}: ${textOf(error)}`);
          return;
        }
        this.#wanted.add(key);
        await this.#api.clock.sleep(SYNC_PAUSE_MS * 2 ** (attempt - 1), this.#stopped.signal);
      }
    }
  }

  /**
   * Spec 07 section 7.5: deletes reservation pods without users and running users without reservation pod. `begun` is called once
   * the lock is held. Throws StepError.
   */
  async sync(place: GroupPlace, begun?: () => void): Promise<void> {
    await this.#locks.run(keyOf(place), async () => {
      begun?.();
      await this.#syncLocked(place);
    });
  }

  /**
   * As `sync` of each of the groups on the node; of those that are held nothing is done: they are about to have users. A sync that
   * somebody else waits for counts for all that ask before it begins. Throws StepError.
   */
  async syncUnheld(node: string, groups: readonly string[]): Promise<void> {
    const places = groups.map((group) => ({ node, group })).filter((place) => !this.#holds.has(keyOf(place)));
    const results = await Promise.allSettled(places.map((place) => this.#syncTogether(place)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #syncTogether(place: GroupPlace): Promise<void> {
    const key = keyOf(place);
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) return waiting;
    const own = this.sync(place, () => this.#waiting.delete(key));
    this.#waiting.set(key, own);
    return own;
  }

  async #syncLocked(place: GroupPlace): Promise<void> {
    const reservations = await this.#reservations(place);
    const users = await this.#users(place);
    if (users.length === 0) {
      if (reservations.length === 0 || this.#holds.has(keyOf(place)) || (await this.#requests.isNamed(place.group))) return;
      for (const reservation of reservations) await this.#delete(reservation);
      return;
    }
    if (reservations.length === 0) {
      for (const { metadata, status } of users) {
        // Its GPU may be given to somebody else: it must not go on.
        if (status?.phase === 'Running') await this.#api.delete(podPath(metadata.namespace ?? '', metadata.name), metadata.uid);
      }
      return;
    }
    const kept = oldest(reservations);
    for (const reservation of reservations) if (reservation !== kept) await this.#delete(reservation);
  }

  /** A reservation pod to go on with; undefined when one must be made. */
  async #usable(place: GroupPlace): Promise<ReservationPod | undefined> {
    const reservations = await this.#reservations(place);
    const leaving = reservations.filter(({ metadata }) => metadata.deletionTimestamp);
    const staying = reservations.filter(({ metadata }) => !metadata.deletionTimestamp);
    if (staying.length > 0) return oldest(staying);
    for (const { metadata } of leaving) await this.#awaitGone(metadata.name);
    await this.#syncLocked(place);
    return undefined;
  }

  async #create({ node, group }: GroupPlace, pod: LivePod): Promise<void> {
    if (await this.#isScalingUp()) throw new StepError('cluster is scaling up, could not create reservation pod');
    try {
      await this.#api.create(this.#folder(), reservationManifest(node, group, pod.spec.tolerations, this.#settings));
    } catch (error) {
      // Somebody was faster, or an earlier try of this one.
      if (!hasStatus(error, 409)) throw inContext(`failed to create GPU reservation pod for pod <${podKey(pod)}>`, error);
    }
  }

  /** Pods of the autoscaler's bait that wait for nodes (spec 07 section 7.3); a list that fails counts as none. */
  async #isScalingUp(): Promise<boolean> {
    interface ScalingPod {
      readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] | null };
    }
    try {
      const pods = await this.#api.list<ScalingPod>(`/api/v1/namespaces/${this.#settings.scaleAdjustNamespace}/pods`);
      return pods.some(({ status }) => status?.conditions?.some((c) => c.type === 'PodScheduled' && c.status !== 'True') === true);
    } catch {
      return false;
    }
  }

  /** Spec 07 section 7.4; fails at once when the pod fails or goes. A pod that names no device is deleted. */
  async #awaitDevice(name: string, signal: AbortSignal): Promise<string> {
    const { clock } = this.#api;
    const failure = `failed waiting for GPU reservation pod to allocate: ${this.#settings.namespace}/${name}`;
    const deadlineMs = clock.monotonicMs() + this.#settings.allocationTimeoutMs;
    for (let poll = 0; ; poll++) {
      const pod = await this.#api.find<ReservationPod>(`${this.#folder()}/${name}`);
      if (pod === undefined) throw new StepError(failure);
      const device = deviceOf(pod);
      if (device !== '') return device;
      const isOver = pod.metadata.deletionTimestamp || pod.status?.phase === 'Failed' || clock.monotonicMs() >= deadlineMs;
      if (isOver) await this.#delete(pod);
      if (isOver || signal.aborted) throw new StepError(failure);
      await clock.sleep(FIRST_POLLS_MS[poll] ?? POLL_MS, signal);
    }
  }

  async #awaitGone(name: string): Promise<void> {
    const deadlineMs = this.#api.clock.monotonicMs() + this.#settings.allocationTimeoutMs;
    while ((await this.#api.find<ReservationPod>(`${this.#folder()}/${name}`))?.metadata.deletionTimestamp) {
      if (this.#api.clock.monotonicMs() >= deadlineMs) throw new StepError(`the old GPU reservation pod ${name} does not go away`);
      await this.#api.clock.sleep(POLL_MS);
    }
  }

  async #reservations({ node, group }: GroupPlace): Promise<ReservationPod[]> {
    const pods = await this.#api.list<ReservationPod>(this.#folder(), { labelSelector: `${GROUP_LABEL}=${group}` });
    return pods.filter(({ spec }) => spec?.nodeName === node);
  }

  /**
   * Pods on the node with a label of the group that have not ended. A pod that is not on a node yet is a user only while somebody
   * binds it, which a hold or an open bind request says; a label alone may be left from a binder that died.
   */
  async #users({ node, group }: GroupPlace): Promise<UserPod[]> {
    const fieldSelector = `spec.nodeName=${node}`;
    const labelled = await Promise.all(
      [`${GROUP_LABEL}=${group}`, `${MULTI_GROUP_PREFIX}${group}=${group}`].map((labelSelector) =>
        this.#api.list<UserPod>('/api/v1/pods', { fieldSelector, labelSelector }),
      ),
    );
    return labelled
      .flat()
      .filter(
        ({ metadata, status }) =>
          metadata.namespace !== this.#settings.namespace && status?.phase !== 'Succeeded' && status?.phase !== 'Failed',
      );
  }

  #delete({ metadata }: ReservationPod): Promise<void> {
    return this.#api.delete(`${this.#folder()}/${metadata.name}`, metadata.uid, 0).catch((error: unknown) => {
      throw inContext('failed to delete reservation pod', error);
    });
  }

  #folder(): string {
    return `/api/v1/namespaces/${this.#settings.namespace}/pods`;
  }
}

function keyOf({ node, group }: GroupPlace): string {
  return `${node}/${group}`;
}

/** The oldest that knows its device, else the oldest; equal ages by name. */
function oldest(pods: readonly ReservationPod[]): ReservationPod {
  const rank = ({ metadata }: ReservationPod): string => `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
  const known = pods.filter((pod) => deviceOf(pod) !== '');
  return (known.length > 0 ? known : pods).reduce((best, pod) => (rank(pod) < rank(best) ? pod : best));
}
