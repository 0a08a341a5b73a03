import { describe, expect, test, vi } from 'vitest';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { generateWorkload } from '../../src/simulator/generatedJobs.ts';
import { jobObjects } from '../../src/simulator/jobShapes.ts';
import { createPace } from '../../src/simulator/pace.ts';
import { startProgress } from '../../src/simulator/progress.ts';
import { buildReport } from '../../src/simulator/report.ts';
import { reportText } from '../../src/simulator/reportText.ts';
import { Simulation } from '../../src/simulator/simulation.ts';
import { groupWaiting, reasonHead } from '../../src/simulator/waiting.ts';
import { type Arrival, EPOCH_MS, type Workload } from '../../src/simulator/workload.ts';
import { firstFitRunner } from './firstFitRunner.ts';
import { CONFIG, newWriter } from './setUp.ts';

const always = async (): Promise<boolean> => true;

function simulate(workload: Workload, runner = firstFitRunner()): Simulation {
  return new Simulation({ workload, config: CONFIG, runner, writer: newWriter() });
}

/** One node of 2 GPUs and the given jobs: [at s, pods, minimum, runs s]. */
function smallWorkload(jobs: readonly (readonly [number, number, number, number])[]): Workload {
  const allocatable = { cpu: '16', memory: '64Gi', pods: '110', 'nvidia.com/gpu': '2' };
  const arrivals = jobs.map(([atS, pods, minMember, runS], i): Arrival => {
    const atMs = EPOCH_MS + atS * 1000;
    const shape = {
      kind: 'job',
      pods,
      minMember,
      milliCpu: 1000,
      memoryMib: 1024,
      gpus: 1,
      gpuPercent: 0,
      gpuMemoryMib: 0,
      priorityClass: 'train',
    };
    return { atMs, runMs: runS * 1000, ...jobObjects(shape, { namespace: 'ns', name: `job-${i}`, queue: 'q', createdMs: atMs }) };
  });
  let next = 0;
  return {
    description: 'small',
    nodes: [{ metadata: { name: 'n0' }, status: { allocatable } }],
    objects: { queues: [{ metadata: { name: 'q' }, spec: { resources: { gpu: { quota: 2, limit: -1, overQuotaWeight: 1 } } } }] },
    nextAtMs: () => arrivals[next]?.atMs ?? Infinity,
    next: () => arrivals[next++]!,
  };
}

describe('simulation', () => {
  test('jobs come, wait, run, end and leave; shares are means over time', async () => {
    // Bound at 0 s, running at 2 s, over at 12 s; then the gang until 24 s.
    const workload = smallWorkload([
      [0, 1, 1, 10],
      [5, 2, 2, 10],
    ]);
    const simulation = simulate(workload);
    await simulation.run(EPOCH_MS + 48_000, always);
    const report = buildReport(simulation.recorder, workload, 0, 0);
    expect(report.pods).toEqual({ submitted: 3, bound: 3, waiting: 0, finished: 3, evicted: 0, dropped: 0, running: 0 });
    expect(report.simulatedMs).toBe(48_000);
    expect(report.waitMs.max).toBe(7000);
    // (1 GPU × 12 s + 2 GPUs × 12 s) of 2 GPUs × 48 s.
    expect(report.gpu.meanAllocatedShare).toBeCloseTo(36 / 96);
    expect(simulation.cluster.size('pods')).toBe(0);
    expect(simulation.cluster.size('podGroups')).toBe(0);
    expect(report.overcommits).toBe(0);
  });

  test('ends when nothing can happen any more, and says who waits', async () => {
    const workload = smallWorkload([[3, 3, 3, 10]]);
    const simulation = simulate(workload);
    await simulation.run(Infinity, always);
    const report = buildReport(simulation.recorder, workload, 0, 0);
    expect(report.pods).toMatchObject({ submitted: 3, bound: 0, waiting: 3 });
    expect(report.waiting).toEqual([
      {
        reason: "Resources were not found for pod due to: N node(s) didn't have enough resources: GPUs",
        pods: 3,
        podGroups: 1,
        example: 'ns/job-0-0',
      },
    ]);
    expect(reportText(report)).toContain("3  Resources were not found for pod due to: N node(s) didn't have enough resources: GPUs");
  });

  test.each([
    ['first fit', firstFitRunner],
    ['the engine', () => createCycleRunner({ workers: 0 })],
  ])('two runs of one seed give the same report but for the times: %s', async (_, makeRunner) => {
    const run = async (): Promise<string> => {
      const workload = generateWorkload({ nodes: 12, seed: 9 });
      const simulation = simulate(workload, makeRunner());
      await simulation.run(EPOCH_MS + 3_600_000, always);
      const { timing: _, ...report } = buildReport(simulation.recorder, workload, Math.random(), 0);
      const { submitted, bound, running, finished, waiting, evicted } = report.pods;
      const leaving = simulation.cluster.list('pods').filter((p) => p.metadata.deletionTimestamp !== undefined).length;
      expect(submitted).toBe(running + finished + waiting);
      expect(bound).toBe(running + finished + evicted - leaving);
      expect(bound).toBeGreaterThan(100);
      expect(report.waiting.reduce((sum, g) => sum + g.pods, 0)).toBe(waiting);
      expect(report.overcommits).toBe(0);
      return JSON.stringify(report);
    };
    expect(await run()).toBe(await run());
  });

  test('stops when told to, in the middle', async () => {
    const workload = generateWorkload({ nodes: 4, seed: 1 });
    const simulation = simulate(workload);
    let steps = 0;
    await simulation.run(EPOCH_MS + 3_600_000, async () => ++steps <= 5);
    expect(steps).toBe(6);
    expect(simulation.cluster.nowMs).toBeLessThan(EPOCH_MS + 3_600_000);
  });

  test('the pace stops an aborted run at once and an expired one', async () => {
    const abort = new AbortController();
    const pace = createPace({ speed: 1, wallLimitMs: Infinity, signal: abort.signal });
    expect(await pace(EPOCH_MS)).toBe(true);
    const step = pace(EPOCH_MS + 3_600_000);
    abort.abort();
    expect(await step).toBe(false);
    expect(await createPace({ speed: Infinity, wallLimitMs: 1e-6, signal: new AbortController().signal })(EPOCH_MS)).toBe(false);
  });
});

