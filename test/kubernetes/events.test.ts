import { expect, test } from 'vitest';
import { type EventObject, EventRecorder, type EventRecorderOptions } from '../../src/kubernetes/events.ts';
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

test('when too many wait, events are dropped', async () => {
  const { recorder } = setUp({ maxWaiting: 3, queue: { submit: () => new Promise(() => undefined) } });
  const fates = Array.from({ length: 5 }, (_, i) => recorder.record({ object: pod(`p${i}`), type: 'Normal', reason: 'R', message: 'm' }));
  expect(fates).toEqual(['written', 'written', 'written', 'overflow', 'overflow']);
});
