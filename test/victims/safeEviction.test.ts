// Worked examples of docs/safe-eviction.md.
import { describe, expect, test } from 'vitest';
import type { ClusterObjects, Pod } from '../../src/base/objects.ts';
import { group, NOW_MS, node, pod, queue } from '../audit/scenarios.ts';
import { emptyObjects } from '../support/randomCluster.ts';
import { type BudgetSpec, budget, configWith, cycleOf, lines } from './cycle.ts';

const PDB = configWith({ respectPodDisruptionBudgets: true });
const PLACE = configWith({ requireCommittedPlace: true });
const ONCE = configWith({ maxEvictionsPerWorkloadPerHour: 1 });
const OFF = configWith();

function cluster(fill: Partial<ClusterObjects>): ClusterObjects {
  const classes = [50, 75].map((value) => ({ metadata: { name: `p${value}` }, value }));
  return { ...emptyObjects(), priorityClasses: classes, ...fill };
}
function labelled(p: Pod, labels: Record<string, string>, ready?: boolean): Pod {
  const conditions = ready === undefined ? [] : [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  return { ...p, metadata: { ...p.metadata, labels }, status: { ...p.status, conditions } };
}
const WEB = { app: 'web' };
const pdb = (status: BudgetSpec['status'], rest: Partial<BudgetSpec> = {}) =>
  budget({ name: 'web', namespace: 'ns', selector: { matchLabels: WEB }, status, ...rest });

/** `low` has three pods of one GPU each on n1 and needs one; `high` wants `gpus`. */
function serving(gpus: number, budgets: readonly ReturnType<typeof pdb>[], ready: readonly (boolean | undefined)[] = []): ClusterObjects {
  return cluster({
    nodes: [node('n1', 3)],
    queues: [queue('team', '', { quota: 3 })],
    podGroups: [group('low', 'team', { minMember: 1, priorityClassName: 'p50' }), group('high', 'team', { priorityClassName: 'p75' })],
    pods: [...['l0', 'l1', 'l2'].map((name, i) => labelled(pod(name, 'low', 1, 'n1'), WEB, ready[i])), pod('h', 'high', gpus)],
    podDisruptionBudgets: budgets,
  });
}
const evicted = (objects: ClusterObjects, config = PDB, nowMs = NOW_MS): string[] =>
  cycleOf(objects, config, nowMs)
    .commits.flat()
    .filter((d) => d.kind === 'evict')
    .map((d) => d.pod);

describe('budgets', () => {
  test.each<[string, number, readonly ReturnType<typeof pdb>[], number]>([
    ['allow what they allow', 2, [pdb({ disruptionsAllowed: 2 })], 2],
    ['refuse one pod more than they allow', 2, [pdb({ disruptionsAllowed: 1 })], 0],
    ['refuse everything without a status', 1, [pdb(undefined)], 0],
    ['each count, where several select a pod', 1, [pdb({ disruptionsAllowed: 3 }), pdb({ disruptionsAllowed: 0 }, { name: 'second' })], 0],
    ['guard nothing with a null selector', 1, [pdb({ disruptionsAllowed: 0 }, { selector: null })], 1],
    ['guard their namespace with an empty selector', 1, [pdb({ disruptionsAllowed: 0 }, { selector: {} })], 0],
    ['guard no other namespace', 1, [pdb({ disruptionsAllowed: 0 }, { selector: {}, namespace: 'other' })], 1],
    [
      'select by expressions',
      1,
      [pdb({ disruptionsAllowed: 0 }, { selector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] } })],
      0,
    ],
    [
      'do not select by expressions',
      1,
      [pdb({ disruptionsAllowed: 0 }, { selector: { matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] } })],
      1,
    ],
    ['allow nothing while their status is out of date', 1, [pdb({ disruptionsAllowed: 2, observedGeneration: 1 }, { generation: 2 })], 0],
    ['do not trust a status that counts pods which are gone', 2, [pdb({ disruptionsAllowed: 2, currentHealthy: 4, desiredHealthy: 2 })], 0],
    ['let pods go that the eviction API gave up', 1, [pdb({ disruptionsAllowed: 0, disruptedPods: { l2: '2026-01-01T11:59:59Z' } })], 1],
  ])('%s', (_, gpus, budgets, count) => {
    expect(evicted(serving(gpus, budgets))).toHaveLength(count);
    expect(evicted(serving(gpus, budgets), OFF)).toHaveLength(gpus);
  });

  test.each<[string, string | undefined, number, number]>([
    ['AlwaysAllow', 'AlwaysAllow', 3, 1],
    ['IfHealthyBudget, healthy', undefined, 2, 1],
    ['IfHealthyBudget, not healthy', undefined, 3, 0],
  ])('unready pods: %s', (_, policy, desiredHealthy, count) => {
    const status = { disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy };
    expect(evicted(serving(1, [pdb(status, { policy })], [true, true, false]))).toEqual(count === 0 ? [] : ['ns/l2']);
  });

  test('a refusal is told', () => {
    const texts = (config: typeof PDB) =>
      cycleOf(serving(1, [pdb({ disruptionsAllowed: 0 })]), config, NOW_MS).report.jobs.map((job) => job.message);
    expect(texts(PDB).join()).toContain('Candidates for eviction are protected by PodDisruptionBudgets');
    expect(texts(configWith({}, { actions: 'allocate' })).join()).not.toContain('protected');
  });

  test('another pod of the job goes where the last may not', () => {
    const objects = serving(1, [pdb({ disruptionsAllowed: 0 })]);
    const pods = objects.pods.map((p) => (p.metadata.name === 'l1' ? { ...p, metadata: { ...p.metadata, labels: {} } } : p));
    expect(evicted({ ...objects, pods }, OFF)).toEqual(['ns/l2']);
    expect(evicted({ ...objects, pods })).toEqual(['ns/l1']);
  });

  test('a gang goes whole or not at all', () => {
    const objects = serving(1, [pdb({ disruptionsAllowed: 2 })]);
    const podGroups = objects.podGroups.map((g) => (g.metadata.name === 'low' ? { ...g, spec: { ...g.spec, minMember: 3 } } : g));
    expect(evicted({ ...objects, podGroups })).toEqual([]);
    expect(evicted({ ...objects, podGroups, podDisruptionBudgets: [pdb({ disruptionsAllowed: 3 })] })).toHaveLength(3);
  });

  test('decisions of one cycle share them', () => {
    const objects = serving(1, [pdb({ disruptionsAllowed: 1 })]);
    const podGroups = [...objects.podGroups, group('higher', 'team', { priorityClassName: 'p75' })];
    expect(evicted({ ...objects, podGroups, pods: [...objects.pods, pod('h2', 'higher', 1)] })).toHaveLength(1);
  });

  test('are shared by the queues of a namespace within one search', () => {
    const objects = cluster({
      nodes: [node('n1', 1), node('n2', 1)],
      queues: [queue('mine', '', { quota: 2 }), queue('a', '', { quota: 0 }), queue('b', '', { quota: 0 })],
      podGroups: [group('ja', 'a'), group('jb', 'b'), group('want', 'mine', { minMember: 2 })],
      pods: [labelled(pod('pa', 'ja', 1, 'n1'), WEB), labelled(pod('pb', 'jb', 1, 'n2'), WEB), pod('w0', 'want', 1), pod('w1', 'want', 1)],
    });
    expect(evicted({ ...objects, podDisruptionBudgets: [pdb({ disruptionsAllowed: 2 })] })).toHaveLength(2);
    expect(evicted({ ...objects, podDisruptionBudgets: [pdb({ disruptionsAllowed: 1 })] })).toEqual([]);
  });

  test('are kept for nodes that a gang can use', () => {
    const nodes = ['n1', 'n2', 'n3', 'n4'].map((name, i) => {
      const n = node(name, 1);
      return { ...n, metadata: { ...n.metadata, labels: { ...n.metadata.labels, pool: i < 2 ? 'x' : 'y' } } };
    });
    const wants = ['h0', 'h1'].map((name) => ({
      ...pod(name, 'high', 1),
      spec: { ...pod(name, 'high', 1).spec, nodeSelector: { pool: 'x' } },
    }));
    const objects = cluster({
      nodes,
      queues: [queue('team', '', { quota: 4 })],
      podGroups: [
        group('low', 'team', { minMember: 0, priorityClassName: 'p50' }),
        group('high', 'team', { minMember: 2, priorityClassName: 'p75' }),
      ],
      pods: [...nodes.map((n, i) => labelled(pod(`l${i}`, 'low', 1, n.metadata.name), WEB)), ...wants],
      podDisruptionBudgets: [pdb({ disruptionsAllowed: 2 })],
    });
    expect(evicted(objects).sort()).toEqual(['ns/l0', 'ns/l1']);
  });

  test('are not spent on nodes that cannot help, nor on those that do not', () => {
    // Three surplus pods on three nodes; only n1 suits, and it is the last to be asked.
    const nodes = [node('n1', 1), node('n2', 1), node('n3', 1)];
    const wants = (nodeSelector: Record<string, string>): Pod => {
      const p = pod('h', 'high', 1);
      return { ...p, spec: { ...p.spec, nodeSelector } };
    };
    const objects = serving(1, [pdb({ disruptionsAllowed: 1 })]);
    const low = ['l0', 'l1', 'l2'].map((name, i) => labelled(pod(name, 'low', 1, `n${i + 1}`), WEB));
    const podGroups = objects.podGroups.map((g) => (g.metadata.name === 'low' ? { ...g, spec: { ...g.spec, minMember: 0 } } : g));
    expect(evicted({ ...objects, podGroups, nodes, pods: [...low, wants({ zone: 'n1' })] })).toEqual(['ns/l0']);
    // Nodes that only lack CPU are open, but do not help.
    const busy = nodes.map((n, i) =>
      i === 0 ? n : { ...n, status: { ...n.status, allocatable: { ...n.status?.allocatable, cpu: '1' } } },
    );
    const big = {
      ...pod('h', 'high', 1),
      spec: { ...pod('h', 'high', 1).spec, containers: [{ name: 'm', resources: { requests: { cpu: '4', 'nvidia.com/gpu': '1' } } }] },
    };
    expect(evicted({ ...objects, podGroups, nodes: busy, pods: [...low, big] })).toEqual(['ns/l0']);
  });
});

