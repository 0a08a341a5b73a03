import { afterAll, expect, test } from 'vitest';
import { cycleTimeMs, SHAPES } from '../../bench/shapes.ts';
import { emptyObjects, randomCluster } from '../support/randomCluster.ts';
import { Comparison, exactText, snapshotOf } from './compare.ts';

const CLUSTERS = Number(process.env.KAI_RANDOM_CLUSTERS ?? 250);
const comparison = new Comparison([0, 1, 2, 3]);
afterAll(() => comparison.close());

test(`0, 1, 2 and 3 workers decide the same on ${CLUSTERS} random clusters, and nothing is wrong with it`, async () => {
  const failures: string[] = [];
  let decisions = 0;
  for (let seed = 0; seed < CLUSTERS; seed++) {
    const result = await comparison.compareWorkers(randomCluster(seed));
    failures.push(...result.problems.map((text) => `cluster ${seed}: ${text}`));
    decisions += result.decisions;
  }
  expect(failures.slice(0, 20)).toEqual([]);
  // Else the clusters would prove nothing.
  expect(decisions).toBeGreaterThan(CLUSTERS);
});

test.each(['scale', 'fraction', 'affinity', 'gang'])('the same on 200 nodes of the shape %s', async (name) => {
  const shape = SHAPES.find((s) => s.name === name)!;
  const jobs = shape.jobsFor(200);
  const { problems, decisions } = await comparison.compareWorkers(shape.build(200, jobs), cycleTimeMs(jobs));
  expect(problems).toEqual([]);
  expect(decisions).toBeGreaterThan(jobs / 2);
});

test('a cluster without anything gives no decision', async () => {
  const result = await comparison.run(snapshotOf(emptyObjects()), 0);
  expect(result.decisions).toEqual([]);
  expect(exactText(result)).toContain('"decisions": []');
});
