import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { ClusterObjects, PodGroup } from '../../src/base/objects.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { explainCycle } from '../../src/engine/report/explain.ts';
import type { WaitingExplanation } from '../../src/engine/report/explanation.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import * as scenarios from '../audit/scenarios.ts';
import { group, NOW_MS, node, pod, queue, sharedPod } from '../audit/scenarios.ts';
import { snapshotOf } from '../determinism/compare.ts';
import { CLUSTER_NOW_MS, clusterArbitrary, emptyObjects } from '../support/randomCluster.ts';

const { config } = loadConfig({});
const ALLOCATE: SchedulerConfig = { ...config, actions: ['allocate'] };

function cluster(fill: Partial<ClusterObjects>): ClusterObjects {
  const classes = [50, 75, 125].map((value) => ({ metadata: { name: `p${value}` }, value }));
  return { ...emptyObjects(), queues: [queue('team', '', { quota: 4 })], nodes: [node('n1', 4)], priorityClasses: classes, ...fill };
}

function explain(objects: ClusterObjects, use: SchedulerConfig = config, workload?: string) {
  return explainCycle(snapshotOf(objects), use, NOW_MS, workload);
}

function waitingOf(objects: ClusterObjects, name: string, use = config): WaitingExplanation {
  const found = explain(objects, use).waiting.find((w) => w.podGroup === `ns/${name}`);
  if (found === undefined) throw new Error(`${name} does not wait`);
  return found;
}

const subGroups = (...list: NonNullable<NonNullable<PodGroup['spec']>['subGroups']>[number][]): PodGroup['spec'] => ({ subGroups: list });
const inSubGroup = (p: ReturnType<typeof pod>, name: string): ReturnType<typeof pod> => ({
  ...p,
  metadata: { ...p.metadata, labels: { 'kai.scheduler/subgroup-name': name } },
});

