// The adapter on a genuine kube-apiserver and etcd, as part of the end-to-end suite. Skipped where there is neither Go nor
// KUBEBUILDER_ASSETS.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIST_NAMES, type ListName } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { ListCodec } from '../../src/kubernetes/codec.ts';
import { type ApiRequest, type ApiResponse, connect, jsonOf, type KubeConnection } from '../../src/kubernetes/connection.ts';
import { type Discovery, discover, requirePermissions, requireServed, watchPermissions } from '../../src/kubernetes/discovery.ts';
import { EventRecorder } from '../../src/kubernetes/events.ts';
import { LeaderElector } from '../../src/kubernetes/lease.ts';
import type { Observed } from '../../src/kubernetes/observedObjects.ts';
import type { RestartReason } from '../../src/kubernetes/reflector.ts';
import { createWatchSet, type WatchSet } from '../../src/kubernetes/watchSet.ts';
import { WRITE_POLICIES, WritePriority } from '../../src/kubernetes/writePolicy.ts';
import { WriteQueue } from '../../src/kubernetes/writeQueue.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { missingControlPlane } from '../control-plane/build.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/controlPlane.ts';
import { until } from './clocks.ts';

const missing = missingControlPlane();
if (missing !== null) console.warn(`adapter on a real API server: ${missing}`);

const NAMESPACE = 'team';
const ROOT = join(import.meta.dirname, '../..');
let plane: ControlPlane;
let admin: KubeConnection;
let discovery: Discovery;

const send = async (method: ApiRequest['method'], path: string, body?: unknown, contentType?: string): Promise<ApiResponse> => {
  const response = await admin.request({ method, path, body, contentType });
  if (response.status >= 300) throw new Error(`${method} ${path}: ${response.status} ${response.body.toString()}`);
  return response;
};

const apply = (path: string): void => {
  execFileSync(plane.kubectl!, ['--kubeconfig', plane.kubeconfig, 'apply', '--server-side', '-f', join(ROOT, path)]);
};

