import { defineConfig } from 'vitest/config';

/** Suites that start worker pools or child processes: one file at a time and apart from the others, so that they do not share the cores. */
const ALONE = ['cli', 'determinism', 'runner', 'simulator', 'tooling', 'workers'].map((folder) => `test/${folder}/**/*.test.ts`);
/** Suites that start a real API server: `npm run test:e2e`. */
const ON_A_SERVER = ['test/e2e/**/*.test.ts', 'test/**/realServer.test.ts', 'test/control-plane/**/*.test.ts'];
const isEndToEnd = process.env['KAI_E2E'] === '1';
/** No test fails by time on a slow machine; this only ends one that hangs. */
const timeouts = { testTimeout: 900_000, hookTimeout: 900_000, teardownTimeout: 60_000 };

export default defineConfig({
  test: {
    reporters: ['default', './.ci/reporter.ts'],
    projects: isEndToEnd
      ? // Two files at a time: most of a scenario is waiting. A shared machine can starve one of the servers for seconds: a scenario
        // that fails is tried once more.
        [{ test: { ...timeouts, name: 'e2e', include: ON_A_SERVER, maxWorkers: 2, pool: 'forks', retry: 1 } }]
      : [
          {
            test: {
              ...timeouts,
              name: 'unit',
              include: ['test/**/*.test.ts'],
              exclude: [...ALONE, ...ON_A_SERVER],
              sequence: { groupOrder: 0 },
            },
          },
          { test: { ...timeouts, name: 'alone', include: ALONE, exclude: ON_A_SERVER, maxWorkers: 1, sequence: { groupOrder: 1 } } },
        ],
  },
});
