import { describe, expect, it } from 'vitest';
import { ReceivedType } from '../../src/base/codes.ts';
import { BindRequests } from '../../src/binder/bindRequests.ts';
import { WriteQueue } from '../../src/kubernetes/writeQueue.ts';
import { addPod, orderFor, smallCluster } from './cluster.ts';
import type { FakeApi } from './fakeApi.ts';

const FOLDER = '/apis/scheduling.run.ai/v1alpha2/namespaces/team-a/bindrequests';

function setUp() {
  const { api, clock } = smallCluster();
  const requests = new BindRequests({
    connection: api,
    writes: new WriteQueue({ connection: api, clock }),
    clock,
    nodePoolLabelKey: 'kai.scheduler/node-pool',
  });
  return { api, clock, requests };
}

function putRequest(api: FakeApi, uid: string, status: object, node = 'node-1'): string {
  const metadata = { name: 'a', namespace: 'team-a', ownerReferences: [{ kind: 'Pod', name: 'a', uid }] };
  return api.put(FOLDER, { metadata, spec: { podName: 'a', selectedNode: node }, status }).metadata.uid;
}

describe('bind requests for another binder', () => {
  it('have the form of spec 03 section 10', async () => {
    const { api, clock, requests } = setUp();
    const order = orderFor(addPod(api, 'a'), { node: 'gpu-7', gpuGroups: ['8c1f'], nodePool: 'pool-a' });
    expect(await clock.run(requests.bind(order))).toEqual({ kind: 'requested' });
    const { metadata, spec } = api.get(`${FOLDER}/a`)!;
    expect(spec).toEqual({
      podName: 'a',
      selectedNode: 'gpu-7',
      selectedGPUGroups: ['8c1f'],
      receivedResourceType: 'Fraction',
      receivedGPU: { count: 1, portion: '0.50' },
    });
    expect(metadata.labels).toEqual({ 'selected-node': 'gpu-7', 'kai.scheduler/node-pool': 'pool-a' });
    expect(metadata.ownerReferences).toEqual([{ apiVersion: 'v1', kind: 'Pod', name: 'a', uid: order.pod.metadata.uid }]);
  });

  it('name containers, and are plain for CPU-only pods', async () => {
    const { api, clock, requests } = setUp();
    const containerMappings = [{ containerIndex: 0, resourceName: 'nvidia.com/gpu', requestName: 'r' }];
    const details = { extendedResourceClaimAllocation: { allocation: {}, deviceRequests: [], containerMappings } };
    await clock.run(requests.bind(orderFor(addPod(api, 'a'), { receivedType: ReceivedType.regular, gpuPortion: '0.00', details })));
    expect(api.get(`${FOLDER}/a`)!.spec).toEqual({
      podName: 'a',
      selectedNode: 'node-1',
      receivedResourceType: 'Regular',
      receivedGPU: { portion: '0.00' },
      extendedResourceClaimAllocation: {
        allocation: {},
        deviceRequests: [],
        containerMappings: [{ containerName: 'main', resourceName: 'nvidia.com/gpu', requestName: 'r' }],
      },
    });
  });

  it('replace one that is over or of another pod, and keep one that is under way', async () => {
    const { api, clock, requests } = setUp();
    const order = orderFor(addPod(api, 'a'));
    const uid = order.pod.metadata.uid!;
    for (const [owner, status, isKept] of [
      [uid, {}, true],
      [uid, { phase: 'Failed' }, false],
      ['another', {}, false],
    ] as const) {
      const before = putRequest(api, owner, status);
      expect(await clock.run(requests.bind(order))).toEqual({ kind: 'requested' });
      expect(api.get(`${FOLDER}/a`)!.metadata.uid === before).toBe(isKept);
    }
  });

  it('are removed when stale, but not when written since the snapshot', async () => {
    const { api, clock, requests } = setUp();
    const order = orderFor(addPod(api, 'a'));
    putRequest(api, order.pod.metadata.uid!, { phase: 'Failed' });
    await clock.run(Promise.all([requests.bind(order), requests.removeStale(['team-a/a', 'team-a/none'])]));
    expect(api.get(`${FOLDER}/a`)).toBeDefined();
    await clock.run(clock.sleep(61_000));
    await clock.run(requests.removeStale(['team-a/a']));
    expect(api.get(`${FOLDER}/a`)).toBeUndefined();
  });

  it('that cannot be written are a failure with the reason of the server', async () => {
    const { api, clock, requests } = setUp();
    api.fault = ({ method }) => (method === 'POST' ? 403 : 'none');
    expect(await clock.run(requests.bind(orderFor(addPod(api, 'a'))))).toEqual({ kind: 'failed', message: 'injected' });
  });
});
