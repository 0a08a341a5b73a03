// Random clusters under safe eviction: no decision breaks a promise, and where nothing is to be protected nothing changes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ClusterObjects } from '../../src/base/objects.ts';
import { Draw } from '../support/draw.ts';
import { auditDecisions } from '../support/ledger.ts';
import { CLUSTER_NOW_MS, clusterArbitrary } from '../support/randomCluster.ts';
import { budget, type BudgetSpec, configWith, type Cycle, cycleOf, readBudget } from './cycle.ts';

const HOUR_MS = 3_600_000;
const RECENT = 'kai.scheduler/recent-eviction-timestamps';
const MAX_PER_HOUR = 2;
const ALL_ON = configWith({ respectPodDisruptionBudgets: true, requireCommittedPlace: true, maxEvictionsPerWorkloadPerHour: MAX_PER_HOUR });

interface Guarded {
  readonly objects: ClusterObjects;
  readonly budgets: readonly BudgetSpec[];
  /** Times of past evictions by pod group, ms. */
  readonly past: ReadonlyMap<string, readonly number[]>;
}

function drawBudget(draw: Draw, index: number): BudgetSpec {
  const app = draw.pick(['cache', 'job-0', 'job-1', 'job-2', 'job-3']);
  const desiredHealthy = draw.pick([undefined, undefined, 1, 2]);
  return {
    name: `budget-${index}`,
    namespace: draw.pick(['team-a', 'team-b']),
    selector: draw.pick<BudgetSpec['selector']>([
      {},
      { matchLabels: { app } },
      { matchExpressions: [{ key: 'app', operator: 'NotIn', values: [app] }] },
      { matchExpressions: [{ key: 'app', operator: 'Exists' }] },
      null,
    ]),
    policy: draw.pick([undefined, 'IfHealthyBudget', 'AlwaysAllow']),
    status: { disruptionsAllowed: draw.pick([1, 0, 1, 2, 3]), currentHealthy: draw.int(0, 6), ...(desiredHealthy === undefined ? {} : { desiredHealthy }) },
  };
}

function guard(cluster: ClusterObjects, draw: Draw): Guarded {
  const budgets = Array.from({ length: draw.int(0, 3) }, (_, i) => drawBudget(draw, i));
  const past = new Map<string, readonly number[]>();
  const podGroups = cluster.podGroups.map((g) => {
    const times = Array.from({ length: draw.pick([0, 0, 1, 2, 3]) }, () => CLUSTER_NOW_MS - draw.int(1, 110) * 60_000);
    if (times.length === 0) return g;
    past.set(`${g.metadata.namespace}/${g.metadata.name}`, times);
    const text = times.map((ms) => new Date(ms).toISOString()).join(',');
    const old = draw.chance(0.3) ? { 'kai.scheduler/stale-podgroup-timestamp': '2026-01-01T11:00:00Z' } : {};
    return { ...g, metadata: { ...g.metadata, annotations: { ...g.metadata.annotations, ...old, [RECENT]: text } } };
  });
  const pods = cluster.pods.map((p) => (draw.chance(0.2) ? { ...p, status: { ...p.status, conditions: [{ type: 'Ready', status: 'False' }] } } : p));
  return { objects: { ...cluster, pods, podGroups, podDisruptionBudgets: budgets.map(budget) }, budgets, past };
}

const guarded = fc
  .tuple(clusterArbitrary(), fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { maxLength: 120, size: 'max' }))
  .map(([cluster, tape]) => guard(cluster, new Draw(tape)));

function broken({ objects, budgets, past }: Guarded, { commits, report, view }: Cycle): string[] {
  const problems: string[] = [];
  const evictions = commits.flat().filter((d) => d.kind === 'evict');
  for (const spec of budgets) {
    const { guarded: pods, allowed } = readBudget(spec, objects.pods);
    const taken = evictions.filter((d) => pods.has(d.pod)).length;
    if (taken > allowed) problems.push(`${spec.namespace}/${spec.name} allows ${allowed}, ${taken} go`);
  }
  const told = new Map(report.jobs.map((job) => [view.texts.get(view.podGroups.keyText[job.podGroupRow]!), job.recentEvictionsMs]));
  for (const key of new Set(evictions.map((d) => d.podGroup))) {
    const before = (past.get(key) ?? []).filter((ms) => ms > CLUSTER_NOW_MS - HOUR_MS).sort((a, b) => a - b);
    const now = commits.filter((batch) => batch.some((d) => d.kind === 'evict' && d.podGroup === key)).length;
    if (before.length + now > MAX_PER_HOUR) problems.push(`${key} was evicted ${before.length} times in the last hour, and now ${now} times`);
    const after = told.get(key)?.filter((ms) => ms > CLUSTER_NOW_MS - HOUR_MS);
    if (String(after) !== String([...before, ...Array<number>(now).fill(CLUSTER_NOW_MS)])) problems.push(`${key}: written ${String(after)}`);
  }
  for (const batch of commits) {
    if (batch.some((d) => d.kind === 'evict') && !batch.some((d) => d.kind === 'pipeline')) problems.push(`nobody gets the place of ${batch[0]!.pod}`);
  }
  const placed = commits.flat() as unknown as Parameters<typeof auditDecisions>[1];
  problems.push(...auditDecisions(objects, placed.map((d) => ({ ...d, gpuGroups: d.gpuGroups ?? [] })), CLUSTER_NOW_MS));
  return problems;
}

test('no decision breaks a budget or the limit, or leaves a place to nobody', () => {
  let evictions = 0;
  let prevented = 0;
  const count = (cycle: Cycle): number => cycle.commits.flat().filter((d) => d.kind === 'evict').length;
  fc.assert(
    fc.property(guarded, (input) => {
      const cycle = cycleOf(input.objects, ALL_ON, CLUSTER_NOW_MS);
      evictions += count(cycle);
      if (count(cycleOf(input.objects, configWith(), CLUSTER_NOW_MS)) > count(cycle)) prevented++;
      expect(broken(input, cycle)).toEqual([]);
    }),
    { seed: 5, numRuns: 1500 },
  );
  expect(evictions).toBeGreaterThan(100);
  expect(prevented).toBeGreaterThan(50);
});

test('promises that bind nobody change nothing', () => {
  const generous = configWith({ respectPodDisruptionBudgets: true, maxEvictionsPerWorkloadPerHour: 1_000 });
  let evictions = 0;
  fc.assert(
    fc.property(guarded, ({ objects }) => {
      const wide = ['team-a', 'team-b'].map((namespace) => budget({ name: 'all', namespace, selector: {}, status: { disruptionsAllowed: 1_000 } }));
      const off = cycleOf(objects, configWith(), CLUSTER_NOW_MS);
      const on = cycleOf({ ...objects, podDisruptionBudgets: wide }, generous, CLUSTER_NOW_MS);
      evictions += off.commits.flat().filter((d) => d.kind === 'evict').length;
      expect(on.commits).toEqual(off.commits);
      expect(on.report.jobs.map(({ recentEvictionsMs: _, ...job }) => job)).toEqual(off.report.jobs);
    }),
    { seed: 6, numRuns: 500 },
  );
  expect(evictions).toBeGreaterThan(50);
});
