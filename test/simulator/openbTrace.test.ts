import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CycleRunner, createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { readOpenbLives, readPublished } from '../../src/simulator/openbFiles.ts';
import { flowWorkload, readingPoints, replayWorkload, runOpenb, submissionOrder } from '../../src/simulator/openbTrace.ts';
import { createRandom } from '../../src/simulator/random.ts';
import { buildReport } from '../../src/simulator/report.ts';
import { reportText } from '../../src/simulator/reportText.ts';
import { Simulation } from '../../src/simulator/simulation.ts';
import { buildTraceReport, seedResult, traceReportText } from '../../src/simulator/traceReport.ts';
import { EPOCH_MS } from '../../src/simulator/workload.ts';
import type { OpenbPod, OpenbTrace } from '../../src/snapshot/import/openb.ts';
import { firstFitRunner } from './firstFitRunner.ts';
import { CONFIG, newWriter, SNAPSHOT_OPTIONS } from './setUp.ts';

const pod = (gpuCount: number, gpuMilli: number, i = 0): OpenbPod => {
  return { name: `p${i}`, milliCpu: 1000, memoryMib: 1024, gpuCount, gpuMilli, gpuModels: [] };
};

/** `nodes` nodes of 4 or 8 GPUs and pods as the trace has them, drawn from a seed. */
function smallTrace(nodes: number, pods: number): OpenbTrace {
  const random = createRandom(17);
  const shapes = [
    [0, 0],
    [1, 1000],
    [1, 500],
    [1, 270],
    [2, 1000],
    [4, 1000],
    [8, 1000],
  ] as const;
  return {
    nodes: Array.from({ length: nodes }, (_, i) => ({
      name: `n${i}`,
      milliCpu: 96_000,
      memoryMib: 393_216,
      gpuCount: i % 3 === 0 ? 4 : 8,
      gpuModel: i % 3 === 0 ? 'T4' : 'G2',
    })),
    pods: Array.from({ length: pods }, (_, i) => {
      const [count, milli] = shapes[random.nextInt(shapes.length)]!;
      const gpuModels = count > 0 && count <= 4 && random.nextInt(4) === 0 ? ['T4'] : [];
      return { ...pod(count, milli, i), milliCpu: 1000 * (1 + random.nextInt(8)), gpuModels };
    }),
  };
}

describe('order of submission', () => {
  test('all pods once in an order of the seed, then draws, until the demand is reached', () => {
    const pods = Array.from({ length: 100 }, (_, i) => pod(1, 500, i));
    // 100 pods of half a GPU on 40 GPUs: 125 %. 130 % takes 104 pods.
    const order = submissionOrder(pods, 40_000, 130, 1);
    expect(order).toHaveLength(104);
    expect(new Set(order.slice(0, 100).map((p) => p.name)).size).toBe(100);
    expect(order.map((p) => p.name)).toEqual(submissionOrder(pods, 40_000, 130, 1).map((p) => p.name));
    expect(order.map((p) => p.name)).not.toEqual(submissionOrder(pods, 40_000, 130, 2).map((p) => p.name));
    expect(submissionOrder(pods, 40_000, 50, 1)).toHaveLength(40);
  });

  test('ends without GPU demand', () => {
    expect(submissionOrder([pod(0, 0)], 1000, 130, 1)).toHaveLength(1);
  });

  test('reading points end at the arrived percentage', () => {
    expect(readingPoints(130)).toEqual([90, 100, 110, 120, 130]);
    expect(readingPoints(105)).toEqual([90, 100, 105]);
    expect(readingPoints(50)).toEqual([50]);
  });
});

