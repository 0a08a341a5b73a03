// Usage from a small Prometheus, up to the fair shares of a cycle.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/loadConfig.ts';
import { readUsageDb, type UsageSettings } from '../../../src/config/usageDb.ts';
import { createCycleRunner } from '../../../src/runner/cycleRunner.ts';
import { fetchUsage, type UsageByQueue, usageQuery } from '../../../src/scheduler/usage/prometheus.ts';
import { UsageFeed } from '../../../src/scheduler/usage/usageFeed.ts';
import { until } from '../../kubernetes/clocks.ts';
import { createWorld, group, node, pod } from '../world.ts';
import { FakePrometheus } from './fakePrometheus.ts';

let prometheus: FakePrometheus;
beforeEach(async () => {
  prometheus = new FakePrometheus();
  await prometheus.start();
});
afterEach(() => prometheus.stop());

const settingsOf = (usageParams: object = {}, url = prometheus.url()): UsageSettings =>
  readUsageDb({ clientType: 'prometheus', connectionString: url, usageParams }, {})!;
const NOW_MS = 1_762_777_987_000;
const fetch = (settings = settingsOf()): Promise<UsageByQueue> => fetchUsage(settings, NOW_MS, new AbortController().signal);

describe('queries', () => {
  test.each([
    [{}, 'sum_over_time((m)[1w:1m0s])'],
    [{ windowSize: '168h0m0s', extraParams: { queryResolution: '30s' } }, 'sum_over_time((m)[168h0m0s:30s])'],
    [{ halfLifePeriod: '10m' }, 'sum_over_time((((m) * (0.5^((1762777987 - time()) / 600.000000))))[1w:1m0s])'],
    [{ halfLifePeriod: '-1h', extraParams: { queryResolution: 'often' } }, 'sum_over_time((m)[1w:1m0s])'],
  ])('sliding %o', (params, expected) => {
    expect(usageQuery(settingsOf(params), 'm', NOW_MS)).toBe(expected);
  });

  test.each([
    ['10:00:00', '12:30:00', '1800s'],
    ['10:00:00', '13:00:00', '3600s'],
    ['10:00:00', '13:00:01', '60s'],
    ['10:00:00', '13:02:00', '120s'],
    ['10:00:00', '10:00:00', '60s'],
    ['23:00:00', '12:30:00', '60s'],
  ])('tumbling from %s at %s', (start, now, size) => {
    const day = '2026-01-01T';
    const settings = settingsOf({ windowType: 'tumbling', windowSize: '1h', tumblingWindowStartTime: `${day}${start}Z` });
    expect(usageQuery(settings, 'm', Date.parse(`${day}${now}Z`))).toBe(`sum_over_time((m)[${size}:1m0s])`);
  });

  test('cron: since the last occurrence', () => {
    const nowMs = new Date('2026-01-06T10:00:00').getTime();
    expect(usageQuery(settingsOf({ windowType: 'cron', cronString: '0 0 * * *' }), 'm', nowMs)).toBe('sum_over_time((m)[36000s:1m0s])');
  });
});

describe('fetch', () => {
  test('capacities, then allocations; shares by queue name', async () => {
    // 10 GPUs for 10 h, 8 of them used for 3 h (spec 02 section 8.2).
    prometheus.series.set('nvidia_com_gpu', [[null, '6000']]);
    prometheus.series.set('kai_queue_allocated_gpus', [
      ['a', '1'],
      ['b', '60'],
      ['a', '1440'],
      [null, '5'],
    ]);
    prometheus.series.set('resource="cpu"', [[null, '1000']]);
    prometheus.series.set('kai_queue_allocated_cpu_cores', [['b', '250']]);
    const usage = await fetch(settingsOf({}, prometheus.url().replace('//', '//ann:pass%40word@')));
    expect(Object.fromEntries(usage)).toEqual({ a: { gpu: 0.24, cpu: 0, memory: 0 }, b: { gpu: 0.01, cpu: 0.25, memory: 0 } });
    const names = ['nvidia_com_gpu', '"cpu"', '"memory"', 'allocated_gpus', 'allocated_cpu_cores', 'allocated_memory_bytes'];
    expect(prometheus.asked.map(({ query }, i) => query.includes(names[i]!))).toEqual(names.map(() => true));
    expect(new Set(prometheus.asked.map(({ time }) => time))).toEqual(new Set(['1762777987']));
    expect(prometheus.asked[0]!.authorization).toBe(`Basic ${Buffer.from('ann:pass@word').toString('base64')}`);
  });

  test('a resource without capacity has no usage, the others do', async () => {
    prometheus.series.set('resource="cpu"', [[null, '10']]);
    prometheus.series.set('resource="memory"', [[null, '0']]);
    prometheus.series.set('kai_queue_allocated', [['a', '5']]);
    expect(Object.fromEntries(await fetch())).toEqual({ a: { gpu: 0, cpu: 0.5, memory: 0 } });
  });

  test.each([
    ['an error', 422, { status: 'error', error: 'bad window' }, 'HTTP 422: bad window'],
    ['a matrix', 200, { status: 'success', data: { resultType: 'matrix', result: [] } }, 'a matrix instead of a vector'],
  ])('%s fails the whole fetch', async (_, status, body, message) => {
    prometheus.refusal = { status, body };
    await expect(fetch(settingsOf({}, prometheus.url().replace('//', '//ann:secret@')))).rejects.toThrow(
      expect.objectContaining({ code: 'USAGE_QUERY', message: expect.not.stringContaining('secret') }),
    );
    await expect(fetch()).rejects.toThrow(message);
  });
});

