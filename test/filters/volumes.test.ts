import { describe, expect, test } from 'vitest';
import { VolumeFilter } from '../../src/engine/filters/volumes.ts';
import { PredicateCode } from '../../src/engine/placement/reasons.ts';
import type { FakeNode, FakeObject } from './fakeView.ts';
import { fakeNodeOrder, fakeView } from './fakeView.ts';
import { BOUND, claim, csiCapacity, csiDriver, inZone, storageClass, volume } from './storageCluster.ts';

const NODES: readonly FakeNode[] = [
  { name: 'a', labels: { zone: 'a' } },
  { name: 'b', labels: { zone: 'b' } },
];
const { volumesNotFound: NONE, volumeNodeAffinity: FAR, volumeStorage: FULL } = PredicateCode;
const WAIT = storageClass('wait');

function filterFor(claims: readonly string[], objects: readonly FakeObject[], isEphemeral = false): [VolumeFilter, Int32Array] {
  const volumeClaims = claims.map((claimName) => ({ claimName, isEphemeral }));
  const view = fakeView({ nodes: NODES, pods: [{ name: 'p', uid: 'u', spec: { volumeClaims } }, {}], objects });
  return [new VolumeFilter(view), fakeNodeOrder(view)];
}

/** Codes of the nodes a and b for a pod with these claims. */
function codes(claims: readonly string[], ...objects: FakeObject[]): number[] {
  const [filter, nodeRowAt] = filterFor(claims, objects);
  expect(filter.prefilter(0)).toEqual({ result: 'ok' });
  const first = Array.from(nodeRowAt, (row) => filter.check(0, row));
  expect(Array.from(nodeRowAt, (row) => filter.check(0, row))).toEqual(first);
  return first;
}

describe('before any node', () => {
  const unbound = 'pod has unbound immediate PersistentVolumeClaims';
  test.each<[string, readonly FakeObject[], boolean, string]>([
    ['missing claim', [], false, 'persistentvolumeclaim "c" not found'],
    ['missing ephemeral claim', [], true, 'waiting for ephemeral volume controller to create the persistentvolumeclaim "c"'],
    [
      'lost',
      [claim('c', { phase: 'Lost', volumeName: 'v' })],
      false,
      'persistentvolumeclaim "c" bound to non-existent persistentvolume "v"',
    ],
    ['deleted', [claim('c', { isDeleting: true })], false, 'persistentvolumeclaim "c" is being deleted'],
    [
      'ephemeral of another pod',
      [WAIT, claim('c', { podUids: ['other'] })],
      true,
      'PVC ns/c was not created for pod ns/p (pod is not owner)',
    ],
    ['immediate class', [storageClass('wait', { volumeBindingMode: 'Immediate' }), claim('c')], false, unbound],
    ['no binding mode is immediate', [storageClass('wait', { volumeBindingMode: null }), claim('c')], false, unbound],
    ['unknown class', [claim('c')], false, unbound],
    ['no class', [WAIT, claim('c', { className: '' })], false, unbound],
    ['volume named but not bound', [WAIT, volume('v'), claim('c', { volumeName: 'v' })], false, unbound],
  ])('%s', (_, objects, isEphemeral, reason) => {
    const [filter, nodeRowAt] = filterFor(['c'], objects, isEphemeral);
    expect(filter.prefilter(0)).toEqual({ result: 'error', isUnresolvable: true, reasons: [reason] });
    expect(filter.check(0, nodeRowAt[0]!)).toBe(0);
  });

  test('a pod without claims skips the filter', () => {
    const [filter] = filterFor(['c'], []);
    expect(filter.prefilter(1)).toEqual({ result: 'skip' });
  });

  test('the own ephemeral claim is right; the first bad claim is named', () => {
    expect(filterFor(['c'], [WAIT, claim('c', { podUids: ['u'] })], true)[0].prefilter(0)).toEqual({ result: 'ok' });
    const [filter] = filterFor(['x', 'y'], [claim('y', { isDeleting: true })]);
    expect(filter.prefilter(0)).toMatchObject({ reasons: ['persistentvolumeclaim "x" not found'] });
  });

  test('the beta annotation names the class too', () => {
    const annotations = { 'volume.beta.kubernetes.io/storage-class': 'wait' };
    expect(filterFor(['c'], [WAIT, claim('c', { className: '', annotations })])[0].prefilter(0)).toEqual({ result: 'ok' });
  });
});