describe('protocol', () => {
  const run = (trace: OpenbTrace, arrivePercent: number, batchJobs: number | undefined, runner = firstFitRunner()) =>
    runOpenb({ trace, arrivePercent, seed: 42, config: CONFIG, runner, writer: newWriter(), batchJobs });

  test('worked example: what does not fit is dropped, nothing departs', async () => {
    const trace: OpenbTrace = {
      nodes: [{ name: 'n0', milliCpu: 96_000, memoryMib: 393_216, gpuCount: 4, gpuModel: 'T4' }],
      pods: Array.from({ length: 20 }, (_, i) => pod(1, 600, i)),
    };
    const { allocatedShares, simulation, submitted } = await run(trace, 130, undefined);
    // Four devices take one pod of 0.6 each: 2.4 of 4. 90 % arrives with the sixth pod, 130 % with the ninth.
    expect(allocatedShares.map((s) => s.toFixed(2))).toEqual(['0.60', '0.60', '0.60', '0.60', '0.60']);
    expect(submitted).toBe(9);
    expect(simulation.recorder.pods).toEqual({ submitted: 9, bound: 4, waiting: 0, finished: 0, evicted: 0, dropped: 5 });
    expect(simulation.recorder.ledger).toMatchObject({ allocatedGpuMilli: 2400, overcommits: 0 });
    expect(simulation.cluster.size('pods')).toBe(4);
  });

  test.each([
    ['first fit', firstFitRunner],
    ['the engine', () => createCycleRunner({ workers: 0 })],
  ])('batches give what single submissions give: %s', async (_, makeRunner) => {
    const trace = smallTrace(12, 250);
    const placements = async (batchJobs: number): Promise<unknown> => {
      const { simulation, allocatedShares } = await run(trace, 130, batchJobs, makeRunner());
      const placed = simulation.cluster.list('pods').map((p) => [p.metadata.name, p.spec.nodeName]);
      expect(placed.length).toBeGreaterThan(25);
      expect(simulation.recorder.pods.dropped).toBeGreaterThan(0);
      expect(simulation.recorder.ledger.overcommits).toBe(0);
      return [placed, allocatedShares];
    };
    expect(await placements(64)).toEqual(await placements(1));
  });

  test('report with the published figures beside it', async () => {
    const result = seedResult(42, await run(smallTrace(9, 150), 130, undefined));
    const published = { '06-FGD': { '90': 90.02, '130': 95.39, seeds: 10 }, '01-Random': { '90': 84.6, '130': 87.47, seeds: 10 } };
    const timing = { wallMs: 1000, workers: 0, podsPerSecond: 500, cycleP50Ms: 1, cycleMaxMs: 2 };
    const report = buildTraceReport({ workload: 'openb', arrivePercent: 130, seeds: [result, { ...result, seed: 43 }], published, timing });
    expect(report.meanAllocatedShares).toEqual(result.allocatedShares);
    expect(report.published['06-FGD']).toEqual([0.9002, null, null, null, 0.9539]);
    const lines = traceReportText(report).split('\n');
    const position = (text: string): number => lines.findIndex((line) => line.includes(text));
    expect(lines[position('06-FGD')]).toMatch(/90\.02 +- +- +- +95\.39$/);
    expect(position('06-FGD')).toBeLessThan(position('01-Random'));
    expect(position('this scheduler (2 seeds)')).toBeGreaterThan(position('seed 43'));
  });
});

