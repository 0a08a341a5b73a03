// Victim searches that several threads make together: who makes which trial must not matter.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import { emptySearchCounts, type SearchCounts } from '../../src/base/decisions.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { type Course, TrialEnd } from '../../src/engine/parallel.ts';
import type { CycleRunner } from '../../src/runner/cycleRunner.ts';
import { Board, FAILED, NO_TRIAL } from '../../src/workers/board.ts';
import { createRow, readCounts } from '../../src/workers/counts.ts';
import { Lead } from '../../src/workers/lead.ts';
import { boardBytes, CONTROL_BYTES } from '../../src/workers/protocol.ts';
import { COUNTER, type FakeScript, fakeSnapshot, viewSnapshot } from './fakeEngine.ts';
import { configOf, createRunner, script } from './fakeRunner.ts';

const view: SnapshotView = viewSnapshot(fakeSnapshot(64));
/** Searches of all kinds: found early, late and never, hopeless, and one that is not divided. */
const FINDS: FakeScript['finds'] = [
  [40, 33, true],
  [25, -1, false],
  [60, 0, true],
  [30, 30 - 1, true],
  [50, 17, false],
  [0, -1, false],
];

function cycleOf(values: Partial<FakeScript>): { config: SchedulerConfig; counters: Int32Array } {
  const whole = script({ jobs: 30, work: 10, largeBatch: 1, finds: FINDS, faultJob: 10, ...values });
  return { config: configOf(whole), counters: new Int32Array(whole.counters) };
}

async function decisionsOf(runner: CycleRunner, values: Partial<FakeScript> = {}): Promise<string> {
  const { decisions, report } = await runner.run(view, cycleOf(values).config, 0);
  return JSON.stringify([decisions, report.search]);
}

function rowOf(counts: SearchCounts): Int32Array {
  const row = createRow();
  readCounts(counts, row);
  return row;
}

describe('searches with other threads', () => {
  it.each([2, 3])('come out the same when followers make all trials, with %i workers, with the counts of one thread', async (workers) => {
    const expected = await decisionsOf(createRunner({ workers: 0 }));
    const runner = createRunner({ workers, searchHandoverMs: 0 });
    for (let cycle = 0; cycle < 3; cycle++) {
      const { config, counters } = cycleOf({});
      const { decisions, report, sharedSearches, restarts } = await runner.run(view, config, 0);
      expect(JSON.stringify([decisions, report.search])).toBe(expected);
      expect([sharedSearches, restarts]).toEqual([30 * 4, 0]);
      expect(counters[COUNTER.helped]).toBeGreaterThan(30 * 100);
    }
  });

  it('come out the same when planner and followers share the trials as it happens', async () => {
    const work = 400;
    const expected = await decisionsOf(createRunner({ workers: 0 }), { work });
    const runner = createRunner({ workers: 3 });
    let shared = 0;
    for (let cycle = 0; cycle < 8; cycle++) {
      const { decisions, report, sharedSearches } = await runner.run(view, cycleOf({ work }).config, 0);
      expect(JSON.stringify([decisions, report.search])).toBe(expected);
      shared += sharedSearches;
    }
    expect(shared).toBeGreaterThan(0);
  });

  it.each(['throw', 'exit', 'decide otherwise'] as const)('a follower that fails (%s) makes the cycle repeat', async (followFault) => {
    const expected = await decisionsOf(createRunner({ workers: 0 }));
    const { config } = cycleOf({ followFault });
    const { decisions, report, restarts } = await createRunner({ workers: 2, searchHandoverMs: 0 }).run(view, config, 0);
    expect(JSON.stringify([decisions, report.search])).toBe(expected);
    expect(restarts).toBe(1);
  });
});

