// The engine decides and says what the model twin does.
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { randomTestCluster, testClusterArbitrary } from './clusters.ts';
import { compareWithTwin } from './compare.ts';
import { findings } from './findings.ts';

const CLUSTERS = Number(process.env.KAI_RANDOM_CLUSTERS ?? 300);
const SEED = 20260103;
const runner = createCycleRunner({ workers: 0 });
afterAll(() => runner.close());

describe('clusters on which they differed once', () => {
  test.each(findings().map((finding) => [finding.name, finding] as const))('%s', async (_name, finding) => {
    expect(await compareWithTwin(runner, finding), `${finding.about} (${finding.section})`).toEqual([]);
  });
});

test(`the same on ${CLUSTERS} random clusters`, async () => {
  const failures: string[] = [];
  for (let seed = 0; seed < CLUSTERS; seed++) {
    const found = await compareWithTwin(runner, randomTestCluster(seed));
    failures.push(...(found ?? ['out of scope']).map((text) => `cluster ${seed}: ${text}`));
  }
  expect(failures.slice(0, 20)).toEqual([]);
});

test('the same as a property, which shrinks what it finds', async () => {
  const property = fc.asyncProperty(testClusterArbitrary(), async (cluster) => {
    expect(await compareWithTwin(runner, cluster)).toEqual([]);
  });
  await fc.assert(property, { seed: SEED, numRuns: CLUSTERS });
});