describe('the first binding constraint', () => {
  test('the queue does not exist, or is no leaf', () => {
    const objects = cluster({
      queues: [queue('team', '', { quota: 4 }), queue('below', 'team', { quota: 4 })],
      podGroups: [group('a', 'nowhere'), group('b', 'team')],
      pods: [pod('a0', 'a', 1), pod('b0', 'b', 1)],
    });
    expect(waitingOf(objects, 'a')).toMatchObject({
      queue: 'nowhere',
      constraint: { kind: 'queueUnknown' },
      taking: [],
      before: { queues: [] },
    });
    expect(waitingOf(objects, 'b').constraint.kind).toBe('queueNotLeaf');
  });

  test('a malformed tree, gates, missing pods', () => {
    const objects = cluster({
      podGroups: [
        group('tree', 'team', subGroups({ name: 'x', minMember: 1, parent: 'nowhere' })),
        group('gates', 'team'),
        group('gang', 'team', { minMember: 3 }),
        group('parts', 'team', subGroups({ name: 'x', minMember: 1 }, { name: 'y', minMember: 2 })),
      ],
      pods: [
        inSubGroup(pod('t0', 'tree', 1), 'x'),
        { ...pod('g0', 'gates', 1), spec: { ...pod('g0', 'gates', 1).spec, schedulingGates: [{ name: 'wait' }] } },
        pod('m0', 'gang', 1),
        inSubGroup(pod('p0', 'parts', 1), 'x'),
        inSubGroup(pod('p1', 'parts', 1), 'y'),
      ],
    });
    expect(waitingOf(objects, 'gates')).toMatchObject({ constraint: { kind: 'gated' }, pods: { gated: 1, pending: 0 } });
    expect(waitingOf(objects, 'gang')).toMatchObject({ constraint: { kind: 'notReady' }, remedies: ['2 more pods of the pod group'] });
    expect(waitingOf(objects, 'parts').remedies).toEqual(['1 more pods of sub-group y']);
    expect(waitingOf(objects, 'tree')).toMatchObject({ constraint: { kind: 'badTree' }, pods: { pending: 1 } });
  });

  test('the limit at any level, the quota of non-preemptible jobs', () => {
    const objects = cluster({
      queues: [queue('dept', '', { quota: 4, limit: 2 }), queue('team', 'dept', { quota: 0, limit: -1 })],
      podGroups: [group('big', 'team', { minMember: 1 }), group('firm', 'team', { priorityClassName: 'p125' })],
      pods: [pod('b0', 'big', 4), pod('f0', 'firm', 1)],
    });
    const big = waitingOf(objects, 'big');
    expect(big.constraint).toMatchObject({ kind: 'limit' });
    expect(big.constraint.text).toContain('Limit is 2 GPUs, currently 0 GPUs allocated and workload requested 4 GPUs');
    expect(big.remedies).toEqual(['2 more GPUs in the limit of queue dept']);
    const firm = waitingOf(objects, 'firm');
    expect(firm.constraint.kind).toBe('quota');
    expect(firm.remedies[0]).toBe('1 more GPUs in the quota of queue team');
  });

  test('a gang of which two pods find a place', () => {
    const objects = cluster({
      nodes: [node('n1', 4), node('n2', 3)],
      podGroups: [group('gang', 'team', { minMember: 4 })],
      pods: [0, 1, 2, 3].map((i) => pod(`g${i}`, 'gang', 2)),
    });
    const { constraint, remedies } = waitingOf(objects, 'gang');
    expect(constraint).toMatchObject({ kind: 'gang', placed: 3, needed: 4 });
    expect(constraint.nodes).toEqual([{ reason: "node(s) didn't have enough resources: GPUs", nodes: 2 }]);
    expect(remedies).toEqual(['a node with 2 free GPUs: the most now is 1, on node n2']);
  });

  test('one pod that no node takes: amounts, several at once, shared devices, selectors', () => {
    const cpu = (p: ReturnType<typeof pod>, amount: string, gpus: string) => ({
      ...p,
      spec: { ...p.spec, containers: [{ name: 'm', resources: { requests: { cpu: amount, 'nvidia.com/gpu': gpus } } }] },
    });
    const objects = cluster({
      nodes: [node('n1', 4), node('n2', 8)],
      podGroups: ['a', 'b', 'half', 'used'].map((name) => group(name, 'team')),
      pods: [
        pod('u0', 'used', 4, 'n1'),
        cpu(pod('u1', 'used', 7, 'n2'), '1', '7'),
        cpu(pod('u2', 'used', 1, 'n2'), '10', '1'),
        pod('a0', 'a', 2),
        {
          ...sharedPod('h0', 'half'),
          metadata: {
            ...sharedPod('h0', 'half').metadata,
            annotations: { 'pod-group-name': 'half', 'gpu-fraction': '0.5', 'gpu-fraction-num-devices': '2' },
          },
        },
      ],
    });
    expect(waitingOf(objects, 'a')).toMatchObject({
      constraint: { kind: 'nodeFit' },
      remedies: ['a node with 2 free GPUs: the most now is 0, on node n1'],
    });
    expect(waitingOf(objects, 'half').remedies).toEqual(['a node with 2 GPUs with 0.5 of it free each: the most now is 0, on node n1']);
    const choosy = cluster({
      nodes: [node('n1', 4), node('n2', 8)],
      podGroups: [group('else', 'team')],
      pods: [{ ...pod('e0', 'else', 1), spec: { ...pod('e0', 'else', 1).spec, nodeSelector: { zone: 'moon' } } }],
    });
    const selector = waitingOf(choosy, 'else');
    expect(selector.constraint.nodes).toContainEqual({ reason: "node(s) didn't match Pod's node affinity/selector", nodes: 2 });
    expect(selector.remedies).toEqual(['a node that its selector, affinity, tolerations and kind of GPU allow: there is none']);
    const apart = cluster({
      nodes: [node('n1', 4), node('n2', 8)],
      podGroups: [group('a', 'team'), group('used', 'team')],
      pods: [pod('u0', 'used', 4, 'n1'), cpu(pod('u1', 'used', 1, 'n2'), '10', '1'), cpu(pod('a0', 'a', 1), '12', '2')],
    });
    expect(waitingOf(apart, 'a', ALLOCATE).remedies).toEqual([
      '2 free GPUs instead of 0 on node n1, which comes closest: no node has all of it at once',
    ]);
  });

  test('a pod that cannot run anywhere: it is larger than every node', () => {
    const objects = cluster({ podGroups: [group('a', 'team')], pods: [pod('a0', 'a', 5)] });
    const { constraint } = waitingOf(objects, 'a');
    expect(constraint.kind).toBe('podCannotRun');
    expect(constraint.text).toContain('topped at 4');
  });

  test('promised places, and what they wait for', () => {
    const leaving = pod('old0', 'old', 4, 'n1');
    const objects = cluster({
      podGroups: [group('old', 'team'), group('next', 'team')],
      pods: [{ ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: '2026-01-01T12:00:20Z' } }, pod('x0', 'next', 4)],
    });
    const next = waitingOf(objects, 'next');
    expect(next).toMatchObject({ constraint: { kind: 'releasing' }, pods: { promised: 1, pending: 0 }, remedies: [] });
    expect(next.constraint.text).toBe('1 pod is promised a place on n1, once these have left: ns/old0');
  });

  test('beyond the depth of the queue', () => {
    const objects = cluster({ podGroups: [group('a', 'team'), group('b', 'team')], pods: [pod('a0', 'a', 1), pod('b0', 'b', 1)] });
    const shallow = { ...ALLOCATE, queueDepthPerAction: { allocate: 1 } };
    expect(waitingOf(objects, 'b', shallow).constraint.kind).toBe('depth');
  });

  test('the preemption delay is told where somebody could be evicted', () => {
    const objects = cluster({
      podGroups: [
        group('low', 'team', { priorityClassName: 'p50' }),
        group('high', 'team', { priorityClassName: 'p75', preemptionDelay: '12h' }),
      ],
      pods: [pod('l0', 'low', 4, 'n1'), pod('x0', 'high', 4)],
    });
    const { constraint, taking } = waitingOf(objects, 'high');
    expect(constraint.kind).toBe('nodeFit');
    expect(taking.map(({ action }) => action)).toEqual(['consolidation', 'reclaim', 'preempt']);
    expect(taking[2]!.text).toContain('may not trigger evictions before 2026-01-01T13:00:00Z');
  });

  test('why reclaim and preempt took nothing', () => {
    const objects = cluster({
      queues: [queue('team', '', { quota: 4 }), queue('other', '', { quota: 0 })],
      podGroups: [group('run', 'team'), group('more', 'other', { priorityClassName: 'p75' })],
      pods: [pod('r0', 'run', 4, 'n1'), pod('m0', 'more', 1)],
    });
    const text = (action: string): string => waitingOf(objects, 'more').taking.find((t) => t.action === action)!.text;
    expect(text('reclaim')).toBe('with it, queue other would use 1 GPUs; its fair share is 0');
    expect(text('preempt')).toBe('no preemptible job of a priority below 75 holds pods in queue other');
  });
});

