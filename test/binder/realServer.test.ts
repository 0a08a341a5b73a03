// The binder against a real API server, as the service account of the scheduler: what the fake of the other tests only believes.
// Skipped where there is neither Go nor KUBEBUILDER_ASSETS.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ReceivedType } from '../../src/base/codes.ts';
import type { LIST_NAMES, Pod } from '../../src/base/objects.ts';
import { Binder } from '../../src/binder/binder.ts';
import { BindRequests } from '../../src/binder/bindRequests.ts';
import type { BindOutcome, ObservedCluster } from '../../src/binder/port.ts';
import { reportGpu } from '../../src/binder/reservationAgent.ts';
import { reservationName } from '../../src/binder/reservationPod.ts';
import { connect, type KubeConnection } from '../../src/kubernetes/connection.ts';
import { WriteQueue } from '../../src/kubernetes/writeQueue.ts';
import { missingControlPlane } from '../control-plane/build.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/controlPlane.ts';
import { subtractCounts, writesByKind } from '../control-plane/serverMetrics.ts';
import type { ApiClient, KubeObject } from '../e2e/support/apiClient.ts';
import { createNamespace, createObject, createObjects, install, serviceAccountToken, waitFor } from '../e2e/support/install.ts';
import { nodeObject, podObject } from '../e2e/support/objects.ts';
import { TestKubelet } from '../e2e/support/testKubelet.ts';
import { Watcher } from '../e2e/support/watcher.ts';
import { type OrderShape, orderFor } from './cluster.ts';

type ListName = (typeof LIST_NAMES)[number];
type SeenPod = Pod & KubeObject;

const NAMESPACE = 'team-a';
const RESERVATIONS = '/api/v1/namespaces/kai-resource-reservation/pods';
const at = (plural: string, name = ''): string => `/api/v1/namespaces/${NAMESPACE}/${plural}${name === '' ? '' : `/${name}`}`;
const CLAIMS = `/apis/resource.k8s.io/v1/namespaces/${NAMESPACE}/resourceclaims`;

const missing = missingControlPlane();
if (missing !== null) console.warn(`binder on a real API server: ${missing}`);

/** Pods as a watch tells them. */
class SeenPods implements ObservedCluster {
  readonly #listeners = new Set<(list: ListName, key: string, object: unknown) => void>();
  readonly watcher: Watcher<SeenPod>;

