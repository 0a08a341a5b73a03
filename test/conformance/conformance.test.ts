// All conformance cases through the whole scheduling cycle: the own ones always, the shared ones where they are.
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { arguedFailures } from './arguedFailures.ts';
import { findCaseFiles, loadCase } from './caseFormat.ts';
import { formatDifference } from './compareCase.ts';
import { SHARED_CASES } from './folders.ts';
import { runCases } from './runCases.ts';

const runner = createCycleRunner({ workers: 0 });
afterAll(() => runner.close());

/** Differences of the cases that fail without being listed, and those that are listed but pass. */
async function surprisesOf(files: readonly string[]): Promise<Record<string, string[]>> {
  const argued = arguedFailures();
  const outcomes = await runCases(files.map(loadCase), runner);
  const surprises: Record<string, string[]> = {};
  for (const { id, agreement, differences } of outcomes) {
    if (agreement === 'failed' && !argued.has(id)) surprises[id] = differences.map(formatDifference);
    if (agreement !== 'failed' && argued.has(id)) surprises[id] = [`listed in argued.json, but ${agreement}: take it out`];
  }
  return surprises;
}

describe('own conformance cases', () => {
  it.each(findCaseFiles(join(import.meta.dirname, 'cases')).map((file) => [basename(file), file]))('%s', async (_name, file) => {
    expect(await surprisesOf([file])).toEqual({});
  });
});

describe('shared conformance cases', () => {
  if (!existsSync(SHARED_CASES)) {
    console.warn(`SKIPPED: the shared conformance cases are not at ${SHARED_CASES} (set KAI_CONFORMANCE_DIR); only the own cases were run`);
    it.skip('are not there', () => {});
    return;
  }
  const suites = Map.groupBy(findCaseFiles(SHARED_CASES), (file) => basename(join(file, '..')));
  it.each([...suites])('%s', async (_suite, files) => expect(await surprisesOf(files)).toEqual({}), 120_000);
});
