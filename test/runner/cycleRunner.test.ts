import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { Decision } from '../../src/base/decisions.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { type CycleRunner, createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { COUNTER, type FakeScript, type Fault, fakeSnapshot, viewSnapshot } from './fakeEngine.ts';
import { configOf, createRunner, engineUrl, script } from './fakeRunner.ts';

/** Every search that is not tiny is shared between planner and search workers. */
const SHARED = 1e-9;
/** Search workers do all of every search. */
const WHOLE = 0;
const NOW_MS = 1_700_000_000_000;
const view: SnapshotView = viewSnapshot(fakeSnapshot(2000));

async function inline(values: Partial<FakeScript>): Promise<string> {
  const { decisions } = await createRunner({ workers: 0 }).run(view, configOf(script({ ...values, planFault: 'none' })), NOW_MS);
  return JSON.stringify(decisions);
}

/** Cycles without faults until a search was really shared: the threads are up. */
async function warmUp(runner: CycleRunner): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if ((await runner.run(view, configOf(script({})), NOW_MS)).searchHandovers > 0) return;
  }
  throw new Error('no search was ever handed over');
}

describe('workers', () => {
  it.each([1, 2, 3])('gives the decisions of the inline cycle with %i', async (workers) => {
    const runner = createRunner({ workers, searchHandoverMs: SHARED });
    if (workers > 1) await warmUp(runner);
    for (let cycle = 0; cycle < 5; cycle++) {
      const values = script({ jobs: 30 + cycle, isSearchAwaited: workers > 1 });
      const batches: Decision[][] = [];
      const result = await runner.run(view, configOf(values), NOW_MS, (batch) => batches.push([...batch]));
      expect(JSON.stringify(result.decisions)).toBe(await inline({ jobs: 30 + cycle }));
      expect(batches.flat()).toEqual(result.decisions);
      expect(batches.map((b) => b.length)).toEqual(
        Array.from({ length: 30 + cycle }, (_, job) => (job === 3 ? 9 : (job * 7919) % 6)).filter((n) => n > 0),
      );
      expect(result.report.staleBindRequests).toEqual(['a/b']);
      expect(Object.keys(result.report.phaseMs)).toEqual(['open', 'allocate']);
      expect(result.restarts).toBe(0);
      const searched = new Int32Array(values.counters)[COUNTER.searched]!;
      if (workers === 1) expect([result.searchHandovers, searched]).toEqual([0, 0]);
      else expect(Math.min(result.searchHandovers, searched)).toBeGreaterThan(0);
    }
  });

  it.each([2, 3])('gives them too when search workers do all of every search, with %i', async (workers) => {
    const runner = createRunner({ workers, searchHandoverMs: WHOLE });
    for (const nodes of [1, 64, 700]) {
      const small = viewSnapshot(fakeSnapshot(nodes));
      const values = script({});
      const result = await runner.run(small, configOf(values), NOW_MS);
      const expected = await createRunner({ workers: 0 }).run(small, configOf(values), NOW_MS);
      expect(JSON.stringify(result.decisions)).toBe(JSON.stringify(expected.decisions));
      expect(result.searchHandovers).toBe(40);
      expect(new Int32Array(values.counters)[COUNTER.searched]).toBeGreaterThanOrEqual(40); // one call per part
    }
  });

  it('names the decisions from the snapshot', async () => {
    const { decisions } = await createRunner({ workers: 1 }).run(view, configOf(script({ jobs: 2 })), NOW_MS);
    expect(decisions[0]).toMatchObject({
      pod: 'text-10008',
      podUid: 'text-20008',
      podGroup: 'text-30001',
      kind: 'bind',
      action: 'allocate',
    });
    expect(decisions[0]!.node).toBe(`text-${decisions[0]!.nodeRow}`);
    expect(decisions[0]!.details).toEqual({ message: 'job 1' });
    expect(decisions[1]!.gpuGroups).toEqual(['group-1', 'ü']);
  });

  it('hands nothing over below the threshold or in small searches, and opens no search then', async () => {
    const idle = createRunner({ workers: 2, searchHandoverMs: 1e9 });
    await warmUpThreads(idle);
    const values = script({});
    expect((await idle.run(view, configOf(values), NOW_MS)).searchHandovers).toBe(0);
    const eager = createRunner({ workers: 2, searchHandoverMs: SHARED });
    await warmUp(eager);
    expect((await eager.run(viewSnapshot(fakeSnapshot(255)), configOf(values), NOW_MS)).searchHandovers).toBe(0);
    expect(new Int32Array(values.counters)[COUNTER.opened]).toBe(0);
  });

  it('hands over by its own measurement where the work is large', async () => {
    const runner = createRunner({ workers: 2 });
    let handovers = 0;
    for (let i = 0; i < 50 && handovers === 0; i++) {
      handovers = (await runner.run(view, configOf(script({ jobs: 3, work: 20_000 })), NOW_MS)).searchHandovers;
    }
    expect(handovers).toBeGreaterThan(0);
  });

  it('passes batches larger than the ring', async () => {
    const runner = createRunner({ workers: 1, ringCapacityBytes: 256 });
    const { decisions } = await runner.run(view, configOf(script({ largeBatch: 5000 })), NOW_MS);
    expect(JSON.stringify(decisions)).toBe(await inline({ largeBatch: 5000 }));
  });

  it('resolves auto to the number of cores and refuses what is no count', () => {
    expect(createRunner({}).workers).toBe(availableParallelism());
    for (const workers of [-1, 1.5, Number.NaN])
      expect(() => createRunner({ workers })).toThrow(expect.objectContaining({ code: 'BAD_WORKERS' }));
  });
});