describe('the board', () => {
  const create = (writer = 0, memory = new SharedArrayBuffer(boardBytes(2))): Board =>
    new Board(new Int32Array(new SharedArrayBuffer(CONTROL_BYTES)), memory, writer);
  const COST = rowOf({ ...emptySearchCounts(), simulations: 3_000, rejected: 1, unitsLeaving: 1_000_000 });

  it('gives a trial to one thread, and none of a search that is over', () => {
    const board = create();
    board.open(0, 7, 0);
    expect([board.take(0, 0), board.take(0, 0), board.take(0, 1), board.taken(0)]).toEqual([true, false, true, 2]);
    board.publish(FAILED, 0);
    board.open(1, 8, 0);
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
    board.open(4, 0, 0);
    expect(board.stop(4).trial).toBe(NO_TRIAL);
    board.stopAt(4, 9, true);
    board.stopAt(4, 12, false);
    expect(board.stop(4)).toEqual({ trial: 9, isFound: true });
    board.stopAt(4, 5, false);
    expect(board.stop(4)).toEqual({ trial: 5, isFound: false });
    board.open(5, 0, 0);
    board.stopAt(4, 1, true);
    expect([board.stop(5).trial, board.stop(4).trial]).toEqual([NO_TRIAL, -1]);
  });

  it('is not changed by threads that come late', () => {
    const memory = new SharedArrayBuffer(boardBytes(2));
    const board = create(0, memory);
    board.open(2, 0, 0);
    board.finish(2, 3, COST);
    create(1, memory).finish(1, 3, createRow());
    const cost = createRow();
    board.addCost(3, cost);
    expect([cost, board.isMade(2, 3), board.isMade(1, 3), board.isMade(2, 4)]).toEqual([COST, true, false, false]);
  });
});

describe('the planner', () => {
  const costOf = (trial: number): SearchCounts => ({
    ...emptySearchCounts(),
    simulations: 100 * trial + 1,
    unitsLeaving: trial,
    narrowRejected: 2,
    unitsPopped: trial % 3,
  });

  /**
   * One search of `trials` trials that `end` ends, with a helper in the same thread: just before the planner comes to a
   * trial, the helper takes it or not, and has made it or never will.
   */
  function find(trials: number, end: number, isFound: boolean, helps: readonly ('no' | 'made' | 'never')[]): unknown[] {
    const control = new Int32Array(new SharedArrayBuffer(CONTROL_BYTES));
    const memory = new SharedArrayBuffer(boardBytes(2));
    const options = { followers: 1, memory, isSearchBound: true, reluctance: 1, leavesAllTrials: false };
    const helper = new Board(control, memory, 1);
    const counts = emptySearchCounts();
    const isHelped = helps.length > 0;
    let held = false;
    const help = (trial: number): void => {
      const how = helps[trial % helps.length];
      if (!isHelped || how === 'no' || !helper.isOpen(0) || helper.taken(0) !== trial || !helper.take(0, trial) || how === 'never') return;
      if (trial === end) helper.stopAt(0, trial, isFound);
      helper.finish(0, trial, rowOf(costOf(trial)));
    };
    const make = (trial: number): void => {
      for (const name of Object.keys(counts) as (keyof SearchCounts)[]) counts[name] += costOf(trial)[name];
      // So long that the next trial is offered.
      for (const untilMs = performance.now() + 0.05; performance.now() < untilMs; );
    };
    const run = (course: Course): string | null => {
      for (let trial = 0; trial < trials && !course.isOver(); trial++) {
        counts.unitsPopped++;
        help(trial);
        if (!course.take()) continue;
        make(trial);
        course.end(trial !== end ? TrialEnd.nothing : isFound ? TrialEnd.found : TrialEnd.hopeless);
        if (trial !== end) continue;
        if (!isFound) return null;
        held = true;
        counts.filtered += 3;
        counts.simulations += 2;
        return `answer ${trial}`;
      }
      return null;
    };
    const undo = (): void => {
      expect(held).toBe(true);
      held = false;
    };
    const lead = new Lead(control, { ...options, followers: isHelped ? 1 : 0 });
    const found = lead.find({ fingerprint: 1, isDivisible: true, counts, spent: { steps: 0, isAll: false }, run, undo });
    expect(held).toBe(found !== null);
    return [found, counts];
  }

  it('comes to the same answer and counts whoever makes which trial, even if a helper that took one never makes it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 25 }),
        fc.integer({ min: -1, max: 25 }),
        fc.boolean(),
        fc.array(fc.constantFrom('no' as const, 'made' as const, 'never' as const), { minLength: 1, maxLength: 7 }),
        (trials, end, isFound, helps) => {
          expect(find(trials, end, isFound, helps)).toEqual(find(trials, end, isFound, []));
        },
      ),
      { seed: 11, numRuns: 150 },
    );
  });
});
