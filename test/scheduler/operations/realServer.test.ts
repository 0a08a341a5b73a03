// What operators see of the role on a real API server: readiness around the lease, usage of queues, job order, events of many pods at
// once, and a server that restarts in the middle of bindings.
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { missingControlPlane } from '../../control-plane/build.ts';
import { type ControlPlane, startControlPlane } from '../../control-plane/controlPlane.ts';
import type { ApiClient } from '../../e2e/support/apiClient.ts';
import { createNamespace, createObjects, install, waitFor } from '../../e2e/support/install.ts';
import { nodeObject, podGroupObject, podObject, queueObject } from '../../e2e/support/objects.ts';
import { type SchedulerProcess, startScheduler } from '../../e2e/support/schedulerProcess.ts';

const missing = missingControlPlane();
if (missing !== null) console.warn(`operations on a real API server: ${missing}`);

interface Item {
  readonly metadata: { readonly name: string };
  readonly involvedObject: { readonly name: string };
  readonly spec: { readonly nodeName?: string };
}

describe.skipIf(missing !== null)('operations of kai scheduler on a real API server', () => {
  let plane: ControlPlane;
  let client: ApiClient;
  let prometheus: Server;
  let token: string;
  const schedulers: SchedulerProcess[] = [];

  beforeAll(async () => {
    plane = await startControlPlane();
    const installation = await install(plane);
    client = installation.client;
    token = installation.schedulerToken;
    await createNamespace(client, 'ns');
    await createObjects(
      client,
      Array.from({ length: 50 }, (_, i) => nodeObject(`n${i}`, { gpus: 8 })),
    );
    await createObjects(client, [queueObject('top'), queueObject('q1', { parent: 'top' }), queueObject('q2', { parent: 'top' })]);
    // Every capacity is 100; q1 has used 25 of each resource.
    prometheus = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on('end', () => {
        const isUse = (new URLSearchParams(body).get('query') ?? '').includes('kai_queue_allocated');
        const result = isUse ? [{ metric: { queue_name: 'q1' }, value: [0, '25'] }] : [{ metric: {}, value: [0, '100'] }];
        response.end(JSON.stringify({ status: 'success', data: { resultType: 'vector', result } }));
      });
    });
    await new Promise<void>((resolve) => prometheus.listen(0, '127.0.0.1', resolve));
  });

  afterAll(async () => {
    for (const scheduler of schedulers) await scheduler.kill();
    prometheus.close();
    await client?.close();
    await plane?.stop();
  });

  async function start(name: string): Promise<SchedulerProcess> {
    const file = join(plane.folder, `${name}.yaml`);
    const { port } = prometheus.address() as AddressInfo;
    writeFileSync(
      file,
      JSON.stringify({
        actions: 'allocate',
        tiers: [
          { plugins: ['predicates', 'proportion', 'priority', 'nodeplacement', 'reflectjoborder'].map((plugin) => ({ name: plugin })) },
        ],
        usageDBConfig: { clientType: 'prometheus', connectionString: `http://127.0.0.1:${port}` },
      }),
    );
    const scheduler = await startScheduler({ plane, token, name, args: ['--leader-elect', `--scheduler-conf=${file}`] });
    schedulers.push(scheduler);
    return scheduler;
  }

  const names = async (path: string, of: (item: Item) => string): Promise<Set<string>> => new Set((await listAll(path)).map(of));
  async function listAll(path: string): Promise<Item[]> {
    const { items } = await client.get<{ readonly items: Item[] }>(path);
    return items;
  }
  const submit = async (name: string, groups: number, pods: number): Promise<void> => {
    await createObjects(
      client,
      Array.from({ length: groups }, (_, g) => podGroupObject('ns', `${name}${g}`, 'q1', { minMember: 1 })),
    );
    const all = Array.from({ length: groups * pods }, (_, i) => [`${name}${i % groups}`, `${name}-${i}`] as const);
    await createObjects(
      client,
      all.map(([group, pod]) => podObject('ns', pod, { group, gpus: 0, cpu: '10m' })),
    );
  };
  const boundCount = async (prefix: string): Promise<number> =>
    (await listAll('/api/v1/namespaces/ns/pods')).filter(({ metadata, spec }) => metadata.name.startsWith(prefix) && spec.nodeName).length;

  test('each of 4,000 pods bound at once has its event, and none is dropped', async () => {
    await submit('many', 40, 100);
    const scheduler = await start('first');
    await scheduler.ready();
    await waitFor('all pods to be bound', async () => (await boundCount('many')) === 4000, 180_000);
    const path = '/api/v1/namespaces/ns/events?fieldSelector=reason=Scheduled';
    await waitFor('all events', async () => (await listAll(path)).length >= 4000, 180_000);
    expect((await names(path, ({ involvedObject }) => involvedObject.name)).size).toBe(4000);
    expect(await metricsOf(scheduler)).not.toMatch(/^kai_events_dropped_total\{/m);
  });

  test('usage of queues is in the metrics, the job order is served, a standby is ready', async () => {
    const [leader] = schedulers as [SchedulerProcess];
    const standby = await start('standby');
    await standby.ready();
    expect(await metricsOf(standby)).toMatch(/^kai_leader 0$/m);
    const metrics = await metricsOf(leader);
    expect(metrics).toMatch(/^kai_queue_gpu_usage\{queue_name="q1",[^}]*\} 0\.25$/m);
    expect(metrics).toMatch(/^kai_queue_gpu_usage\{queue_name="q2",[^}]*\} 0$/m);
    expect(metrics).toMatch(/^kai_usage_query_latency_milliseconds_count [1-9]/m);
    const order = await fetch(`${leader.pluginUrl}/get-job-order`);
    expect([order.status, await order.json()]).toEqual([200, { global_order: [], queue_order: {} }]);
    await standby.kill();
  });

  test('a server that restarts in the middle of bindings refuses nothing for good', async () => {
    const { pid } = schedulers[0]!.program;
    for (const [round, delayMs] of [50, 100, 200].entries()) {
      // Held up, so that all bindings are under way when the server goes.
      process.kill(pid!, 'SIGSTOP');
      await submit(`round${round}-`, 10, 20);
      process.kill(pid!, 'SIGCONT');
      await sleep(delayMs);
      await plane.restartApiServer('SIGKILL');
      await waitFor('all pods to be bound', async () => (await boundCount(`round${round}-`)) === 200, 120_000);
    }
    expect(await listAll('/api/v1/namespaces/ns/events?fieldSelector=reason=BindingError')).toEqual([]);
  });
});

async function metricsOf(scheduler: SchedulerProcess): Promise<string> {
  return (await fetch(`${scheduler.metricsUrl}/metrics`)).text();
}
