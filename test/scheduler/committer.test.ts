import { describe, expect, test } from 'vitest';
import type { Pod } from '../../src/base/objects.ts';
import { NoAnswerError } from '../../src/kubernetes/apiError.ts';
import { Committer } from '../../src/scheduler/committer.ts';
import { Nominations } from '../../src/scheduler/nominations.ts';
import type { BindOrder, BindOutcome } from '../../src/scheduler/ports.ts';
import { settle } from '../kubernetes/clocks.ts';
import { createWorld, decide, failed, group, node, placesOf, pod } from './world.ts';

function createCommitter(
  outcome: (order: BindOrder) => Promise<BindOutcome> = async () => ({ kind: 'bound' }),
  isConditionWritten = false,
  isPlaceKept = false,
) {
  const world = createWorld();
  const managers = new Map<string, string>();
  const asked: string[] = [];
  const connection = {
    request: async ({ path }: { readonly path: string }) => {
      asked.push(path);
      const name = path.split('/').at(-1)!;
      const manager = managers.get(name);
      if (manager === 'nobody answers') throw new NoAnswerError('API_UNREACHABLE', 'cut', false);
      const managedFields = [
        { manager: 'kubelet', fieldsV1: { 'f:status': { 'f:phase': {} } } },
        { manager, fieldsV1: { 'f:status': { 'f:nominatedNodeName': {} } } },
      ];
      return { status: 200, headers: {}, body: Buffer.from(JSON.stringify({ metadata: { uid: `uid-${name}`, managedFields } })) };
    },
  };
  const isOwn = ({ metadata }: Pod): boolean => metadata.name !== 'other-shard';
  const nominations = new Nominations({ ...world, connection, isOwn, isPlaceKept: () => isPlaceKept });
  const orders: BindOrder[] = [];
  const log: string[] = [];
  const note =
    (what: string) =>
    (_: unknown, decision: { pod: string }, detail?: unknown): void =>
      void log.push(`${what} ${decision.pod}${typeof detail === 'string' ? `: ${detail}` : ''}`);
  const committer = new Committer({
    ...world,
    binder: {
      bind: (order) => {
        orders.push(order);
        return outcome(order);
      },
    },
    nodePoolLabelKey: 'pool',
    nodePool: '',
    isEvictionConditionWritten: () => isConditionWritten,
    nominations,
    observer: {
      bound: note('bound'),
      bindFailed: note('failed'),
      overtaken: ({ pod: key }, reason) => log.push(`overtaken ${key}: ${reason}`),
      evicted: note('evicted'),
      evictionFailed: note('not evicted'),
      broken: ({ pod: key }, error) => log.push(`broken ${key}: ${String(error)}`),
    },
  });
  const { state } = world;
  state.put('nodes', node('n1', '4'));
  state.put('podGroups', group('job'));
  for (const name of ['a', 'b']) state.put('pods', pod(name, { cpu: '2' }));
  state.put('pods', pod('victim', { node: 'n1', cpu: '1', phase: 'Running' }));
  state.remove('pods', 'ns/victim');
  state.put('pods', pod('victim', { node: 'n2', phase: 'Running' }));
  state.seal();
  return { ...world, committer, nominations, managers, asked, orders, log };
}

const GANG = [decide('bind', 'a', 'n1'), decide('bind', 'b', 'n1')];