async function warmUpThreads(runner: CycleRunner): Promise<void> {
  for (let i = 0; i < 3; i++) await runner.run(view, configOf(script({ jobs: 1 })), NOW_MS);
}

describe('failures', () => {
  const planFaults: Fault[] = ['throw', 'exit', 'hang'];
  it.each(planFaults)('repeats the cycle when the planner does: %s', async (planFault) => {
    const runner = createRunner({ workers: 2, cycleDeadlineMs: 3000, searchHandoverMs: SHARED });
    const batches: Decision[] = [];
    const result = await runner.run(view, configOf(script({ planFault })), NOW_MS, (batch) => batches.push(...batch));
    expect(result.restarts).toBe(1);
    expect(JSON.stringify(result.decisions)).toBe(await inline({}));
    expect(batches).toEqual(result.decisions); // each was handed on once
    expect((await runner.run(view, configOf(script({})), NOW_MS)).restarts).toBe(0);
  });

  it.each(planFaults)('repeats the cycle when a search worker does: %s', async (searchFault) => {
    const runner = createRunner({ workers: 3, cycleDeadlineMs: 3000, searchHandoverMs: WHOLE });
    const values = script({ searchFault });
    const batches: Decision[] = [];
    const result = await runner.run(view, configOf(values), NOW_MS, (batch) => batches.push(...batch));
    expect(new Int32Array(values.counters)[COUNTER.faults]).toBe(1);
    expect(result.restarts).toBe(1);
    expect(JSON.stringify(result.decisions)).toBe(await inline({}));
    expect(batches).toEqual(result.decisions);
  });

  it.each([
    ['throw' as const, 'the planner failed: TypeError: fault on demand'],
    ['exit' as const, 'the planner was lost: worker exited with code: 3'],
    ['hang' as const, 'no result within 1000 ms'],
  ])('gives up after two restarts: %s', async (planFault, cause) => {
    // On a busy machine threads take their time: the deadline is short only where it is what is looked at.
    const runner = createRunner({ workers: 2, cycleDeadlineMs: planFault === 'hang' ? 1000 : 60_000 });
    const batches: Decision[] = [];
    const run = runner.run(view, configOf(script({ planFault, faultTimes: 9 })), NOW_MS, (batch) => batches.push(...batch));
    await expect(run).rejects.toMatchObject({ name: 'KaiError', code: 'CYCLE_FAILED', message: expect.stringContaining(cause) });
    await expect(run).rejects.toThrow('failed 3 time(s)');
    const whole = JSON.parse(await inline({})) as Decision[];
    expect(batches).toEqual(whole.slice(0, batches.length)); // what was handed on is whole batches of the true cycle
    expect(batches.length).toBeLessThan(whole.length);
  });

  it('does without search workers that fail each time', async () => {
    const runner = createRunner({ workers: 2, searchHandoverMs: WHOLE });
    const values = script({ searchFault: 'throw', faultTimes: 99 });
    const { decisions, restarts } = await runner.run(view, configOf(values), NOW_MS);
    expect([JSON.stringify(decisions), restarts]).toEqual([await inline({}), 1]);
    expect(new Int32Array(values.counters)[COUNTER.faults]).toBe(1);
  });

  it('rejects alike when the inline engine throws', async () => {
    const run = createRunner({ workers: 0 }).run(view, configOf(script({ planFault: 'throw' })), NOW_MS);
    await expect(run).rejects.toMatchObject({ code: 'CYCLE_FAILED', message: expect.stringContaining('TypeError: fault on demand') });
  });

  it.each([0, 1])('passes on an input that the engine refuses, without repetition, workers %i', async (workers) => {
    const values = script({ planFault: 'refuse', faultTimes: 9 });
    const run = createRunner({ workers }).run(view, configOf(values), NOW_MS);
    await expect(run).rejects.toMatchObject({ name: 'KaiError', code: 'UNKNOWN_ACTION', message: 'refused on demand' });
    expect(new Int32Array(values.counters)[COUNTER.faults]).toBe(1);
  });

  it.each<Fault>(['decide otherwise', 'decide less'])('refuses a repetition that does: %s', async (planFault) => {
    const runner = createRunner({ workers: 1 });
    let handedOn = 0;
    const values = script({ planFault, jobs: 400, faultJob: 399, work: 200 });
    const run = runner.run(view, configOf(values), NOW_MS, () => handedOn++);
    await expect(run).rejects.toMatchObject({ code: 'CYCLE_NOT_DETERMINISTIC' });
    expect(handedOn).toBeGreaterThan(2);
  });

  it('survives a worker that dies after its task', async () => {
    const runner = createRunner({ workers: 1 });
    const values = configOf(script({ planFault: 'reject later' }));
    const first = await runner.run(view, values, NOW_MS);
    expect(first.decisions.length).toBeGreaterThan(0);
    expect(JSON.stringify((await runner.run(view, values, NOW_MS)).decisions)).toBe(await inline({}));
  });

  it.each([0, 2])('hands on what onDecisions throws, workers %i', async (workers) => {
    const runner = createRunner({ workers });
    const refuse = (): never => {
      throw new RangeError('not taken');
    };
    await expect(runner.run(view, configOf(script({})), NOW_MS, refuse)).rejects.toThrow(RangeError);
    expect(JSON.stringify((await runner.run(view, configOf(script({})), NOW_MS)).decisions)).toBe(await inline({}));
  });

  it('names an engine module that cannot be loaded', async () => {
    const runner = createCycleRunner({ workers: 1, engineUrl: new URL('./noEngine.ts', import.meta.url).href });
    await expect(runner.run(view, configOf(script({})), NOW_MS)).rejects.toMatchObject({
      code: 'CYCLE_FAILED',
      message: expect.stringContaining('noEngine'),
    });
    await runner.close();
  });
});

