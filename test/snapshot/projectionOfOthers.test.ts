import { describe, expect, it } from 'vitest';
import { ObjectKind, PodFlag } from '../../src/base/codes.ts';
import { pod, project, projectWithProblems } from './objects.ts';

const T0 = '2026-01-01T12:00:00Z';
const T0_MS = Date.UTC(2026, 0, 1, 12);

describe('safe eviction', () => {
  it('readiness of pods: only a condition that says no counts', () => {
    const flagsWith = (conditions: unknown) => project('pods', pod({}, { status: { phase: 'Running', conditions } })).flags;
    expect(flagsWith([{ type: 'Ready', status: 'False' }])).toBe(PodFlag.notReady);
    expect(flagsWith([{ type: 'Ready', status: 'Unknown' }])).toBe(PodFlag.notReady);
    for (const conditions of [undefined, null, [{ type: 'Ready', status: 'True' }], [{ type: 'PodScheduled', status: 'False' }]]) {
      expect(flagsWith(conditions)).toBe(0);
    }
  });

  it('times of the last evictions: sorted, unreadable ones reported', () => {
    const annotations = { 'kai.scheduler/recent-eviction-timestamps': `${T0}, 2026-01-01T11:30:00Z,soon` };
    const { row, problems } = projectWithProblems('podGroups', { metadata: { name: 'pg', namespace: 'ns', annotations }, spec: {} });
    expect(row.recentEvictions).toEqual([T0_MS - 1_800_000, T0_MS]);
    expect(problems).toEqual([
      expect.stringContaining('metadata.annotations[kai.scheduler/recent-eviction-timestamps]: not a time: "soon"'),
    ]);
  });

  it('budgets keep what decides about an eviction', () => {
    const selector = { matchLabels: { app: 'web' } };
    const status = { disruptionsAllowed: 1, currentHealthy: 3, desiredHealthy: 2, observedGeneration: 4, disruptedPods: { p: T0 } };
    const object = {
      metadata: { name: 'b', namespace: 'ns', generation: 4 },
      spec: { selector, minAvailable: 2 },
      status: { ...status, conditions: [] },
    };
    expect(project('podDisruptionBudgets', object)).toMatchObject({
      key: 'ns/b',
      kindCode: ObjectKind.podDisruptionBudget,
      spec: { metadata: { generation: 4 }, spec: { selector }, status },
    });
  });
});

describe('other objects', () => {
  it('keep what scheduling reads, in the structure of their kind', () => {
    expect(project('priorityClasses', { metadata: { name: 'train' }, value: 50, description: 'x' })).toEqual({
      kindCode: ObjectKind.priorityClass,
      key: 'train',
      spec: { value: 50 },
    });
    expect(project('configMaps', { metadata: { name: 'c', namespace: 'ns' }, data: { secret: 'x' } })).toEqual({
      kindCode: ObjectKind.configMap,
      key: 'ns/c',
      spec: null,
    });
    const claim = {
      metadata: {
        name: 'c',
        namespace: 'ns',
        uid: 'u',
        labels: { a: 'b' },
        annotations: { big: 'x', 'resource.kubernetes.io/extended-resource-claim': 'true' },
      },
      spec: { devices: { requests: [{ name: 'r' }] } },
      status: { allocation: { devices: {} }, devices: [{ data: 'x' }] },
    };
    expect(project('resourceClaims', claim).spec).toEqual({
      metadata: { uid: 'u', labels: { a: 'b' }, annotations: { 'resource.kubernetes.io/extended-resource-claim': 'true' } },
      spec: claim.spec,
      status: { allocation: { devices: {} } },
    });
    expect(
      project('persistentVolumes', { metadata: { name: 'v' }, spec: { csi: {}, claimRef: { uid: 'u', resourceVersion: '1' } } }).spec,
    ).toEqual({
      spec: { claimRef: { uid: 'u' } },
    });
  });

  it('are not read where the API server does not serve them', () => {
    const claim = { metadata: { name: 'c', namespace: 'ns' } };
    expect(project('resourceClaims', claim, { isDraServed: false })).toEqual({});
    expect(project('nodeResourceTopologies', { metadata: { name: 'n' } }, { isNodeTopologyServed: false })).toEqual({});
    expect(project('nodeResourceTopologies', { metadata: { name: 'n' } })).not.toEqual({});
  });
});
