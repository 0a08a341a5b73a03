// The objects as the API server last told them, by list and key, with the pods of each node.
import type { ListName, Pod } from '../base/objects.ts';
import type { ObservedCluster } from './ports.ts';

type Listener = (list: ListName, key: string, object: unknown) => void;
type RemovalListener = (list: ListName, object: unknown) => void;

const NOTHING: ReadonlySet<string> = new Set();

export class ObservedStore implements ObservedCluster {
  readonly #lists = new Map<ListName, Map<string, unknown>>();
  readonly #podsOnNode = new Map<string, Set<string>>();
  readonly #nodeOfPod = new Map<string, string>();
  readonly #listeners = new Set<Listener>();
  readonly #removalListeners = new Set<RemovalListener>();

  get(list: ListName, key: string): unknown {
    return this.#lists.get(list)?.get(key);
  }

  keys(list: ListName): IterableIterator<string> {
    return this.#map(list).keys();
  }

  values(list: ListName): IterableIterator<unknown> {
    return this.#map(list).values();
  }

  entries(list: ListName): IterableIterator<[string, unknown]> {
    return this.#map(list).entries();
  }

  podsOnNode(node: string): Iterable<string> {
    return this.#podsOnNode.get(node) ?? NOTHING;
  }

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back with each object that goes, as it was last seen. */
  onRemoved(listener: RemovalListener): void {
    this.#removalListeners.add(listener);
  }

  set(list: ListName, key: string, object: unknown): void {
    this.#map(list).set(key, object);
  }

  delete(list: ListName, key: string): void {
    const object = this.#lists.get(list)?.get(key);
    if (object === undefined) return;
    this.#lists.get(list)?.delete(key);
    if (list === 'pods') this.place(key, '');
    for (const listener of this.#removalListeners) listener(list, object);
  }

  /** Notes on which node a pod counts; '' = none. */
  place(podKey: string, node: string): void {
    const before = this.#nodeOfPod.get(podKey) ?? '';
    if (before === node) return;
    if (before !== '') {
      const pods = this.#podsOnNode.get(before);
      pods?.delete(podKey);
      if (pods?.size === 0) this.#podsOnNode.delete(before);
    }
    if (node === '') {
      this.#nodeOfPod.delete(podKey);
      return;
    }
    this.#nodeOfPod.set(podKey, node);
    let pods = this.#podsOnNode.get(node);
    if (pods === undefined) {
      pods = new Set();
      this.#podsOnNode.set(node, pods);
    }
    pods.add(podKey);
  }

  tell(list: ListName, key: string, object: unknown): void {
    for (const listener of this.#listeners) listener(list, key, object);
  }

  #map(list: ListName): Map<string, unknown> {
    let map = this.#lists.get(list);
    if (map === undefined) {
      map = new Map();
      this.#lists.set(list, map);
    }
    return map;
  }
}

/** "namespace/name"; objects without a namespace: "name". */
export function keyOf({ name, namespace }: { readonly name: string; readonly namespace?: string }): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

export function isDeleting(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined && pod.metadata.deletionTimestamp !== null;
}

export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** "namespace/name" of the pod's group, '' = none. */
export function groupKeyOf(pod: Pod): string {
  const name = pod.metadata.annotations?.['pod-group-name'] ?? '';
  return name === '' ? '' : `${pod.metadata.namespace ?? 'default'}/${name}`;
}