describe('feed', () => {
  function start(settings: UsageSettings) {
    const world = createWorld();
    const { clock } = world;
    const warnings: string[] = [];
    const counts = { fetched: 0, failed: 0 };
    const feed = new UsageFeed({
      clock,
      log: { info: () => undefined, warn: (text: string) => void warnings.push(text) },
      apply: (usage) => world.state.setUsage(usage),
      onFetched: () => void counts.fetched++,
      onFailed: () => void counts.failed++,
    });
    feed.configure(settings);
    return { feed, warnings, counts, ...world };
  }

  test('what a queue has used lowers its fair share in the next cycle; a failure keeps what was read (spec 02 section 7.5, 4)', async () => {
    const { state, feed, clock, counts, warnings, log } = start(settingsOf({ stalenessPeriod: '2m' }));
    state.put('nodes', node('n1', '10'));
    for (const name of ['a', 'b']) {
      state.put('queues', { metadata: { name, uid: name }, spec: { resources: { cpu: { quota: 0, limit: -1, overQuotaWeight: 1 } } } });
      state.put('podGroups', { ...group(name), spec: { queue: name } });
      for (let i = 0; i < 16; i++) state.put('pods', pod(`${name}${i}`, { group: name }));
    }
    const runner = createCycleRunner({ workers: 0 });
    const { config } = loadConfig({});
    const shares = async (): Promise<number[]> => {
      const { report } = await runner.run(state.seal(), config, clock.nowMs(), () => undefined);
      return report.queues.map(({ fairShareMilliCpu }) => fairShareMilliCpu);
    };
    await until(() => counts.fetched === 1);
    expect(await shares()).toEqual([5000, 5000]);
    prometheus.series.set('resource="cpu"', [[null, '100']]);
    prometheus.series.set('kai_queue_allocated_cpu_cores', [
      ['a', '30'],
      ['b', '10'],
    ]);
    const relevant = log.relevant;
    await clock.advance(60_000);
    await until(() => counts.fetched === 2);
    expect(log.relevant).toBe(relevant + 1);
    expect(await shares()).toEqual([4375, 5625]);
    prometheus.refusal = { status: 503, body: { status: 'error', error: 'down' } };
    for (let failures = 1; failures <= 4; failures++) {
      await clock.advance(60_000);
      await until(() => counts.failed === failures);
    }
    expect(await shares()).toEqual([4375, 5625]);
    expect(warnings).toEqual([expect.stringContaining('HTTP 503: down'), 'usage of queues is 180 s old; it is still used']);
    feed.configure(null);
    expect(await shares()).toEqual([5000, 5000]);
    await runner.close();
  });

  test('the start waits for the first data, but not for ever', async () => {
    prometheus.refusal = { status: 503, body: {} };
    const { clock, feed, counts, warnings } = start(settingsOf());
    let isReady = false;
    void feed.ready(new AbortController().signal).then(() => {
      isReady = true;
    });
    await until(() => counts.failed === 1);
    await clock.advance(59_999);
    expect(isReady).toBe(false);
    await clock.advance(1);
    expect([isReady, warnings.at(-1)]).toEqual([true, 'no usage of queues yet: fair shares do not look back']);
    prometheus.refusal = null;
    await until(() => counts.failed + counts.fetched >= 2);
    await clock.advance(60_000);
    await until(() => counts.fetched > 0);
    await feed.ready(new AbortController().signal);
    feed.stop();
  });
});

describe('configuration', () => {
  const read =
    (block: object, environment: Record<string, string> = {}) =>
    () =>
      readUsageDb(block as Record<string, unknown>, environment);
  const url = { clientType: 'prometheus', connectionString: 'http://p:9090' };

  test('defaults; an address from the environment; staleness never shorter than the interval', () => {
    const block = { clientType: 'prometheus', connectionStringEnvVar: 'PROM', usageParams: { fetchInterval: '10m', waitTimeout: '5s' } };
    expect(read(block, { PROM: 'http://from-env' })()).toMatchObject({
      url: 'http://from-env',
      halfLifeMs: 0,
      window: { type: 'sliding', size: '1w' },
      fetchIntervalMs: 600_000,
      stalenessMs: 600_000,
      waitTimeoutMs: 5000,
      queryTimeoutMs: 10_000,
    });
    expect(read({ clientType: 'fake' })()).toBeNull();
  });

  test.each([
    [{}, 'client type cannot be empty'],
    [{ clientType: 'influx' }, 'unknown client type: influx, supported types: [prometheus fake fake-with-history]'],
    [{ clientType: 'prometheus' }, 'are not set, one is required'],
    [{ ...url, connectionStringEnvVar: 'X' }, 'only one is allowed'],
    [{ clientType: 'prometheus', connectionStringEnvVar: 'X' }, 'environment variable X is empty'],
    [{ ...url, connectionString: 'prometheus:9090' }, 'http://'],
    [{ ...url, usageParams: { windowType: 'Sliding' } }, '"Sliding" is none of'],
    [{ ...url, usageParams: { windowType: 'tumbling' } }, 'tumblingWindowStartTime is null'],
    [{ ...url, usageParams: { windowType: 'tumbling', windowSize: '0', tumblingWindowStartTime: '2026-01-01T00:00:00Z' } }, 'windowSize'],
    [{ ...url, usageParams: { windowType: 'cron' } }, 'cronString'],
    [{ ...url, usageParams: { windowSize: '1.5h' } }, '"1.5h" is not a duration'],
    [{ ...url, usageParams: { fetchInterval: '0s' } }, 'must be positive'],
  ])('%o is refused', (block, message) => {
    expect(read(block)).toThrow(message);
  });
});
