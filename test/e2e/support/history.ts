// What happened in a scenario, in the API server's own order: the changes of all objects that rules look at, merged by resource
// version from one watch per collection. Knows nothing of the scheduler.
import type { ClusterObjects } from '../../../src/base/objects.ts';
import type { ApiClient, KubeObject } from './apiClient.ts';
import { waitFor } from './install.ts';
import { keyOf, type WatchEvent, Watcher } from './watcher.ts';

const CORE_PATHS = {
  pods: '/api/v1/pods',
  nodes: '/api/v1/nodes',
  namespaces: '/api/v1/namespaces',
  priorityClasses: '/apis/scheduling.k8s.io/v1/priorityclasses',
  queues: '/apis/scheduling.run.ai/v2/queues',
  podGroups: '/apis/scheduling.run.ai/v2alpha2/podgroups',
  bindRequests: '/apis/scheduling.run.ai/v1alpha2/bindrequests',
} as const;
const DRA_PATHS = {
  resourceClaims: '/apis/resource.k8s.io/v1/resourceclaims',
  resourceSlices: '/apis/resource.k8s.io/v1/resourceslices',
  deviceClasses: '/apis/resource.k8s.io/v1/deviceclasses',
} as const;
export type HistoryList = keyof typeof CORE_PATHS | keyof typeof DRA_PATHS;

export interface Change extends WatchEvent<KubeObject> {
  readonly list: HistoryList;
  /** Resource version: one counter for all collections. */
  readonly version: number;
  /** Date.now() when it was seen. */
  readonly atMs: number;
}

/** All objects at one moment. */
export class Moment {
  readonly #lists = new Map<HistoryList, Map<string, KubeObject>>();

  constructor(from?: Moment) {
    if (from !== undefined) for (const [list, objects] of from.#lists) this.#lists.set(list, new Map(objects));
  }

  list(name: HistoryList): Map<string, KubeObject> {
    let objects = this.#lists.get(name);
    if (objects === undefined) {
      objects = new Map();
      this.#lists.set(name, objects);
    }
    return objects;
  }

  apply({ list, type, object }: Change): void {
    if (type === 'DELETED') this.list(list).delete(keyOf(object));
    else this.list(list).set(keyOf(object), object);
  }

  objects(): ClusterObjects {
    const all = (name: HistoryList): never => [...this.list(name).values()] as never;
    return {
      pods: all('pods'),
      nodes: all('nodes'),
      namespaces: all('namespaces'),
      priorityClasses: all('priorityClasses'),
      queues: all('queues'),
      podGroups: all('podGroups'),
      bindRequests: all('bindRequests'),
      resourceClaims: all('resourceClaims'),
      resourceSlices: all('resourceSlices'),
      deviceClasses: all('deviceClasses'),
      configMaps: [],
      persistentVolumeClaims: [],
      persistentVolumes: [],
      csiStorageCapacities: [],
      storageClasses: [],
      csiDrivers: [],
      topologies: [],
      nodeResourceTopologies: [],
      podDisruptionBudgets: [],
    };
  }
}

export class History {
  readonly #client: ApiClient;
  readonly #watchers = new Map<string, Watcher<KubeObject>>();
  #changes: Change[] = [];
  #start = new Moment();

  /** `isDraServed`: the server has resource.k8s.io/v1. */
  constructor(client: ApiClient, isDraServed: boolean) {
    this.#client = client;
    for (const [list, path] of Object.entries({ ...CORE_PATHS, ...(isDraServed ? DRA_PATHS : {}) }) as [HistoryList, string][]) {
      let newest = 0;
      const note = ({ type, object }: WatchEvent<KubeObject>): void => {
        // What vanished in a gap is told in its last known state; within one collection the order is that of the calls.
        newest = Math.max(newest, Number(object.metadata.resourceVersion ?? 0));
        this.#changes.push({ list, type, object, version: newest, atMs: Date.now() });
      };
      this.#watchers.set(path, new Watcher({ client, path }, note));
    }
  }

  async open(): Promise<void> {
    for (const watcher of this.#watchers.values()) await watcher.start();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#watchers.values()].map((watcher) => watcher.stop()));
  }

  /** Resolves when everything that the server has now was seen. */
  async caughtUp(): Promise<void> {
    for (const [path, watcher] of this.#watchers) {
      await waitFor(`the watch of ${path}`, async () => {
        const { items } = await this.#client.retry(() => this.#client.list(path));
        const seen = watcher.objects;
        const isSeen = ({ metadata }: KubeObject): boolean =>
          Number(seen.get(keyOf({ metadata }))?.metadata.resourceVersion ?? 0) >= Number(metadata.resourceVersion);
        return items.every(isSeen) && seen.size <= items.length;
      });
    }
  }

  /** Objects when the scenario began; a copy. */
  begin(): Moment {
    return new Moment(this.#start);
  }

  /** Since then, in the server's order. */
  get changes(): readonly Change[] {
    return this.#changes.sort((a, b) => a.version - b.version);
  }

  /** The next scenario begins. */
  restart(): void {
    for (const change of this.changes) this.#start.apply(change);
    this.#changes = [];
  }
}
