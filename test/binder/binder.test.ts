import { describe, expect, it } from 'vitest';
import { ReceivedType } from '../../src/base/codes.ts';
import { DEFAULT_BINDER_SETTINGS } from '../../src/binder/binder.ts';
import { parseBinderPlugins } from '../../src/binder/pluginConfig.ts';
import { reservationName } from '../../src/binder/reservationPod.ts';
import { addPod, CLAIMS, CLASSES, MAPS, orderFor, PODS, PVCS, RESERVATIONS, smallCluster } from './cluster.ts';

const labelsOf = (object: { metadata: { labels?: object } } | undefined): object => object?.metadata.labels ?? {};

describe('plain pods', () => {
  it('are bound by one write that carries the annotations', async () => {
    const { api, clock, binder } = smallCluster();
    const pod = addPod(api, 'a');
    const predictedNUMAZones = [{ zone: 'node-0', amount: { 'nvidia.com/gpu': '1' } }];
    expect(await clock.run(binder().bind(orderFor(pod, { details: { predictedNUMAZones } })))).toEqual({ kind: 'bound' });
    expect(api.requests).toEqual([`POST ${PODS}/a/binding`]);
    const { spec, metadata } = api.get(`${PODS}/a`)!;
    expect(spec).toMatchObject({ nodeName: 'node-1' });
    expect(metadata.annotations).toMatchObject({
      'received-resource-type': 'Regular',
      'kai.scheduler/numa-placement-predicted': '[{"zone":"node-0","amount":{"nvidia.com/gpu":"1"}}]',
    });
  });

  it('of an open bind request are left to its binder, those of a failed one are bound', async () => {
    const { api, clock, binder } = smallCluster();
    const folder = '/apis/scheduling.run.ai/v1alpha2/namespaces/team-a/bindrequests';
    const pod = addPod(api, 'a');
    const ownerReferences = [{ kind: 'Pod', name: 'a', uid: pod.metadata.uid! }];
    api.put(folder, { metadata: { name: 'a', namespace: 'team-a', ownerReferences }, spec: { podName: 'a' } });
    const b = binder();
    expect(await clock.run(b.bind(orderFor(pod)))).toEqual({ kind: 'requested' });
    expect(api.requests).toEqual([]);
    api.merge(`${folder}/a`, { status: { phase: 'Failed' } });
    expect(await clock.run(b.bind(orderFor(pod)))).toEqual({ kind: 'bound' });
  });
});

describe('reservation pods that nobody uses any more', () => {
  it('are gone before a pod is bound to their node; other nodes and used ones cost no request', async () => {
    const { api, clock, binder } = smallCluster();
    const b = binder();
    for (const [name, group] of [
      ['left', 'g1'],
      ['stays', 'g2'],
    ] as const) {
      await clock.run(b.bind(orderFor(addPod(api, name), { gpuGroups: [group] })));
    }
    // Slow enough for a binding that does not wait to overtake the removal.
    api.latencyMs = () => 50;
    api.remove(`${PODS}/left`);
    api.requests.length = 0;
    const pods = ['a', 'b'].map((name) => addPod(api, name));
    const far = b.bind(orderFor(addPod(api, 'far'), { node: 'node-2' }));
    const outcomes = Promise.all([...pods.map((pod) => b.bind(orderFor(pod))), far]);
    expect(await clock.run(outcomes)).toEqual(Array(3).fill({ kind: 'bound' }));
    const gone = api.requests.indexOf(`DELETE ${RESERVATIONS}/${reservationName('node-1', 'g1')}`);
    const bound = ['far', 'a', 'b'].map((name) => api.requests.indexOf(`POST ${PODS}/${name}/binding`));
    expect(bound[0]).toBeLessThan(gone);
    expect(Math.min(bound[1]!, bound[2]!)).toBeGreaterThan(gone);
    expect(api.list(RESERVATIONS).map(({ metadata }) => metadata.labels)).toMatchObject([{ 'runai-gpu-group': 'g2' }]);
    await clock.run(b.settled());
    api.requests.length = 0;
    await clock.run(b.bind(orderFor(addPod(api, 'c'))));
    expect(api.requests).toEqual([`POST ${PODS}/c/binding`]);
  });

  it('and cannot be removed stop the binding', async () => {
    const { api, clock, binder } = smallCluster();
    const b = binder();
    await clock.run(b.bind(orderFor(addPod(api, 'left'), { gpuGroups: ['g1'] })));
    api.fault = ({ method, path }) => (method === 'DELETE' && path.startsWith(RESERVATIONS) ? 403 : 'none');
    api.remove(`${PODS}/left`);
    const message = 'failed to sync reservation for pod <team-a/a> on node <node-1>: failed to delete reservation pod: injected';
    expect(await clock.run(b.bind(orderFor(addPod(api, 'a'))))).toEqual({ kind: 'failed', message });
    expect(api.requests).not.toContain(`POST ${PODS}/a/binding`);
  });
});

