// Fair share that looks back: what queues have used comes from a Prometheus (specification 02 section 8).
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakePrometheus } from '../scheduler/usage/fakePrometheus.ts';
import { type Bed, onCluster } from './support/bed.ts';
import { nodeObject, queueObject } from './support/objects.ts';
import { strategyConfig } from './support/strategies.ts';

const GPUS = 8;
let prometheus: FakePrometheus;
beforeAll(async () => {
  prometheus = new FakePrometheus();
  await prometheus.start();
});
afterAll(() => prometheus.stop());

/** GPU seconds of queues within a window in which the cluster had `GPUS` of them for 100 s. */
function tellUsage(...used: readonly (readonly [queue: string, gpuSeconds: number])[]): void {
  prometheus.series.set('nvidia_com_gpu', [[null, String(GPUS * 100)]]);
  prometheus.series.set(
    'kai_queue_allocated_gpus',
    used.map(([queue, seconds]) => [queue, String(seconds)]),
  );
}

async function startLookingBack(bed: Bed, kValue: string): Promise<void> {
  const usageParams = { windowSize: '30s', halfLifePeriod: '15s', fetchInterval: '1s' };
  const usageDBConfig = { clientType: 'prometheus', connectionString: prometheus.url(), usageParams };
  const config = { ...strategyConfig('binpack', { proportion: { kValue } }), usageDBConfig };
  await bed.startScheduler('scheduler', { args: [`--scheduler-conf=${bed.writeConfig(config)}`] });
}

async function createQueues(bed: Bed, weights: readonly [a: number, b: number]): Promise<void> {
  await bed.create(queueObject('dept'));
  await bed.create(...['a', 'b'].map((name, i) => queueObject(name, { parent: 'dept', gpu: { overQuotaWeight: weights[i]! } })));
}

async function submit(bed: Bed, queue: string, count: number): Promise<string[]> {
  const jobs = Array.from({ length: count }, (_, i) => bed.createGang(`${queue}${i}`, 1, { queue, gpus: 1 }));
  return (await Promise.all(jobs)).flat();
}

onCluster('fair share over time', { args: null }, (bed) => {
  const staying = (keys: readonly string[]): number => keys.filter((key) => bed().isStaying(key)).length;

  test('of two queues of equal weight the one that has used less gets more', async () => {
    await createQueues(bed(), [1, 1]);
    const [a, b] = [await submit(bed(), 'a', GPUS), await submit(bed(), 'b', GPUS)];
    // Weights of one half each: 0.5 + (0.5 − 0.75) and 0.5 + (0.5 − 0.25).
    tellUsage(['a', 75 * GPUS], ['b', 25 * GPUS]);
    await startLookingBack(bed(), '1');
    await bed().untilUnschedulable([...a, ...b]);
    await bed().create(nodeObject('n1', { gpus: GPUS }));
    await bed().until('2 and 6 to run', () => staying(a) === 2 && staying(b) === 6);
    // Once both have used the same, both have the same share.
    tellUsage(['a', 50 * GPUS], ['b', 50 * GPUS]);
    await bed().until('4 and 4 to run', () => staying(a) === 4 && staying(b) === 4);
  });

  test('a queue of a hundredth of a hundredth of the weight gets its turn when the other has had everything', async () => {
    tellUsage();
    await createQueues(bed(), [10_000, 1]);
    await bed().create(nodeObject('n1', { gpus: GPUS }));
    await startLookingBack(bed(), '10000');
    const a = await submit(bed(), 'a', GPUS);
    await bed().untilRunning(a);
    const b = await submit(bed(), 'b', 1);
    await bed().untilUnschedulable(b);
    expect(staying(a)).toBe(GPUS);
    tellUsage(['a', 100 * GPUS]);
    await bed().untilRunning(b);
    expect(staying(a)).toBeLessThan(GPUS);
  });
});
