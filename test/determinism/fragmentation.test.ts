// The opt-in policy of plugin `gpufragmentation` under the same tests as the default: threads and order must not matter.
import { afterAll, expect, test } from 'vitest';
import { cycleTimeMs, SHAPES } from '../../bench/shapes.ts';
import { createAuditor, formatFinding } from '../../src/audit/audit.ts';
import type { ClusterObjects } from '../../src/base/objects.ts';
import { LIST_NAMES } from '../../src/base/objects.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { FRAGMENTATION } from '../placement/cluster.ts';
import { seededRandom, shuffled } from '../support/draw.ts';
import { CLUSTER_NOW_MS, randomCluster } from '../support/randomCluster.ts';
import { exactText, snapshotOf } from './compare.ts';

const CLUSTERS = Number(process.env.KAI_RANDOM_CLUSTERS ?? 150);
const audit = createAuditor();
const runners = [0, 1, 2, 3].map((workers) => createCycleRunner({ workers, searchHandoverMs: 0 }));
afterAll(async () => {
  for (const runner of runners) await runner.close();
});

/** Decisions and reports of the first runner, which the others must repeat byte for byte. */
async function decide(objects: ClusterObjects, nowMs: number, where: string): Promise<string[]> {
  const view = snapshotOf(objects);
  const results = [];
  for (const runner of runners) results.push(await runner.run(view, FRAGMENTATION, nowMs));
  const texts = results.map(exactText);
  for (const text of texts) expect(text, where).toBe(texts[0]);
  const { decisions, report } = results[0]!;
  expect(audit({ objects, config: FRAGMENTATION, nowMs, decisions, report }).map(formatFinding), where).toEqual([]);
  return decisions.map((d) => JSON.stringify([d.kind, d.pod, d.node, d.gpuGroups]));
}

test(`0 to 3 workers and any order of the objects: the same on ${CLUSTERS} random clusters`, async () => {
  let decisions = 0;
  for (let seed = 0; seed < CLUSTERS; seed++) {
    const objects = randomCluster(seed);
    const random = seededRandom(seed);
    const other = Object.fromEntries(
      LIST_NAMES.map((list) => [list, shuffled<unknown>(objects[list], random)]),
    ) as unknown as ClusterObjects;
    const decided = await decide(objects, CLUSTER_NOW_MS, `cluster ${seed}`);
    expect(await decide(other, CLUSTER_NOW_MS, `cluster ${seed} in another order`)).toEqual(decided);
    decisions += decided.length;
  }
  expect(decisions).toBeGreaterThan(CLUSTERS);
});

test.each(['scale', 'fraction'])('the same on 200 nodes of the shape %s', async (name) => {
  const shape = SHAPES.find((s) => s.name === name)!;
  const jobs = shape.jobsFor(200);
  expect((await decide(shape.build(200, jobs), cycleTimeMs(jobs), name)).length).toBeGreaterThan(jobs / 2);
});
