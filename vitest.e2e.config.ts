import { defineConfig } from 'vitest/config';

/** The scenarios on a real control plane, one file at a time: each starts servers of its own. */
export default defineConfig({
  test: {
    name: 'e2e',
    include: ['test/e2e/**/*.test.ts'],
    reporters: ['verbose', './.ci/reporter.ts'],
    // Servers are tied to the thread that starts them.
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000,
  },
});
