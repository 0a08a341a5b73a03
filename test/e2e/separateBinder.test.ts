// `--separate-binder`: decisions become BindRequests, and a binder that runs by itself, here a small stand-in, carries them out.
import { expect, test } from 'vitest';
import type { ApiClient, KubeObject } from './support/apiClient.ts';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { nodeObject, queueObject } from './support/objects.ts';
import { keyOf, Watcher } from './support/watcher.ts';

interface Request extends KubeObject {
  readonly spec: {
    readonly podName: string;
    readonly selectedNode: string;
    readonly receivedResourceType: string;
    readonly receivedGPU?: { readonly count?: number; readonly portion?: string };
    readonly selectedGPUGroups?: readonly string[];
  };
  readonly status?: { readonly phase?: string };
}

const COLLECTION = '/apis/scheduling.run.ai/v1alpha2/bindrequests';

/** What upstream's binder does with a request: labels, binding, status. */
class Stand {
  /** In the order of their appearance. */
  readonly seen: Request[] = [];
  /** Names of pods whose requests fail. */
  readonly refused = new Set<string>();
  readonly #client: ApiClient;
  readonly #watcher: Watcher<Request>;

  constructor(client: ApiClient) {
    this.#client = client;
    this.#watcher = new Watcher<Request>({ client, path: COLLECTION }, ({ type, object }) => {
      if (type !== 'ADDED') return;
      this.seen.push(object);
      void this.#carryOut(object);
    });
  }

  get open(): ReadonlyMap<string, Request> {
    return this.#watcher.objects;
  }

  start(): Promise<void> {
    return this.#watcher.start();
  }

  stop(): Promise<void> {
    return this.#watcher.stop();
  }

  async #carryOut({ metadata: { name, namespace }, spec }: Request): Promise<void> {
    const status = `/apis/scheduling.run.ai/v1alpha2/namespaces/${namespace}/bindrequests/${name}/status`;
    const pod = `/api/v1/namespaces/${namespace}/pods/${spec.podName}`;
    if (this.refused.has(spec.podName)) {
      await this.#client.patch(status, { status: { phase: 'Failed', reason: 'refused by the test', failedAttempts: 1 } });
      return;
    }
    const [group] = spec.selectedGPUGroups ?? [];
    if (group !== undefined) await this.#client.patch(pod, { metadata: { labels: { 'runai-gpu-group': group } } });
    const annotations = { 'received-resource-type': spec.receivedResourceType };
    await this.#client.create(`${pod}/binding`, {
      metadata: { name: spec.podName, annotations },
      target: { kind: 'Node', name: spec.selectedNode },
    });
    await this.#client.patch(status, { status: { phase: 'Succeeded' } });
  }
}

async function withStand(bed: Bed, run: (stand: Stand) => Promise<void>): Promise<void> {
  const stand = new Stand(bed.client);
  await stand.start();
  try {
    await run(stand);
  } finally {
    await stand.stop();
  }
}

onCluster('a separate binder', { args: ['--separate-binder'], audited: { isBinderSeparate: true } }, (bed) => {
  test('gangs, whole GPUs and shares: requests instead of bindings', async () => {
    await withStand(bed(), async (stand) => {
      await bed().createCluster(2);
      const from = bed().requestCount();
      const gang = await bed().createGang('gang', 12, { gpus: 1 });
      const [plain] = await bed().createGang('plain', 1);
      const [half] = await bed().createGang('half', 1, { gpuFraction: '0.5' });
      const [other] = await bed().createGang('other', 1, { gpuFraction: '0.5' });
      await bed().untilRunning([...gang, plain!, half!, other!]);
      const requestOf = (key: string): Request => stand.seen.find((request) => keyOf(request) === key)!;
      expect(stand.seen).toHaveLength(15);
      expect(requestOf(gang[0]!).spec).toMatchObject({ receivedResourceType: 'Regular', receivedGPU: { count: 1, portion: '1.00' } });
      expect(requestOf(half!).spec).toMatchObject({ receivedResourceType: 'Fraction', receivedGPU: { count: 1, portion: '0.50' } });
      expect(requestOf(other!).spec.selectedGPUGroups).toEqual(requestOf(half!).spec.selectedGPUGroups);
      const { uid } = bed().record(plain!).pod.metadata;
      expect(requestOf(plain!).metadata).toMatchObject({
        labels: { 'selected-node': bed().nodeOf(plain!) },
        ownerReferences: [{ kind: 'Pod', uid }],
      });
      const writes = bed().writesSince(from);
      expect(writes['create bindrequests']).toBe(15);
      expect(writes['create pods/binding']).toBeUndefined();
      expect(writes['create pods']).toBeUndefined();
    });
  });

  test('while a request is open its pod holds its place; without a binder nobody is bound', async () => {
    await bed().createCluster(1, { gpus: 2 });
    const keys = await bed().createGang('first', 2, { gpus: 1 });
    const path = `${COLLECTION.replace('/bindrequests', '')}/namespaces/${TEAM}/bindrequests`;
    await bed().until('two requests', async () => (await bed().client.list(path)).items.length === 2);
    await bed().untilUnschedulable(await bed().createGang('second', 1, { gpus: 1 }));
    expect(bed().boundOf(keys)).toEqual([]);
    await withStand(bed(), () => bed().untilRunning(keys));
  });

  test('a request that failed is removed and the pod decided anew', async () => {
    await withStand(bed(), async (stand) => {
      await bed().create(nodeObject('n1', { gpus: 1 }), queueObject('examples'));
      stand.refused.add('twice-0');
      const keys = await bed().createGang('twice', 1, { gpus: 1 });
      await bed().until('a second request', () => stand.seen.length >= 2);
      expect(new Set(stand.seen.map((request) => request.metadata.uid)).size).toBe(stand.seen.length);
      stand.refused.clear();
      await bed().untilRunning(keys);
      await bed().until('no request that failed', () => [...stand.open.values()].every(({ status }) => status?.phase !== 'Failed'));
    });
  });

  test('victims are evicted as ever, and their places requested when they are gone', async () => {
    await withStand(bed(), async () => {
      await bed().create(nodeObject('n1', { gpus: 2 }), queueObject('examples'));
      const low = await bed().createGang('low', 2, { gpus: 1, groupSpec: { priorityClassName: 'train' } });
      await bed().untilRunning(low);
      await bed().untilRunning(await bed().createGang('high', 1, { gpus: 2, groupSpec: { priorityClassName: 'build-preemptible' } }));
      expect(low.filter((key) => bed().isStaying(key))).toEqual([]);
    });
  });
});