describe('replay', () => {
  test('pods come and go at the times of the trace', async () => {
    const trace: OpenbTrace = {
      nodes: [{ name: 'n0', milliCpu: 96_000, memoryMib: 393_216, gpuCount: 1, gpuModel: 'T4' }],
      pods: [pod(1, 1000, 0), pod(1, 1000, 1), pod(1, 1000, 2)],
    };
    // The second by file comes first; the third has no end and is left out.
    const lives = [
      { createdS: 500, deletedS: 600, isBestEffort: true },
      { createdS: 100, deletedS: 200, isBestEffort: false },
      { createdS: 700, deletedS: Number.NaN, isBestEffort: false },
    ];
    const workload = replayWorkload({ trace, lives, queues: 1, seed: 0 });
    const simulation = new Simulation({ workload, config: CONFIG, runner: firstFitRunner(), writer: newWriter() });
    await simulation.run(Infinity, async () => true);
    expect(simulation.recorder.pods).toMatchObject({ submitted: 2, bound: 2, finished: 2, waiting: 0 });
    expect(simulation.recorder.timeline.points.at(-1)?.atMs).toBe(400_000);
    expect(simulation.cluster.nowMs).toBe(EPOCH_MS + 400_000 + 2000 + 100_000);
  });

  test('drawn pods contend: queues above their quota give way, and the auditor looks at every cycle', async () => {
    const trace = smallTrace(6, 60);
    const lives = trace.pods.map((_, i) => ({ createdS: 0, deletedS: 60 + 5 * i, isBestEffort: i % 2 === 0 }));
    const workload = flowWorkload({ trace, lives, queues: 4, seed: 7, arrivePercent: 500, overMs: 250_000 });
    expect(workload.objects.queues?.map((q) => q.metadata.name)).toEqual(['openb-1', 'openb-2', 'openb-3', 'openb-4']);
    const runner = createCycleRunner({ workers: 0 });
    const simulation = new Simulation({ workload, config: CONFIG, runner, writer: newWriter(), audit: SNAPSHOT_OPTIONS });
    await simulation.run(EPOCH_MS + 250_000, async () => true);
    await runner.close();
    const report = buildReport(simulation.recorder, workload, 0, 0, simulation.audit?.summary());
    expect(report.pods.evicted).toBeGreaterThan(0);
    expect(report.queues.filter((q) => q.meanAllocatedGpu > 0.5)).toHaveLength(4);
    expect(report.audit).toMatchObject({ cycles: report.cycles.count, findings: 0, examples: [] });
    expect(report.audit?.decisions).toBeGreaterThan(report.pods.bound);
    expect(reportText(report)).toMatch(/^Audit {5}\S+ cycles with \S+ decisions: nothing is wrong$/m);
  });

  test('a scheduler that promises too much is found out', async () => {
    const trace = smallTrace(1, 20);
    const lives = trace.pods.map(() => ({ createdS: 0, deletedS: 600, isBestEffort: true }));
    const workload = flowWorkload({ trace, lives, queues: 1, seed: 7, arrivePercent: 500, overMs: 60_000 });
    const inner = createCycleRunner({ workers: 0 });
    const runner: CycleRunner = {
      ...inner,
      run: async (...args) => {
        const result = await inner.run(...args);
        return { ...result, decisions: result.decisions.map((d) => ({ ...d, gpuPortion: '0.01' })) };
      },
    };
    const simulation = new Simulation({ workload, config: CONFIG, runner, writer: newWriter(), audit: SNAPSHOT_OPTIONS });
    await simulation.run(EPOCH_MS + 60_000, async () => true);
    await inner.close();
    const summary = simulation.audit!.summary();
    expect(summary.findings).toBeGreaterThan(0);
    expect(summary.examples[0]).toMatchObject({ rule: 'wrong-grant' });
  });

  test('files beside the trace', () => {
    const folder = mkdtempSync(join(tmpdir(), 'openb-'));
    const podFile = join(folder, 'pods.csv');
    writeFileSync(podFile, 'name,cpu_milli,qos,creation_time,deletion_time\na,1,LS,5,9\nb,1,BE,7,\n');
    expect(readOpenbLives(podFile)).toEqual([
      { createdS: 5, deletedS: 9, isBestEffort: false },
      { createdS: 7, deletedS: Number.NaN, isBestEffort: true },
    ]);
    expect(readPublished(podFile)).toBeUndefined();
    writeFileSync(join(folder, 'published-allocation.json'), '{"pods":{"FGD":{"90":90.5}}}');
    expect(readPublished(podFile)).toEqual({ FGD: { '90': 90.5 } });
    writeFileSync(join(folder, 'published-allocation.json'), '{');
    expect(() => readPublished(podFile)).toThrow(/published-allocation.json: not JSON/);
    writeFileSync(podFile, 'name,cpu_milli\na,1\n');
    expect(() => readOpenbLives(podFile)).toThrow(/no creation_time and deletion_time/);
  });
});