describe('shared GPUs', () => {
  it('get a reservation pod, labels, config maps, and the binding last', async () => {
    const { api, clock, binder } = smallCluster();
    const tolerations = [{ key: 'gpu', operator: 'Exists', effect: 'NoExecute' }];
    const pod = addPod(api, 'a', {
      spec: { tolerations, containers: [{ name: 'x' }, { name: 'main' }] },
      annotations: { 'gpu-fraction-container-name': 'main' },
    });
    expect(await clock.run(binder().bind(orderFor(pod, { gpuGroups: ['g1'] })))).toEqual({ kind: 'bound' });
    expect(reservationName('node-1', 'g1')).toBe('gpu-reservation-09e54cf062fba56e');
    const reservation = api.get(`${RESERVATIONS}/gpu-reservation-09e54cf062fba56e`)!;
    expect(reservation).toMatchObject({
      metadata: {
        labels: { app: 'kai-resource-reservation', 'runai-gpu-group': 'g1' },
        annotations: { 'karpenter.sh/do-not-disrupt': 'true' },
      },
      spec: {
        nodeName: 'node-1',
        tolerations,
        serviceAccountName: 'kai-resource-reservation',
        containers: [
          { name: 'resource-reservation', resources: { requests: { 'nvidia.com/gpu': '1' }, limits: { 'nvidia.com/gpu': '1' } } },
        ],
      },
    });
    expect(labelsOf(api.get(`${PODS}/a`))).toEqual({ 'runai-gpu-group': 'g1' });
    // The container does not take the variable from a config map, so it comes with the second map; names go by container number.
    expect(api.get(`${MAPS}/a-gpu-1`)).toMatchObject({ data: { RUNAI_NUM_OF_GPUS: '0.50', GPU_PORTION: '0.50' } });
    expect(api.get(`${MAPS}/a-gpu-1`)!.data).not.toHaveProperty('NVIDIA_VISIBLE_DEVICES');
    expect(api.get(`${MAPS}/a-gpu-1-evar`)).toMatchObject({ data: { NVIDIA_VISIBLE_DEVICES: 'GPU-0' } });
    expect(api.get(`${PODS}/a`)!.metadata.annotations).toMatchObject({ 'received-resource-type': 'Fraction' });
    const writes = api.requests.filter((r) => !r.startsWith('GET'));
    expect(writes.at(-1)).toBe(`POST ${PODS}/a/binding`);
    expect(writes[0]).toBe(`PATCH ${PODS}/a`);
  });

  it('two pods of one group at once share one reservation pod; several devices have a label each', async () => {
    const { api, clock, binder } = smallCluster();
    const plugins = '{"gpusharing":{"arguments":{"cdiEnabled":"true"}},"hamicore":{"enabled":true}}';
    const b = binder({ settings: { ...DEFAULT_BINDER_SETTINGS, plugins: parseBinderPlugins(plugins) } });
    const multi = addPod(api, 'm', {
      annotations: { 'gpu-fraction-num-devices': '2' },
      labels: { 'runai-gpu-group/old': 'old' },
    });
    const single = addPod(api, 's');
    const orders = [orderFor(multi, { gpuGroups: ['g1', 'g2'] }), orderFor(single, { gpuGroups: ['g2'], gpuPortion: '0.27' })];
    expect(await clock.run(Promise.all(orders.map((order) => b.bind(order))))).toEqual([{ kind: 'bound' }, { kind: 'bound' }]);
    expect(api.list(RESERVATIONS)).toHaveLength(2);
    expect(labelsOf(api.get(`${PODS}/m`))).toEqual({ 'runai-gpu-group/g1': 'g1', 'runai-gpu-group/g2': 'g2' });
    const device = (group: string): string =>
      `k8s.device-plugin.nvidia.com/gpu=${api.get(`${RESERVATIONS}/${reservationName('node-1', group)}`)!.metadata.annotations!['run.ai/reserve_for_gpu_index']}`;
    expect(api.get(`${MAPS}/m-gpu-0`)!.data).toMatchObject({ NVIDIA_VISIBLE_DEVICES: `${device('g1')},${device('g2')}` });
    // 16384 MiB × 0.27 = 4423.68
    expect(api.get(`${MAPS}/s-gpu-0`)!.data).toEqual({
      NVIDIA_VISIBLE_DEVICES: device('g2'),
      RUNAI_NUM_OF_GPUS: '0.27',
      GPU_PORTION: '0.27',
      CUDA_DEVICE_MEMORY_LIMIT: '4423m',
    });
  });

  it('two processes that reserve the same device at the same time make one reservation pod', async () => {
    const { api, clock, binder } = smallCluster();
    api.latencyMs = () => 50;
    const orders = ['a', 'b'].map((name) => orderFor(addPod(api, name), { gpuGroups: ['g1'] }));
    const outcomes = await clock.run(Promise.all(orders.map((order) => binder().bind(order))));
    expect(outcomes).toEqual([{ kind: 'bound' }, { kind: 'bound' }]);
    expect(api.requests.filter((r) => r === `POST ${RESERVATIONS}`)).toHaveLength(2);
    expect(api.list(RESERVATIONS)).toHaveLength(1);
    expect(api.get(`${MAPS}/a-gpu-0`)!.data).toEqual(api.get(`${MAPS}/b-gpu-0`)!.data);
  });

  it('are given back after an outage in the middle of the way back', async () => {
    const cluster = smallCluster();
    const { api, clock } = cluster;
    const outageEndMs = clock.nowMs() + 600_000;
    let isOut = false;
    api.fault = ({ path, method }) => {
      isOut ||= method === 'DELETE';
      if (isOut && clock.nowMs() < outageEndMs) return 'lostBefore';
      return path.endsWith('/binding') ? 403 : 'none';
    };
    const b = cluster.binder();
    const outcome = b.bind(orderFor(addPod(api, 'a'), { gpuGroups: ['g1'] }));
    await clock.run(clock.sleep(60_000));
    expect(api.list(MAPS)).toHaveLength(2);
    expect(await clock.run(outcome)).toMatchObject({ kind: 'failed', message: 'failed to bind pod <team-a/a> to node <node-1>: injected' });
    await clock.run(b.settled());
    expect([api.list(RESERVATIONS), api.list(MAPS)]).toEqual([[], []]);
    expect(labelsOf(api.get(`${PODS}/a`))).toEqual({});
  });

  it('join a group whose reservation pod an older version named at random', async () => {
    const { api, clock, binder } = smallCluster();
    const metadata = { name: 'gpu-reservation-node-1-x7k2p', namespace: 'kai-resource-reservation', labels: { 'runai-gpu-group': 'g1' } };
    api.put(RESERVATIONS, {
      metadata: { ...metadata, annotations: { 'run.ai/reserve_for_gpu_index': 'GPU-old' } },
      spec: { nodeName: 'node-1' },
    });
    expect(await clock.run(binder().bind(orderFor(addPod(api, 'a'), { gpuGroups: ['g1'] })))).toEqual({ kind: 'bound' });
    expect(api.list(RESERVATIONS)).toHaveLength(1);
    expect(api.get(`${MAPS}/a-gpu-0`)!.data).toMatchObject({ NVIDIA_VISIBLE_DEVICES: 'GPU-old' });
  });

  it('leave nothing behind when the agent never answers, and can be tried again', async () => {
    const cluster = smallCluster();
    const { api, clock } = cluster;
    cluster.agentDelayMs = (pod) => (pod.metadata.labels!['runai-gpu-group'] === 'g2' ? null : 1000);
    const b = cluster.binder();
    const pod = addPod(api, 'a', { annotations: { 'gpu-fraction-num-devices': '2' } });
    const order = orderFor(pod, { gpuGroups: ['g1', 'g2'] });
    const outcome = await clock.run(b.bind(order));
    const message = `failed to reserve GPUs for pod <team-a/a> in gpu group <g2>: failed waiting for GPU reservation pod to allocate: kai-resource-reservation/${reservationName('node-1', 'g2')}`;
    expect(outcome).toEqual({ kind: 'failed', message });
    await clock.run(b.settled());
    expect(api.list(RESERVATIONS)).toEqual([]);
    expect(labelsOf(api.get(`${PODS}/a`))).toEqual({});
    cluster.agentDelayMs = () => 0;
    expect(await clock.run(b.bind(order))).toEqual({ kind: 'bound' });
  });

  it('refuse what upstream refuses, with its texts', async () => {
    const { api, clock, binder } = smallCluster();
    const b = binder();
    const bind = async (pod: Parameters<typeof orderFor>[0], gpuGroups: string[]): Promise<unknown> =>
      clock.run(b.bind(orderFor(pod, { receivedType: ReceivedType.fraction, gpuGroups })));
    expect(await bind(addPod(api, 'a'), [])).toMatchObject({ message: 'no SelectedGPUGroups for fractional pod: invalid binding request' });
    api.merge(`${PODS}/a`, { metadata: { annotations: { 'runai/shared-gpu-configmap': null } } });
    expect(await bind(api.get(`${PODS}/a`)!, ['g'])).toMatchObject({
      message: 'plugin gpusharing failed in PreBind: no desired configmap name found in pod team-a/a annotations',
    });
    api.put('/api/v1/namespaces/kai-scale-adjust/pods', {
      metadata: { name: 'bait', namespace: 'kai-scale-adjust' },
      spec: {},
      status: { conditions: [{ type: 'PodScheduled', status: 'False' }] },
    });
    await clock.run(b.settled());
    expect(await bind(addPod(api, 'b'), ['h'])).toMatchObject({
      message: 'failed to reserve GPUs for pod <team-a/b> in gpu group <h>: cluster is scaling up, could not create reservation pod',
    });
  });

  it('give the reservation back when the last user ends, and end with it when it goes', async () => {
    const { api, clock, binder } = smallCluster();
    const b = binder();
    for (const name of ['a', 'b']) await clock.run(b.bind(orderFor(addPod(api, name), { gpuGroups: ['g1'] })));
    for (const name of ['a', 'b']) api.merge(`${PODS}/${name}`, { status: { phase: 'Running' } });
    api.merge(`${PODS}/a`, { status: { phase: 'Succeeded' } });
    await clock.run(b.settled());
    expect(api.list(RESERVATIONS)).toHaveLength(1);
    api.remove(`${RESERVATIONS}/${reservationName('node-1', 'g1')}`);
    await clock.run(b.settled());
    expect(api.get(`${PODS}/b`)).toBeUndefined();
    await clock.run(b.bind(orderFor(addPod(api, 'c'), { gpuGroups: ['g1'] })));
    api.remove(`${PODS}/c`);
    await clock.run(b.settled());
    expect(api.list(RESERVATIONS)).toEqual([]);
  });

  it('remove a second reservation pod of one card at the moment it is seen', async () => {
    const { api, clock, binder } = smallCluster();
    const b = binder();
    await clock.run(b.bind(orderFor(addPod(api, 'a'), { gpuGroups: ['g1'] })));
    const [kept] = api.list(RESERVATIONS);
    const spare = { metadata: { ...kept!.metadata, name: 'spare', uid: undefined, annotations: {} }, spec: { nodeName: 'node-1' } };
    api.put(RESERVATIONS, spare);
    await clock.run(b.settled());
    expect(api.list(RESERVATIONS).map(({ metadata }) => metadata.name)).toEqual([kept!.metadata.name]);
  });

  it('keep a reservation pod that an open bind request names', async () => {
    const { api, clock, binder } = smallCluster();
    const b = binder();
    await clock.run(b.bind(orderFor(addPod(api, 'a'), { gpuGroups: ['g1'] })));
    const folder = '/apis/scheduling.run.ai/v1alpha2/namespaces/team-b/bindrequests';
    api.put(folder, { metadata: { name: 'x', namespace: 'team-b' }, spec: { podName: 'x', selectedGPUGroups: ['g1'] } });
    api.remove(`${PODS}/a`);
    await clock.run(b.settled());
    expect(api.list(RESERVATIONS)).toHaveLength(1);
    api.merge(`${folder}/x`, { status: { phase: 'Failed' } });
    await clock.run(clock.sleep(60_000));
    b.sweep();
    await clock.run(b.settled());
    expect(api.list(RESERVATIONS)).toEqual([]);
  });
});

