import { defineConfig } from 'vitest/config';

/** Suites that start worker pools or child processes: one file at a time and apart from the others, so that they do not share the cores. */
const ALONE = ['cli', 'determinism', 'runner', 'simulator', 'tooling', 'workers'].map((folder) => `test/${folder}/**/*.test.ts`);
/** No test fails by time on a slow machine; this only ends one that hangs. */
const timeouts = { testTimeout: 900_000, hookTimeout: 900_000, teardownTimeout: 60_000 };

export default defineConfig({
  test: {
    reporters: ['default', './.ci/reporter.ts'],
    projects: [
      { test: { ...timeouts, name: 'unit', include: ['test/**/*.test.ts'], exclude: ALONE, sequence: { groupOrder: 0 } } },
      { test: { ...timeouts, name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
});
