// The engine's victim actions on a cluster against the twin, and against themselves with the objects in another order.
import type { Decision } from '../../src/base/decisions.ts';
import { type ClusterObjects, LIST_NAMES } from '../../src/base/objects.ts';
import type { CycleRunner } from '../../src/runner/cycleRunner.ts';
import { seededRandom, shuffled } from '../support/draw.ts';
import { CLUSTER_NOW_MS } from '../support/randomCluster.ts';
import type { TestCluster } from './clusters.ts';
import { sealed } from './compare.ts';
import { type Counts, emptyCounts, type Followed, follow } from './follow.ts';
import { outOfScope } from './scope.ts';

/** Sums over clusters. */
export interface Totals extends Counts {
  clusters: number;
  clustersWithServed: number;
  clustersWithEvictions: number;
}

export function emptyTotals(): Totals {
  return { clusters: 0, clustersWithServed: 0, clustersWithEvictions: 0, ...emptyCounts() };
}

function addTo(totals: Totals, counts: Counts): void {
  totals.clusters++;
  if (counts.served > 0) totals.clustersWithServed++;
  if (counts.leaving + counts.staleEvicted > 0) totals.clustersWithEvictions++;
  for (const name of Object.keys(counts) as (keyof Counts)[]) totals[name] += counts[name];
}

/** What the twin has to say about the engine's decisions; null for a cluster that it does not model. */
export async function compareVictims(runner: CycleRunner, cluster: TestCluster, totals: Totals = emptyTotals()): Promise<Followed | null> {
  if (outOfScope(cluster.objects, cluster.config) !== null) return null;
  const view = sealed(cluster);
  const { decisions, report } = await runner.run(view, cluster.config, CLUSTER_NOW_MS);
  const followed = follow(cluster, CLUSTER_NOW_MS, { decisions, report, view });
  addTo(totals, followed.counts);
  return followed;
}

function inOrder({ objects, config }: TestCluster, order: number): TestCluster {
  const random = seededRandom(order);
  const lists = LIST_NAMES.map((list) => [list, order === 0 ? objects[list] : shuffled<unknown>(objects[list], random)]);
  return { objects: Object.fromEntries(lists) as unknown as ClusterObjects, config };
}

/**
 * The decisions by names, with the objects in the order of a seed; 0 = as they are. The pods of stale gangs go in no order that
 * matters to anybody: they come last, by name.
 */
export async function decisionTexts(runner: CycleRunner, cluster: TestCluster, order: number): Promise<string[]> {
  const { decisions } = await runner.run(sealed(inOrder(cluster, order)), cluster.config, CLUSTER_NOW_MS);
  const textOf = ({ podRow: _p, podGroupRow: _g, nodeRow: _n, ...named }: Decision): string => JSON.stringify(named);
  const isOfStaleGang = ({ action }: Decision): boolean => action === 'stalegangeviction';
  const ordered = decisions.filter((decision) => !isOfStaleGang(decision)).map(textOf);
  return [...ordered, ...decisions.filter(isOfStaleGang).map(textOf).sort()];
}