describe('a lost answer to the binding', () => {
  it('is looked after: a bound pod keeps its GPUs', async () => {
    const { api, clock, binder } = smallCluster();
    api.fault = ({ path, method }) => (method === 'POST' && path.endsWith('/binding') ? 'lostAfter' : 'none');
    expect(await clock.run(binder().bind(orderFor(addPod(api, 'a'), { gpuGroups: ['g1'] })))).toEqual({ kind: 'bound' });
    expect(labelsOf(api.get(`${PODS}/a`))).toEqual({ 'runai-gpu-group': 'g1' });
    expect(api.get(`${MAPS}/a-gpu-0`)).toBeDefined();
  });

  it('of a plain pod is looked after too, also while the server does not answer', async () => {
    const { api, clock, binder } = smallCluster();
    const endMs = clock.nowMs() + 120_000;
    api.fault = ({ path }) => (clock.nowMs() > endMs ? 'none' : path.endsWith('/binding') ? 'lostAfter' : 503);
    expect(await clock.run(binder().bind(orderFor(addPod(api, 'a'))))).toEqual({ kind: 'bound' });
  });

  it('of a pod that somebody else has bound elsewhere costs it only our group', async () => {
    const { api, clock, binder } = smallCluster();
    api.fault = ({ path }) => {
      if (path.endsWith('/binding')) api.merge(`${PODS}/a`, { spec: { nodeName: 'node-2' } });
      return 'none';
    };
    const b = binder();
    expect(await clock.run(b.bind(orderFor(addPod(api, 'a'), { gpuGroups: ['g1'] })))).toEqual({ kind: 'boundElsewhere', node: 'node-2' });
    await clock.run(b.settled());
    expect(labelsOf(api.get(`${PODS}/a`))).toEqual({});
    expect(api.list(RESERVATIONS)).toEqual([]);
    expect(api.get(`${MAPS}/a-gpu-0`)).toBeDefined();
  });
});

