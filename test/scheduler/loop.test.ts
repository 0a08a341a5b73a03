import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CycleReport, emptySearchCounts } from '../../src/base/decisions.ts';
import { KaiError } from '../../src/base/errors.ts';
import type { JobFault } from '../../src/base/jobFault.ts';
import type { PodGroupRow } from '../../src/base/rows.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import type { CycleResult } from '../../src/runner/cycleRunner.ts';
import { SchedulingLoop } from '../../src/scheduler/loop.ts';
import { Quarantine } from '../../src/scheduler/quarantine.ts';
import { createWorld, decide, pod } from './world.ts';

const CONFIG = loadConfig({}).config;
const WAITING = { podGroupRow: 0, state: 'unschedulable', message: '', errors: [], pods: [], isConditionWanted: false } as never;

function createLoop(options: { readonly cycleMs?: number; readonly pauseMs?: number } = {}) {
  const world = createWorld();
  const { clock, state } = world;
  const starts: number[] = [];
  const failures: number[] = [];
  const control = {
    jobs: [] as CycleReport['jobs'][number][],
    error: undefined as unknown,
    running: 0,
    most: 0,
    blamed: 0,
    isBlamed: false,
    faults: [] as JobFault[],
    named: [] as string[],
    dueMs: Number.POSITIVE_INFINITY,
    sameUntilMs: Number.NEGATIVE_INFINITY,
  };
  const loop = new SchedulingLoop({
    state,
    clock,
    config: () => CONFIG,
    pauseMs: () => options.pauseMs ?? 50,
    take: () => undefined,
    report: async () => undefined,
    quarantine: {
      failed: () => {
        control.blamed++;
        return control.isBlamed;
      },
      succeeded: () => false,
      blame: (group) => {
        control.named.push(group);
        return false;
      },
      dueMs: () => control.dueMs,
    },
    runner: () => ({
      workers: 0,
      close: async () => undefined,
      run: async (): Promise<CycleResult> => {
        starts.push(clock.monotonicMs());
        control.most = Math.max(control.most, ++control.running);
        await clock.sleep(options.cycleMs ?? 0);
        control.running--;
        if (control.error !== undefined) throw control.error;
        const report = {
          jobs: control.jobs,
          queues: [],
          search: emptySearchCounts(),
          searchByAction: {},
          phaseMs: {},
          staleBindRequests: [],
          sameUntilMs: control.sameUntilMs,
        };
        return {
          decisions: [],
          report: report as unknown as CycleReport,
          cycleMs: 1,
          restarts: 0,
          faults: control.faults,
          searchHandovers: 0,
          sharedSearches: 0,
        };
      },
    }),
    observer: { started: () => undefined, finished: () => undefined, failed: (_, delayMs) => failures.push(delayMs) },
  });
  world.log.wake = () => loop.wake();
  const stop = new AbortController();
  const running = loop.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await clock.advance(100_000);
    await running;
  };
  return { ...world, loop, starts, failures, control, end };
}

test('a snapshot that somebody reads is not written over by later cycles', async () => {
  const { clock, loop, state, end } = createLoop();
  await clock.advance(0);
  const read = Promise.withResolvers<void>();
  let seen: { readonly buffer: SharedArrayBuffer; readonly generation: number } | undefined;
  let still: number | undefined;
  const reading = loop.withView(async (view) => {
    seen = { buffer: view.buffer, generation: view.generation };
    await read.promise;
    still = view.generation;
  });
  const buffers = new Set<SharedArrayBuffer>();
  for (let i = 0; i < 5; i++) {
    state.put('pods', pod(`p${i}`));
    await clock.advance(1000);
    buffers.add(loop.view!.buffer);
  }
  read.resolve();
  await reading;
  expect([buffers.has(seen!.buffer), still]).toEqual([false, seen!.generation]);
  await end();
});

