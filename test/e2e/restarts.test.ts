// The scheduler is killed, replaced and handed over, also in the middle of a gang; shards; what another binder left under way.
import { expect, test } from 'vitest';
import { ApiError, type KubeObject } from './support/apiClient.ts';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { KAI_NAMESPACE } from './support/install.ts';
import { nodeObject, podObject, queueObject } from './support/objects.ts';
import type { SchedulerProcess } from './support/schedulerProcess.ts';

const POOL = 'kai.scheduler/node-pool';
const ELECTED = ['--leader-elect'];
const PLUGINS = ['predicates', 'proportion', 'priority', 'nodeavailability', 'snapshot', 'reflectjoborder'];
/** Record that ends an archive. */
const END_OF_ZIP = Buffer.from([0x50, 0x4b, 0x05, 0x06]);

/** Bindings take this long: time to die in the middle of a gang. */
function slowBindings(bed: Bed): void {
  bed.proxy.inject({ action: { kind: 'delay', delayMs: 1_500 }, method: 'POST', path: /-[1-9][0-9]*\/binding$/ });
}

/** Only some pods of a gang can be bound until the faults are cleared. */
function blockMostBindings(bed: Bed): void {
  bed.proxy.inject({ action: { kind: 'status', status: 503 }, method: 'POST', path: /-\d*[2-9]\/binding$/ });
}

/** Started as the only one, so that it leads. */
async function startLeader(bed: Bed, name: string): Promise<SchedulerProcess> {
  const before = await holder(bed);
  const leader = await bed.startScheduler(name, { args: ELECTED });
  await bed.until('the lease to be taken', async () => !['', before].includes(await holder(bed)));
  return leader;
}