describe('volumes', () => {
  const podWithClaim = {
    spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }], containers: [{ name: 'main' }] },
  };
  const claim = (spec: object, annotations?: Record<string, string>) => ({
    metadata: { name: 'data', namespace: 'team-a', annotations },
    spec: { storageClassName: 'delayed', accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Gi' } }, ...spec },
  });

  it('are made for the node, then the pod is bound', async () => {
    const { api, clock, binder } = smallCluster();
    api.put(PVCS, claim({}));
    expect(await clock.run(binder().bind(orderFor(addPod(api, 'a', podWithClaim))))).toEqual({ kind: 'bound' });
    expect(api.get(`${PVCS}/data`)!.spec).toMatchObject({ volumeName: 'pv-data' });
  });

  it('that do not come in time are given up, and the choice of the node with them', async () => {
    const cluster = smallCluster();
    const { api, clock } = cluster;
    cluster.provisionDelayMs = () => null;
    api.put(PVCS, claim({}));
    expect(await clock.run(cluster.binder().bind(orderFor(addPod(api, 'a', podWithClaim))))).toMatchObject({
      kind: 'failed',
      message:
        'plugin volumebinding failed in PreBind: K8sPlugin VolumeBinding failed Bind for pod: team-a/a and node node-1. error: binding volumes: context deadline exceeded',
    });
    expect(api.get(`${PVCS}/data`)!.metadata.annotations).toEqual({});
  });

  it('take the smallest free volume that fits and is reachable', async () => {
    const { api, clock, binder } = smallCluster();
    api.put(CLASSES, {
      metadata: { name: 'local' },
      provisioner: 'kubernetes.io/no-provisioner',
      volumeBindingMode: 'WaitForFirstConsumer',
    });
    const volume = (name: string, storage: string, zone: string) =>
      api.put('/api/v1/persistentvolumes', {
        metadata: { name },
        spec: {
          storageClassName: 'local',
          accessModes: ['ReadWriteOnce'],
          capacity: { storage },
          nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: [zone] }] }] } },
        },
        status: { phase: 'Available' },
      });
    volume('small', '5Gi', 'node-1');
    volume('large', '40Gi', 'node-1');
    volume('right', '20Gi', 'node-1');
    volume('far', '10Gi', 'node-2');
    const uid = api.put(PVCS, claim({ storageClassName: 'local' })).metadata.uid;
    const outcome = binder().bind(orderFor(addPod(api, 'a', podWithClaim)));
    void clock.sleep(2500).then(() =>
      api.merge(`${PVCS}/data`, {
        metadata: { annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
        spec: { volumeName: 'right' },
      }),
    );
    expect(await clock.run(outcome)).toEqual({ kind: 'bound' });
    expect(api.get('/api/v1/persistentvolumes/right')!.spec).toMatchObject({ claimRef: { name: 'data', namespace: 'team-a', uid } });
  });

  it.each([
    [
      { volumeName: 'gone' },
      { 'pv.kubernetes.io/bind-completed': 'yes' },
      'Filter',
      ' and node node-1',
      'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)',
    ],
    [{ storageClassName: '' }, undefined, 'Filter', ' and node node-1', 'pod has unbound immediate PersistentVolumeClaims'],
    [null, undefined, 'PreFilter', '', 'persistentvolumeclaim "data" not found'],
  ])("are refused with upstream's texts: %j", async (spec, annotations, phase, where, text) => {
    const { api, clock, binder } = smallCluster();
    if (spec !== null) api.put(PVCS, claim(spec, annotations));
    const message = `plugin volumebinding failed in PreBind: K8sPlugin VolumeBinding failed ${phase} for pod: team-a/a${where}. error: ${text}`;
    expect(await clock.run(binder().bind(orderFor(addPod(api, 'a', podWithClaim))))).toMatchObject({ kind: 'failed', message });
  });
});

