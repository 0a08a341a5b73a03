// Jobs that make the real engine throw lose their turns. All others are served in the same cycle, as if those could not be tried.
import { afterAll, expect, test } from 'vitest';
import { createAuditor, formatFinding } from '../../src/audit/audit.ts';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { CycleReport, RawDecision } from '../../src/base/decisions.ts';
import type { JobFault } from '../../src/base/jobFault.ts';
import type { ClusterObjects, Pod } from '../../src/base/objects.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { runCycle, stateBytes } from '../../src/engine/cycle.ts';
import { INLINE_PORT } from '../../src/engine/parallel.ts';
import { type CycleRunnerOptions, createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { exactText, snapshotOf } from '../determinism/compare.ts';
import { seededRandom, shuffled } from '../support/draw.ts';
import { CLUSTER_NOW_MS, randomCluster } from '../support/randomCluster.ts';

const CLUSTERS = 120;
const engineUrl = new URL('./bombEngine.ts', import.meta.url).href;
const create = (options: CycleRunnerOptions) => createCycleRunner({ engineUrl, ...options });
const inline = create({ workers: 0 });
/** The first ones leave all that can be shared to search workers, the last one shares as it happens. */
const threaded = [...[1, 2, 3].map((workers) => create({ workers, searchHandoverMs: 0 })), create({ workers: 3 })];
afterAll(() => Promise.all([inline, ...threaded].map((runner) => runner.close())));

const ACTIONS = loadConfig({}).config.actions;
const TAKING = ['consolidation', 'reclaim', 'preempt', 'stalegangeviction'];
const CONFIGS: readonly (readonly [name: string, config: SchedulerConfig])[] = [
  ['all actions', loadConfig({}).config],
  ['first evaluated when somebody is searched for', loadConfig({ actions: TAKING }).config],
  [
    'stale gangs go first, for somebody',
    loadConfig({ actions: ['stalegangeviction', ...ACTIONS], file: { safeEviction: { requireCommittedPlace: true } } }).config,
  ],
];

/** Gangs that are short of pods have been so for long. */
const STALE = { 'kai.scheduler/stale-podgroup-timestamp': '2026-01-01T11:00:00Z' };

/** Makes bombs of some jobs: no other pod has a shape like theirs. */
function withBombs(objects: ClusterObjects, seed: number): ClusterObjects {
  const random = seededRandom(seed);
  const groups = shuffled(objects.podGroups, random).slice(0, 1 + Math.floor(4 * random()));
  const bombs = new Set(groups.map(({ metadata }) => metadata.name));
  const nameOf = (name: string): string => (bombs.has(name) ? `bomb-${name}` : name);
  const podOf = (pod: Pod): Pod => {
    const group = pod.metadata.annotations?.['pod-group-name'];
    if (group === undefined || !bombs.has(group)) return pod;
    const [first, ...rest] = pod.spec.containers ?? [];
    const resources = { ...first?.resources, requests: { ...first?.resources?.requests, cpu: '3m' } };
    return {
      ...pod,
      metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, 'pod-group-name': nameOf(group) } },
      spec: { ...pod.spec, containers: [{ ...first!, resources }, ...rest] },
    };
  };
  return {
    ...objects,
    pods: objects.pods.map(podOf),
    podGroups: objects.podGroups.map((group) => ({
      ...group,
      metadata: { ...group.metadata, name: nameOf(group.metadata.name), annotations: { ...group.metadata.annotations, ...STALE } },
    })),
  };
}

/** What the real engine decides when these jobs may not be tried at all. */
function decidedWithout(view: SnapshotView, config: SchedulerConfig, faults: readonly JobFault[]): string {
  const decisions: RawDecision[] = [];
  const sink = { commit: (batch: readonly RawDecision[]) => void decisions.push(...batch), phase: () => undefined };
  const untried = faults.map((fault) => ({ ...fault, turn: 0 }));
  runCycle(view, config, CLUSTER_NOW_MS, new SharedArrayBuffer(stateBytes(view, config)), sink, INLINE_PORT, untried);
  return textOf(decisions);
}

