import type { SerializedError } from 'vitest';
import type { Reporter, TestModule } from 'vitest/node';

/** Last line of every test run: `N passed, N failed`. A file that cannot be loaded and an unhandled error count as failed. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    let passed = 0;
    let failed = errors.length;
    let skipped = 0;
    for (const module of modules) {
      failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state === 'skipped') skipped++;
        else failed++;
      }
      for (const suite of module.children.allSuites()) failed += suite.errors().length;
    }
    if (modules.length === 0) failed++;
    if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
    process.stdout.write(`${passed} passed, ${failed} failed\n`);
  }
}
