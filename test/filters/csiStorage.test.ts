import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CsiStorageLedger } from '../../src/engine/filters/csiStorage.ts';
import type { FakeObject, FakePod } from './fakeView.ts';
import { fakeNodeOrder, fakeView } from './fakeView.ts';
import { claim, csiCapacity, csiDriver, inZone, storageClass } from './storageCluster.ts';

const CSI: readonly FakeObject[] = [csiDriver('csi', true), storageClass('wait', { provisioner: 'csi' })];
const ROOM = csiCapacity('room', 'wait', { capacity: '10Gi', nodeTopology: inZone('a') });

const uses = (...claims: string[]): FakePod => ({ spec: { volumeClaims: claims.map((claimName) => ({ claimName, isEphemeral: false })) } });

/** A ledger over node 0 in zone a and node 1 in zone b. */
function ledger(pods: readonly FakePod[], ...objects: FakeObject[]): CsiStorageLedger {
  const nodes = ['a', 'b'].map((zone) => ({ name: zone, labels: { zone } }));
  const view = fakeView({ nodes, pods, objects: [...CSI, ...objects] });
  return new CsiStorageLedger(view, fakeNodeOrder(view));
}

test('pending claims fill the capacity of the node', () => {
  const l = ledger([uses('c'), uses('d')], ROOM, claim('c', { size: '6Gi' }), claim('d', { size: '6Gi' }));
  expect(l.fitsNow(1, 0, false)).toBe(true);
  l.add(0, 0, true);
  expect([l.fitsNow(1, 0, false), l.fitsEventually(1, 0, false)]).toEqual([false, false]);
  expect(l.fitError(1, 0, false)).toBe('node(s) did not have enough free storage for storageclass wait');
  expect(l.fitError(1, 1, false)).toBe('no allocatable storage from storageclass wait found');
  l.remove(0, 0, true);
  expect(l.fitError(1, 0, false)).toBe('');
});

test('all pending claims of a class must fit together', () => {
  const l = ledger([uses('c', 'd'), uses('c')], ROOM, claim('c', { size: '6Gi' }), claim('d', { size: '6Gi' }));
  expect([l.fitsNow(0, 0, false), l.fitsNow(1, 0, false)]).toEqual([false, true]);
});

test('bound claims take nothing; a shared claim is taken once', () => {
  const l = ledger(
    [uses('c'), uses('c'), uses('d'), uses('e')],
    ROOM,
    claim('c', { size: '4Gi' }),
    claim('d', { size: '6Gi' }),
    claim('e', { size: '9Gi', phase: 'Bound' }),
  );
  l.add(3, 0, true);
  l.add(0, 0, true);
  l.add(1, 0, true);
  expect(l.fitsNow(2, 0, false)).toBe(true);
});

test('a leaving owner gives its claims back eventually, but not now', () => {
  const owner: FakePod = { ...uses('c'), uid: 'owner' };
  const l = ledger([owner, uses('d')], ROOM, claim('c', { size: '8Gi', podUids: ['owner'] }), claim('d', { size: '8Gi' }));
  l.add(0, 0, true);
  expect([l.fitsNow(1, 0, false), l.fitsEventually(1, 0, false)]).toEqual([false, false]);
  l.remove(0, 0, true);
  l.add(0, 0, false);
  expect([l.fitsNow(1, 0, false), l.fitsEventually(1, 0, false)]).toEqual([false, true]);
});

test('a virtually evicted task needs room for the claims it owns', () => {
  const owner: FakePod = { ...uses('c'), uid: 'owner' };
  const l = ledger([owner], ROOM, claim('c', { size: '11Gi', phase: 'Bound', podUids: ['owner'] }));
  expect([l.fitsNow(0, 0, false), l.fitsNow(0, 0, true)]).toEqual([true, false]);
});

describe('orphaned claims', () => {
  const owned = claim('c', { podUids: ['gone'] });
  test('of a pod that is not there', () => {
    const l = ledger([uses('c')], ROOM, owned);
    expect(l.fitError(0, 0, false)).toBe('task has deleted storage claims: ns/c');
    expect(l.fitsEventually(0, 0, false)).toBe(true);
  });

  test('of a pod that is being deleted, but not of one that stays', () => {
    const going: FakePod = { ...uses('c'), uid: 'gone', isDeleting: true };
    expect(ledger([uses('c'), going], ROOM, owned).fitsNow(0, 0, false)).toBe(false);
    expect(ledger([uses('c'), { ...going, isDeleting: false }], ROOM, owned).fitsNow(0, 0, false)).toBe(true);
  });

  test('two owning pods are no owner', () => {
    expect(ledger([uses('c')], ROOM, claim('c', { podUids: ['x', 'y'] })).fitsNow(0, 0, false)).toBe(true);
  });
});

test('two capacities of one class take all capacities from the node', () => {
  const other = storageClass('other', { provisioner: 'csi' });
  const more = csiCapacity('more', 'wait', { capacity: '50Gi' });
  const l = ledger(
    [uses('c'), uses('d')],
    ROOM,
    more,
    other,
    csiCapacity('o', 'other', { capacity: '50Gi' }),
    claim('c'),
    claim('d', { className: 'other' }),
  );
  expect([l.fitsNow(0, 0, false), l.fitsNow(1, 0, false)]).toEqual([false, false]);
  expect([l.fitsNow(0, 1, false), l.fitsNow(1, 1, false)]).toEqual([true, true]);
});

test('claims of other classes, without a class or without a driver are not modelled', () => {
  const l = ledger(
    [uses('c', 'd', 'e', 'missing')],
    claim('c', { className: '' }),
    claim('d', { className: 'now' }),
    storageClass('now', { provisioner: 'csi', volumeBindingMode: 'Immediate' }),
    claim('e', { className: 'nodriver' }),
    storageClass('nodriver', { provisioner: 'else' }),
  );
  expect(l.fitsNow(0, 0, false)).toBe(true);
});

test('removing everything in any order leaves the ledger as it was', () => {
  const names = ['c', 'd', 'e'];
  const pods: FakePod[] = [uses('c'), { ...uses('d'), uid: 'owner' }, uses('c', 'd'), uses('e')];
  const objects = [
    ROOM,
    claim('c', { size: '3Gi' }),
    claim('d', { size: '4Gi', podUids: ['owner'] }),
    claim('e', { size: '5Gi', phase: 'Bound' }),
  ];
  const probe: FakePod[] = names.map((_, i) => uses(`probe${i}`));
  const probes = names.map((_, i) => claim(`probe${i}`, { size: `${4 * i + 2}Gi` }));
  const step = fc.record({ pod: fc.nat(3), isAlive: fc.boolean(), order: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const l = ledger([...pods, ...probe], ...objects, ...probes);
      const answers = (): boolean[] => names.flatMap((_, i) => [l.fitsNow(4 + i, 0, false), l.fitsEventually(4 + i, 0, false)]);
      const before = answers();
      for (const { pod, isAlive } of steps) l.add(pod, 0, isAlive);
      for (const { pod, isAlive } of [...steps].sort((x, y) => x.order - y.order)) l.remove(pod, 0, isAlive);
      expect(answers()).toEqual(before);
    }),
    { seed: 5, numRuns: 100 },
  );
});