describe('claims of devices', () => {
  const allocation = { devices: { results: [{ request: 'gpu', driver: 'gpu.nvidia.com', pool: 'node-1', device: 'gpu-3' }] } };
  const pod = {
    spec: {
      containers: [{ name: 'main' }],
      resourceClaims: [
        { name: 'own', resourceClaimTemplateName: 't' },
        { name: 'shared', resourceClaimName: 'shared' },
      ],
    },
    status: { resourceClaimStatuses: [{ name: 'own', resourceClaimName: 'a-own-x' }] },
  };
  const details = {
    resourceClaimAllocations: [
      { name: 'own', allocation },
      { name: 'shared', allocation },
    ],
  };

  it('are allocated and reserved; what others have allocated is kept', async () => {
    const { api, clock, binder } = smallCluster();
    const other = { devices: { results: [{ request: 'gpu', driver: 'd', pool: 'p', device: 'x' }] } };
    const neighbour = { resource: 'pods', name: 'n', uid: 'u-n' };
    api.put(CLAIMS, { metadata: { name: 'a-own-x', namespace: 'team-a', finalizers: ['foreign'] }, spec: {} });
    api.put(CLAIMS, { metadata: { name: 'shared', namespace: 'team-a' }, status: { allocation: other, reservedFor: [neighbour] } });
    const order = orderFor(addPod(api, 'a', pod), { details });
    const user = { resource: 'pods', name: 'a', uid: order.pod.metadata.uid };
    const b = binder();
    api.fault = ({ path }) => (path.endsWith('/binding') ? 403 : 'none');
    expect(await clock.run(b.bind(order))).toMatchObject({
      kind: 'failed',
      message: 'failed to bind pod <team-a/a> to node <node-1>: injected',
    });
    expect(api.get(`${CLAIMS}/a-own-x`)!.status).toEqual({});
    expect(api.get(`${CLAIMS}/a-own-x`)!.metadata.finalizers).toEqual(['foreign']);
    expect(api.get(`${CLAIMS}/shared`)!.status).toEqual({ allocation: other, reservedFor: [neighbour] });
    api.fault = () => 'none';
    expect(await clock.run(b.bind(order))).toEqual({ kind: 'bound' });
    expect(api.get(`${CLAIMS}/a-own-x`)!.status).toEqual({ allocation, reservedFor: [user] });
    expect(api.get(`${CLAIMS}/shared`)!.status).toEqual({ allocation: other, reservedFor: [neighbour, user] });
    // The claim controller takes the devices back only where the finalizer says that the scheduler gave them.
    expect(api.get(`${CLAIMS}/a-own-x`)!.metadata.finalizers).toEqual(['foreign', 'resource.kubernetes.io/delete-protection']);
    expect(api.get(`${CLAIMS}/shared`)!.metadata.finalizers).toBeUndefined();
  });

  it('are never allocated without the finalizer, also when it is taken off in between', async () => {
    const { api, clock, binder } = smallCluster();
    const path = `${CLAIMS}/shared`;
    api.put(CLAIMS, { metadata: { name: 'shared', namespace: 'team-a' }, spec: {} });
    let taken = 0;
    api.fault = (request) => {
      // Another attempt rolls back between the two writes.
      if (request.path === `${path}/status` && request.method === 'PATCH' && taken++ === 0)
        api.merge(path, { metadata: { finalizers: [] } });
      return 'none';
    };
    const one = { ...pod.spec, resourceClaims: [{ name: 'shared', resourceClaimName: 'shared' }] };
    const order = orderFor(addPod(api, 'a', { spec: one }), { details: { resourceClaimAllocations: [{ name: 'shared', allocation }] } });
    expect(await clock.run(binder().bind(order))).toEqual({ kind: 'bound' });
    expect(taken).toBe(2);
    expect(api.get(path)).toMatchObject({
      metadata: { finalizers: ['resource.kubernetes.io/delete-protection'] },
      status: { allocation },
    });
  });

  it('behind extended resources are made, named in the status with container names, and removed on failure', async () => {
    const { api, clock, binder } = smallCluster();
    const deviceRequests = [
      { name: 'container-1-request-0', exactly: { deviceClassName: 'gpu.nvidia.com', allocationMode: 'ExactCount', count: 1 } },
    ];
    const containerMappings = [
      { containerIndex: 0, resourceName: 'nvidia.com/gpu', requestName: 'container-1-request-0' },
      { containerIndex: 1, resourceName: 'nvidia.com/gpu', requestName: 'container-1-request-0' },
    ];
    const order = orderFor(addPod(api, 'a', { spec: { initContainers: [{ name: 'prep' }], containers: [{ name: 'main' }] } }), {
      details: { extendedResourceClaimAllocation: { allocation, deviceRequests, containerMappings } },
    });
    const b = binder();
    // A claim of the real server keeps its finalizer until somebody takes it off.
    api.fault = ({ path }) => (path.endsWith('/binding') ? 403 : 'none');
    expect(await clock.run(b.bind(order))).toMatchObject({ kind: 'failed' });
    expect(api.list(CLAIMS)).toEqual([]);
    expect(api.get(`${PODS}/a`)!.status).toEqual({ phase: 'Pending' });
    let lost = 0;
    api.fault = ({ path, method }) => (path === CLAIMS && method === 'POST' && lost++ === 0 ? 'lostAfter' : 'none');
    expect(await clock.run(b.bind(order))).toEqual({ kind: 'bound' });
    const claims = api.list(CLAIMS);
    expect(claims).toHaveLength(1);
    expect(claims[0]).toMatchObject({
      metadata: {
        annotations: { 'resource.kubernetes.io/extended-resource-claim': 'true' },
        finalizers: ['resource.kubernetes.io/delete-protection'],
        ownerReferences: [{ kind: 'Pod', name: 'a', uid: order.pod.metadata.uid, controller: true, blockOwnerDeletion: true }],
      },
      spec: { devices: { requests: deviceRequests } },
      status: { allocation, reservedFor: [{ resource: 'pods', name: 'a', uid: order.pod.metadata.uid }] },
    });
    expect(api.get(`${PODS}/a`)!.status).toMatchObject({
      extendedResourceClaimStatus: {
        resourceClaimName: claims[0]!.metadata.name,
        requestMappings: [
          { containerName: 'prep', resourceName: 'nvidia.com/gpu', requestName: 'container-1-request-0' },
          { containerName: 'main', resourceName: 'nvidia.com/gpu', requestName: 'container-1-request-0' },
        ],
      },
    });
  });

  it('of extended resources that the status still names: the pod is not bound where it would wait for one for ever', async () => {
    const { api, clock, binder } = smallCluster();
    const status = { phase: 'Pending', extendedResourceClaimStatus: { resourceClaimName: 'gone' } };
    const pod = addPod(api, 'a', { status });
    const message = expect.stringContaining('names resource claim gone of an earlier attempt');
    expect(await clock.run(binder().bind(orderFor(pod)))).toEqual({ kind: 'failed', message });
    expect(api.get(`${PODS}/a`)!.spec).not.toHaveProperty('nodeName');
    const details = { extendedResourceClaimAllocation: { allocation, deviceRequests: [], containerMappings: [] } };
    expect(await clock.run(binder().bind(orderFor(pod, { details })))).toEqual({ kind: 'bound' });
  });
});