describe('errors on one job', () => {
  it.each([
    [0, WHOLE],
    [1, WHOLE],
    [2, WHOLE],
    [3, WHOLE],
    [3, SHARED],
  ])('cost these jobs their turns and nobody else anything: %i workers, hand-over from %d ms', async (workers, searchHandoverMs) => {
    const runner = createRunner({ workers, searchHandoverMs });
    for (const bombs of [[20], [0, 1, 17, 39], Array.from({ length: 40 }, (_, job) => job)]) {
      const batches: Decision[] = [];
      const values = script({ bombs, finds: [[6, 4, true]] });
      const { decisions, faults, restarts } = await runner.run(view, configOf(values), NOW_MS, (batch) => batches.push(...batch));
      expect(JSON.stringify(decisions)).toBe(await inline({ bombs, isWithoutBombs: true, finds: [[6, 4, true]] }));
      expect(batches).toEqual(decisions); // each was handed on once
      expect(faults).toEqual(
        bombs.map((job) => ({ podGroupRow: job, turn: job + 1, message: `bomb ${job}`, stack: `bomb ${job} somewhere` })),
      );
      expect(restarts).toBe(0);
    }
    expect((await runner.run(view, configOf(script({})), NOW_MS)).faults).toEqual([]);
  });

  it.each([0, 2])('fail the cycle when there is no end to them, workers %i', async (workers) => {
    const values = script({ jobs: 100, bombs: Array.from({ length: 60 }, (_, i) => 30 + i) });
    const batches: Decision[] = [];
    const run = createRunner({ workers }).run(view, configOf(values), NOW_MS, (batch) => batches.push(...batch));
    await expect(run).rejects.toMatchObject({ code: 'CYCLE_FAILED', message: expect.stringContaining('on 51 jobs, at last: ') });
    await expect(run).rejects.toThrow('bomb 80 somewhere');
    expect(JSON.stringify(batches)).toBe(await inline({ jobs: 30 }));
  });

  it.each([0, 1, 2])('fail the cycle when a job that is set aside throws all the same, workers %i', async (workers) => {
    const run = createRunner({ workers }).run(view, configOf(script({ planFault: 'blame', faultTimes: 99 })), NOW_MS);
    await expect(run).rejects.toMatchObject({ code: 'CYCLE_FAILED', message: expect.stringContaining('bomb 20') });
  });

  it('count only when one thread alone comes to them', async () => {
    const finds: FakeScript['finds'] = [[6, 4, true]];
    for (const fault of [{ planFault: 'blame' }, { followFault: 'blame' }] as const) {
      const values = script({ ...fault, finds });
      const result = await createRunner({ workers: 2, searchHandoverMs: WHOLE }).run(view, configOf(values), NOW_MS);
      expect(new Int32Array(values.counters)[COUNTER.faults]).toBe(1);
      expect([result.faults, result.restarts, JSON.stringify(result.decisions)]).toEqual([[], 0, await inline({ finds })]);
    }
  });

  it('end no thread', async () => {
    const runner = createRunner({ workers: 2 });
    const values = script({ bombs: [3, 4, 5, 6, 7, 8] });
    await runner.run(view, configOf(values), NOW_MS);
    expect(new Int32Array(values.counters)[COUNTER.threads]).toBeLessThanOrEqual(2);
  });
});

