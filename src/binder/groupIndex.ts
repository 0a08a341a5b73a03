// Who is on which GPU group, as the watch says: tells when a group is worth a look at the API server.
import type { Pod } from '../base/objects.ts';
import { parseRfc3339Ms } from '../base/time.ts';
import type { GroupPlace } from './gpuReservations.ts';
import { groupsOfLabels } from './livePod.ts';
import type { ObservedCluster } from './port.ts';

interface Member {
  readonly node: string;
  readonly groups: readonly string[];
  readonly isReservation: boolean;
  readonly isRunning: boolean;
  readonly createdMs: number;
}

interface Tally {
  readonly place: GroupPlace;
  reservations: number;
  users: number;
  running: number;
  /** Of the reservation pods, the youngest. */
  youngestMs: number;
}

export class GroupIndex {
  readonly #members = new Map<string, Member>();
  /** Keys of the members on each node that has any. */
  readonly #perNode = new Map<string, Set<string>>();
  readonly #reservationNamespace: string;
  readonly #onSuspect: (place: GroupPlace) => void;
  readonly #stop: () => void;

  /** `onSuspect`: a user or a reservation pod has left the place, or a further reservation pod has come. */
  constructor(observed: ObservedCluster, reservationNamespace: string, onSuspect: (place: GroupPlace) => void) {
    this.#reservationNamespace = reservationNamespace;
    this.#onSuspect = onSuspect;
    // Hardly any pod shares a GPU: one look-up for each of the others.
    for (const key of observed.keys('pods')) {
      const pod = observed.get('pods', key) as Pod;
      if (this.#memberOf(pod) !== undefined) this.#put(key, pod);
    }
    this.#stop = observed.onChange((list, key, object) => {
      if (list === 'pods') this.#put(key, object);
    });
  }

  stop(): void {
    this.#stop();
  }

  /**
   * Places that look wrong: reservation pods without users (none younger than `minAgeMs`), running users without reservation pod,
   * several reservation pods.
   */
  suspects(nowMs: number, minAgeMs: number): GroupPlace[] {
    const tallies = new Map<string, Tally>();
    for (const { node, groups, isReservation, isRunning, createdMs } of this.#members.values()) {
      for (const group of groups) {
        const key = `${node}/${group}`;
        let tally = tallies.get(key);
        if (tally === undefined) {
          tally = { place: { node, group }, reservations: 0, users: 0, running: 0, youngestMs: Number.NEGATIVE_INFINITY };
          tallies.set(key, tally);
        }
        if (isReservation) {
          tally.reservations++;
          tally.youngestMs = Math.max(tally.youngestMs, createdMs);
        } else tally.users++;
        if (isRunning && !isReservation) tally.running++;
      }
    }
    return [...tallies.values()]
      .filter(({ reservations, users, running, youngestMs }) => {
        if (reservations === 0) return running > 0;
        return reservations > 1 || (users === 0 && nowMs - youngestMs >= minAgeMs);
      })
      .map(({ place }) => place);
  }

  /** Groups on the node that have a reservation pod and no user. */
  unused(node: string): string[] {
    const reserved = new Set<string>();
    const used = new Set<string>();
    for (const key of this.#perNode.get(node) ?? []) {
      const { groups, isReservation } = this.#members.get(key)!;
      for (const group of groups) (isReservation ? reserved : used).add(group);
    }
    return [...reserved].filter((group) => !used.has(group));
  }

  #put(key: string, object: unknown): void {
    const before = this.#members.get(key);
    const now = object === undefined ? undefined : this.#memberOf(object as Pod);
    if (before !== undefined && before.node !== now?.node) this.#leaveNode(key, before.node);
    if (now === undefined) this.#members.delete(key);
    else {
      this.#members.set(key, now);
      const keys = this.#perNode.get(now.node);
      if (keys === undefined) this.#perNode.set(now.node, new Set([key]));
      else keys.add(key);
    }
    for (const group of before?.groups ?? []) {
      const isThere = now !== undefined && now.node === before!.node && now.groups.includes(group);
      if (!isThere) this.#onSuspect({ node: before!.node, group });
    }
    if (now?.isReservation !== true) return;
    for (const group of now.groups) {
      const wasThere = before?.node === now.node && before.groups.includes(group);
      if (!wasThere && this.#reservationsOf(now.node, group) > 1) this.#onSuspect({ node: now.node, group });
    }
  }

  #reservationsOf(node: string, group: string): number {
    let count = 0;
    for (const key of this.#perNode.get(node) ?? []) {
      const { groups, isReservation } = this.#members.get(key)!;
      if (isReservation && groups.includes(group)) count++;
    }
    return count;
  }

  #leaveNode(key: string, node: string): void {
    const keys = this.#perNode.get(node)!;
    keys.delete(key);
    if (keys.size === 0) this.#perNode.delete(node);
  }

  #memberOf({ metadata, spec, status }: Pod): Member | undefined {
    const groups = groupsOfLabels(metadata.labels);
    const node = spec.nodeName ?? '';
    if (groups.length === 0 || node === '') return undefined;
    const isReservation = metadata.namespace === this.#reservationNamespace;
    // A reservation pod counts whatever its phase (spec 07 section 7.5).
    if (!isReservation && (status?.phase === 'Succeeded' || status?.phase === 'Failed')) return undefined;
    const createdMs = parseRfc3339Ms(metadata.creationTimestamp ?? '');
    return { node, groups, isReservation, isRunning: status?.phase === 'Running', createdMs: Number.isNaN(createdMs) ? 0 : createdMs };
  }
}
