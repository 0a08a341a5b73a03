// The configured search times, counted in steps: they bound the work, and the same work on any machine and number of threads.
import { afterAll, describe, expect, it } from 'vitest';
import { ALL_SHAPES } from '../../bench/allShapes.ts';
import { cycleTimeMs } from '../../bench/shapes.ts';
import type { SchedulerConfig } from '../../src/base/config.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { nextSearchLimit, openActionLimit } from '../../src/engine/victims/workLimit.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { exactText, snapshotOf } from '../determinism/compare.ts';

const shape = ALL_SHAPES.find(({ name }) => name === 'consolidation-hopeless')!;
const NODES = 20;
const jobs = shape.jobsFor(NODES);
const view = snapshotOf(shape.build(NODES, jobs));
const inline = createCycleRunner({ workers: 0 });
const threaded = createCycleRunner({ workers: 3, searchHandoverMs: 0 });
afterAll(() => Promise.all([inline.close(), threaded.close()]));

function configOf(scenarioSearchBudgets?: Readonly<Record<string, unknown>>): SchedulerConfig {
  const file = scenarioSearchBudgets === undefined ? {} : { file: { scenarioSearchBudgets } };
  return loadConfig({ ...file, actions: ['consolidation'], flags: { maxNumberConsolidationPreemptees: -1 } }).config;
}

async function search(budgets?: Readonly<Record<string, unknown>>) {
  const config = configOf(budgets);
  const result = await inline.run(view, config, cycleTimeMs(jobs));
  expect(exactText(await threaded.run(view, config, cycleTimeMs(jobs)))).toBe(exactText(result));
  return result.report.search;
}

describe('search times', () => {
  it('are far away by default', async () => {
    expect(await search()).toMatchObject({ attempts: 6, solved: 0, exhausted: 0, notAttempted: 0, reducedAttempts: 0 });
  });

  it('of a job end its search; the next job has its turn, and the like of it is not passed over', async () => {
    const unlimited = await search();
    const limited = await search({ maxJobSearchDuration: '500us' });
    expect(limited).toMatchObject({ attempts: 6, exhausted: 6, skipped: 0, notAttempted: 0 });
    // 100 steps: a unit is one, a trial ten, and here every unit brings a trial.
    expect(limited.unitsPopped).toBeLessThanOrEqual(6 * 10);
    expect(limited.unitsPopped).toBeLessThan(unlimited.unitsPopped);
  });

  it('of an action end it, unless every job has a least time', async () => {
    expect(await search({ maxActionSearchDuration: { consolidation: '1ms' } })).toMatchObject({
      attempts: 1,
      exhausted: 1,
      notAttempted: 1,
      reducedAttempts: 1,
      reducedExhausted: 1,
    });
    const least = await search({ maxActionSearchDuration: { default: '1ms' }, minJobSearchDuration: '500us' });
    expect(least).toMatchObject({ attempts: 6, exhausted: 6, notAttempted: 0, reducedAttempts: 6 });
  });

  it('of a generator end its part of the search', async () => {
    const wideOnly = await search({ maxGeneratorSearchDuration: { NodeLocalGreedy: '1us' } });
    expect(wideOnly).toMatchObject({ attempts: 6, exhausted: 0, narrowSimulations: 0 });
    expect(wideOnly.unitsPopped).toBeGreaterThan(0);
  });

  it('are computed as documented', () => {
    const action = openActionLimit(configOf(), 'reclaim');
    expect(nextSearchLimit(action)).toEqual({ most: 48_000_000, narrowMost: 6_000_000, wideMost: 24_000_000, isReduced: false });
    action.left -= 30_000_000;
    expect(nextSearchLimit(action)).toMatchObject({ most: 30_000_000, isReduced: true });
    action.left = 0;
    expect(nextSearchLimit(action)).toBeNull();
    const none = {
      maxActionSearchDuration: { reclaim: '0s' },
      maxJobSearchDuration: '0s',
      maxGeneratorSearchDuration: { MultiNodeGang: '0s' },
    };
    expect(nextSearchLimit(openActionLimit(configOf(none), 'reclaim'))).toEqual({
      most: Number.POSITIVE_INFINITY,
      narrowMost: 6_000_000,
      wideMost: Number.POSITIVE_INFINITY,
      isReduced: false,
    });
  });
});