describe('lifecycle', () => {
  it('runs 1,000 cycles without piling anything up', async () => {
    const warnings: string[] = [];
    const onWarning = (warning: Error): number => warnings.push(warning.message);
    process.on('warning', onWarning);
    const runner = createRunner({ workers: 2, searchHandoverMs: WHOLE });
    const config = configOf(script({ jobs: 3, work: 0 }));
    const first = JSON.stringify((await runner.run(view, config, NOW_MS)).decisions);
    const resources = (): string => process.getActiveResourcesInfo().sort().join();
    let before = '';
    for (let cycle = 0; cycle < 1000; cycle++) {
      if (cycle === 100) before = resources();
      expect(JSON.stringify((await runner.run(view, config, NOW_MS)).decisions)).toBe(first);
    }
    expect(resources()).toBe(before);
    expect(warnings).toEqual([]);
    process.off('warning', onWarning);
  });

  it('runs one cycle at a time, none after close', async () => {
    const runner = createRunner({ workers: 1 });
    const first = runner.run(view, configOf(script({})), NOW_MS);
    await expect(runner.run(view, configOf(script({})), NOW_MS)).rejects.toMatchObject({ code: 'RUNNER_BUSY' });
    await first;
    await runner.close();
    await runner.close();
    await expect(runner.run(view, configOf(script({})), NOW_MS)).rejects.toMatchObject({ code: 'RUNNER_CLOSED' });
  });

  it('gives up a running cycle on close', async () => {
    const runner = createRunner({ workers: 2 });
    const run = runner.run(view, configOf(script({ planFault: 'hang', faultTimes: 9 })), NOW_MS);
    const rejected = expect(run).rejects.toMatchObject({ code: 'RUNNER_CLOSED' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await runner.close();
    await rejected;
  });

  it.each(['', 'await runner.close();'])('lets the process end by itself, with "%s" last', (last) => {
    const program = `
      const { createCycleRunner } = await import(${JSON.stringify(new URL('../../src/runner/cycleRunner.ts', import.meta.url).href)});
      const fake = await import(${JSON.stringify(engineUrl)});
      const view = fake.viewSnapshot(fake.fakeSnapshot(500));
      const budgets = ${JSON.stringify(script({}))};
      budgets.counters = new SharedArrayBuffer(64);
      const runner = createCycleRunner({ workers: 3, engineUrl: ${JSON.stringify(engineUrl)} });
      const result = await runner.run(view, { actions: ['allocate'], scenarioSearchBudgets: budgets }, 0);
      ${last}
      console.log(result.decisions.length > 0);`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8', timeout: 60_000 });
    expect([child.stdout, child.stderr, child.status]).toEqual(['true\n', '', 0]);
  });
});