describe('a limit per workload and hour', () => {
  const aged = (annotation: string | undefined): ClusterObjects => {
    const objects = serving(1, []);
    const annotations: Record<string, string> = annotation === undefined ? {} : { 'kai.scheduler/recent-eviction-timestamps': annotation };
    return {
      ...objects,
      podGroups: objects.podGroups.map((g) => (g.metadata.name === 'low' ? { ...g, metadata: { ...g.metadata, annotations } } : g)),
    };
  };
  test.each<[string | undefined, number, readonly number[]]>([
    [undefined, 1, [NOW_MS]],
    ['2026-01-01T10:59:58Z', 1, [NOW_MS]],
    ['2026-01-01T11:00:00Z', 0, []],
    ['yesterday,2026-01-01T11:30:00Z', 0, []],
  ])('after %s', (annotation, count, written) => {
    const { report, view, commits } = cycleOf(aged(annotation), ONCE, NOW_MS);
    expect(commits.flat().filter((d) => d.kind === 'evict')).toHaveLength(count);
    const low = report.jobs.find((job) => view.texts.get(view.podGroups.keyText[job.podGroupRow]!) === 'ns/low');
    expect(low?.recentEvictionsMs ?? []).toEqual(written);
  });

  test('keeps no more times than it looks at, oldest first', () => {
    const times = '2026-01-01T11:50:00Z,2026-01-01T11:40:00Z';
    const { report } = cycleOf(aged(times), configWith({ maxEvictionsPerWorkloadPerHour: 3 }), NOW_MS);
    expect(report.jobs.flatMap((job) => job.recentEvictionsMs ?? [])).toEqual([NOW_MS - 1_200_000, NOW_MS - 600_000, NOW_MS]);
  });

  test('pods that go together are one eviction, those that go after are another', () => {
    expect(evicted(serving(3, []), ONCE)).toHaveLength(3);
    const objects = serving(1, []);
    const podGroups = [...objects.podGroups, group('higher', 'team', { priorityClassName: 'p75' })];
    const two = { ...objects, podGroups, pods: [...objects.pods, pod('h2', 'higher', 1)] };
    expect(evicted(two, OFF)).toHaveLength(2);
    expect(evicted(two, ONCE)).toHaveLength(1);
  });

  test('says nothing when it is off', () => {
    expect(cycleOf(serving(1, []), PDB, NOW_MS).report.jobs.some((job) => 'recentEvictionsMs' in job)).toBe(false);
  });
});

