import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { CycleReport, RawDecision } from '../../src/base/decisions.ts';
import { createSchedulerMetrics } from '../../src/web/metrics.ts';
import { buildServer, type Dashboard, startDashboard } from '../../src/web/server.ts';
import { fakeSource } from './fakeSource.ts';

const server = () => buildServer({ source: fakeSource(64), registry: createSchedulerMetrics().registry });

describe('page', () => {
  test('everything it names is served, and nothing comes from elsewhere', async () => {
    const app = server();
    const page = await app.inject('/');
    expect(page.headers['content-type']).toContain('text/html');
    expect(page.body).not.toMatch(/https?:/);
    const importMap = /<script type="importmap">(.*?)<\/script>/.exec(page.body)?.[1] ?? '';
    const { imports } = JSON.parse(importMap) as { imports: Record<string, string> };
    const queue = [...page.body.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((m) => m[1]!);
    const seen = new Set<string>();
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      const file = await app.inject(path);
      expect(file.statusCode, path).toBe(200);
      expect(file.headers['content-type'], path).toMatch(path.endsWith('.css') ? /^text\/css/ : /^text\/javascript/);
      if (!path.endsWith('.js')) continue;
      for (const [, specifier] of file.body.matchAll(/(?:from|import)\s*["']([\w./@-]+)["']/g)) {
        const target = specifier!.startsWith('.') ? new URL(specifier!, `http://x${path}`).pathname : imports[specifier!];
        expect(target, `${path} imports ${specifier}`).toBeDefined();
        queue.push(target!);
      }
    }
    for (const target of Object.values(imports)) expect(seen).toContain(target);
  });

  test('the content security policy lets exactly the import map pass', async () => {
    const page = await server().inject('/');
    const inline = [...page.body.matchAll(/<script[^>]*>([^<]+)<\/script>/g)].map((m) => m[1]!);
    expect(inline).toHaveLength(1);
    const hash = createHash('sha256').update(inline[0]!).digest('base64');
    expect(page.headers['content-security-policy']).toContain(`script-src 'self' 'sha256-${hash}'`);
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
  });
});

describe('endpoints', () => {
  test('state, nodes and health', async () => {
    const app = server();
    const source = fakeSource(64);
    expect((await app.inject('/api/state')).json()).toEqual(source.state());
    expect((await app.inject('/api/nodes')).json()).toEqual(source.nodes());
    expect((await app.inject('/healthz')).body).toBe('ok');
    expect((await app.inject('/api/none')).statusCode).toBe(404);
    expect((await app.inject({ method: 'POST', url: '/api/state' })).statusCode).toBe(404);
  });

  test('pending pods by query; a query that is too long is refused', async () => {
    const app = server();
    const all = (await app.inject('/api/pending')).json();
    expect(all).toMatchObject({ total: 250, matched: 250 });
    expect(all.pods).toHaveLength(200);
    expect((await app.inject('/api/pending?query=OVERlimit')).json()).toMatchObject({ total: 250, matched: 125 });
    expect((await app.inject(`/api/pending?query=${'x'.repeat(201)}`)).statusCode).toBe(400);
  });

  test('metrics under the names that dashboards use', async () => {
    const metrics = createSchedulerMetrics();
    const bind = (podGroupRow: number): RawDecision =>
      ({
        kind: 'bind',
        action: 'allocate',
        podGroupRow,
        podRow: 0,
        nodeRow: 0,
        receivedType: 1,
        gpuCount: 1,
        gpuPortion: '1.00',
        gpuGroups: [],
      }) as unknown as RawDecision;
    const report = {
      jobs: [{ state: 'unschedulable' }, { state: 'scheduled' }],
      queues: [
        {
          queue: 'team-a',
          fairShareMilliCpu: 2500,
          fairShareMemoryBytes: 68_719_476_736,
          fairShareGpu: 4,
          usageCpu: 0,
          usageMemory: 0,
          usageGpu: 0,
        },
      ],
      searchByAction: {},
      phaseMs: { open: 3, allocate: 7, report: 1 },
    } as unknown as CycleReport;
    metrics.observe({ decisions: [bind(1), bind(1), bind(2)], report, cycleMs: 11.4, waitedMs: [4, 100, 10_000] });
    const app = buildServer({ source: fakeSource(8), registry: metrics.registry });
    const lines = (await app.inject('/metrics')).body.split('\n');
    const labels = '{queue_name="team-a",queue_metadata_name="team-a",queue_display_name=""}';
    for (const line of [
      'kai_e2e_scheduling_latency_milliseconds 11',
      'kai_open_session_latency_milliseconds 3',
      'kai_close_session_latency_milliseconds 1',
      'kai_action_scheduling_latency_milliseconds{action="allocate"} 7',
      'kai_podgroups_scheduled_by_action{action="allocate"} 2',
      `kai_queue_fair_share_memory_gb${labels} 68.719476736`,
      `kai_queue_fair_share_cpu_cores${labels} 2.5`,
      `kai_queue_fair_share_gpu${labels} 4`,
      'kai_task_scheduling_latency_milliseconds_bucket{le="5"} 1',
      'kai_task_scheduling_latency_milliseconds_bucket{le="2560"} 2',
      'kai_task_scheduling_latency_milliseconds_count 3',
      'kai_cycle_duration_seconds_bucket{le="0.008",phase="allocate"} 1',
      'kai_podgroups_waiting 1',
      'kai_pods_bound_total 3',
    ]) {
      expect(lines).toContain(line);
    }
  });
});

describe('port', () => {
  const open: { close(): unknown }[] = [];
  afterEach(async () => {
    for (const thing of open.splice(0)) await thing.close();
  });

  test('the next free one is taken', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen({ host: '127.0.0.1', port: 0 }, resolve));
    open.push({ close: () => new Promise((resolve) => blocker.close(resolve)) });
    const { port } = blocker.address() as { port: number };
    const dashboard: Dashboard = await startDashboard({ source: fakeSource(8), registry: createSchedulerMetrics().registry, port });
    open.push(dashboard);
    const taken = Number(new URL(dashboard.url).port);
    expect(taken).toBeGreaterThan(port);
    expect(await (await fetch(`${dashboard.url}/healthz`)).text()).toBe('ok');
  });
});