describe('binding', () => {
  test('a plain pod is told of in one event, and counts on its node from the decision on', async () => {
    const { committer, orders, table, writes, log } = createCommitter();
    committer.take(GANG);
    expect(placesOf(table)).toMatchObject({ 'ns/a': 'n1', 'ns/b': 'n1' });
    await committer.stop();
    await settle();
    expect(orders.map(({ key, node: name, podGroup }) => [key, name, podGroup])).toEqual([
      ['ns/a', 'n1', 'ns/job'],
      ['ns/b', 'n1', 'ns/job'],
    ]);
    expect(writes.take()).toEqual(['event Scheduled a', 'event Scheduled b']);
    expect(log).toEqual(['bound ns/a', 'bound ns/b']);
  });

  test('OP-19: what another scheduler has put on the node meanwhile stops the whole gang, with the reason, and nothing stays assumed', async () => {
    const { committer, orders, state, table, writes } = createCommitter();
    state.put('pods', pod('foreign', { schedulerName: 'other', node: 'n1', cpu: '1' }));
    committer.take(GANG);
    await committer.stop();
    await settle();
    expect(orders).toEqual([]);
    expect(placesOf(table)).toEqual({ 'ns/foreign': 'n1', 'ns/victim': 'n2' });
    const [write] = writes.sent;
    expect(write!.request.body).toHaveProperty(
      'message',
      'Failed to bind pod ns/b to node n1: other pods have taken the room meanwhile: not enough cpu on the node',
    );
  });

  test('the same without anything new on the node is not checked again: the cycle knows better what GPUs and claims allow', async () => {
    const { committer, orders, state } = createCommitter();
    state.put('pods', pod('foreign', { schedulerName: 'other', node: 'n1', cpu: '4' }));
    state.seal();
    committer.take(GANG);
    await committer.stop();
    expect(orders).toHaveLength(2);
  });

  test.each([
    ['gone', (s: ReturnType<typeof createCommitter>) => s.state.remove('pods', 'ns/a')],
    ['recreated', (s: ReturnType<typeof createCommitter>) => s.state.put('pods', pod('a', { uid: 'other' }))],
    ['bound by somebody', (s: ReturnType<typeof createCommitter>) => s.state.put('pods', pod('a', { node: 'n2' }))],
    ['leaving', (s: ReturnType<typeof createCommitter>) => s.state.put('pods', pod('a', { deletionTimestamp: '2026-01-01T00:00:00Z' }))],
    ['on a node that is gone', (s: ReturnType<typeof createCommitter>) => s.state.remove('nodes', 'n1')],
  ])('a gang of which a pod is %s meanwhile is not bound in part', async (_, happen) => {
    const setup = createCommitter();
    happen(setup);
    setup.committer.take(GANG);
    await setup.committer.stop();
    expect(setup.orders).toEqual([]);
    expect(setup.state.counts().assumed).toBe(0);
  });

  test('OP-17: a bind that fails is told as BindingError, never as Bound; the pod steps back', async () => {
    const { committer, state, table, writes, log } = createCommitter(async () => ({ kind: 'failed', message: 'a policy says no' }));
    committer.take([GANG[0]!]);
    await committer.stop();
    await settle();
    expect(log).toEqual(['failed ns/a: a policy says no']);
    const [event, condition] = writes.sent;
    expect(event?.request.body).toMatchObject({
      reason: 'BindingError',
      type: 'Warning',
      message: 'Failed to bind pod ns/a to node n1: a policy says no',
    });
    expect(condition?.request).toMatchObject({
      path: '/api/v1/namespaces/ns/pods/a/status',
      body: { metadata: { uid: 'uid-a' }, status: { conditions: [{ type: 'PodBound', status: 'False', reason: 'BindingError' }] } },
    });
    expect(writes.sent).toHaveLength(2);
    expect((table.get('pods ns/a') as Pod).spec.schedulingGates).toHaveLength(1);
    expect(state.counts()).toEqual({ assumed: 0, leaving: 0, held: 1 });
  });

  test('a binder that throws costs its order only', async () => {
    const { committer, log, state } = createCommitter(async ({ key }) => {
      if (key === 'ns/a') throw new Error('defect');
      return { kind: 'bound' };
    });
    committer.take(GANG);
    await committer.stop();
    expect(log).toEqual(['broken ns/a: Error: defect', 'failed ns/a: internal error: defect', 'bound ns/b']);
    expect(state.counts()).toEqual({ assumed: 1, leaving: 0, held: 1 });
  });

  test('a pod that is deleted while its bind is under way is nobody’s failure', async () => {
    const { committer, state, writes, log } = createCommitter(
      ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve({ kind: 'failed', message: 'given up' }))),
    );
    committer.take([GANG[0]!]);
    state.remove('pods', 'ns/a');
    await committer.stop();
    await settle();
    expect([log, writes.sent]).toEqual([[], []]);
  });

  test('after the stop nothing is begun', async () => {
    const { committer, orders } = createCommitter();
    await committer.stop();
    committer.take(GANG);
    expect(orders).toEqual([]);
  });
});

describe('eviction', () => {
  const evict = decide('evict', 'victim', 'n2', {
    details: { message: 'Pod ns/victim was preempted', evictorPodGroup: 'other/big', evictedPods: 3 },
  });

  test('event on the group with who and how many, then deletion of this very pod with its own grace', async () => {
    const { committer, writes, table, log } = createCommitter();
    committer.take([evict]);
    expect((table.get('pods ns/victim') as Pod).metadata.deletionTimestamp).toBeTruthy();
    committer.take([evict]);
    await committer.stop();
    await settle();
    const [event, deletion] = writes.sent;
    expect(event?.request.body).toMatchObject({
      reason: 'Evict',
      type: 'Normal',
      involvedObject: { kind: 'PodGroup', name: 'job' },
      metadata: {
        annotations: {
          'num-evicted-pods': '3',
          'evictor-action-type': 'reclaim',
          'evictor-pod-group-name': 'big',
          'evictor-pod-group-namespace': 'other',
        },
      },
    });
    expect(deletion?.request).toEqual({
      method: 'DELETE',
      path: '/api/v1/namespaces/ns/pods/victim',
      body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: 'uid-victim' } },
    });
    expect(log).toEqual(['overtaken ns/victim: the pod is gone or leaving', 'evicted ns/victim']);
    expect(writes.sent).toHaveLength(2);
  });

  test('with the flag the condition comes first; when it cannot be written nothing is deleted and the pod counts as staying', async () => {
    const { committer, writes, state, log } = createCommitter(undefined, true);
    writes.answers.set('/status', failed(422));
    committer.take([evict]);
    await committer.stop();
    await settle();
    expect(writes.take()).toEqual(['event Evict job', 'PATCH /api/v1/namespaces/ns/pods/victim/status']);
    expect(log).toEqual(['not evicted ns/victim: its condition could not be written (refused)']);
    expect(state.counts().leaving).toBe(0);
    writes.answers.clear();
    committer.take([evict]);
    expect(writes.take()).toEqual([]);
  });

  test('a deletion that is refused leaves the pod as it was; another pod of the name means that the victim is gone', async () => {
    for (const [code, expected, leaving] of [
      [403, 'not evicted ns/victim: refused', 0],
      [409, 'evicted ns/victim', 1],
    ] as const) {
      const { committer, writes, state, log } = createCommitter();
      writes.answers.set('DELETE', failed(code));
      committer.take([evict]);
      await committer.stop();
      expect([log, state.counts().leaving]).toEqual([[expected], leaving]);
    }
  });
});