describe('a committed place', () => {
  /** Two of a gang of three are left on n1, long past their grace; `wait` wants what they hold. */
  const stale = (gpus: number): ClusterObjects =>
    cluster({
      nodes: [node('n1', 2)],
      queues: [queue('team', '', { quota: 2 })],
      podGroups: [
        group('gang', 'team', { minMember: 3 }, { 'kai.scheduler/stale-podgroup-timestamp': '2026-01-01T11:00:00Z' }),
        group('wait', 'team', { priorityClassName: 'p50' }),
      ],
      pods: [pod('g0', 'gang', 1, 'n1'), pod('g1', 'gang', 1, 'n1'), ...(gpus > 0 ? [pod('w', 'wait', gpus)] : [])],
    });
  test('a stale gang goes only for somebody who gets its place', () => {
    expect(lines(cycleOf(stale(0), OFF, NOW_MS))).toEqual(['evict ns/g0 n1', 'evict ns/g1 n1']);
    expect(lines(cycleOf(stale(0), PLACE, NOW_MS))).toEqual([]);
    expect(lines(cycleOf(stale(3), PLACE, NOW_MS))).toEqual([]);
    expect(lines(cycleOf(stale(2), PLACE, NOW_MS))).toEqual(['evict ns/g0 n1', 'evict ns/g1 n1', 'pipeline ns/w n1']);
  });
  test('not for somebody who fits beside it', () => {
    const objects = stale(1);
    const config = configWith({ requireCommittedPlace: true }, { actions: 'stalegangeviction' });
    expect(lines(cycleOf({ ...objects, nodes: [node('n1', 3)] }, config, NOW_MS))).toEqual([]);
  });
  test('budgets and the limit hold for stale gangs too', () => {
    const objects = { ...stale(0), podDisruptionBudgets: [pdb({ disruptionsAllowed: 1 }, { selector: {} })] };
    expect(lines(cycleOf(objects, PDB, NOW_MS))).toEqual([]);
  });

  /** `mine` waits for n1, whose pod is leaving; `theirs` wants the same and comes first: its queue has less. */
  const kept = (isNominated: boolean, theirs: { readonly priority?: number; readonly quota?: number } = {}): ClusterObjects => {
    const mine = pod('m', 'mine', 1);
    return cluster({
      nodes: [node('n1', 1), node('n2', 1)],
      queues: [
        queue('a', '', { quota: 0 }),
        {
          ...queue('b', '', { quota: theirs.quota ?? 0 }),
          spec: { ...queue('b', '', { quota: theirs.quota ?? 0 }).spec, priority: theirs.priority ?? 100 },
        },
      ],
      podGroups: [group('old', 'a'), group('run', 'a'), group('mine', 'a'), group('theirs', 'b')],
      pods: [
        { ...pod('o', 'old', 1, 'n1'), metadata: { ...pod('o', 'old', 1, 'n1').metadata, deletionTimestamp: '2026-01-01T12:00:20Z' } },
        pod('r', 'run', 1, 'n2'),
        { ...mine, status: { ...mine.status, ...(isNominated ? { nominatedNodeName: 'n1' } : {}) } },
        pod('t', 'theirs', 1),
      ],
    });
  };
  const allocate = (option?: object) => configWith(option, { actions: 'allocate' });
  test('is kept against who merely comes first', () => {
    const on = allocate({ requireCommittedPlace: true });
    expect(lines(cycleOf(kept(true), allocate(), NOW_MS))).toEqual(['pipeline ns/t n1']);
    expect(lines(cycleOf(kept(false), on, NOW_MS))).toEqual(['pipeline ns/t n1']);
    expect(lines(cycleOf(kept(true), on, NOW_MS))).toEqual(['pipeline ns/m n1']);
  });
  test('is not kept against the more entitled', () => {
    const on = allocate({ requireCommittedPlace: true });
    expect(lines(cycleOf(kept(true, { quota: 1 }), on, NOW_MS))).toEqual(['pipeline ns/t n1']);
    expect(lines(cycleOf(kept(true, { priority: 200 }), on, NOW_MS))).toEqual(['pipeline ns/t n1']);
    expect(lines(cycleOf(kept(true, { priority: 50 }), on, NOW_MS))).toEqual(['pipeline ns/m n1']);
  });
  test("that is lost is nobody's: the job competes like any other, and is told as ever", () => {
    const on = allocate({ requireCommittedPlace: true });
    const objects = kept(true);
    const full = { ...objects, pods: objects.pods.map((p) => (p.metadata.name === 'o' ? pod('o', 'old', 1, 'n1') : p)) };
    const reported = (config: typeof on) => cycleOf(full, config, NOW_MS).report.jobs;
    expect(lines(cycleOf(full, on, NOW_MS))).toEqual([]);
    expect(reported(on)).toEqual(reported(allocate()));
  });
});