describe('who stands before it', () => {
  const full = (fill: Partial<ClusterObjects>) => cluster({ ...fill, pods: [pod('r0', 'run', 4, 'n1'), ...(fill.pods ?? [])] });

  test('jobs of the own queue, best first', () => {
    const objects = full({
      podGroups: [
        group('run', 'team'),
        group('a', 'team', { priorityClassName: 'p50' }),
        group('b', 'team', { priorityClassName: 'p75' }),
        group('c', 'team', { priorityClassName: 'p50' }),
      ],
      pods: [pod('a0', 'a', 1), pod('b0', 'b', 1), pod('c0', 'c', 1)],
    });
    expect(waitingOf(objects, 'c', ALLOCATE).before).toMatchObject({ jobCount: 2, jobs: ['ns/b', 'ns/a'] });
    expect(waitingOf(objects, 'b', ALLOCATE).before.jobCount).toBe(0);
  });

  test('the rank of each queue on the way down, with the rule that decides', () => {
    const ranked = (
      left: Parameters<typeof queue>[2] & { priority?: number },
      right: Parameters<typeof queue>[2] & { priority?: number },
    ) => {
      const make = (name: string, { priority, ...gpu }: typeof left) => ({
        ...queue(name, 'dept', gpu),
        spec: { ...queue(name, 'dept', gpu).spec, ...(priority === undefined ? {} : { priority }) },
      });
      const objects = full({
        queues: [queue('dept', '', { quota: 8 }), make('left', left), make('right', right), queue('team', '', { quota: 4 })],
        podGroups: [group('run', 'team'), group('a', 'left'), group('b', 'right')],
        pods: [pod('a0', 'a', 2), pod('b0', 'b', 2)],
      });
      return waitingOf(objects, 'b', ALLOCATE).before.queues;
    };
    expect(ranked({ quota: 4 }, { quota: 1 })).toEqual([
      { queue: 'dept', rank: 1, of: 1 },
      { queue: 'right', rank: 2, of: 2, behind: { queue: 'left', rule: 'left stays within its quota with its next job, right does not' } },
    ]);
    expect(ranked({ quota: 1, priority: 200 }, { quota: 1 })[1]!.behind!.rule).toBe('queue priority 200 against 100');
    expect(ranked({ quota: 4 }, { quota: 2 })[1]!.behind!.rule).toBe('left would use 0.5 of its share with its next job, right 1');
    expect(ranked({ quota: 4 }, { quota: 4 })[1]!.behind!.rule).toBe('equal in everything else, the name left comes first');
  });
});

