// The test bed itself: a real control plane comes up, validates our resource definitions, runs pods through the test kubelet, and the
// fault proxy fails as told. Skipped where there is neither Go nor KUBEBUILDER_ASSETS.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { missingControlPlane } from '../../control-plane/build.ts';
import { type ControlPlane, startControlPlane } from '../../control-plane/controlPlane.ts';
import { countCode, subtractCounts, writesByKind } from '../../control-plane/serverMetrics.ts';
import { ApiClient, ApiError, type KubeObject } from './apiClient.ts';
import { AuditWatch } from './auditWatch.ts';
import { startFaultProxy } from './faultProxy.ts';
import { adminClient, createNamespace, createObject, createObjects, install, waitFor } from './install.ts';
import { nodeObject, podGroupObject, podObject } from './objects.ts';
import { TestKubelet } from './testKubelet.ts';
import { Watcher } from './watcher.ts';

const NAMESPACE = 'smoke';
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;

const missing = missingControlPlane();
if (missing !== null) console.warn(`test bed of the control plane: ${missing}`);

describe.skipIf(missing !== null)('real control plane', () => {
  let plane: ControlPlane;
  let client: ApiClient;

  beforeAll(async () => {
    plane = await startControlPlane();
    ({ client } = await install(plane));
    await createNamespace(client, NAMESPACE);
    await createObjects(client, [nodeObject('n1', { gpus: 2, cpu: '4' }), nodeObject('n2', { gpus: 2, cpu: '4' })]);
  });

  afterAll(async () => {
    await client?.close();
    await plane?.stop();
  });

  const bind = (name: string, node: string): Promise<KubeObject> =>
    client.create(`${PODS}/${name}/binding`, {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name },
      target: { kind: 'Node', name: node },
    });

  /** Status of the refusal, or "accepted". */
  const outcome = (call: Promise<unknown>): Promise<number | 'accepted'> =>
    call.then(
      () => 'accepted' as const,
      (error: unknown) => {
        if (error instanceof ApiError) return error.status;
        throw error;
      },
    );

  test('the kubelet runs bound pods, refuses what does not fit, and lets them go after their grace', async () => {
    const audit = new AuditWatch(adminClient(plane));
    const kubelet = new TestKubelet({ client });
    await audit.start();
    await kubelet.start();
    const before = await plane.metrics();
    await createObjects(client, [
      podObject(NAMESPACE, 'whole', { gpus: 2, gracePeriodSeconds: 1, group: 'gang' }),
      podObject(NAMESPACE, 'extra', { gpus: 1 }),
    ]);
    await createObject(client, podGroupObject(NAMESPACE, 'gang', 'examples', { minMember: 2 }));
    await bind('whole', 'n1');
    await waitFor('the pod to run', () => audit.recordOf('smoke/whole')?.runningMs !== undefined);
    const record = audit.recordOf('smoke/whole')!;
    expect(record).toMatchObject({ node: 'n1', group: 'gang' });
    expect(record.boundMs!).toBeGreaterThan(record.firstSeenMs);
    expect(kubelet.devicesOf(record.uid)).toEqual(['GPU-n1-0', 'GPU-n1-1']);
    await waitFor('the group to be seen', () => audit.podGroups.has('smoke/gang'));
    expect(audit.partialGangs()).toEqual(['smoke/gang']);
    expect(audit.violations).toEqual([]);
    // The node is full: the kubelet refuses, and the witness saw it too.
    await bind('extra', 'n1');
    await waitFor('the refusal', () => audit.recordOf('smoke/extra')?.endedMs !== undefined);
    expect(kubelet.rejections).toEqual([{ pod: 'smoke/extra', node: 'n1', resource: 'nvidia.com/gpu' }]);
    expect(audit.violations.map(({ rule }) => rule)).toEqual(['node-overcommit']);
    await client.delete(`${PODS}/whole`);
    await waitFor('the pod to go', () => audit.recordOf('smoke/whole')?.goneMs !== undefined);
    expect(record.goneMs! - record.deletionMs!).toBeGreaterThan(950);
    expect(await client.find(`${PODS}/whole`)).toBeUndefined();
    expect(kubelet.writes).toMatchObject({ statusPatches: 2, deletes: 1 });
    const writes = writesByKind(subtractCounts(await plane.metrics(), before));
    expect(writes).toMatchObject({ 'POST pods': 2, 'POST pods/binding': 2, 'PATCH pods/status': 2, 'DELETE pods': 2 });
    await kubelet.stop();
    await audit.stop();
  });

  test('a reservation pod reports a device of its own', async () => {
    const kubelet = new TestKubelet({ client });
    await kubelet.start();
    const reservation = (name: string): object =>
      podObject('kai-resource-reservation', name, { gpus: 1, spec: { nodeName: 'n2', serviceAccountName: 'kai-resource-reservation' } });
    await createObjects(client, [reservation('r1'), reservation('r2')]);
    const devices = new Set<string | undefined>();
    for (const name of ['r1', 'r2']) {
      const path = `/api/v1/namespaces/kai-resource-reservation/pods/${name}`;
      const device = async (): Promise<string | undefined> =>
        (await client.get(path)).metadata.annotations?.['run.ai/reserve_for_gpu_index'];
      await waitFor('the device id', async () => (await device()) !== undefined);
      devices.add(await device());
      await client.delete(path, { gracePeriodSeconds: 0 });
    }
    expect([...devices].sort()).toEqual(['GPU-n2-0', 'GPU-n2-1']);
    await kubelet.stop();
  });

  describe('fault proxy', () => {
    test.each([401, 409, 410, 429, 500])('answers %i without asking the server', async (status) => {
      const proxy = await startFaultProxy(plane);
      const through = new ApiClient({ url: proxy.url, ca: plane.ca, token: plane.adminToken });
      const fault = proxy.inject({
        action: { kind: 'status', status, retryAfterSeconds: status === 429 ? 2 : undefined },
        method: 'GET',
        path: /nodes\/n1$/,
        times: 1,
      });
      const before = countCode(await plane.metrics(), String(status));
      expect(await outcome(through.get('/api/v1/nodes/n2'))).toBe('accepted');
      const error: unknown = await through.get('/api/v1/nodes/n1').catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ status, retryAfterMs: status === 429 ? 2000 : undefined });
      expect(await outcome(through.get('/api/v1/nodes/n1'))).toBe('accepted');
      expect(fault.hits).toBe(1);
      expect(proxy.records.map((record) => [record.status, record.fault])).toEqual([
        [200, null],
        [status, 'status'],
        [200, null],
      ]);
      expect(countCode(await plane.metrics(), String(status))).toBe(before);
      await through.close();
      await proxy.close();
    });

    test.each([true, false])('delays, loses answers, resets, freezes (HTTP/2: %s)', async (isHttp2) => {
      const proxy = await startFaultProxy(plane);
      const through = new ApiClient({ url: proxy.url, ca: plane.ca, token: plane.adminToken, isHttp2 });
      const timed = async (call: () => Promise<unknown>): Promise<number> => {
        const startedMs = performance.now();
        await call();
        return performance.now() - startedMs;
      };
      proxy.inject({ action: { kind: 'delay', delayMs: 300 }, method: 'GET', times: 1 });
      expect(await timed(() => through.get('/api/v1/nodes/n1'))).toBeGreaterThanOrEqual(300);
      const name = `lost-${isHttp2}`;
      const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: NAMESPACE } };
      const path = `/api/v1/namespaces/${NAMESPACE}/configmaps`;
      proxy.inject({ action: { kind: 'lose-answer' }, method: 'POST', times: 1 });
      await expect(through.create(path, map)).rejects.not.toBeInstanceOf(ApiError);
      expect(await client.find(`${path}/${name}`)).toBeDefined();
      proxy.inject({ action: { kind: 'reset' }, method: 'DELETE', times: 1 });
      await expect(through.delete(`${path}/${name}`)).rejects.not.toBeInstanceOf(ApiError);
      expect(await client.find(`${path}/${name}`)).toBeDefined();
      proxy.freeze();
      const answer = through.get('/api/v1/nodes/n1');
      expect(await Promise.race([answer.then(() => 'answered'), sleep(300, 'silent')])).toBe('silent');
      proxy.thaw();
      expect((await answer).metadata.name).toBe('n1');
      proxy.inject({ action: { kind: 'status', status: 500 }, probability: 0.3 });
      const results = await Promise.all(Array.from({ length: 60 }, () => outcome(through.get('/api/v1/nodes/n1'))));
      const failed = results.filter((text) => text === 500).length;
      expect(failed).toBeGreaterThan(5);
      expect(failed).toBeLessThan(40);
      await through.close();
      await proxy.close();
    });

    test('cuts, expires and garbles watches; the watcher goes on without loss', async () => {
      const proxy = await startFaultProxy(plane);
      const through = new ApiClient({ url: proxy.url, ca: plane.ca, token: plane.adminToken });
      const path = `/api/v1/namespaces/${NAMESPACE}/configmaps`;
      const seen: string[] = [];
      const watcher = new Watcher({ client: through, path }, ({ type, object }) => seen.push(`${type} ${object.metadata.name}`));
      await watcher.start();
      const create = (name: string): Promise<KubeObject> =>
        client.create(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });
      const isSeen = (text: string): Promise<void> => waitFor(text, () => seen.includes(text));
      const isOpen = (): Promise<void> => waitFor('the watch', () => proxy.watchPaths().length === 1);
      await isOpen();
      await create('m1');
      await isSeen('ADDED m1');
      expect(proxy.cutWatches(/configmaps/)).toBe(1);
      await create('m2');
      await isSeen('ADDED m2');
      expect(watcher.relists).toBe(0);
      await isOpen();
      // History lost while one object goes and another one takes its name.
      proxy.inject({ action: { kind: 'status', status: 500 }, isWatch: true, times: 5 });
      proxy.inject({ action: { kind: 'status', status: 410 }, isWatch: true, times: 1 });
      proxy.cutWatches();
      await client.delete(`${path}/m1`);
      await client.delete(`${path}/m2`);
      await create('m2');
      await isSeen('DELETED m1');
      expect(seen.slice(seen.indexOf('ADDED m2') + 1).sort()).toEqual(['ADDED m2', 'DELETED m1', 'DELETED m2'].sort());
      expect(watcher.relists).toBe(1);
      await isOpen();
      expect(proxy.expireWatches()).toBe(1);
      await waitFor('the relist', () => watcher.relists === 2);
      await isOpen();
      expect(proxy.garbleWatches()).toBe(1);
      await isOpen();
      await create('m3');
      await isSeen('ADDED m3');
      await watcher.stop();
      await through.close();
      await proxy.close();
    });
  });

  test('the API server survives a crash, a freeze and lost history', async () => {
    const seen: string[] = [];
    const path = `/api/v1/namespaces/${NAMESPACE}/configmaps`;
    const watcher = new Watcher({ client, path }, ({ type, object }) => seen.push(`${type} ${object.metadata.name}`));
    await watcher.start();
    const create = (name: string): Promise<unknown> =>
      client.retry(() => client.create(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }));
    const isSeen = (text: string): Promise<void> => waitFor(text, () => seen.includes(text));
    await plane.killApiServer();
    await expect(client.get('/version')).rejects.toThrow();
    await plane.startApiServer();
    await create('after-crash');
    await isSeen('ADDED after-crash');
    plane.freeze('kube-apiserver');
    const frozen = create('while-frozen');
    expect(await Promise.race([frozen.then(() => 'answered'), sleep(300, 'silent')])).toBe('silent');
    plane.thaw('kube-apiserver');
    await frozen;
    await isSeen('ADDED while-frozen');
    await plane.compact();
    await plane.restartApiServer('SIGKILL');
    await create('after-compaction');
    await isSeen('ADDED after-compaction');
    // Nothing lost, nothing told twice.
    const added = seen.filter((text) => text.startsWith('ADDED'));
    expect(new Set(added).size).toBe(added.length);
    await watcher.stop();
  });
});
