// Random clusters under safe eviction: no decision breaks a promise, and where nothing is to be protected nothing changes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createAuditor, formatFinding } from '../../src/audit/audit.ts';
import { type ClusterObjects, LIST_NAMES } from '../../src/base/objects.ts';
import { Draw, seededRandom, shuffled } from '../support/draw.ts';
import { CLUSTER_NOW_MS, randomCluster } from '../support/randomCluster.ts';
import { type BudgetSpec, budget, type Cycle, configWith, cycleOf, readBudget } from './cycle.ts';

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
    status: {
      disruptionsAllowed: draw.pick([1, 0, 1, 2, 3]),
      currentHealthy: draw.int(0, 6),
      ...(desiredHealthy === undefined ? {} : { desiredHealthy }),
    },
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
    const old: Record<string, string> = draw.chance(0.3) ? { 'kai.scheduler/stale-podgroup-timestamp': '2026-01-01T11:00:00Z' } : {};
    return { ...g, metadata: { ...g.metadata, annotations: { ...g.metadata.annotations, ...old, [RECENT]: text } } };
  });
  const pods = cluster.pods.map((p) => ({
    ...p,
    status: {
      ...p.status,
      ...(draw.chance(0.2) ? { conditions: [{ type: 'Ready', status: 'False' }] } : {}),
      ...(p.status?.phase === 'Pending' && draw.chance(0.3) ? { nominatedNodeName: draw.pick(cluster.nodes).metadata.name } : {}),
    },
  }));
  return { objects: { ...cluster, pods, podGroups, podDisruptionBudgets: budgets.map(budget) }, budgets, past };
}

/** By seed: full clusters, in which somebody always wants something. */
const guarded = fc.nat().map((seed) => {
  const random = seededRandom(seed + 1);
  return { seed, ...guard(randomCluster(seed), new Draw(Array.from({ length: 400 }, random))) };
});

const audit = createAuditor();

function findingsOf(objects: ClusterObjects, { commits }: Cycle): string[] {
  // That a stale gang leaves its place to somebody is no rule of upstream's, which the auditor checks.
  const decisions = commits.flat().filter((d) => d.action !== 'stalegangeviction' || d.kind === 'evict');
  return audit({ objects, config: ALL_ON, nowMs: CLUSTER_NOW_MS, decisions }).map(formatFinding);
}

/** `off`: the same cycle without promises. */
function broken({ objects, budgets, past }: Guarded, { commits, report, view }: Cycle, off: Cycle): string[] {
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
    if (before.length + now > MAX_PER_HOUR)
      problems.push(`${key} was evicted ${before.length} times in the last hour, and now ${now} times`);
    const after = told.get(key)?.filter((ms) => ms > CLUSTER_NOW_MS - HOUR_MS);
    if (String(after) !== String([...before, ...Array<number>(now).fill(CLUSTER_NOW_MS)]))
      problems.push(`${key}: written ${String(after)}`);
  }
  for (const batch of commits) {
    if (batch.some((d) => d.kind === 'evict') && !batch.some((d) => d.kind === 'pipeline'))
      problems.push(`nobody gets the place of ${batch[0]!.pod}`);
  }
  const known = new Set(findingsOf(objects, off));
  return [...problems, ...findingsOf(objects, { commits, report, view }).filter((finding) => !known.has(finding))];
}

test('no decision breaks a budget or the limit, or leaves a place to nobody', () => {
  let evictions = 0;
  let prevented = 0;
  const count = (cycle: Cycle): number => cycle.commits.flat().filter((d) => d.kind === 'evict').length;
  fc.assert(
    fc.property(guarded, (input) => {
      const cycle = cycleOf(input.objects, ALL_ON, CLUSTER_NOW_MS);
      const off = cycleOf(input.objects, configWith(), CLUSTER_NOW_MS);
      evictions += count(cycle);
      if (count(off) > count(cycle)) prevented++;
      expect({ seed: input.seed, problems: broken(input, cycle, off) }).toEqual({ seed: input.seed, problems: [] });
    }),
    { seed: 5, numRuns: 800 },
  );
  expect(evictions).toBeGreaterThan(100);
  expect(prevented).toBeGreaterThan(50);
});

test('promises that bind nobody change nothing', () => {
  const generous = configWith({ respectPodDisruptionBudgets: true, maxEvictionsPerWorkloadPerHour: 1_000 });
  let evictions = 0;
  fc.assert(
    fc.property(guarded, ({ objects }) => {
      const wide = ['team-a', 'team-b'].map((namespace) =>
        budget({ name: 'all', namespace, selector: {}, status: { disruptionsAllowed: 1_000 } }),
      );
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

test('the order of the objects does not matter', () => {
  fc.assert(
    fc.property(guarded, ({ seed, objects }) => {
      const random = seededRandom(seed);
      const other = Object.fromEntries(
        LIST_NAMES.map((list) => [list, shuffled<unknown>(objects[list], random)]),
      ) as unknown as ClusterObjects;
      const named = (cycle: Cycle) =>
        cycle.commits.map((batch) => batch.map(({ kind, action, pod, node, gpuGroups }) => ({ kind, action, pod, node, gpuGroups })));
      expect(named(cycleOf(other, ALL_ON, CLUSTER_NOW_MS))).toEqual(named(cycleOf(objects, ALL_ON, CLUSTER_NOW_MS)));
    }),
    { seed: 7, numRuns: 200 },
  );
});
