// Pods of other schedulers that name a pod group: they take room, and are neither members nor victims (spec 03 section 2.8).
import { expect, test } from 'vitest';
import { auditCycle } from '../../src/audit/audit.ts';
import type { Pod } from '../../src/base/objects.ts';
import { emptyObjects } from '../support/randomCluster.ts';
import { configWith, cycleOf, lines } from '../victims/cycle.ts';
import { group, NOW_MS, node, pod, queue } from './scenarios.ts';

const foreign = (p: Pod): Pod => ({ ...p, spec: { ...p.spec, schedulerName: 'default-scheduler' } });
const base = { ...emptyObjects(), nodes: [node('n1', 2)], queues: [queue('q', '', { quota: 2 }), queue('poor', '', { quota: 2 })] };

test('a gang is not completed by them', () => {
  const objects = {
    ...base,
    podGroups: [group('gang', 'q', { minMember: 2 })],
    pods: [pod('own', 'gang', 1), foreign(pod('theirs', 'gang', 1))],
  };
  const cycle = cycleOf(objects, configWith(), NOW_MS);
  expect([lines(cycle), cycle.report.jobs[0]?.state]).toEqual([[], 'notReady']);
  const wrong = { ...objects, podGroups: [group('gang', 'q', { minMember: 1 })] };
  const right = cycleOf(wrong, configWith(), NOW_MS);
  expect(lines(right)).toEqual(['bind ns/own n1']);
  expect(auditCycle({ objects: wrong, config: configWith(), nowMs: NOW_MS, decisions: right.commits.flat() })).toEqual([]);
  const findings = auditCycle({ objects, config: configWith(), nowMs: NOW_MS, decisions: right.commits.flat() });
  expect(findings.map(({ rule }) => rule)).toContain('partial-gang');
});

test('they are not evicted, whoever is owed the room', () => {
  const objects = {
    ...base,
    podGroups: [group('rich', 'q', { minMember: 1 }), group('claim', 'poor', { minMember: 1 })],
    pods: [pod('own', 'rich', 1, 'n1'), foreign(pod('theirs', 'rich', 1, 'n1')), pod('waits', 'claim', 2)],
  };
  expect(lines(cycleOf(objects, configWith(), NOW_MS))).toEqual([]);
});