describe('bound claims', () => {
  const bound = claim('c', { className: 'any', volumeName: 'v', annotations: BOUND, phase: 'Bound' });
  test('go where their volume is', () => {
    expect(codes(['c'], bound, volume('v'))).toEqual([0, 0]);
    expect(codes(['c'], bound, volume('v', { zone: 'b' }))).toEqual([FAR, 0]);
    expect(codes(['c'], bound)).toEqual([NONE, NONE]);
  });

  test('an affinity that nothing satisfies', () => {
    expect(codes(['c'], bound, volume('v', { spec: { nodeAffinity: { required: { nodeSelectorTerms: [] } } } }))).toEqual([FAR, FAR]);
  });

  test('volume affinity is reported before missing volumes', () => {
    expect(codes(['c', 'd'], bound, volume('v', { zone: 'b', phase: 'Bound' }), WAIT, claim('d'))).toEqual([FAR, NONE]);
  });
});

describe('claims that wait for their first consumer find a volume', () => {
  test.each<[string, readonly FakeObject[], readonly number[]]>([
    ['none there', [], [NONE, NONE]],
    ['on its nodes', [volume('v', { zone: 'a' })], [0, NONE]],
    ['too small', [volume('v', { size: '9Gi' })], [NONE, NONE]],
    ['large enough, decimal units', [volume('v', { size: '11G' })], [0, 0]],
    ['another class', [volume('v', { spec: { storageClassName: 'x' } })], [NONE, NONE]],
    ['another access mode', [volume('v', { spec: { accessModes: ['ReadOnlyMany'] } })], [NONE, NONE]],
    ['another volume mode', [volume('v', { spec: { volumeMode: 'Block' } })], [NONE, NONE]],
    ['not available', [volume('v', { phase: 'Released' })], [NONE, NONE]],
    ['being deleted', [volume('v', { isDeleting: true })], [NONE, NONE]],
    ['reserved for another claim', [volume('v', { spec: { claimRef: { namespace: 'ns', name: 'x' } } })], [NONE, NONE]],
    [
      'reserved for an older claim of the name',
      [volume('v', { spec: { claimRef: { namespace: 'ns', name: 'c', uid: 'old' } } })],
      [NONE, NONE],
    ],
    ['reserved for it, in any phase', [volume('v', { phase: 'Bound', spec: { claimRef: { namespace: 'ns', name: 'c' } } })], [0, 0]],
    [
      'the reserved one excludes others',
      [volume('v', { zone: 'a', spec: { claimRef: { namespace: 'ns', name: 'c', uid: 'claim-c' } } }), volume('w')],
      [0, NONE],
    ],
  ])('%s', (_, volumes, expected) => {
    expect(codes(['c'], WAIT, claim('c'), ...volumes)).toEqual(expected);
  });

  test('by selector', () => {
    const picky = claim('c', { spec: { selector: { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] } } });
    expect(codes(['c'], WAIT, picky, volume('v'))).toEqual([NONE, NONE]);
    expect(codes(['c'], WAIT, picky, volume('v', { labels: { disk: 'ssd' } }))).toEqual([0, 0]);
  });

  test('one volume serves one claim', () => {
    const two = [WAIT, claim('c'), claim('d')];
    expect(codes(['c', 'd'], ...two, volume('v'))).toEqual([NONE, NONE]);
    expect(codes(['c', 'd'], ...two, volume('v'), volume('w', { zone: 'b' }))).toEqual([NONE, 0]);
  });

  test('small claims take the smallest volumes, whatever the order', () => {
    const objects = [
      WAIT,
      claim('big', { size: '20Gi' }),
      claim('small', { size: '5Gi' }),
      volume('l', { size: '30Gi' }),
      volume('s', { size: '6Gi' }),
    ];
    expect(codes(['big', 'small'], ...objects)).toEqual([0, 0]);
    expect(codes(['small', 'big'], ...objects)).toEqual([0, 0]);
  });

  test('the smallest wins whether its nodes are named by a label or not', () => {
    const claims = [WAIT, claim('c', { size: '5Gi' }), claim('d', { size: '20Gi' })];
    expect(codes(['c', 'd'], ...claims, volume('any', { size: '6Gi' }), volume('v', { size: '30Gi', zone: 'a' }))).toEqual([0, NONE]);
    expect(codes(['c', 'd'], ...claims, volume('any', { size: '30Gi' }), volume('v', { size: '6Gi', zone: 'a' }))).toEqual([0, NONE]);
  });

  test('claims choose in order of size and never again', () => {
    const many = { accessModes: ['ReadWriteMany'] };
    const claims = [WAIT, claim('big', { size: '20Gi', spec: many }), claim('small', { size: '5Gi' })];
    const both = { accessModes: ['ReadWriteOnce', 'ReadWriteMany'] };
    const volumes = [volume('v', { size: '20Gi', spec: both }), volume('w', { size: '30Gi' })];
    expect(codes(['big', 'small'], ...claims, ...volumes)).toEqual([NONE, NONE]);
  });

  test('the selected node of a claim in work is the only one', () => {
    const selected = claim('c', { annotations: { 'volume.kubernetes.io/selected-node': 'b' } });
    expect(codes(['c'], storageClass('wait', { provisioner: 'csi' }), selected)).toEqual([NONE, 0]);
  });

  test('fields of wrong types do no harm', () => {
    const broken = { metadata: 1, spec: { capacity: 'x', accessModes: 'y', nodeAffinity: [] } };
    expect(codes(['c'], WAIT, claim('c'), { kind: 'persistentVolume', key: 'v', object: broken })).toEqual([NONE, NONE]);
  });
});

