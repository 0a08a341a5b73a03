import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { clusterArbitrary, randomCluster } from '../support/randomCluster.ts';
import { Comparison } from './compare.ts';

const CLUSTERS = Number(process.env.KAI_RANDOM_CLUSTERS ?? 250);
const SEED = 20260102;
const comparison = new Comparison([0]);
afterAll(() => comparison.close());

test(`any order of the objects gives the same decisions on ${CLUSTERS} random clusters`, async () => {
  const failures: string[] = [];
  for (let seed = 0; seed < CLUSTERS; seed++) {
    const problems = await comparison.orderProblems(randomCluster(seed), [1, 2, 3]);
    failures.push(...problems.map((text) => `cluster ${seed}: ${text}`));
  }
  expect(failures.slice(0, 20)).toEqual([]);
});

test('the same as a property, which shrinks what it finds; the auditor agrees', async () => {
  const property = fc.asyncProperty(clusterArbitrary(), fc.nat(), async (objects, order) => {
    expect(await comparison.orderProblems(objects, [order])).toEqual([]);
    expect((await comparison.compareWorkers(objects)).problems).toEqual([]);
  });
  await fc.assert(property, { seed: SEED, numRuns: CLUSTERS });
});
