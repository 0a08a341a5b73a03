import { afterAll, expect, it } from 'vitest';
import { type ClusterObjects, LIST_NAMES } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotView } from '../../src/base/snapshotView.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { type CycleResult, createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { CLUSTER_NOW_MS, emptyObjects, randomCluster } from '../support/randomCluster.ts';

const CONFIG = loadConfig({ actions: ['allocate'] }).config;
const inline = createCycleRunner({ workers: 0 });
const threaded = [1, 2, 3].map((workers) => createCycleRunner({ workers, searchHandoverMs: 0 }));
const shared = createCycleRunner({ workers: 3, searchHandoverMs: 1e-9 });
afterAll(() => Promise.all([inline, ...threaded, shared].map((runner) => runner.close())));

function seal(objects: ClusterObjects): SnapshotView {
  const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
  for (const list of LIST_NAMES) for (const object of objects[list]) writer.put(list, object);
  return writer.seal();
}

/** Random clusters side by side in one: all their nodes, and the objects of the first that only exist once. */
function largeCluster(seeds: readonly number[]): ClusterObjects {
  const all = emptyObjects();
  const first = randomCluster(seeds[0]!);
  for (const list of LIST_NAMES) if (list !== 'nodes') (all[list] as unknown[]).push(...first[list]);
  for (const seed of seeds) {
    for (const node of randomCluster(seed).nodes)
      all.nodes.push({
        ...node,
        metadata: { ...node.metadata, name: seed === seeds[0] ? node.metadata.name : `${node.metadata.name}-${seed}` },
      });
  }
  return all;
}

/** Where two results differ, as a short text; '' when they are equal byte for byte. Times are left out. */
function difference(result: CycleResult, expected: CycleResult): string {
  const [a, b] = [result, expected].map((r) => {
    const { phaseMs: _, ...report } = r.report;
    return JSON.stringify({ decisions: r.decisions, report });
  }) as [string, string];
  if (a === b) return '';
  let at = 0;
  while (a[at] === b[at]) at++;
  const excerpt = (text: string): string => text.slice(Math.max(0, at - 80), at + 80);
  return `${excerpt(a)} | inline: ${excerpt(b)}`;
}

it('decides the same with 0, 1, 2 and 3 workers, byte for byte', async () => {
  const problems: string[] = [];
  let decisions = 0;
  let handovers = 0;
  for (let seed = 0; seed < 100; seed++) {
    const view = seal(randomCluster(seed));
    const expected = await inline.run(view, CONFIG, CLUSTER_NOW_MS);
    decisions += expected.decisions.length;
    for (const runner of threaded) {
      const result = await runner.run(view, CONFIG, CLUSTER_NOW_MS);
      const text = difference(result, expected);
      if (text !== '' || result.restarts > 0)
        problems.push(`seed ${seed}, ${runner.workers} workers, ${result.restarts} restarts: ${text}`);
      handovers += result.searchHandovers;
    }
  }
  expect(problems.slice(0, 5)).toEqual([]);
  expect(decisions).toBeGreaterThan(20);
  expect(handovers).toBeGreaterThan(50);
});

it('decides the same where planner and search workers share each search', async () => {
  const problems: string[] = [];
  let decisions = 0;
  let handovers = 0;
  for (let first = 0; first < 1000; first += 200) {
    const view = seal(largeCluster(Array.from({ length: 200 }, (_, i) => first + i)));
    expect(view.nodes.rows).toBeGreaterThan(600);
    const expected = await inline.run(view, CONFIG, CLUSTER_NOW_MS);
    decisions += expected.decisions.length;
    for (const runner of [...threaded, shared, shared, shared]) {
      const result = await runner.run(view, CONFIG, CLUSTER_NOW_MS);
      const text = difference(result, expected);
      if (text !== '') problems.push(`nodes of ${first}…, ${runner.workers} workers: ${text}`);
      if (runner === shared) handovers += result.searchHandovers;
    }
  }
  expect(problems.slice(0, 5)).toEqual([]);
  expect(decisions).toBeGreaterThan(5);
  expect(handovers).toBeGreaterThan(0);
});