describe('reasons', () => {
  test('messages of many pods fall into one group', () => {
    expect(
      reasonHead(
        "PodSchedulingErrors: Resources were not found for pod ml/p-17 due to: no nodes with enough resources were found: 3 node(s) didn't have enough resources: GPUs..",
      ),
    ).toBe(
      "PodSchedulingErrors: Resources were not found for pod due to: no nodes with enough resources were found: N node(s) didn't have enough resources: GPUs",
    );
    expect(
      reasonHead(
        'OverLimit: team-a1 quota has reached the allowable limit of GPUs. Limit is 8 GPUs, currently 7.5 GPUs allocated and workload requested 1 GPUs.',
      ),
    ).toBe('OverLimit: team-a1 quota has reached the allowable limit of GPUs');
    expect(
      reasonHead(
        'NonPreemptibleOverQuota: Non-preemptible workload is over quota. Workload requested 1 GPUs, but b quota is 0 GPUs, while 2 GPUs are already allocated for non-preemptible pods. Use a preemptible workload to go over quota.',
      ),
    ).toBe('NonPreemptibleOverQuota: Non-preemptible workload is over quota. Workload requested N GPUs, but b quota is N GPUs');
    const waiting = ['a', 'b', 'c'].map((name, i) => {
      return { pod: `ns/${name}`, podGroup: `ns/g${i % 2}`, queue: 'q', createdMs: 0, message: '', head: i < 2 ? 'one' : 'two' };
    });
    expect(groupWaiting(waiting)).toEqual([
      { reason: 'one', pods: 2, podGroups: 2, example: 'ns/a' },
      { reason: 'two', pods: 1, podGroups: 1, example: 'ns/c' },
    ]);
  });
});

describe('progress', () => {
  test('rewrites one line per second on a terminal, writes a line per 10 s elsewhere', () => {
    vi.useFakeTimers();
    try {
      const written = (isTTY: boolean): string[] => {
        const texts: string[] = [];
        const progress = startProgress({ isTTY, write: (text) => texts.push(text) }, () => 'so far');
        vi.advanceTimersByTime(10_500);
        progress.end();
        vi.advanceTimersByTime(60_000);
        return texts;
      };
      expect(written(true)).toEqual([...new Array(10).fill('\r\x1b[2Kso far'), '\r\x1b[2K']);
      expect(written(false)).toEqual(['so far\n']);
    } finally {
      vi.useRealTimers();
    }
  });
});
