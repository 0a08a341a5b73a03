// List, then watch, then again from where it broke: the events of one resource in order, for the test kubelet and the audit watch.
import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiClient, ApiError, type KubeObject, type ListOptions } from './apiClient.ts';

type Change = 'ADDED' | 'MODIFIED' | 'DELETED';
export interface WatchEvent<T> {
  readonly type: Change;
  readonly object: T;
}
interface ServerEvent<T> {
  readonly type: Change | 'BOOKMARK' | 'ERROR';
  readonly object: T & { readonly code?: number };
}

const RETRY_MS = 50;

export interface WatcherOptions extends Pick<ListOptions, 'labelSelector' | 'fieldSelector'> {
  readonly client: ApiClient;
  /** Collection, as `/api/v1/pods`. */
  readonly path: string;
}

/**
 * Follows one collection until stopped. Objects that vanished during a gap are told as DELETED, in their last known state; a
 * recreated object of the same name is DELETED first.
 */
export class Watcher<T extends KubeObject> {
  readonly #options: WatcherOptions;
  readonly #onEvent: (event: WatchEvent<T>) => void;
  readonly #stopped = new AbortController();
  readonly #objects = new Map<string, T>();
  #loop: Promise<void> = Promise.resolve();
  #relists = 0;
  #reconnects = 0;

  constructor(options: WatcherOptions, onEvent: (event: WatchEvent<T>) => void) {
    this.#options = options;
    this.#onEvent = onEvent;
  }

  /** What is known, by namespace/name. */
  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  /** Lists after the first one: history that was lost. */
  get relists(): number {
    return this.#relists;
  }

  get reconnects(): number {
    return this.#reconnects;
  }

  /** Resolves after the first list. */
  async start(): Promise<void> {
    const version = await this.#list();
    this.#loop = this.#follow(version);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
  }

  async #list(): Promise<string> {
    const { client, path, ...selectors } = this.#options;
    const { items, resourceVersion } = await client.retry(() => client.list<T>(path, selectors));
    const present = new Set(items.map((object) => object.metadata.uid));
    for (const object of [...this.#objects.values()]) {
      if (!present.has(object.metadata.uid)) this.#emit({ type: 'DELETED', object });
    }
    for (const object of items) {
      const known = this.#objects.get(keyOf(object));
      if (known === undefined) this.#emit({ type: 'ADDED', object });
      else if (known.metadata.resourceVersion !== object.metadata.resourceVersion) this.#emit({ type: 'MODIFIED', object });
    }
    return resourceVersion;
  }

  async #follow(from: string): Promise<void> {
    let version: string | undefined = from;
    while (!this.#stopped.signal.aborted) {
      try {
        if (version === undefined) {
          this.#relists++;
          version = await this.#list();
        }
        version = await this.#watch(version);
      } catch (error) {
        if (error instanceof ApiError && error.status === 410) version = undefined;
        else await sleep(RETRY_MS);
      }
      this.#reconnects++;
    }
  }

  /** One connection; returns the version to go on from, whether the server closed it or it broke. */
  async #watch(from: string): Promise<string> {
    const { client, path, labelSelector, fieldSelector } = this.#options;
    let version = from;
    const query = { resourceVersion: from, allowWatchBookmarks: 'true', labelSelector, fieldSelector };
    try {
      for await (const line of client.watchLines(path, query, this.#stopped.signal)) {
        const event = JSON.parse(line) as ServerEvent<T>;
        if (event.type === 'ERROR') throw new ApiError(`watch ${path}`, event.object.code ?? 500, line, undefined);
        version = event.object.metadata.resourceVersion ?? version;
        if (event.type !== 'BOOKMARK') this.#emit({ type: event.type, object: event.object });
      }
    } catch (error) {
      if (error instanceof ApiError) throw error;
      await sleep(RETRY_MS);
    }
    return version;
  }

  #emit(event: WatchEvent<T>): void {
    const key = keyOf(event.object);
    const known = this.#objects.get(key);
    if (known !== undefined && known.metadata.uid !== event.object.metadata.uid && event.type !== 'DELETED') {
      this.#onEvent({ type: 'DELETED', object: known });
    }
    if (event.type === 'DELETED') this.#objects.delete(key);
    else this.#objects.set(key, event.object);
    this.#onEvent(event);
  }
}

export function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}