describe('victims', () => {
  test('preempt, reclaim, consolidation, stale gang', () => {
    const [preempted] = explain(scenarios.preemptScenario().objects).victims;
    expect(preempted).toMatchObject({ podGroup: 'ns/low', action: 'preempt', evictor: 'ns/high' });
    expect(preempted!.rule).toBe('preempt: its priority 50 is below 75 of the evictor in the same queue team');
    expect(preempted!.pods.map((p) => p.pod).sort()).toEqual(['ns/l0', 'ns/l1']);

    const reclaimed = explain(scenarios.reclaimScenario().objects).victims;
    expect(reclaimed.map((v) => v.action)).toEqual(['reclaim', 'reclaim']);
    expect(reclaimed[0]!.rule).toMatch(/^reclaim: rich uses <GPU: 6, .* queue poor takes back what it is entitled to from queue rich$/);

    const [moved] = explain(scenarios.consolidationScenario().objects).victims;
    expect(moved).toMatchObject({ action: 'consolidation', evictor: 'ns/big', pods: [{ movedTo: expect.stringMatching(/^n[12]$/) }] });

    const [stale] = explain(scenarios.staleScenario().objects).victims;
    expect(stale).toMatchObject({ podGroup: 'ns/gang', action: 'stalegangeviction', pods: [{ node: 'n1' }, { node: 'n1' }] });
    expect(stale!.evictor).toBeUndefined();
  });

  test('one workload, by full or short name, as victim or as evictor', () => {
    const { objects } = scenarios.preemptScenario();
    expect(explain(objects, config, 'ns/low').victims).toHaveLength(1);
    expect(explain(objects, config, 'high')).toMatchObject({ waiting: [{ podGroup: 'ns/high' }], victims: [{ podGroup: 'ns/low' }] });
    expect(explain(objects, config, 'nobody')).toEqual({ waiting: [], victims: [] });
  });
});

test('random clusters: every waiting pod group of the report is explained once, and limits lifted as told bind no more', async () => {
  const runner = createCycleRunner({ workers: 0 });
  let lifted = 0;
  const property = fc.asyncProperty(clusterArbitrary(), async (objects) => {
    const view = snapshotOf(objects);
    const { waiting } = explainCycle(view, config, CLUSTER_NOW_MS);
    const { report } = await runner.run(view, config, CLUSTER_NOW_MS);
    const told = waiting.map((w) => w.podGroup);
    expect(new Set(told).size).toBe(told.length);
    for (const job of report.jobs) {
      if (job.state === 'scheduled' || job.state === 'stale') continue;
      expect(told).toContain(view.texts.get(view.podGroups.keyText[job.podGroupRow]!));
    }
    for (const w of waiting) expect(w.constraint.text).not.toBe('');
    for (const w of explainCycle(view, ALLOCATE, CLUSTER_NOW_MS).waiting) {
      const raise = /^([\d.]+) more GPUs in the limit of queue (.*)$/.exec(w.remedies[0] ?? '');
      if (raise === null) continue;
      lifted++;
      const queues = objects.queues.map((q) => {
        if (q.metadata.name !== raise[2]) return q;
        const { gpu } = q.spec!.resources!;
        return {
          ...q,
          spec: { ...q.spec, resources: { ...q.spec!.resources, gpu: { ...gpu, limit: (gpu?.limit ?? 0) + Number(raise[1]) } } },
        };
      });
      // Only the explained job may use what is new, as far as this can be arranged: nothing else waits.
      const others = objects.podGroups
        .filter((g) => `${g.metadata.namespace}/${g.metadata.name}` !== w.podGroup)
        .map((g) => ({ ...g, spec: { ...g.spec, minMember: 99, subGroups: null } }));
      const own = objects.podGroups.filter((g) => `${g.metadata.namespace}/${g.metadata.name}` === w.podGroup);
      const after = explainCycle(snapshotOf({ ...objects, queues, podGroups: [...own, ...others] }), ALLOCATE, CLUSTER_NOW_MS, w.podGroup);
      // A growing job may stand before the same limit again, but one step further.
      const same = after.waiting.filter((x) => x.constraint.text === w.constraint.text || x.pods.pending >= w.pods.pending);
      expect(same.filter((x) => x.constraint.kind === 'limit' && x.constraint.text.startsWith(`${raise[2]} quota`))).toEqual([]);
    }
  });
  await fc.assert(property, { seed: 20260103, numRuns: 150 });
  await runner.close();
  expect(lifted).toBeGreaterThan(20);
});