describe('when cycles run', () => {
  test('once at the start, then at rest never again', async () => {
    const { clock, starts, end } = createLoop();
    await clock.advance(3_600_000);
    expect(starts).toEqual([0]);
    await end();
  });

  test('a cycle that decided nothing is not made again before something that it depends on changes', async () => {
    const { clock, loop, state, starts, control, end } = createLoop();
    control.sameUntilMs = clock.nowMs() + 60_000;
    await clock.advance(1_000);
    loop.wake();
    await clock.advance(1_000);
    expect([starts.length, loop.status().cycles]).toEqual([1, 2]);
    state.put('nodes', { metadata: { name: 'new' } });
    await clock.advance(1_000);
    expect([starts.length, loop.status().cycles]).toEqual([2, 3]);
    await clock.advance(60_000);
    loop.wake();
    await clock.advance(1_000);
    expect([starts.length, loop.status().cycles]).toEqual([3, 4]);
    await end();
  });

  test('changes that come together make one cycle, as soon as the pause after the last one is over', async () => {
    const { clock, loop, starts, end } = createLoop({ cycleMs: 30 });
    await clock.advance(40);
    for (let i = 0; i < 5; i++) {
      loop.wake();
      await clock.advance(5);
    }
    await clock.advance(1_000);
    expect(starts).toEqual([0, 80]);
    loop.wake();
    await clock.advance(0);
    expect(starts).toEqual([0, 80, 1_065]);
    await end();
  });

  test('while something waits, once per second, for the rules that look at the clock', async () => {
    const { clock, starts, control, loop, end } = createLoop();
    await clock.advance(500);
    control.jobs = [WAITING];
    loop.wake();
    await clock.advance(3_100);
    expect(starts).toEqual([0, 500, 1_500, 2_500, 3_500]);
    control.jobs = [];
    await clock.advance(60_000);
    expect(starts).toHaveLength(6);
    await end();
  });

  test('a period that was given is the least pause, as upstream’s', async () => {
    const { clock, starts, loop, control, end } = createLoop({ pauseMs: 5_000, cycleMs: 100 });
    control.jobs = [WAITING];
    for (let i = 0; i < 120; i++) {
      loop.wake();
      await clock.advance(100);
    }
    expect(starts).toEqual([0, 5_100, 10_200]);
    await end();
  });

  test('never two at once, and every change is followed by a cycle that began after it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(200), { minLength: 1, maxLength: 30 }), fc.nat(150), async (gaps, cycleMs) => {
        const { clock, loop, starts, control, end } = createLoop({ cycleMs });
        let lastWakeMs = 0;
        for (const gap of gaps) {
          await clock.advance(gap);
          loop.wake();
          lastWakeMs = clock.monotonicMs();
        }
        await clock.advance(2_000);
        expect(control.most).toBe(1);
        expect(starts.at(-1)).toBeGreaterThanOrEqual(lastWakeMs);
        for (let i = 1; i < starts.length; i++) expect(starts[i]! - starts[i - 1]!).toBeGreaterThanOrEqual(50 + cycleMs);
        await end();
      }),
      { seed: 7, numRuns: 60 },
    );
  });

  test('a cycle that fails is tried again after a growing time and never ends the loop', async () => {
    const { clock, starts, failures, control, loop, end } = createLoop();
    control.error = new Error('threads are gone');
    loop.wake();
    await clock.advance(8_000);
    expect(failures.slice(0, 3)).toEqual([750, 1_500, 3_000]);
    expect(loop.status().failures).toBe(failures.length);
    control.error = undefined;
    await clock.advance(30_000);
    expect(loop.status().failures).toBe(0);
    expect(starts.length).toBeGreaterThan(3);
    await end();
  });

  test('only failures of the engine are blamed on jobs, and then the next try comes at once', async () => {
    const { clock, failures, control, loop, end } = createLoop();
    control.error = new KaiError('CYCLE_FAILED', 'boom');
    control.isBlamed = true;
    loop.wake();
    await clock.advance(500);
    expect(control.blamed).toBeGreaterThan(3);
    expect(new Set(failures)).toEqual(new Set([0]));
    expect(loop.status().failures).toBe(0);
    control.error = undefined;
    await end();
  });

  test('jobs that the engine names are set aside, and no cycle counts as failed; one whose time is over has its cycle', async () => {
    const { clock, state, starts, failures, control, loop, end } = createLoop();
    state.put('podGroups', { metadata: { name: 'bad', namespace: 'ns', uid: 'u' }, spec: { queue: 'q' } });
    control.faults = [{ podGroupRow: 0 as PodGroupRow, turn: 1, message: 'boom', stack: 'boom' }];
    await clock.advance(100);
    expect([control.named, control.blamed, failures, loop.status().failures]).toEqual([['ns/bad'], 0, [], 0]);
    control.faults = [];
    control.dueMs = clock.monotonicMs() + 60_000;
    const before = starts.length;
    await clock.advance(59_000);
    expect(starts).toHaveLength(before);
    await clock.advance(1_000);
    expect(starts).toHaveLength(before + 1);
    control.dueMs = Number.POSITIVE_INFINITY;
    await end();
  });

  test('a pod that stepped back wakes the loop when its time is over', async () => {
    const { clock, state, starts, end } = createLoop();
    state.put('pods', pod('p'));
    await clock.advance(1_000);
    state.unassume('ns/p', state.assume(state.pod('ns/p')!, decide('bind', 'p', 'n1')), true);
    await clock.advance(900);
    expect([state.counts().held, starts]).toEqual([1, [0, 1_000]]);
    await clock.advance(100);
    expect([state.counts().held, starts]).toEqual([0, [0, 1_000, 2_000]]);
    await end();
  });
});