test('a promise of room is told once per pod and node, and writes nothing else', async () => {
  const { committer, writes, table } = createCommitter();
  const pipeline = decide('pipeline', 'a', 'n1');
  committer.take([pipeline]);
  committer.take([pipeline]);
  committer.take([decide('pipeline', 'a', 'n2')]);
  await settle();
  expect(writes.take()).toEqual(['event Pipelined a', 'event Pipelined a']);
  expect(placesOf(table)).toEqual({ 'ns/victim': 'n2' });
});

describe('with requireCommittedPlace', () => {
  const served = { ...decide('pipeline', 'a', 'n1'), action: 'reclaim' };
  const nominationsIn = (writes: { readonly sent: readonly { readonly key: string; readonly request: { readonly body?: unknown } }[] }) =>
    writes.sent
      .filter(({ key }) => key.startsWith('pod nomination'))
      .map(({ request }) => (request.body as { status: { nominatedNodeName: string | null } }).status.nominatedNodeName);

  test('the place that victims make is written on the pod, and taken back when a cycle does not serve it', async () => {
    const { committer, nominations, writes } = createCommitter(undefined, false, true);
    committer.take([served]);
    nominations.endCycle();
    committer.take([{ ...served, action: 'allocate' }]);
    nominations.endCycle();
    expect(nominationsIn(writes)).toEqual(['n1']);
    nominations.endCycle();
    nominations.endCycle();
    await settle();
    expect(nominationsIn(writes)).toEqual(['n1', null]);
  });

  test('nothing for a pod that only moves, for one that waits for what leaves anyway, or once it is bound', async () => {
    const { committer, nominations, writes, state } = createCommitter(undefined, false, true);
    committer.take([{ ...served, details: { evictorPodGroup: 'ns/other' } }, decide('pipeline', 'b', 'n1')]);
    nominations.endCycle();
    expect(nominationsIn(writes)).toEqual([]);
    committer.take([served]);
    nominations.endCycle();
    state.put('pods', pod('a', { node: 'n1', cpu: '2' }));
    nominations.endCycle();
    expect(nominationsIn(writes)).toEqual(['n1']);
  });

  const nominated = (name: string): Pod => ({ ...pod(name), status: { phase: 'Pending', nominatedNodeName: 'n1' } });
  const cycle = async ({ nominations, committer }: ReturnType<typeof createCommitter>, ...served: string[]): Promise<void> => {
    committer.take(served.map((name) => decide('pipeline', name, 'n1')));
    nominations.endCycle();
    await settle();
  };

  test('what a predecessor nominated is taken back when no cycle stands behind it; what others nominated is not', async () => {
    const setup = createCommitter(undefined, false, true);
    const { state, managers, asked, writes } = setup;
    for (const name of ['kept', 'dropped', 'theirs', 'other-shard']) {
      state.put('pods', nominated(name));
      managers.set(name, name === 'theirs' ? 'karpenter' : 'kai-scheduler-ts');
    }
    state.put('pods', { ...nominated('foreign'), spec: { ...nominated('foreign').spec, schedulerName: 'other' } });
    await cycle(setup);
    expect(nominationsIn(writes)).toEqual([]);
    await cycle(setup, 'kept');
    await cycle(setup, 'kept');
    expect(writes.sent.filter(({ key }) => key.startsWith('pod nomination')).map(({ key }) => key)).toEqual(['pod nomination uid-dropped']);
    expect(nominationsIn(writes)).toEqual([null]);
    expect(asked.map((path) => path.split('/').at(-1))).toEqual(['kept', 'dropped', 'theirs']);
  });

  test('they are looked for until the API server answers, and not at all while the option is off', async () => {
    const setup = createCommitter(undefined, false, true);
    setup.state.put('pods', nominated('p'));
    setup.managers.set('p', 'nobody answers');
    for (let i = 0; i < 3; i++) await cycle(setup);
    setup.managers.set('p', 'kai-scheduler-ts');
    for (let i = 0; i < 3; i++) await cycle(setup);
    expect([setup.asked.length, nominationsIn(setup.writes)]).toEqual([4, [null]]);
    const off = createCommitter();
    off.state.put('pods', nominated('p'));
    await cycle(off);
    expect(off.asked).toEqual([]);
  });

  test('off: a promise writes no nomination', () => {
    const { committer, nominations, writes } = createCommitter();
    committer.take([served]);
    nominations.endCycle();
    expect(nominationsIn(writes)).toEqual([]);
  });
});
