// Whom a search spares: promises before pods, large units before many small ones, moves that buy nothing.
import { describe, expect, test } from 'vitest';
import type { ClusterObjects, Pod } from '../../src/base/objects.ts';
import { spareMost } from '../../src/engine/victims/spareMost.ts';
import { group, NOW_MS, node, pod, queue } from '../audit/scenarios.ts';
import { emptyObjects } from '../support/randomCluster.ts';
import { configWith, cycleOf, lines } from './cycle.ts';

const zone = (p: Pod, name: string): Pod => ({ ...p, spec: { ...p.spec, nodeSelector: { zone: name } } });
const leaving = (p: Pod): Pod => ({ ...p, metadata: { ...p.metadata, deletionTimestamp: '2026-01-01T12:00:30Z' } });

/** Two GPUs are leaving. `one` may have one of them, and is promised both: the job of `two` fits n1 alone. */
function promised(): ClusterObjects {
  return {
    ...emptyObjects(),
    nodes: [node('n1', 1), node('n2', 1)],
    queues: [queue('one', '', { quota: 1 }), queue('two', '', { quota: 1 }), queue('gone', '', { quota: 0 })],
    podGroups: [group('old', 'gone'), group('a1', 'one'), group('a2', 'one'), group('b', 'two')],
    pods: [
      leaving(pod('o1', 'old', 1, 'n1')),
      leaving(pod('o2', 'old', 1, 'n2')),
      zone(pod('a1', 'a1', 1), 'n1'),
      pod('a2', 'a2', 1),
      zone(pod('b', 'b', 1), 'n1'),
    ],
  };
}

test('a reclaimer takes a promise of the cycle, of the queue that has too many', () => {
  const cycle = cycleOf(promised(), configWith(), NOW_MS);
  expect(lines(cycle)).toEqual(['pipeline ns/b n1', 'pipeline ns/a2 n2']);
  expect(cycle.commits[0]![0]!.details?.takenBack).toEqual([{ pod: 'ns/a1', node: 'n1', isPromise: true }]);
  expect(cycle.report.jobs.find((j) => cycle.view.texts.get(cycle.view.podGroups.keyText[j.podGroupRow]!) === 'ns/a1')?.state).toBe(
    'unschedulable',
  );
});

test('promises that are to be kept are not taken', () => {
  expect(lines(cycleOf(promised(), configWith({ requireCommittedPlace: true }), NOW_MS))).toEqual([
    'pipeline ns/a1 n1',
    'pipeline ns/a2 n2',
  ]);
});

test('one larger job goes rather than two small ones that are less protected', () => {
  // In victim order, youngest first: only with `oldest` there is room, and two GPUs are left over for who may stay.
  const sizes: readonly (readonly [string, number])[] = [
    ['small1', 1],
    ['small2', 1],
    ['middle', 2],
    ['oldest', 4],
  ];
  const objects: ClusterObjects = {
    ...emptyObjects(),
    priorityClasses: [50, 75].map((value) => ({ metadata: { name: `p${value}` }, value })),
    nodes: [node('n1', 8)],
    queues: [queue('team', '', { quota: 8 })],
    podGroups: [
      group('high', 'team', { priorityClassName: 'p75' }),
      ...sizes.map(([name], i) => {
        const g = group(name, 'team', { priorityClassName: 'p50' });
        return { ...g, metadata: { ...g.metadata, creationTimestamp: `2026-01-01T0${9 - i}:00:00Z` } };
      }),
    ],
    pods: [pod('h', 'high', 6), ...sizes.map(([name, gpus]) => pod(name, name, gpus, 'n1'))],
  };
  expect(lines(cycleOf(objects, configWith(), NOW_MS))).toEqual(['evict ns/middle n1', 'evict ns/oldest n1', 'pipeline ns/h n1']);
});

test('surplus pods go before a broken optional member', () => {
  const member = (p: Pod, name: string): Pod => ({ ...p, metadata: { ...p.metadata, labels: { 'kai.scheduler/subgroup-name': name } } });
  const objects: ClusterObjects = {
    ...emptyObjects(),
    priorityClasses: [50, 75].map((value) => ({ metadata: { name: `p${value}` }, value })),
    nodes: [node('n1', 3)],
    queues: [queue('team', '', { quota: 3 })],
    podGroups: [
      group('high', 'team', { priorityClassName: 'p75' }),
      group('low', 'team', {
        priorityClassName: 'p50',
        minSubGroup: 1,
        subGroups: [
          { name: 'a', minMember: 1 },
          { name: 'b', minMember: 2 },
        ],
      }),
    ],
    pods: [
      pod('h', 'high', 1),
      member(pod('a1', 'low', 1, 'n1'), 'a'),
      member(pod('a2', 'low', 1, 'n1'), 'a'),
      member(pod('b1', 'low', 1, 'n1'), 'b'),
    ],
  };
  expect(lines(cycleOf(objects, configWith(), NOW_MS))).toEqual(['evict ns/a2 n1', 'pipeline ns/h n1']);
});

test('a job that finds no other place stays if a better protected one can move in its stead', () => {
  // `ja` would move to n2, where `jb` is: only `k` can leave n1 for good.
  const common = (n: ReturnType<typeof node>): ReturnType<typeof node> => ({
    ...n,
    metadata: { ...n.metadata, labels: { ...n.metadata.labels, common: 'yes' } },
  });
  const ja = pod('ja', 'j', 1, 'n1');
  const older = (g: ReturnType<typeof group>): ReturnType<typeof group> => ({
    ...g,
    metadata: { ...g.metadata, creationTimestamp: '2026-01-01T00:30:00Z' },
  });
  const objects: ClusterObjects = {
    ...emptyObjects(),
    nodes: [common(node('n1', 2)), common(node('n2', 1)), node('n3', 2)],
    queues: [queue('team', '', { quota: 6 }), queue('gone', '', { quota: 0 })],
    podGroups: [group('p', 'team'), group('j', 'team'), older(group('k', 'team')), group('old', 'gone')],
    pods: [
      zone(pod('p', 'p', 1), 'n1'),
      { ...ja, spec: { ...ja.spec, nodeSelector: { common: 'yes' } } },
      zone(pod('jb', 'j', 1, 'n2'), 'n2'),
      pod('k', 'k', 1, 'n1'),
      leaving(pod('o', 'old', 2, 'n3')),
    ],
  };
  expect(lines(cycleOf(objects, configWith(), NOW_MS))).toEqual(['evict ns/k n1', 'pipeline ns/p n1', 'pipeline ns/k n3']);
});

describe('spareMost', () => {
  const all = Array.from({ length: 20 }, (_, i) => i);
  test.each<[string, (kept: readonly number[]) => boolean, readonly number[]]>([
    ['all of a list that may stay', () => true, all],
    ['nothing where nothing may', () => false, []],
    ['everything but what must go', (kept) => !kept.includes(3) && !kept.includes(17), all.filter((i) => i !== 3 && i !== 17)],
    ['the earlier of two that exclude each other', (kept) => !(kept.includes(2) && kept.includes(11)), all.filter((i) => i !== 11)],
    ['as many as there is room for', (kept) => kept.length <= 7, all.slice(0, 7)],
  ])('keeps %s', (_, works, kept) => {
    expect([...spareMost(all, works)].sort((a, b) => a - b)).toEqual(kept);
  });
});