async function holder(bed: Bed, name = 'kai-scheduler'): Promise<string> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${KAI_NAMESPACE}/leases/${name}`;
  const lease = await bed.client.find<KubeObject & { readonly spec: { readonly holderIdentity?: string } }>(path);
  return lease?.spec.holderIdentity ?? '';
}

function bindRequest(pod: KubeObject, node: string, more: object = {}): object {
  const { name, uid } = pod.metadata;
  return {
    apiVersion: 'scheduling.run.ai/v1alpha2',
    kind: 'BindRequest',
    metadata: { name, namespace: TEAM, labels: { 'selected-node': node }, ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }] },
    spec: { podName: name, selectedNode: node, receivedResourceType: 'Regular', receivedGPU: { count: 1, portion: '1.00' }, ...more },
  };
}

const requestPath = (name: string): string => `/apis/scheduling.run.ai/v1alpha2/namespaces/${TEAM}/bindrequests/${name}`;

onCluster('restarts', { args: null, isProxied: true }, (bed) => {
  const noScheduler = async (...names: readonly string[]): Promise<void> => {
    bed().proxy.clear();
    for (const name of names) await bed().endScheduler(name, 'SIGTERM');
  };

  test('killed in the middle of a gang, a new process completes it', async () => {
    await bed().createCluster(2);
    await bed().startScheduler('first');
    blockMostBindings(bed());
    const keys = await bed().createGang('gang', 16, { gpus: 1 });
    await bed().untilBound([keys[0]!]);
    await bed().endScheduler('first', 'SIGKILL');
    bed().proxy.clear();
    await bed().startScheduler('second');
    await bed().untilRunning(keys);
    expect(bed().audit.partialGangs()).toEqual([]);
    await noScheduler('second');
  });

  test('stopped in the middle of a gang, it completes what it decided and ends with exit code 0', async () => {
    await bed().createCluster(2);
    await bed().startScheduler('first');
    slowBindings(bed());
    const keys = await bed().createGang('gang', 16, { gpus: 1 });
    await bed().untilBound([keys[0]!]);
    await noScheduler('first');
    await bed().untilBound(keys);
    await bed().untilRunning(keys);
  });

  test('a standby takes over from a leader that is killed in the middle of a gang', async () => {
    await bed().createCluster(8);
    await startLeader(bed(), 'leader');
    const first = await holder(bed());
    await bed().startScheduler('standby', { args: ELECTED });
    expect(await holder(bed())).toBe(first);
    blockMostBindings(bed());
    const keys = await bed().createGang('gang', 64, { gpus: 1 });
    await bed().untilBound([keys[0]!]);
    await bed().endScheduler('leader', 'SIGKILL');
    bed().proxy.clear();
    await bed().untilRunning(keys);
    expect(await holder(bed())).not.toBe(first);
    expect(bed().audit.partialGangs()).toEqual([]);
    await noScheduler('standby');
  });

  test('a leader that stops hands over at once; only the leader answers for snapshots (OP-24)', async () => {
    await bed().createCluster(1);
    const leader = await startLeader(bed(), 'leader');
    const standby = await bed().startScheduler('standby', { args: ELECTED });
    const snapshot = async (url: string): Promise<number> => (await fetch(`${url}/get-snapshot`)).status;
    const first = await holder(bed());
    await bed().endScheduler('leader', 'SIGTERM');
    await bed().until('the lease to change hands', async () => !['', first].includes(await holder(bed())), 10_000);
    await bed().untilRunning(await bed().createGang('after', 8, { gpus: 1 }));
    await expect(snapshot(leader.pluginUrl)).rejects.toThrow();
    expect(await snapshot(standby.pluginUrl)).toBe(200);
    await noScheduler('standby');
  });

  test('after a crash of the leader snapshots and job order come from the new one, whole (OP-24)', async () => {
    await bed().createCluster(1);
    const args = [...ELECTED, `--scheduler-conf=${bed().writeConfig({ tiers: [{ plugins: PLUGINS.map((name) => ({ name })) }] })}`];
    const leader = await bed().startScheduler('leader', { args });
    await bed().until('the lease', async () => (await holder(bed())) !== '');
    const standby = await bed().startScheduler('standby', { args });
    const waiting = await bed().createGang('waiting', 9, { gpus: 1 });
    await bed().untilUnschedulable(waiting);
    /** Status, and for a snapshot whether the archive has its end. */
    const ask = async (url: string, path: string): Promise<string> => {
      const response = await fetch(`${url}/${path}`);
      const body = Buffer.from(await response.arrayBuffer());
      return path === 'get-snapshot' && response.status === 200 && !body.includes(END_OF_ZIP) ? 'half a file' : String(response.status);
    };
    const askOften = async (url: string, path: string): Promise<Set<string>> =>
      new Set(await Promise.all(Array.from({ length: 20 }, () => ask(url, path))));
    for (const path of ['get-snapshot', 'get-job-order']) {
      expect(await askOften(leader.pluginUrl, path)).toEqual(new Set(['200']));
      expect(await askOften(standby.pluginUrl, path)).not.toContain('200');
    }
    await bed().endScheduler('leader', 'SIGKILL');
    for (const path of ['get-snapshot', 'get-job-order']) {
      await bed().until(`${path} of the new leader`, async () => (await ask(standby.pluginUrl, path)) === '200');
      expect(await askOften(standby.pluginUrl, path)).toEqual(new Set(['200']));
    }
    await noScheduler('standby');
  });

  test('a leader that is cut off from the API server stops deciding and ends; the standby goes on', async () => {
    await bed().createCluster(1);
    await startLeader(bed(), 'cut-off');
    const first = await holder(bed());
    // Only the lease is out of reach: everything else would still work.
    const fault = bed().proxy.inject({ action: { kind: 'status', status: 500 }, method: 'PUT', path: /leases/ });
    const patch = bed().proxy.inject({ action: { kind: 'status', status: 500 }, method: 'PATCH', path: /leases/ });
    expect(await bed().untilEnded('cut-off')).toBe(1);
    expect(fault.hits + patch.hits).toBeGreaterThan(0);
    bed().proxy.clear();
    await startLeader(bed(), 'next');
    await bed().untilRunning(await bed().createGang('after', 8, { gpus: 1 }));
    expect(await holder(bed())).not.toBe(first);
    await noScheduler('next');
  });

  test('shards: each scheduler has its own nodes, queues and pod groups; a node that changes its pool changes hands', async () => {
    const blue = { [POOL]: 'blue' };
    await bed().create(nodeObject('b1', { gpus: 2, labels: blue }), nodeObject('d1', { gpus: 2 }), nodeObject('d2', { gpus: 2 }));
    await bed().create(queueObject('blue-q', { labels: blue }), queueObject('examples'));
    await bed().startScheduler('default');
    await bed().startScheduler('blue', { args: ['--partition-label-value=blue'] });
    const inBlue = await bed().createGang('in-blue', 2, { queue: 'blue-q', gpus: 1, groupLabels: blue, labels: blue });
    const inDefault = await bed().createGang('in-default', 4, { gpus: 1 });
    await bed().untilRunning([...inBlue, ...inDefault]);
    expect(new Set(inBlue.map((key) => bed().nodeOf(key)))).toEqual(new Set(['b1']));
    expect(new Set(inDefault.map((key) => bed().nodeOf(key)))).toEqual(new Set(['d1', 'd2']));
    await bed().untilEvent('in-blue-0', 'Scheduled', /at node-pool blue/);
    const more = await bed().createGang('more', 2, { queue: 'blue-q', gpus: 1, groupLabels: blue, labels: blue });
    await bed().untilUnschedulable(more);
    for (const key of inDefault) if (bed().nodeOf(key) === 'd2') await bed().delete(key);
    await bed().client.patch('/api/v1/nodes/d2', { metadata: { labels: blue } });
    await bed().untilRunning(more);
    expect(new Set(more.map((key) => bed().nodeOf(key)))).toEqual(new Set(['d2']));
    // The one that ends does not trouble the other.
    await bed().endScheduler('blue', 'SIGKILL');
    const waiting = await bed().createGang('waiting', 1, { queue: 'blue-q', groupLabels: blue, labels: blue });
    const other = await bed().createGang('other', 1);
    await bed().untilRunning(other);
    expect(bed().boundOf(waiting)).toEqual([]);
    await noScheduler('default');
  });

  test('bind requests that an upstream binder still works on are honoured, stale ones removed', async () => {
    await bed().createCluster(2, { gpus: 2 });
    const underWay = await bed().createGang('under-way', 2, { gpus: 1 });
    const [failed] = await bed().createGang('failed', 1, { gpus: 1 });
    const [homeless] = await bed().createGang('homeless', 1, { gpus: 1 });
    await bed().until('the pods to be seen', () => bed().audit.pods.has(homeless!));
    const podOf = (key: string): KubeObject => bed().audit.pods.get(key)!;
    await bed().create(...underWay.map((key) => bindRequest(podOf(key), 'n1')), bindRequest(podOf(failed!), 'n2'));
    await bed().client.patch(`${requestPath('failed-0')}/status`, { status: { phase: 'Failed', reason: 'no' } });
    await bed().create(bindRequest(podOf(homeless!), 'gone'));
    const from = bed().requestCount();
    await bed().startScheduler('ours');
    // Both of the others get a place beside what is under way.
    await bed().untilRunning([failed!, homeless!]);
    expect([failed!, homeless!].map((key) => bed().nodeOf(key))).toEqual(['n2', 'n2']);
    for (const name of ['failed-0', 'homeless-0']) {
      await bed().until(`${name} to be removed`, async () => (await bed().client.find(requestPath(name))) === undefined);
    }
    expect(bed().writesSince(from)['create pods/binding']).toBe(2);
    await bed().untilUnschedulable(await bed().createGang('late', 1, { gpus: 1 }));
    expect(bed().boundOf(underWay)).toEqual([]);
    // The upstream binder does its work.
    for (const key of underWay) {
      const { name } = podOf(key).metadata;
      const target = { kind: 'Node', name: 'n1' };
      await bed().client.create(`/api/v1/namespaces/${TEAM}/pods/${name}/binding`, { metadata: { name }, target });
      await bed().client.patch(`${requestPath(name)}/status`, { status: { phase: 'Succeeded' } });
    }
    await bed().untilRunning(underWay);
    await noScheduler('ours');
  });

  test('a pod that is recreated under its name is another pod to a bind request', async () => {
    await bed().createCluster(1, { gpus: 1 });
    const [key] = await bed().createGang('again', 1, { gpus: 1 });
    await bed().create(bindRequest(await bed().client.get(`/api/v1/namespaces/${TEAM}/pods/again-0`), 'n1'));
    await bed().delete(key!, { gracePeriodSeconds: 0 });
    await bed().untilGone([key!]);
    await bed().create(podObject(TEAM, 'again-0', { group: 'again', gpus: 1 }));
    await bed().startScheduler('ours');
    await bed().untilRunning([key!]);
    await noScheduler('ours');
  });

  test('without its token the process ends and says why; a rotated token is read', async () => {
    await bed().createCluster(1);
    const account = `/api/v1/namespaces/${KAI_NAMESPACE}/serviceaccounts/kai-scheduler/token`;
    const fresh = async (): Promise<string> => {
      const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
      return (await bed().client.create<{ readonly status: { readonly token: string } }>(account, request)).status.token;
    };
    const ours = await bed().startScheduler('ours', { token: await fresh() });
    await bed().untilRunning(await bed().createGang('before', 1));
    ours.rotateToken(await fresh());
    // From now on the server does not know the old token any more.
    const fault = bed().proxy.inject({ action: { kind: 'status', status: 401 }, times: 1, isWatch: false });
    await bed().untilRunning(await bed().createGang('after', 4));
    expect(fault.hits).toBe(1);
    expect(ours.program.isRunning).toBe(true);
    bed().proxy.inject({ action: { kind: 'status', status: 401 } });
    await bed().createGang('last', 1);
    expect(await bed().untilEnded('ours')).toBe(1);
    expect(ours.program.log()).toContain('API server returned 401 Unauthorized, exiting to trigger pod restart');
    bed().proxy.clear();
  });

  test('a process that lacks a permission says which and does not start', async () => {
    const name = 'powerless';
    await bed()
      .create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: KAI_NAMESPACE } })
      .catch((error: unknown) => {
        if (!(error instanceof ApiError && error.status === 409)) throw error;
      });
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
    const path = `/api/v1/namespaces/${KAI_NAMESPACE}/serviceaccounts/${name}/token`;
    const { status } = await bed().client.create<{ readonly status: { readonly token: string } }>(path, request);
    const started = await bed().startScheduler(name, { token: status.token, isAwaited: false });
    const ended = bed().untilEnded(name);
    expect(await ended).toBe(1);
    expect(started.program.log()).toMatch(/list.*pods|pods.*list/);
  });
});