  constructor(client: ApiClient) {
    this.watcher = new Watcher<SeenPod>({ client, path: '/api/v1/pods' }, ({ type, object }) => {
      const key = `${object.metadata.namespace}/${object.metadata.name}`;
      for (const listener of this.#listeners) listener('pods', key, type === 'DELETED' ? undefined : object);
    });
  }

  get(list: ListName, key: string): unknown {
    return list === 'pods' ? this.watcher.objects.get(key) : undefined;
  }

  keys(list: ListName): IterableIterator<string> {
    return list === 'pods' ? this.watcher.objects.keys() : [].values();
  }

  podsOnNode(): Iterable<string> {
    return [];
  }

  onChange(listener: (list: ListName, key: string, object: unknown) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

describe.skipIf(missing !== null)('on a real API server', () => {
  let plane: ControlPlane;
  let client: ApiClient;
  let connection: KubeConnection;
  let writes: WriteQueue;
  let kubelet: TestKubelet;
  let pods: SeenPods;
  let binder: Binder;
  const troubles: string[] = [];

  beforeAll(async () => {
    const controllers = ['namespace-controller', 'serviceaccount-controller', 'persistentvolume-binder-controller'];
    plane = await startControlPlane({ controllers });
    const { client: admin, schedulerToken } = await install(plane);
    client = admin;
    await createNamespace(client, NAMESPACE);
    await createObjects(client, [nodeObject('n1', { gpus: 4, labels: { zone: 'z1' } }), nodeObject('n2', { labels: { zone: 'z2' } })]);
    connection = connect({ source: { kind: 'file', path: plane.writeKubeconfig('scheduler', { token: schedulerToken }) } });
    writes = new WriteQueue({ connection });
    kubelet = new TestKubelet({ client });
    await kubelet.start();
    pods = new SeenPods(client);
    binder = new Binder({ connection, writes, observed: pods, onTrouble: (message) => troubles.push(message) });
    await pods.watcher.start();
  });

  afterAll(async () => {
    await binder?.stop();
    await pods?.watcher.stop();
    await kubelet?.stop();
    await connection?.close();
    await client?.close();
    await plane?.stop();
    expect(troubles).toEqual([]);
  });

  const newPod = async (name: string, shape: Parameters<typeof podObject>[2] = {}): Promise<Pod> => {
    await createObject(client, podObject(NAMESPACE, name, shape));
    return client.get<SeenPod>(at('pods', name));
  };
  const bind = (pod: Pod, shape: OrderShape): Promise<BindOutcome> => binder.bind(orderFor(pod, { node: 'n1', ...shape }));
  const podNow = (name: string): Promise<SeenPod> => client.get<SeenPod>(at('pods', name));

  test('a plain pod is one write, with its annotation', async () => {
    const pod = await newPod('plain');
    await sleep(200);
    const before = await plane.metrics();
    expect(await bind(pod, {})).toEqual({ kind: 'bound' });
    const bindings = writesByKind(subtractCounts(await plane.metrics(), before));
    expect(JSON.stringify(bindings)).toContain('pods/binding');
    const { spec, metadata } = await podNow('plain');
    expect(spec.nodeName).toBe('n1');
    expect(metadata.annotations).toMatchObject({ 'received-resource-type': 'Regular' });
    expect(await bind(pod, {})).toEqual({ kind: 'bound' });
    expect(await bind(pod, { node: 'n2' })).toEqual({ kind: 'boundElsewhere', node: 'n1' });
    expect(await bind({ ...pod, metadata: { ...pod.metadata, uid: 'another' } }, {})).toEqual({ kind: 'gone' });
  });

  test('fractions share reservation pods, which go with their last user', async () => {
    const single = await newPod('f1', { gpuFraction: '0.5' });
    const multi = await newPod('f2', { gpuFraction: '0.5', annotations: { 'gpu-fraction-num-devices': '2' } });
    const outcomes = await Promise.all([bind(single, { gpuGroups: ['g1'] }), bind(multi, { gpuGroups: ['g1', 'g2'] })]);
    expect(outcomes).toEqual([{ kind: 'bound' }, { kind: 'bound' }]);
    const { items } = await client.list<KubeObject>(RESERVATIONS);
    expect(items.map(({ metadata }) => metadata.name).sort()).toEqual(['g1', 'g2'].map((g) => reservationName('n1', g)).sort());
    expect((await podNow('f1')).metadata.labels).toMatchObject({ 'runai-gpu-group': 'g1' });
    expect((await podNow('f2')).metadata.labels).toMatchObject({ 'runai-gpu-group/g1': 'g1', 'runai-gpu-group/g2': 'g2' });
    const device = (group: string): string | undefined =>
      items.find(({ metadata }) => metadata.name === reservationName('n1', group))?.metadata.annotations?.['run.ai/reserve_for_gpu_index'];
    const map = await client.get<KubeObject & { readonly data: object }>(at('configmaps', 'f2-shared-gpu-0-evar'));
    expect(map.data).toEqual({ NVIDIA_VISIBLE_DEVICES: `${device('g1')},${device('g2')}` });
    await waitFor(
      'the pods to run',
      async () => (await podNow('f1')).status?.phase === 'Running' && (await podNow('f2')).status?.phase === 'Running',
    );
    await client.delete(at('pods', 'f2'));
    await waitFor('one reservation to go', async () => (await client.list(RESERVATIONS)).items.length === 1);
    await client.delete(at('pods', 'f1'));
    await waitFor('the other to go', async () => (await client.list(RESERVATIONS)).items.length === 0);
  });

  test('what cannot be bound leaves nothing behind: labels, config maps, reservation', async () => {
    const gated = await newPod('gated', { gpuFraction: '0.5', spec: { schedulingGates: [{ name: 'closed' }] } });
    const outcome = await bind(gated, { gpuGroups: ['g3'] });
    expect(outcome).toMatchObject({ kind: 'failed', message: expect.stringContaining('failed to bind pod <team-a/gated> to node <n1>: ') });
    await binder.settled();
    expect((await podNow('gated')).metadata.labels ?? {}).toEqual({});
    expect(await client.find(at('configmaps', 'gated-shared-gpu-0'))).toBeUndefined();
    expect((await client.list(RESERVATIONS)).items).toEqual([]);
  });

  test('a local volume is taken for the claim and bound by the volume controller', async () => {
    await createObject(client, {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: 'local' },
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'WaitForFirstConsumer',
    });
    const volume = (name: string, storage: string, zone: string): object => ({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name },
      spec: {
        storageClassName: 'local',
        accessModes: ['ReadWriteOnce'],
        capacity: { storage },
        local: { path: '/disk' },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: [zone] }] }] } },
      },
    });
    await createObjects(client, [volume('far', '10Gi', 'z2'), volume('large', '40Gi', 'z1'), volume('right', '20Gi', 'z1')]);
    await waitFor('the volumes', async () => {
      const right = await client.get<KubeObject & { readonly status?: { readonly phase?: string } }>('/api/v1/persistentvolumes/right');
      return right.status?.phase === 'Available';
    });
    await createObject(client, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data', namespace: NAMESPACE },
      spec: { storageClassName: 'local', accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '15Gi' } } },
    });
    const pod = await newPod('disk', { spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }] } });
    expect(await bind(pod, {})).toEqual({ kind: 'bound' });
    expect(await client.get(at('persistentvolumeclaims', 'data'))).toMatchObject({ spec: { volumeName: 'right' } });
  });

  test('claims are allocated and reserved, and given back after a failure', async () => {
    await createObject(client, { apiVersion: 'resource.k8s.io/v1', kind: 'DeviceClass', metadata: { name: 'gpu.example.com' }, spec: {} });
    await createObject(client, {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'ResourceClaim',
      metadata: { name: 'c1', namespace: NAMESPACE },
      spec: { devices: { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu.example.com' } }] } },
    });
    const allocation = { devices: { results: [{ request: 'gpu', driver: 'gpu.example.com', pool: 'n1', device: 'gpu-0' }] } };
    const details = { resourceClaimAllocations: [{ name: 'c', allocation }] };
    const claims = { resourceClaims: [{ name: 'c', resourceClaimName: 'c1' }] };
    const gated = await newPod('claim-gated', { spec: { ...claims, schedulingGates: [{ name: 'closed' }] } });
    expect(await bind(gated, { details })).toMatchObject({ kind: 'failed' });
    expect(await client.get(`${CLAIMS}/c1`)).not.toHaveProperty('status.allocation');
    const pod = await newPod('claim', { spec: claims });
    expect(await bind(pod, { details })).toEqual({ kind: 'bound' });
    expect(await client.get(`${CLAIMS}/c1`)).toMatchObject({
      status: { allocation, reservedFor: [{ resource: 'pods', name: 'claim', uid: pod.metadata.uid }] },
    });
  });

  test('extended resources get a claim that the pod names, which goes after a failure', async () => {
    const request = {
      name: 'container-0-request-0',
      exactly: { deviceClassName: 'gpu.example.com', allocationMode: 'ExactCount', count: 1 },
    };
    const allocation = { devices: { results: [{ request: request.name, driver: 'gpu.example.com', pool: 'n1', device: 'gpu-1' }] } };
    const containerMappings = [{ containerIndex: 0, resourceName: 'example.com/gpu', requestName: request.name }];
    const details = { extendedResourceClaimAllocation: { allocation, deviceRequests: [request], containerMappings } };
    const resources = { requests: { 'example.com/gpu': '1' }, limits: { 'example.com/gpu': '1' } };
    const containers = [{ name: 'main', image: 'none', resources }];
    const gated = await newPod('extended-gated', { spec: { containers, schedulingGates: [{ name: 'closed' }] } });
    expect(await bind(gated, { details })).toMatchObject({ kind: 'failed', message: expect.stringContaining('failed to bind pod') });
    expect((await client.list(CLAIMS)).items.map(({ metadata }) => metadata.name)).toEqual(['c1']);
    // The server keeps the name in the pod's status, whatever is sent; the next attempt writes its own over it.
    await client.patch(at('pods', 'extended-gated'), { spec: { schedulingGates: null } });
    const pod = await podNow('extended-gated');
    expect(await bind(pod, { details })).toEqual({ kind: 'bound' });
    const name = (await podNow('extended-gated')).status?.extendedResourceClaimStatus?.resourceClaimName;
    expect(await client.get(`${CLAIMS}/${name}`)).toMatchObject({ status: { allocation, reservedFor: [{ uid: pod.metadata.uid }] } });
  });

  test('bind requests pass the definition of their kind', async () => {
    const requests = new BindRequests({ connection, writes, nodePoolLabelKey: 'kai.scheduler/node-pool' });
    const pod = await newPod('requested', { gpuFraction: '0.5' });
    const order = orderFor(pod, { node: 'n1', receivedType: ReceivedType.fraction, gpuGroups: ['g9'] });
    expect(await requests.bind(order)).toEqual({ kind: 'requested' });
    expect(await requests.bind(order)).toEqual({ kind: 'requested' });
    const path = `/apis/scheduling.run.ai/v1alpha2/namespaces/${NAMESPACE}/bindrequests/requested`;
    expect(await client.get(path)).toMatchObject({
      spec: { podName: 'requested', selectedGPUGroups: ['g9'], receivedGPU: { count: 1, portion: '0.50' } },
    });
  });

  test('the agent writes the device with its own rights', async () => {
    const token = await serviceAccountToken(client, 'kai-resource-reservation', 'kai-resource-reservation');
    const agent = connect({ source: { kind: 'file', path: plane.writeKubeconfig('agent', { token }) } });
    await createObject(client, podObject('kai-resource-reservation', 'by-hand'));
    const env = { POD_NAMESPACE: 'kai-resource-reservation', POD_NAME: 'by-hand' };
    expect(await reportGpu(agent, env, () => Promise.resolve('GPU-5f0c\n'))).toBe('GPU-5f0c');
    expect((await client.get<KubeObject>(`${RESERVATIONS}/by-hand`)).metadata.annotations).toMatchObject({
      'run.ai/reserve_for_gpu_index': 'GPU-5f0c',
    });
    await agent.close();
  });
});
