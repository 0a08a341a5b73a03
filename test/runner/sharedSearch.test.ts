// Victim searches that several threads make together: who makes which trial must not matter.
import { afterEach, describe, expect, it } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { type CycleRunner, type CycleRunnerOptions, createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { Board, FAILED, NO_TRIAL } from '../../src/workers/board.ts';
import { BOARD_BYTES, CONTROL_BYTES } from '../../src/workers/protocol.ts';
import { COUNTER, type FakeScript, fakeSnapshot, viewSnapshot } from './fakeEngine.ts';

const engineUrl = new URL('./fakeEngine.ts', import.meta.url).href;
const view: SnapshotView = viewSnapshot(fakeSnapshot(64));
const open: CycleRunner[] = [];

function createRunner(options: CycleRunnerOptions): CycleRunner {
  const runner = createCycleRunner({ engineUrl, ...options });
  open.push(runner);
  return runner;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((runner) => runner.close()));
});

/** Searches of all kinds: found early, late and never, hopeless, and one that is not divided. */
const FINDS: FakeScript['finds'] = [
  [40, 33, true],
  [25, -1, false],
  [60, 0, true],
  [30, 30 - 1, true],
  [50, 17, false],
  [0, -1, false],
];

function configOf(values: Partial<FakeScript>): { config: SchedulerConfig; counters: Int32Array } {
  const script: FakeScript = {
    jobs: 30,
    work: 10,
    largeBatch: 1,
    isSearchAwaited: false,
    planFault: 'none',
    searchFault: 'none',
    finds: FINDS,
    followFault: 'none',
    faultJob: 10,
    faultTimes: 1,
    counters: new SharedArrayBuffer(64),
    ...values,
  };
  const config: Partial<SchedulerConfig> = { actions: ['allocate'], scenarioSearchBudgets: { ...script } };
  return { config: config as SchedulerConfig, counters: new Int32Array(script.counters) };
}

async function decisionsOf(runner: CycleRunner, values: Partial<FakeScript> = {}): Promise<string> {
  const { decisions, report } = await runner.run(view, configOf(values).config, 0);
  return JSON.stringify([decisions, report.search]);
}

describe('searches with other threads', () => {
  it.each([2, 3])('come out the same when followers make all trials, with %i workers, with the counts of one thread', async (workers) => {
    const expected = await decisionsOf(createRunner({ workers: 0 }));
    const runner = createRunner({ workers, searchHandoverMs: 0 });
    for (let cycle = 0; cycle < 3; cycle++) {
      const { config, counters } = configOf({});
      const { decisions, report, sharedSearches, restarts } = await runner.run(view, config, 0);
      expect(JSON.stringify([decisions, report.search])).toBe(expected);
      expect([sharedSearches, restarts]).toEqual([30 * 5, 0]);
      expect(counters[COUNTER.helped]).toBeGreaterThan(30 * 100);
    }
  });

  it('come out the same when planner and followers share the trials as it happens', async () => {
    const work = 400;
    const expected = await decisionsOf(createRunner({ workers: 0 }), { work });
    const runner = createRunner({ workers: 3 });
    let shared = 0;
    for (let cycle = 0; cycle < 8; cycle++) {
      const { decisions, report, sharedSearches } = await runner.run(view, configOf({ work }).config, 0);
      expect(JSON.stringify([decisions, report.search])).toBe(expected);
      shared += sharedSearches;
    }
    expect(shared).toBeGreaterThan(0);
  });

  it.each(['throw', 'exit', 'decide otherwise'] as const)('a follower that fails (%s) makes the cycle repeat', async (followFault) => {
    const expected = await decisionsOf(createRunner({ workers: 0 }));
    const { config } = configOf({ followFault });
    const { decisions, report, restarts } = await createRunner({ workers: 2, searchHandoverMs: 0 }).run(view, config, 0);
    expect(JSON.stringify([decisions, report.search])).toBe(expected);
    expect(restarts).toBe(1);
  });
});

describe('the board', () => {
  const create = (): Board => new Board(new Int32Array(new SharedArrayBuffer(CONTROL_BYTES)), new SharedArrayBuffer(BOARD_BYTES));
  const COST = { simulations: 3, rejected: 1, unitsLeaving: 1_000_000, isNarrow: true };

  it('gives a trial to one thread, and none of a search that is over', () => {
    const board = create();
    board.open(0, 7);
    expect([board.take(0, 0), board.take(0, 0), board.take(0, 1), board.taken(0)]).toEqual([true, false, true, 2]);
    board.publish(FAILED);
    board.open(1, 8);
    expect([board.take(0, 2), board.take(1, 0), board.taken(0), board.isOpen(0), board.isOpen(1)]).toEqual([
      false,
      true,
      NO_TRIAL,
      false,
      true,
    ]);
  });

  it('keeps the first end in the order of the trials', () => {
    const board = create();
    board.open(4, 0);
    expect(board.stop(4).trial).toBe(NO_TRIAL);
    board.stopAt(4, 9, true);
    board.stopAt(4, 12, false);
    expect(board.stop(4)).toEqual({ trial: 9, isFound: true });
    board.stopAt(4, 5, false);
    expect(board.stop(4)).toEqual({ trial: 5, isFound: false });
    board.open(5, 0);
    board.stopAt(4, 1, true);
    expect([board.stop(5).trial, board.stop(4).trial]).toEqual([NO_TRIAL, -1]);
  });

  it('is not changed by threads that come late', () => {
    const board = create();
    board.open(2, 0);
    board.finish(2, 3, COST);
    board.finish(1, 3, { simulations: 1, rejected: 0, unitsLeaving: 0, isNarrow: false });
    expect([board.cost(2, 3), board.cost(1, 3), board.cost(2, 4)]).toEqual([COST, null, null]);
  });
});