describe('OP-14: the job that makes cycles fail', () => {
  test('is found among any number, steps aside for a growing time, and all others are served meanwhile', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(200), { minLength: 1, maxLength: 40 }), fc.integer({ min: 0, max: 3 }), (numbers, bad) => {
        const groups = numbers.map((n) => `ns/g${n}`).sort();
        const offenders = new Set(groups.filter((_, i) => i % 7 === 3).slice(0, bad));
        let hidden: ReadonlySet<string> = new Set();
        let nowMs = 0;
        const found: string[] = [];
        const quarantine = new Quarantine({
          state: {
            waitingGroups: () => groups,
            hideGroups: (set) => {
              hidden = set;
            },
            group: () => undefined,
          },
          clock: { monotonicMs: () => nowMs },
          onFound: (group) => found.push(group),
        });
        const cycle = (): boolean => {
          const isFailing = [...offenders].some((group) => !hidden.has(group));
          if (isFailing) quarantine.failed(new Error('boom'));
          else quarantine.succeeded();
          nowMs += 100;
          return isFailing;
        };
        for (let i = 0; i < 60; i++) cycle();
        expect(found.toSorted()).toEqual([...offenders].sort());
        expect([...hidden].sort()).toEqual([...offenders].sort());
        // A minute later they are tried again, and found again.
        nowMs += 60_000;
        for (let i = 0; i < 60; i++) cycle();
        expect(found).toHaveLength(2 * offenders.size);
      }),
      { seed: 11, numRuns: 200 },
    );
  });

  test('when a cycle fails without any job, no job is blamed', () => {
    const found: string[] = [];
    let hidden: ReadonlySet<string> = new Set();
    const quarantine = new Quarantine({
      state: {
        waitingGroups: () => ['ns/a', 'ns/b'],
        hideGroups: (set) => {
          hidden = set;
        },
        group: () => undefined,
      },
      clock: { monotonicMs: () => 0 },
      onFound: (group) => found.push(group),
    });
    expect(quarantine.failed(new Error('boom'))).toBe(true);
    expect([...hidden]).toEqual(['ns/a', 'ns/b']);
    expect(quarantine.failed(new Error('boom'))).toBe(false);
    expect([[...hidden], found]).toEqual([[], []]);
  });

  test('a job that is named steps aside at once, is told once, and each time for longer', () => {
    let hidden: ReadonlySet<string> = new Set();
    let nowMs = 0;
    const pauses: number[] = [];
    const quarantine = new Quarantine({
      state: {
        waitingGroups: () => ['ns/a', 'ns/b'],
        hideGroups: (set) => {
          hidden = set;
        },
        group: () => undefined,
      },
      clock: { monotonicMs: () => nowMs },
      onFound: (_group, _error, pauseMs) => pauses.push(pauseMs),
    });
    expect(quarantine.dueMs()).toBe(Number.POSITIVE_INFINITY);
    for (const pauseMs of [60_000, 120_000, 240_000]) {
      quarantine.blame('ns/b', new Error('boom'));
      quarantine.blame('ns/b', new Error('boom'));
      expect([[...hidden], quarantine.dueMs(), pauses.at(-1)]).toEqual([['ns/b'], nowMs + pauseMs, pauseMs]);
      expect(quarantine.succeeded()).toBe(false);
      nowMs += pauseMs;
      expect(quarantine.succeeded()).toBe(true);
      expect([[...hidden], quarantine.dueMs()]).toEqual([[], Number.POSITIVE_INFINITY]);
    }
    expect(pauses).toHaveLength(3);
  });

  test('many at once, more than one cycle bears, are all named, and nobody else is blamed', () => {
    const groups = Array.from({ length: 300 }, (_, i) => `ns/g${1000 + i}`);
    const isBad = (i: number): boolean => i % 3 === 1 && i < 250;
    let hidden: ReadonlySet<string> = new Set();
    const found: string[] = [];
    const quarantine = new Quarantine({
      state: {
        waitingGroups: () => groups,
        hideGroups: (set) => {
          hidden = set;
        },
        group: () => undefined,
      },
      clock: { monotonicMs: () => 0 },
      onFound: (group) => found.push(group),
    });
    let cycles = 0;
    for (let isWorth = true; isWorth; cycles++) {
      const bad = groups.filter((group, i) => isBad(i) && !hidden.has(group));
      if (bad.length > 50) isWorth = quarantine.failed(new Error('boom'));
      else isWorth = [...bad.map((group) => quarantine.blame(group, new Error('boom'))), quarantine.succeeded()].includes(true);
    }
    const all = groups.filter((_, i) => isBad(i));
    expect([found.toSorted(), [...hidden].sort()]).toEqual([all, all]);
    expect(cycles).toBeLessThan(20);
  });

  test('a job that is made again under its name is another job', () => {
    let uid: string | undefined = 'first';
    let hidden: ReadonlySet<string> = new Set();
    const quarantine = new Quarantine({
      state: {
        waitingGroups: () => ['ns/a'],
        hideGroups: (set) => {
          hidden = set;
        },
        group: () => ({ metadata: { name: 'a', namespace: 'ns', uid } }),
      },
      clock: { monotonicMs: () => 0 },
      onFound: () => undefined,
    });
    quarantine.failed(new Error('boom'));
    quarantine.succeeded();
    expect([...hidden]).toEqual(['ns/a']);
    expect(quarantine.succeeded()).toBe(false);
    uid = 'second';
    expect(quarantine.succeeded()).toBe(true);
    expect([...hidden]).toEqual([]);
  });
});
