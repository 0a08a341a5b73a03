import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Pod, PodGroup } from '../../src/base/objects.ts';
import type { AssumedBind } from '../../src/scheduler/overlays.ts';
import { createWorld, decide, group, node, placesOf, pod } from './world.ts';

describe('what the next cycle sees', () => {
  test('a decided pod counts on its node from the decision until the watch shows it, and never twice', () => {
    const { state, table, log } = createWorld();
    state.put('pods', pod('p'));
    const assumed = state.assume(state.pod('ns/p')!, decide('bind', 'p', 'n1'));
    expect(placesOf(table)).toEqual({ 'ns/p': 'n1' });
    expect([...state.observed.podsOnNode('n1')]).toEqual(['ns/p']);
    state.confirmSent('ns/p', assumed);
    const before = log.relevant;
    state.put('pods', pod('p', { node: 'n1' }));
    expect(placesOf(table)).toEqual({ 'ns/p': 'n1' });
    expect([...table.keys()].filter((id) => id.startsWith('bindRequests'))).toEqual([]);
    // Our own binding is no news.
    expect(log.relevant).toBe(before);
  });

  test('a bind that the watch never shows counts no longer after a minute, and is told', async () => {
    const { state, table, clock, log } = createWorld();
    state.put('pods', pod('p'));
    const assumed = state.assume(state.pod('ns/p')!, decide('bind', 'p', 'n1'));
    await clock.advance(3_600_000);
    expect(state.expire()).toBe(Number.POSITIVE_INFINITY);
    expect(placesOf(table)).toEqual({ 'ns/p': 'n1' });
    state.confirmSent('ns/p', assumed);
    expect(state.expire() - clock.monotonicMs()).toBe(60_000);
    await clock.advance(60_000);
    state.expire();
    expect(placesOf(table)).toEqual({});
    expect(log.expired).toEqual(['ns/p']);
  });

  test('a pod whose bind fails steps back for a growing time, gated in the snapshot only, and begins anew after a success', async () => {
    const { state, table, clock } = createWorld();
    state.put('pods', pod('p'));
    const gates = (): number => (table.get('pods ns/p') as Pod).spec.schedulingGates?.length ?? 0;
    const fail = (): void => {
      const assumed = state.assume(state.pod('ns/p')!, decide('bind', 'p', 'n1'));
      state.unassume('ns/p', assumed, true);
    };
    for (const pauseMs of [1000, 2000, 4000]) {
      fail();
      expect([gates(), placesOf(table), state.hasHeldPods('ns/job')]).toEqual([1, {}, true]);
      expect(state.expire() - clock.monotonicMs()).toBe(pauseMs);
      await clock.advance(pauseMs);
      state.expire();
      expect(gates()).toBe(0);
    }
    state.confirmSent('ns/p', state.assume(state.pod('ns/p')!, decide('bind', 'p', 'n1')));
    state.put('pods', pod('p', { node: 'n1' }));
    expect(state.overlay('ns/p')).toBeUndefined();
  });

  test('a held list counts as a whole or not at all', () => {
    const { state, table, log } = createWorld();
    const object = (name: string): object => ({ metadata: { name }, spec: {} });
    state.put('resourceSlices', object('s1'));
    state.hold(['resourceClaims', 'resourceSlices']);
    state.put('resourceSlices', object('s2'));
    state.put('resourceSlices', object('s1'));
    state.remove('resourceSlices', 's2');
    state.put('deviceClasses', object('c'));
    expect([...table.keys()]).toEqual(['deviceClasses c']);
    const before = log.relevant;
    state.admit(['resourceSlices']);
    expect(log.relevant).toBe(before + 1);
    expect([...table.keys()]).toEqual(['deviceClasses c', 'resourceSlices s1']);
    state.put('resourceSlices', object('s3'));
    state.put('resourceClaims', { metadata: { name: 'c', namespace: 'ns' } });
    expect([...table.keys()]).toEqual(['deviceClasses c', 'resourceSlices s1', 'resourceSlices s3']);
  });

  test('a bind request of another binder that failed makes its pod step back once, and only its pod', async () => {
    const { state, table, clock } = createWorld();
    state.put('pods', pod('p'));
    const request = (phase: string, uid: string, more: object = {}): void => {
      const ownerReferences = [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid }];
      state.put('bindRequests', {
        metadata: { name: 'p', namespace: 'ns', ownerReferences },
        spec: { podName: 'p', selectedNode: 'n1', ...more },
        status: { phase, failedAttempts: 1 },
      });
    };
    const isHeld = (): boolean => state.counts().held === 1;
    request('Failed', 'predecessor');
    expect(isHeld()).toBe(false);
    state.remove('bindRequests', 'ns/p');
    state.confirmSent('ns/p', state.assume(state.pod('ns/p')!, decide('bind', 'p', 'n1')));
    request('Pending', 'uid-p');
    // The request speaks for itself.
    expect([state.counts().assumed, placesOf(table)]).toEqual([0, { 'ns/p': 'n1' }]);
    request('Failed', 'uid-p', { backoffLimit: 3 });
    expect(isHeld()).toBe(false);
    request('Pending', 'uid-p');
    request('Failed', 'uid-p');
    expect(isHeld()).toBe(true);
    await clock.advance(1_000);
    state.expire();
    request('Failed', 'uid-p');
    expect(isHeld()).toBe(false);
  });

  test('pods of other schedulers take room and belong to no job, whatever group they name', () => {
    const { state, log } = createWorld();
    const view = () => state.seal();
    state.put('pods', pod('ours'));
    const groupOf = (row: number): string => {
      const { pods, texts } = view();
      return pods.groupKeyText[row]! < 0 ? '' : texts.get(pods.groupKeyText[row]!);
    };
    log.relevant = 0;
    state.put('pods', pod('theirs', { schedulerName: 'other' }));
    state.put('pods', pod('theirs', { schedulerName: 'other', node: 'n1' }));
    expect([groupOf(0), groupOf(1), log.relevant]).toEqual(['ns/job', '', 0]);
    expect([...state.observed.podsOnNode('n1')]).toEqual(['ns/theirs']);
    expect(state.waitingGroups()).toEqual(['ns/job']);
  });

  test('a recreated pod of the same name inherits nothing, and its predecessor’s binder is told to give up', () => {
    const { state, table } = createWorld();
    state.put('pods', pod('p'));
    const assumed = state.assume(state.pod('ns/p')!, decide('bind', 'p', 'n1'));
    state.remove('pods', 'ns/p');
    state.put('pods', pod('p', { uid: 'other' }));
    expect(assumed.abort.signal.aborted).toBe(true);
    expect(placesOf(table)).toEqual({});
    state.confirmSent('ns/p', assumed);
    state.unassume('ns/p', assumed, true);
    expect(state.overlay('ns/p')).toBeUndefined();
  });

  test('a pod that is being evicted counts as leaving before the watch says so, and not when the deletion failed', () => {
    const { state, table } = createWorld();
    state.put('pods', pod('p', { node: 'n1', phase: 'Running' }));
    const isLeaving = (): boolean => Boolean((table.get('pods ns/p') as Pod).metadata.deletionTimestamp);
    state.leave(state.pod('ns/p')!);
    expect(isLeaving()).toBe(true);
    // A status that was sent before the deletion does not undo it.
    state.put('pods', { ...pod('p', { node: 'n1', phase: 'Running' }), status: { phase: 'Running', qosClass: 'Burstable' } });
    expect(isLeaving()).toBe(true);
    state.stay('ns/p', 'uid-p');
    expect(isLeaving()).toBe(false);
    expect(state.counts()).toEqual({ assumed: 0, leaving: 0, held: 0 });
  });

  test('written annotations and conditions are seen until the watch has them, also a removal', async () => {
    const { state, table, clock } = createWorld();
    const condition = (id: string) => ({ type: 'U', nodePool: 'default', message: `m${id}`, transitionID: id });
    const seen = (): PodGroup => table.get('podGroups ns/job') as PodGroup;
    const observe = (annotations: Record<string, string>, conditions: readonly ReturnType<typeof condition>[]): void => {
      state.put(
        'podGroups',
        group('job', { metadata: { ...group('job').metadata, annotations }, status: { schedulingConditions: conditions } }),
      );
    };
    observe({ x: '1' }, [condition('4')]);
    state.noteGroup('ns/job', 'uid-job', { 'kai.scheduler/last-start-timestamp': 't' }, []);
    observe({ x: '2' }, [condition('4')]);
    expect(seen().metadata.annotations).toEqual({ x: '2', 'kai.scheduler/last-start-timestamp': 't' });
    expect(seen().status?.schedulingConditions).toEqual([]);
    observe({ x: '2', 'kai.scheduler/last-start-timestamp': 't' }, []);
    // Seen: whatever comes later is the truth.
    observe({ x: '3' }, [condition('1')]);
    expect([seen().metadata.annotations, seen().status?.schedulingConditions]).toEqual([{ x: '3' }, [condition('1')]]);
    state.noteGroup('ns/job', 'uid-job', {}, [condition('2')]);
    await clock.advance(30_000);
    state.expire();
    expect(seen().status?.schedulingConditions).toEqual([condition('1')]);
  });

  test('changes that cannot matter wake nobody: heartbeats, kubelet status, configuration contents, foreign pods that come', () => {
    const { state, log } = createWorld();
    state.put('nodes', node('n1', '4'));
    state.put('pods', pod('p', { node: 'n1' }));
    state.put('configMaps', { metadata: { name: 'c', namespace: 'ns', resourceVersion: '1' } });
    state.put('queues', { metadata: { name: 'q' }, spec: { priority: 1 } });
    log.relevant = 0;
    state.put('nodes', {
      ...(node('n1', '4') as object),
      metadata: { name: 'n1', uid: 'uid-n1', resourceVersion: '99', annotations: { beat: '2' } },
    });
    state.put('pods', pod('p', { node: 'n1', phase: 'Running' }));
    state.put('configMaps', { metadata: { name: 'c', namespace: 'ns', resourceVersion: '2' } });
    state.put('queues', { metadata: { name: 'q' }, spec: { priority: 1 }, status: { allocated: { cpu: '1' } } });
    state.put('pods', pod('foreign', { schedulerName: 'other', node: 'n1' }));
    expect(log.relevant).toBe(0);
    state.put('nodes', node('n1', '8'));
    state.put('queues', { metadata: { name: 'q' }, spec: { priority: 2 } });
    state.put('pods', pod('new'));
    state.remove('pods', 'ns/foreign');
    expect(log.relevant).toBe(4);
  });

  test('whatever happens in whatever order, once all is seen the snapshot holds what the API server has, and nothing else', () => {
    const names = ['a', 'b', 'c'];
    const step = fc.record({
      what: fc.constantFrom('decide', 'sent', 'fail', 'evict', 'stay', 'recreate', 'see', 'gone', 'foreign', 'wait'),
      which: fc.nat(2),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { state, table, clock } = createWorld();
        const truth = new Map(names.map((name) => [name, pod(name)]));
        const assumed = new Map<string, AssumedBind>();
        let serial = 0;
        for (const name of names) state.put('pods', truth.get(name)!);
        for (const { what, which } of steps) {
          const name = names[which]!;
          const key = `ns/${name}`;
          const real = truth.get(name);
          const seen = state.pod(key);
          const bind = assumed.get(key);
          if (what === 'decide' && seen !== undefined && !seen.spec.nodeName && !state.overlay(key)?.assumed) {
            assumed.set(key, state.assume(seen, decide('bind', name, 'n1')));
          }
          if (what === 'sent' && bind !== undefined) {
            // The API server takes it only for the pod that was meant.
            if (real !== undefined && real.metadata.uid === bind.request.metadata.ownerReferences?.[0]?.uid && !real.spec.nodeName) {
              truth.set(name, { ...real, spec: { ...real.spec, nodeName: 'n1' } });
            }
            state.confirmSent(key, bind);
          }
          if (what === 'fail' && bind !== undefined) state.unassume(key, bind, true);
          if (what === 'evict' && seen?.spec.nodeName) state.leave(seen);
          if (what === 'stay' && seen !== undefined) state.stay(key, seen.metadata.uid ?? '');
          if (what === 'recreate') truth.set(name, pod(name, { uid: `uid-${name}-${serial++}` }));
          if (what === 'gone') truth.delete(name);
          if (what === 'foreign' && real !== undefined && !real.spec.nodeName)
            truth.set(name, { ...real, spec: { ...real.spec, nodeName: 'n2' } });
          if (what === 'see') see(name);
          if (what === 'wait') void clock.advance(1500).then(() => state.expire());
          // Never on two nodes: one row per pod, and an assumed node only where the pod has none of its own.
          for (const pods of [state.observed.podsOnNode('n1'), state.observed.podsOnNode('n2')]) {
            for (const podKey of pods) expect(state.pod(podKey)).toBeDefined();
          }
          expect(
            names.filter(
              (n) => [...state.observed.podsOnNode('n1')].includes(`ns/${n}`) && [...state.observed.podsOnNode('n2')].includes(`ns/${n}`),
            ),
          ).toEqual([]);
        }
        function see(name: string): void {
          const real = truth.get(name);
          if (real === undefined) state.remove('pods', `ns/${name}`);
          else state.put('pods', { ...real });
        }
        for (const [key, bind] of assumed) state.unassume(key, bind, false);
        for (const name of names) {
          const seen = state.pod(`ns/${name}`);
          if (seen !== undefined) state.stay(`ns/${name}`, seen.metadata.uid ?? '');
          see(name);
        }
        const overdue = { ...state.overlay('ns/a') };
        expect(overdue.assumed ?? null).toBeNull();
        const places = placesOf(table);
        const expected = Object.fromEntries(
          [...truth].filter(([, p]) => p.spec.nodeName).map(([name, p]) => [`ns/${name}`, p.spec.nodeName]),
        );
        expect(places).toEqual(expected);
        expect([...table.keys()].filter((id) => id.startsWith('bindRequests'))).toEqual([]);
      }),
      { seed: 20261125, numRuns: 400 },
    );
  });
});
