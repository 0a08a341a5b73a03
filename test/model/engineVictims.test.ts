// The victim actions of the engine keep the rules as the model twin knows them.
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { compareVictims, decisionTexts, emptyTotals } from './compareVictims.ts';
import { victimFindings } from './findings.ts';
import { randomVictimCluster, victimClusterArbitrary } from './victimClusters.ts';

const CLUSTERS = Number(process.env.KAI_RANDOM_CLUSTERS ?? 100);
const SEED = 20260104;
const runner = createCycleRunner({ workers: 0 });
afterAll(() => runner.close());

describe('clusters on which the engine or the twin was wrong once', () => {
  test.each(victimFindings().map((finding) => [finding.name, finding] as const))('%s', async (_name, finding) => {
    const followed = await compareVictims(runner, finding);
    expect([...(followed?.findings ?? []), ...(followed?.shortfalls ?? [])], `${finding.about} (${finding.section})`).toEqual([]);
  });
});

test(`all rules hold on ${CLUSTERS} random clusters, and whom the reference would serve is served`, async () => {
  const failures: string[] = [];
  const totals = emptyTotals();
  for (let seed = 0; seed < CLUSTERS; seed++) {
    const followed = await compareVictims(runner, randomVictimCluster(seed), totals);
    const texts = followed === null ? ['out of scope'] : [...followed.findings, ...followed.shortfalls];
    failures.push(...texts.map((text) => `cluster ${seed}: ${text}`));
  }
  expect(failures.slice(0, 20)).toEqual([]);
  expect(totals.clustersWithEvictions).toBeGreaterThan(0.15 * CLUSTERS);
  expect(totals.deleted).toBeLessThanOrEqual(totals.deletedByReference);
});

test('all rules hold, as a property, which shrinks what it finds', async () => {
  const property = fc.asyncProperty(victimClusterArbitrary(), async (cluster) => {
    expect((await compareVictims(runner, cluster))?.findings).toEqual([]);
  });
  await fc.assert(property, { seed: SEED, numRuns: CLUSTERS });
});

test('any order of the objects gives the same decisions in all actions', async () => {
  for (let seed = 0; seed < CLUSTERS; seed++) {
    const cluster = randomVictimCluster(seed);
    const texts = await decisionTexts(runner, cluster, 0);
    for (const order of [1, 2]) expect(await decisionTexts(runner, cluster, order), `cluster ${seed}, order ${order}`).toEqual(texts);
  }
});