/** A connection as this service account. */
const connectAs = async (namespace: string, account: string): Promise<KubeConnection> => {
  const answer = await send('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, { spec: {} });
  const { status } = jsonOf(answer) as { status: { token: string } };
  return connect({ source: { kind: 'file', path: plane.writeKubeconfig(account, { token: status.token }) } });
};

const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;

describe.skipIf(missing !== null)('on a real API server', () => {
  beforeAll(async () => {
    plane = await startControlPlane({ controllers: [] });
    apply('deploy/crds');
    admin = connect({ source: { kind: 'file', path: plane.kubeconfig } });
    await send('POST', '/api/v1/namespaces', { metadata: { name: NAMESPACE } });
    await send('POST', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, { metadata: { name: 'default' } });
    discovery = await discover(admin);
    while (discovery.missing.length > 0) discovery = await discover(admin);
  });

  afterAll(async () => {
    await admin?.close();
    await plane?.stop();
  });

  test('everything that is needed is served; DRA in v1', () => {
    expect(() => requireServed(discovery)).not.toThrow();
    expect(discovery.isDraServed).toBe(true);
    expect(discovery.lists.get('resourceSlices')?.version).toBe('v1');
    expect(discovery.lists.get('queues')?.path).toBe('/apis/scheduling.run.ai/v2/queues');
    expect(discovery.isNodeTopologyServed).toBe(false);
    expect(discovery.lists.size).toBe(LIST_NAMES.length - 1);
  });

  test('a service account without roles is told what it lacks', async () => {
    await send('POST', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, { metadata: { name: 'nobody' } });
    const nobody = await connectAs(NAMESPACE, 'nobody');
    await expect(requirePermissions(nobody, watchPermissions(await discover(nobody)))).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('watch queues.scheduling.run.ai'),
    });
    await expect(requirePermissions(admin, watchPermissions(discovery))).resolves.toBeUndefined();
    await send('DELETE', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/nobody`);
    await nobody.close();
    const stranger = connect({ source: { kind: 'file', path: plane.writeKubeconfig('stranger', { token: 'wrong' }) } });
    await expect(stranger.request({ method: 'GET', path: '/api/v1/pods' })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await stranger.close();
  });

  test('the role of the scheduler suffices for the lists, the lease and the events', async () => {
    for (const name of ['kai-scheduler', 'kai-resource-reservation']) await send('POST', '/api/v1/namespaces', { metadata: { name } });
    apply('deploy/rbac/scheduler.yaml');
    const scheduler = await connectAs('kai-scheduler', 'kai-scheduler');
    const leases = { group: 'coordination.k8s.io', resource: 'leases', namespace: 'kai-scheduler' };
    const events = { group: '', resource: 'events' };
    const wanted = [
      ...watchPermissions(
        await discover(scheduler),
        LIST_NAMES.filter((list) => list !== 'podDisruptionBudgets'),
      ),
      ...['get', 'create', 'update'].map((verb) => ({ ...leases, verb })),
      ...['create', 'patch'].map((verb) => ({ ...events, verb })),
    ];
    await expect(requirePermissions(scheduler, wanted)).resolves.toBeUndefined();
    await scheduler.close();
  });

  test('pods and nodes are the same in protobuf and in JSON', async () => {
    await Promise.all(richNodes().map((node) => send('POST', '/api/v1/nodes', node)));
    const pods = fc.sample(richPods, { numRuns: 150, seed: 12 });
    const sizes = { created: 0, refused: 0 };
    for (const [i, pod] of pods.entries()) {
      const { status } = await admin.request({
        method: 'POST',
        path: PODS,
        body: { ...pod, metadata: { ...pod.metadata, name: `rich-${i}` } },
      });
      if (status === 201) sizes.created++;
      else sizes.refused++;
    }
    expect(sizes.created).toBeGreaterThan(100);
    for (const [list, least] of [
      ['pods', sizes.created],
      ['nodes', 3],
    ] as const) {
      const served = discovery.lists.get(list)!;
      const protobuf = new ListCodec(served);
      const json = new ListCodec(served);
      json.fallBackToJson();
      const read = async (codec: ListCodec): Promise<Observed[]> => {
        const { body, headers } = await admin.request({ method: 'GET', path: served.path, accept: codec.listAccept });
        const page = codec.readPage(body, String(headers['content-type']));
        return Array.from({ length: page.count }, (_, i) => page.item(i));
      };
      const [fromProtobuf, fromJson] = await Promise.all([read(protobuf), read(json)]);
      expect(fromProtobuf.length).toBeGreaterThanOrEqual(least);
      expect(fromProtobuf).toStrictEqual(fromJson);
    }
  });

  test('the watched state is the server’s through a crash, compaction and recreated objects', async () => {
    const seen = new Map<string, string>();
    const restarts: [ListName, RestartReason][] = [];
    const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
    const set: WatchSet = createWatchSet({
      connection: admin,
      discovery,
      writer,
      observer: {
        put: (list, key, { uid }) => {
          if (list === 'pods') seen.set(key, uid);
        },
        removed: (list, key) => {
          if (list === 'pods') seen.delete(key);
        },
      },
      hooks: { restarted: (list, reason) => restarts.push([list, reason]) },
    });
    const stop = new AbortController();
    const running = set.run(stop.signal);
    await set.synced;
    const isSame = async (): Promise<boolean> => {
      const { items } = jsonOf(await send('GET', PODS)) as { items: { metadata: { name: string; uid: string } }[] };
      return items.length === seen.size && items.every(({ metadata }) => seen.get(`${NAMESPACE}/${metadata.name}`) === metadata.uid);
    };
    const untilSame = async (): Promise<void> => {
      while (!(await isSame())) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await untilSame();
    const remove = (name: string) => send('DELETE', `${PODS}/${name}`, { gracePeriodSeconds: 0 });
    await send('POST', PODS, plainPod('again'));
    await remove('again');
    await send('POST', PODS, plainPod('again'));
    await untilSame();

    await plane.restartApiServer('SIGKILL');
    await send('POST', PODS, plainPod('after-crash'));
    await untilSame();
    expect(restarts.filter(([list]) => list === 'pods').map(([, reason]) => reason)).toContain('dropped');

    await plane.killApiServer();
    await until(() => restarts.filter(([list]) => list === 'pods').length > 1);
    await plane.startApiServer();
    await remove('again');
    await send('POST', PODS, plainPod('again'));
    await plane.compact();
    await untilSame();
    expect(set.isSynced()).toBe(true);
    expect(writer.seal().pods.keyText.length).toBeGreaterThanOrEqual(seen.size);
    stop.abort();
    await running;
  });

  test('bindings through the queue: 200 at once, each once; a second one is final', async () => {
    await Promise.all(Array.from({ length: 200 }, (_, i) => send('POST', PODS, plainPod(`bind-${i}`))));
    const queue = new WriteQueue({ connection: admin, concurrency: 64 });
    const bind = (name: string, node: string) =>
      queue.submit({
        key: `bind ${name} ${node}`,
        priority: WritePriority.binding,
        policy: WRITE_POLICIES.binding,
        request: { method: 'POST', path: `${PODS}/${name}/binding`, body: { metadata: { name }, target: { kind: 'Node', name: node } } },
      });
    const results = await Promise.all(Array.from({ length: 200 }, (_, i) => bind(`bind-${i}`, 'n1')));
    expect(results.every(({ kind }) => kind === 'done')).toBe(true);
    expect(await bind('bind-0', 'n2')).toMatchObject({ kind: 'failed', status: { code: 409 }, attempts: 1, mayHaveArrived: false });
    expect(await bind('missing', 'n1')).toMatchObject({ kind: 'failed', status: { code: 404 }, attempts: 1 });
    await queue.drain(10_000);
    const { items } = jsonOf(await send('GET', `${PODS}?fieldSelector=spec.nodeName=n1`)) as { items: unknown[] };
    expect(items.length).toBeGreaterThanOrEqual(200);
  });

  test('events arrive, repeated ones as a count', async () => {
    const queue = new WriteQueue({ connection: admin });
    const recorder = new EventRecorder({ queue, component: 'kai-scheduler', instance: 'test', heartbeatMs: 0 });
    const { metadata } = jsonOf(await send('GET', `${PODS}/bind-0`)) as { metadata: { uid: string } };
    const object = { apiVersion: 'v1', kind: 'Pod', namespace: NAMESPACE, name: 'bind-0', uid: metadata.uid };
    const record = () => recorder.record({ object, type: 'Warning', reason: 'Unschedulable', message: 'no node' });
    const events = async (): Promise<{ count: number; reason: string; message: string }[]> =>
      (jsonOf(await send('GET', `/api/v1/namespaces/${NAMESPACE}/events?fieldSelector=involvedObject.name=bind-0`)) as { items: [] }).items;
    expect(record()).toBe('written');
    while ((await events()).length === 0);
    while (record() !== 'repeated') await new Promise((resolve) => setTimeout(resolve, 5));
    await queue.drain(10_000);
    expect(await events()).toMatchObject([{ reason: 'Unschedulable', message: 'no node', count: 2 }]);
  });

  test('the lease passes from one process to the next', async () => {
    const elector = (identity: string) =>
      new LeaderElector({ connection: admin, namespace: NAMESPACE, name: 'kai-scheduler', identity: `${identity}_${randomUUID()}` });
    const [a, b] = [elector('a'), elector('b')];
    const { signal } = new AbortController();
    expect(await a.acquire(signal)).toBe(true);
    const second = b.acquire(signal);
    expect(a.isHeld()).toBe(true);
    await a.release();
    expect(await second).toBe(true);
    expect([a.isHeld(), b.isHeld()]).toEqual([false, true]);
    await b.release();
  });
});

function plainPod(name: string): object {
  return {
    metadata: { name },
    spec: { automountServiceAccountToken: false, containers: [{ name: 'main', image: 'x', resources: { requests: { cpu: '1' } } }] },
  };
}

function richNodes(): object[] {
  return ['n1', 'n2', 'n3'].map((name, i) => ({
    metadata: { name, labels: { zone: `z${i}`, 'nvidia.com/gpu.count': '8' }, annotations: { note: 'größe' } },
    spec: {
      unschedulable: i === 1,
      taints:
        i === 2
          ? [
              { key: 'gpu', value: 'yes', effect: 'NoSchedule' },
              { key: 'x', effect: 'NoExecute' },
            ]
          : [],
    },
    status: {
      capacity: { cpu: '128', memory: '2Ti', 'nvidia.com/gpu': '8', pods: '110' },
      allocatable: { cpu: '127500m', memory: '2000Gi', 'nvidia.com/gpu': '8', pods: '110' },
      conditions: [{ type: 'Ready', status: i === 0 ? 'True' : 'False', reason: 'Test' }],
      images: [{ names: ['a/b:1'], sizeBytes: 12_345 }],
    },
  }));
}

/** Pods that a real server takes, with what the readers look at. */
const name = fc.stringMatching(/^[a-z][a-z0-9]{1,9}$/);
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const resources = fc.record({
  requests: fc.constantFrom<object>({}, { cpu: '500m' }, { cpu: '0.5', memory: '1.5Gi' }, { cpu: 2, 'example.com/dongle': '3' }),
  limits: fc.constantFrom<object>({ 'nvidia.com/gpu': '2', 'example.com/dongle': '3' }, { 'example.com/dongle': '3' }),
});
const reference = fc.record({ name, key: fc.constant('k'), optional: optional(fc.boolean()) });
const container = fc.record({
  image: name,
  resources,
  ports: optional(fc.constant([{ containerPort: 80, hostPort: 8080 }, { containerPort: 81 }])),
  env: optional(fc.array(fc.record({ name: fc.constant('V'), valueFrom: fc.record({ configMapKeyRef: reference }) }), { maxLength: 2 })),
  envFrom: optional(fc.array(fc.record({ configMapRef: fc.record({ name, optional: optional(fc.boolean()) }) }), { maxLength: 2 })),
});
const requirement = fc.oneof(
  fc.record({ key: name, operator: fc.constantFrom('In', 'NotIn'), values: fc.array(name, { minLength: 1, maxLength: 2 }) }),
  fc.record({ key: name, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
);
const selector = fc.oneof(
  fc.constant({}),
  fc.record({
    matchLabels: fc.dictionary(name, name, { maxKeys: 2, noNullPrototype: true }),
    matchExpressions: fc.array(requirement, { maxLength: 2 }),
  }),
);
const podTerm = fc.record({
  labelSelector: optional(selector),
  topologyKey: name,
  namespaces: optional(fc.array(name, { maxLength: 2 })),
  namespaceSelector: optional(selector),
});
const podAffinity = fc.record({
  requiredDuringSchedulingIgnoredDuringExecution: optional(fc.array(podTerm, { maxLength: 2 })),
  preferredDuringSchedulingIgnoredDuringExecution: optional(
    fc.array(fc.record({ weight: fc.integer({ min: 1, max: 100 }), podAffinityTerm: podTerm }), { maxLength: 2 }),
  ),
});
const nodeTerms = fc.array(fc.record({ matchExpressions: fc.array(requirement, { minLength: 1, maxLength: 2 }) }), {
  minLength: 1,
  maxLength: 2,
});
const richPods = fc.record({
  metadata: fc.record({
    labels: fc.dictionary(name, name, { maxKeys: 3, noNullPrototype: true }),
    annotations: fc.constantFrom<object>(
      {},
      { 'pod-group-name': 'g', 'gpu-fraction': '0.5' },
      { 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    ),
  }),
  spec: fc.record({
    schedulerName: fc.constantFrom('kai-scheduler', 'default-scheduler'),
    automountServiceAccountToken: fc.boolean(),
    containers: fc.array(container, { minLength: 1, maxLength: 2 }).map((all) => all.map((c, i) => ({ ...c, name: `c${i}` }))),
    initContainers: optional(
      fc
        .array(fc.tuple(container, fc.boolean()), { maxLength: 2 })
        .map((all) =>
          all.map(([c, isSidecar], i) => ({ ...c, ports: undefined, name: `i${i}`, restartPolicy: isSidecar ? 'Always' : undefined })),
        ),
    ),
    nodeSelector: optional(fc.dictionary(name, name, { maxKeys: 2, noNullPrototype: true })),
    tolerations: optional(
      fc.constant([
        { operator: 'Exists' },
        { key: 'gpu', value: 'yes', effect: 'NoSchedule' },
        { key: 'x', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 },
      ]),
    ),
    affinity: optional(
      fc.record({
        nodeAffinity: optional(fc.record({ requiredDuringSchedulingIgnoredDuringExecution: fc.record({ nodeSelectorTerms: nodeTerms }) })),
        podAffinity: optional(podAffinity),
        podAntiAffinity: optional(podAffinity),
      }),
    ),
    topologySpreadConstraints: optional(
      fc.constant([{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { a: 'b' } } }]),
    ),
    schedulingGates: optional(fc.constant([{ name: 'example.com/gate' }])),
    volumes: optional(
      fc.constant([
        { name: 'claim', persistentVolumeClaim: { claimName: 'data' } },
        { name: 'map', configMap: { name: 'settings', optional: true } },
        { name: 'temp', emptyDir: {} },
        {
          name: 'eph',
          ephemeral: { volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } } },
        },
        { name: 'proj', projected: { sources: [{ configMap: { name: 'more' } }, { downwardAPI: { items: [] } }] } },
      ]),
    ),
    resourceClaims: optional(
      fc.constant([
        { name: 'gpu', resourceClaimTemplateName: 'template' },
        { name: 'shared', resourceClaimName: 'claim' },
      ]),
    ),
  }),
});