describe('claims that wait are provisioned', () => {
  const csi = (fields: Readonly<Record<string, unknown>> = {}): FakeObject => storageClass('wait', { provisioner: 'csi', ...fields });
  const topologies = [{ matchLabelExpressions: [{ key: 'zone', values: ['b', 'c'] }] }];

  test('anywhere, or where the class allows it', () => {
    expect(codes(['c'], csi(), claim('c'))).toEqual([0, 0]);
    expect(codes(['c'], csi({ allowedTopologies: topologies }), claim('c'))).toEqual([NONE, 0]);
    expect(codes(['c'], csi({ allowedTopologies: [{}] }), claim('c'))).toEqual([NONE, NONE]);
    expect(codes(['c'], csi({ provisioner: '' }), claim('c'))).toEqual([NONE, NONE]);
  });

  test('only if no volume is found', () => {
    expect(codes(['c'], csi({ allowedTopologies: topologies }), claim('c'), volume('v', { zone: 'a' }))).toEqual([0, 0]);
  });

  test.each<[string, readonly FakeObject[], readonly number[]]>([
    ['not looked at without a driver', [csiCapacity('x', 'wait', { capacity: '1Gi', nodeTopology: {} })], [0, 0]],
    ['not looked at when the driver does not ask', [csiDriver('csi', false)], [0, 0]],
    ['none published', [csiDriver('csi', true)], [FULL, FULL]],
    ['enough in one zone', [csiDriver('csi', true), csiCapacity('x', 'wait', { capacity: '10Gi', nodeTopology: inZone('a') })], [0, FULL]],
    ['not enough', [csiDriver('csi', true), csiCapacity('x', 'wait', { capacity: '9Gi', nodeTopology: {} })], [FULL, FULL]],
    ['another class', [csiDriver('csi', true), csiCapacity('x', 'other', { capacity: '90Gi', nodeTopology: {} })], [FULL, FULL]],
    ['no topology reaches no node', [csiDriver('csi', true), csiCapacity('x', 'wait', { capacity: '90Gi' })], [FULL, FULL]],
    [
      'the largest volume is the limit',
      [csiDriver('csi', true), csiCapacity('x', 'wait', { capacity: '90Gi', maximumVolumeSize: '5Gi', nodeTopology: {} })],
      [FULL, FULL],
    ],
  ])('capacity: %s', (_, objects, expected) => {
    expect(codes(['c'], csi(), claim('c'), ...objects)).toEqual(expected);
  });
});

test('hundreds of signatures keep their verdicts apart', () => {
  const pods = Array.from({ length: 200 }, (_, i) => ({ spec: { volumeClaims: [{ claimName: `c${i}`, isEphemeral: false }] } }));
  const objects = pods.flatMap((_, i) => [
    claim(`c${i}`, { volumeName: `v${i}`, annotations: BOUND }),
    volume(`v${i}`, { zone: i % 2 === 0 ? 'a' : 'b' }),
  ]);
  const view = fakeView({ nodes: NODES, pods, objects });
  const filter = new VolumeFilter(view);
  const [a, b] = fakeNodeOrder(view);
  for (let round = 0; round < 2; round++) {
    pods.forEach((_, i) => {
      expect([filter.check(i, a!), filter.check(i, b!)]).toEqual(i % 2 === 0 ? [0, FAR] : [FAR, 0]);
    });
  }
});