function groupOf({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.annotations?.['pod-group-name']}`;
}

function textOf(decisions: readonly RawDecision[]): string {
  return decisions
    .map(({ kind, action, podRow, nodeRow, gpuGroups }) => [kind, action, podRow, nodeRow, ...gpuGroups].join(' '))
    .join('\n');
}

function withoutStacks(faults: readonly JobFault[]): string {
  return JSON.stringify(faults.map(({ stack: _, ...fault }) => fault));
}

test.each(CONFIGS)('whatever jobs they are: %s', async (_name, config) => {
  const audit = createAuditor();
  const problems: string[] = [];
  const seen = { faults: 0, several: 0, untried: 0, evicted: 0, victims: 0, decisions: 0 };
  for (let seed = 0; seed < CLUSTERS; seed++) {
    const objects = withBombs(randomCluster(seed), seed);
    const view = snapshotOf(objects);
    const { texts, podGroups } = view;
    const result = await inline.run(view, config, CLUSTER_NOW_MS);
    const { faults, decisions, report } = result;
    for (const runner of threaded) {
      const other = await runner.run(view, config, CLUSTER_NOW_MS);
      if (exactText(other) !== exactText(result) || withoutStacks(other.faults) !== withoutStacks(faults))
        problems.push(`cluster ${seed}: ${runner.workers} workers decide otherwise`);
    }
    const findings = audit({ objects, config, nowMs: CLUSTER_NOW_MS, decisions, report });
    problems.push(...findings.map((finding) => `cluster ${seed}: ${formatFinding(finding)}`));
    const broken = report.jobs.filter((job) => job.isBroken);
    expect(broken.map((job) => job.podGroupRow).toSorted()).toEqual(faults.map((fault) => fault.podGroupRow).toSorted());
    for (const { message, errors } of broken) {
      expect(message).toMatch(/Internal error: bomb of shape$/);
      expect(errors.map(({ reason }) => reason)).toContain('InternalError');
    }
    seen.faults += faults.length;
    seen.several += faults.length > 1 ? 1 : 0;
    if (faults.length === 0) continue;
    seen.decisions += decisions.length;
    const named = new Set(faults.map((fault) => texts.get(podGroups.keyText[fault.podGroupRow]!)));
    expect([...named].every((group) => group.includes('/bomb-'))).toBe(true);
    // What holds pods may have been a victim before it was known to be broken.
    const holds = objects.pods.some((pod) => pod.spec.nodeName && named.has(groupOf(pod)));
    seen.evicted += decisions.filter(({ kind, podGroup }) => kind === 'evict' && named.has(podGroup)).length;
    const waiting = new Set(objects.pods.filter(({ spec }) => !spec.nodeName).map(groupOf));
    seen.victims += [...named].filter((group) => !waiting.has(group)).length;
    if (holds) continue;
    seen.untried++;
    if (decidedWithout(view, config, faults) !== textOf(decisions)) problems.push(`cluster ${seed}: others are served otherwise`);
    if (decisions.some(({ podGroup }) => named.has(podGroup))) problems.push(`cluster ${seed}: a broken job was served`);
  }
  expect(problems.slice(0, 10)).toEqual([]);
  // Else the clusters would prove nothing.
  expect(Math.min(seen.faults / 100, seen.several / 20, seen.untried / 40, seen.victims, seen.decisions / 100)).toBeGreaterThanOrEqual(1);
  // Here each is known before its turn as a victim comes.
  expect(seen.evicted).toBe(0);
});

test('an error in the report of a job is no reason to decide otherwise', async () => {
  const config = loadConfig({}).config;
  let broken = 0;
  for (let seed = 0; seed < 20; seed++) {
    const view = snapshotOf(randomCluster(seed));
    const expected = await inline.run(view, config, CLUSTER_NOW_MS);
    const isPlain = ({ state, pods }: CycleReport['jobs'][number]): boolean =>
      state === 'unschedulable' && pods.every(({ message }) => !message.includes('references subgroup'));
    const row = expected.report.jobs.find(isPlain)?.podGroupRow;
    if (row === undefined) continue;
    broken++;
    // Every second time: it is read once when a cycle opens, then for the texts of reports.
    let reads = 0;
    const schedulingBackoff = new Proxy(view.podGroups.schedulingBackoff, {
      get: (column, at) => {
        if (at === String(row) && ++reads % 2 === 0) throw new Error('bomb in a report');
        return column[Number(at)];
      },
    });
    const result = await inline.run({ ...view, podGroups: { ...view.podGroups, schedulingBackoff } }, config, CLUSTER_NOW_MS);
    expect(result.faults).toMatchObject([{ podGroupRow: row, message: 'bomb in a report' }]);
    expect(result.decisions).toEqual(expected.decisions);
    const others = (jobs: CycleReport['jobs']) => jobs.filter(({ podGroupRow }) => podGroupRow !== row);
    expect(others(result.report.jobs)).toEqual(others(expected.report.jobs));
    expect(result.report.jobs.filter(({ isBroken }) => isBroken)).toMatchObject([{ podGroupRow: row, state: 'unschedulable', pods: [] }]);
  }
  expect(broken).toBeGreaterThan(10);
});
