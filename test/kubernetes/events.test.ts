import { expect, test } from 'vitest';
import { type EventObject, EventRecorder, type EventRecorderOptions, type EventToRecord } from '../../src/kubernetes/events.ts';
import type { Write, WriteResult } from '../../src/kubernetes/writeQueue.ts';
import { settle, VirtualClock } from './clocks.ts';

const MINUTE = 60_000;

function setUp(options: Partial<EventRecorderOptions> = {}) {
  const clock = new VirtualClock();
  const writes: Write[] = [];
  const results: WriteResult[] = [];
  const queue = {
    submit: async (write: Write): Promise<WriteResult> => {
      writes.push(write);
      return results.shift() ?? { kind: 'done', status: 201, body: Buffer.alloc(0), attempts: 1 };
    },
  };
  const recorder = new EventRecorder({ queue, component: 'kai-scheduler', instance: 'host-1', clock, ...options });
  const record = async (message: string, name = 'p1', reason = 'Unschedulable') => {
    const fate = recorder.record({ object: pod(name), type: 'Warning', reason, message });
    await settle();
    return fate;
  };
  return { clock, writes, results, recorder, record };
}

const pod = (name: string): EventObject => ({ apiVersion: 'v1', kind: 'Pod', namespace: 'team', name, uid: `uid-${name}` });

test('an event has what kubectl shows; a cluster-scoped object speaks in namespace default', async () => {
  const { writes, recorder } = setUp();
  recorder.record({ object: pod('p1'), type: 'Normal', reason: 'Scheduled', message: 'm'.repeat(2000), annotations: { a: 'b' } });
  recorder.record({
    object: { apiVersion: 'v1', kind: 'Node', namespace: '', name: 'n1', uid: 'u' },
    type: 'Normal',
    reason: 'R',
    message: 'm',
  });
  await settle();
  expect(writes[0]?.request).toMatchObject({ method: 'POST', path: '/api/v1/namespaces/team/events' });
  expect(writes[0]?.request.body).toMatchObject({
    metadata: { namespace: 'team', name: expect.stringMatching(/^p1\.[0-9a-f]+$/), annotations: { a: 'b' } },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'team', name: 'p1', uid: 'uid-p1' },
    type: 'Normal',
    reason: 'Scheduled',
    message: `${'m'.repeat(1023)}…`,
    source: { component: 'kai-scheduler' },
    firstTimestamp: '2026-01-01T12:00:00Z',
    lastTimestamp: '2026-01-01T12:00:00Z',
    count: 1,
  });
  expect(writes[1]?.request.path).toBe('/api/v1/namespaces/default/events');
});

test('the same text every second is written once, and its count again only before it would be forgotten', async () => {
  const { writes, clock, record } = setUp();
  const fates = new Map<string, number>();
  for (let s = 0; s < 3700; s++) {
    const fate = await record('0/5 nodes');
    fates.set(fate, (fates.get(fate) ?? 0) + 1);
    await clock.advance(1000);
  }
  expect(Object.fromEntries(fates)).toEqual({ written: 1, same: 3697, repeated: 2 });
  expect(writes.map(({ request }) => request.method)).toEqual(['POST', 'PATCH', 'PATCH']);
  expect(writes[1]?.request.body).toEqual({ count: 1801, lastTimestamp: '2026-01-01T12:30:00Z' });
});

test('a new text is a new event; one that comes back raises the count of its first', async () => {
  const { writes, record } = setUp();
  expect([await record('a'), await record('b'), await record('b'), await record('a'), await record('a'), await record('a', 'p2')]).toEqual([
    'written',
    'written',
    'same',
    'repeated',
    'same',
    'written',
  ]);
  expect(writes[2]?.request.path).toBe(
    `/api/v1/namespaces/team/events/${(writes[0]!.request.body as { metadata: { name: string } }).metadata.name}`,
  );
});

