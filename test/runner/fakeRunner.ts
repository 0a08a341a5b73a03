// Runners of the fake engine for tests: closed after each, with the script in the configuration.
import { afterEach } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import { type CycleRunner, type CycleRunnerOptions, createCycleRunner } from '../../src/runner/cycleRunner.ts';
import type { FakeScript } from './fakeEngine.ts';

export const engineUrl = new URL('./fakeEngine.ts', import.meta.url).href;
const open: CycleRunner[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((runner) => runner.close()));
});

export function createRunner(options: CycleRunnerOptions): CycleRunner {
  const runner = createCycleRunner({ engineUrl, ...options });
  open.push(runner);
  return runner;
}

/** A cycle without faults and victim searches, but for the values given. */
export function script(values: Partial<FakeScript>): FakeScript {
  return {
    jobs: 40,
    work: 20,
    largeBatch: 9,
    isSearchAwaited: false,
    planFault: 'none',
    searchFault: 'none',
    finds: [],
    followFault: 'none',
    faultJob: 20,
    faultTimes: 1,
    bombs: [],
    isWithoutBombs: false,
    counters: new SharedArrayBuffer(64),
    ...values,
  };
}

/** The fake engine reads nothing but its script and the runner nothing but the actions. */
export function configOf(values: FakeScript): SchedulerConfig {
  const config: Partial<SchedulerConfig> = { actions: ['allocate'], scenarioSearchBudgets: { ...values } };
  return config as SchedulerConfig;
}
