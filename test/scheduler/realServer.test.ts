// The role as a process of its own against a real API server, under the roles that the chart carries. Skipped where there is neither
// Go nor KUBEBUILDER_ASSETS.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { missingControlPlane } from '../control-plane/build.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/controlPlane.ts';
import { countCode, subtractCounts, writesByKind } from '../control-plane/serverMetrics.ts';
import type { ApiClient } from '../e2e/support/apiClient.ts';
import { AuditWatch } from '../e2e/support/auditWatch.ts';
import { adminClient, createNamespace, createObjects, install, waitFor } from '../e2e/support/install.ts';
import { nodeObject, podGroupObject, podObject, queueObject } from '../e2e/support/objects.ts';
import { type SchedulerProcess, startScheduler } from '../e2e/support/schedulerProcess.ts';
import { TestKubelet } from '../e2e/support/testKubelet.ts';

const missing = missingControlPlane();
if (missing !== null) console.warn(`scheduler on a real API server: ${missing}`);

describe.skipIf(missing !== null)('kai scheduler on a real API server', () => {
  let plane: ControlPlane;
  let client: ApiClient;
  let kubelet: TestKubelet;
  let audit: AuditWatch;
  let scheduler: SchedulerProcess;

  beforeAll(async () => {
    plane = await startControlPlane();
    const installation = await install(plane);
    client = installation.client;
    await createNamespace(client, 'ns');
    await createObjects(
      client,
      Array.from({ length: 20 }, (_, i) => nodeObject(`n${i}`, { gpus: 8 })),
    );
    const quota = { gpu: { quota: 80 } };
    await createObjects(client, [
      queueObject('top'),
      queueObject('q1', { parent: 'top', ...quota }),
      queueObject('q2', { parent: 'top', ...quota }),
    ]);
    kubelet = new TestKubelet({ client });
    audit = new AuditWatch(adminClient(plane));
    await kubelet.start();
    await audit.start();
    scheduler = await startScheduler({ plane, token: installation.schedulerToken, args: ['--leader-elect'] });
    await scheduler.ready();
  });

  afterAll(async () => {
    await scheduler?.kill();
    await Promise.all([kubelet?.stop(), audit?.stop(), client?.close()]);
    await plane?.stop();
  });

  const records = (prefix: string) => audit.records.filter(({ key }) => key.startsWith(`ns/${prefix}`));
  const bound = (prefix: string, count: number): Promise<void> =>
    waitFor(`${count} pods ${prefix}… to be bound`, () => records(prefix).filter(({ boundMs }) => boundMs !== undefined).length === count);

  /** Writes of everybody but the creations of the test and what the kubelet did, by kind, until the server has been at rest for two seconds. */
  async function writesOf(work: () => Promise<void>): Promise<Record<string, number>> {
    const before = await plane.metrics();
    const kubeletBefore = kubelet.writes;
    await work();
    let kinds: Record<string, number> = {};
    for (let last = ''; last !== JSON.stringify(kinds); ) {
      last = JSON.stringify(kinds);
      await sleep(2_000);
      kinds = writesByKind(subtractCounts(await plane.metrics(), before));
      delete kinds['PUT leases'];
    }
    kinds['PATCH pods/status'] = (kinds['PATCH pods/status'] ?? 0) - (kubelet.writes.statusPatches - kubeletBefore.statusPatches);
    kinds['DELETE pods'] = (kinds['DELETE pods'] ?? 0) - (kubelet.writes.deletes - kubeletBefore.deletes);
    for (const created of ['POST pods', 'POST podgroups']) delete kinds[created];
    return Object.fromEntries(Object.entries(kinds).filter(([, count]) => count !== 0));
  }

  const submit = async (name: string, groups: number, pods: number, gpus: number, queue = 'q1'): Promise<void> => {
    const names = Array.from({ length: groups }, (_, g) => `${name}${g}`);
    await createObjects(
      client,
      names.map((group) => podGroupObject('ns', group, queue, { minMember: pods })),
    );
    await createObjects(
      client,
      names.flatMap((group) => Array.from({ length: pods }, (_, i) => podObject('ns', `${group}-${i}`, { group, gpus }))),
    );
  };

  test('a plain pod costs one write, one event, and its group one annotation', async () => {
    const writes = await writesOf(async () => {
      await submit('single', 30, 1, 1);
      await bound('single', 30);
    });
    expect(writes).toEqual({ 'POST pods/binding': 30, 'POST events': 30, 'PATCH podgroups': 30 });
  });

  test('a gang is bound whole', async () => {
    const writes = await writesOf(async () => {
      await submit('gang', 1, 10, 8);
      await bound('gang', 10);
    });
    expect(writes).toEqual({ 'POST pods/binding': 10, 'POST events': 10, 'PATCH podgroups': 1 });
    expect(audit.partialGangs()).toEqual([]);
  });

  test('a hopeless gang is told so once, for autoscalers too, and then nothing more is written', async () => {
    const writes = await writesOf(async () => {
      await submit('hopeless', 1, 40, 8);
      await waitFor('all to be told', () => records('hopeless').every(({ unschedulableMs }) => unschedulableMs !== undefined));
    });
    expect(writes).toEqual({ 'PATCH pods/status': 40, 'PATCH podgroups/status': 1, 'POST events': 41 });
    expect(await writesOf(() => sleep(3_000))).toEqual({});
  });

  test('a queue gets back what is its own: one victim, told why, deleted once', async () => {
    await submit('filler', 50, 1, 1);
    await bound('filler', 50);
    const writes = await writesOf(async () => {
      await submit('claimer', 1, 1, 1, 'q2');
      await bound('claimer', 1);
    });
    expect(writes['DELETE pods']).toBe(1);
    expect(writes['POST pods/binding']).toBe(1);
    const { items } = await client.get<{ readonly items: readonly { readonly reason: string; readonly message: string }[] }>(
      '/api/v1/namespaces/ns/events?fieldSelector=reason=Evict',
    );
    expect(items).toHaveLength(1);
    expect(items[0]?.message).toMatch(/^Pod ns\/\S+ was preempted by workload ns\/claimer0\.\nq1 uses </);
  });

  test('health, metrics, snapshot; SIGTERM releases the lease and ends with 0; no write was forbidden, no node overcommitted', async () => {
    for (const path of ['/healthz', '/livez', '/readyz']) expect((await fetch(scheduler.metricsUrl + path)).status).toBe(200);
    const metrics = await (await fetch(`${scheduler.metricsUrl}/metrics`)).text();
    expect(metrics).toMatch(/^kai_decisions_total\{action="reclaim",kind="evict"\} 1$/m);
    expect(metrics).toMatch(/^kai_leader 1$/m);
    const snapshot = await fetch(`${scheduler.pluginUrl}/get-snapshot`);
    expect([snapshot.status, snapshot.headers.get('content-type')]).toEqual([200, 'application/zip']);
    expect(
      Buffer.from(await snapshot.arrayBuffer())
        .subarray(0, 2)
        .toString(),
    ).toBe('PK');
    expect((await fetch(`${scheduler.pluginUrl}/get-job-order`)).status).toBe(404);
    expect(await scheduler.stop()).toBe(0);
    const lease = await client.get<{ readonly spec: { readonly holderIdentity?: string } }>(
      '/apis/coordination.k8s.io/v1/namespaces/kai-scheduler/leases/kai-scheduler',
    );
    expect(lease.spec.holderIdentity ?? '').toBe('');
    expect(countCode(await plane.metrics(), '403')).toBe(0);
    expect([audit.violations, kubelet.rejections]).toEqual([[], []]);
  });
});