test('an object that changes its text all the time is limited, others are not', async () => {
  const { clock, writes, record } = setUp();
  for (let i = 0; i < 100; i++) await record(`text ${i}`);
  expect(writes.length).toBe(25);
  expect(await record('text', 'other')).toBe('written');
  await clock.advance(5 * MINUTE);
  expect([await record('new'), await record('newer')]).toEqual(['written', 'limited']);
});

test('an event that the server has forgotten is written anew; one that could not be written is tried at the next occasion', async () => {
  const { clock, writes, results, record } = setUp();
  await record('a');
  await clock.advance(40 * MINUTE);
  const notFound = { code: 404, reason: 'NotFound', message: '', retryAfterMs: 0 };
  results.push({ kind: 'failed', status: notFound, message: '', attempts: 1, mayHaveArrived: false });
  expect(await record('a')).toBe('repeated');
  expect(writes.map(({ request }) => request.method)).toEqual(['POST', 'PATCH', 'POST']);
  results.push({ kind: 'failed', status: null, message: '', attempts: 3, mayHaveArrived: false });
  expect([await record('b'), await record('b'), await record('b')]).toEqual(['written', 'written', 'same']);
});

test('of 4,000 pods bound at once each has its event', () => {
  const lost: string[] = [];
  const { recorder } = setUp({ queue: { submit: () => new Promise(() => undefined) }, onLost: (loss) => lost.push(loss) });
  const bind = (i: number): EventToRecord => ({ object: pod(`p${i}`), type: 'Normal', reason: 'Scheduled', message: 'm', isOnce: true });
  const fates = new Set(Array.from({ length: 4000 }, (_, i) => recorder.record(bind(i))));
  expect([[...fates], lost]).toEqual([['written'], []]);
});

test('what waits is handed over bit by bit, in order, with the time at which it happened; at the end all at once', async () => {
  const answers: ((result: WriteResult) => void)[] = [];
  const sent: Write[] = [];
  const { recorder, clock } = setUp({
    queue: {
      submit: (write) => {
        sent.push(write);
        return new Promise((resolve) => answers.push(resolve));
      },
    },
  });
  for (let i = 0; i < 1000; i++) recorder.record({ object: pod(`p${i}`), type: 'Normal', reason: 'Scheduled', message: 'm', isOnce: true });
  expect(sent.length).toBe(256);
  await clock.advance(MINUTE);
  answers[0]!({ kind: 'done', status: 201, body: Buffer.alloc(0), attempts: 1 });
  await settle();
  expect(sent.length).toBe(257);
  expect(sent[256]!.request.body).toMatchObject({ involvedObject: { name: 'p256' }, firstTimestamp: '2026-01-01T12:00:00Z' });
  recorder.flush();
  expect(sent.length).toBe(1000);
});

test('when too many wait, events are dropped, those first that a later cycle tells again; each loss is told', () => {
  const lost: string[] = [];
  const { recorder } = setUp({
    maxWaiting: 4,
    queue: { submit: () => new Promise(() => undefined) },
    onLost: (loss, { object, reason }) => lost.push(`${loss} ${reason} ${object.name}`),
  });
  const record = (i: number, isOnce: boolean) =>
    recorder.record({ object: pod(`p${i}`), type: 'Normal', reason: isOnce ? 'Scheduled' : 'Unschedulable', message: 'm', isOnce });
  expect([0, 1, 2].map((i) => record(i, false))).toEqual(['written', 'written', 'overflow']);
  expect([3, 4, 5].map((i) => record(i, true))).toEqual(['written', 'written', 'overflow']);
  expect(lost).toEqual(['overflow Unschedulable p2', 'overflow Scheduled p5']);
});

test('events that the server refuses, or of an object that has had too many, are told as lost', async () => {
  const lost: string[] = [];
  const { results, record } = setUp({ burstPerObject: 1, onLost: (loss, _event, detail) => lost.push(`${loss} ${detail}`) });
  results.push({ kind: 'failed', status: null, message: 'forbidden', attempts: 1, mayHaveArrived: false }, { kind: 'closed' });
  await record('a');
  await record('b');
  await record('c', 'p2');
  expect(lost).toEqual(['refused forbidden', 'limited ', 'closed ']);
});
