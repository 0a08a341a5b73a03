import { describe, expect, test } from 'vitest';
import { NoAnswerError, UnauthorizedError } from '../../src/kubernetes/apiError.ts';
import { backoffMs } from '../../src/kubernetes/clock.ts';
import type { ApiRequest, ApiResponse } from '../../src/kubernetes/connection.ts';
import { judge, WRITE_POLICIES, type WritePolicy, WritePriority } from '../../src/kubernetes/writePolicy.ts';
import { type FinishedAttempt, WriteQueue, type WriteQueueOptions, type WriteResult } from '../../src/kubernetes/writeQueue.ts';
import { settle, VirtualClock } from './clocks.ts';

type Answer = number | { readonly status: number; readonly retryAfter?: string; readonly message?: string } | Error | 'hang';

/** A server whose answers are given in order; after them 200. */
class Answers {
  readonly sent: string[] = [];
  readonly pending: { readonly path: string; readonly answer: (status: number) => void }[] = [];
  readonly #script: Answer[];

  constructor(...script: Answer[]) {
    this.#script = script;
  }

  readonly request = ({ path, body, signal }: ApiRequest): Promise<ApiResponse> => {
    this.sent.push(body === undefined ? path : `${path} ${JSON.stringify(body)}`);
    const next = this.#script.shift() ?? 200;
    if (next instanceof Error) return Promise.reject(next);
    const answerOf = (status: number, retryAfter?: string, message = `answer ${status}`): ApiResponse => ({
      status,
      headers: { 'retry-after': retryAfter },
      body: Buffer.from(JSON.stringify({ message })),
    });
    if (next !== 'hang')
      return Promise.resolve(typeof next === 'number' ? answerOf(next) : answerOf(next.status, next.retryAfter, next.message));
    return new Promise((resolve, reject) => {
      this.pending.push({ path, answer: (status) => resolve(answerOf(status)) });
      signal?.addEventListener('abort', () => reject(new NoAnswerError('API_ABORTED', 'cut', true)));
    });
  };
}

function setUp(server: Answers, options: Partial<WriteQueueOptions> = {}) {
  const clock = new VirtualClock();
  const attempts: FinishedAttempt[] = [];
  const queue = new WriteQueue({ connection: server, clock, onAttempt: (attempt) => attempts.push(attempt), ...options });
  const results = new Map<string, WriteResult[]>();
  const submit = (
    path: string,
    priority: WritePriority = WritePriority.binding,
    policy: WritePolicy = WRITE_POLICIES.binding,
    body?: unknown,
  ): void => {
    void queue.submit({ key: path, priority, policy, request: { method: 'POST', path, body } }).then((result) => {
      results.set(path, [...(results.get(path) ?? []), result]);
    });
  };
  return { clock, queue, attempts, results, submit };
}

test('bindings go before evictions, status and events; equal priorities in order of coming', async () => {
  const server = new Answers('hang');
  const { submit, clock } = setUp(server, { concurrency: 1 });
  submit('first');
  for (const [path, priority] of [
    ['e', 3],
    ['s', 2],
    ['v', 1],
    ['b1', 0],
    ['b2', 0],
  ] as const)
    submit(path, priority);
  await settle();
  server.pending[0]!.answer(201);
  await clock.advance(0);
  expect(server.sent).toEqual(['first', 'b1', 'b2', 'v', 's', 'e']);
});

test('status and events leave room for bindings', async () => {
  const server = new Answers(...Array<Answer>(20).fill('hang'));
  const { submit, queue } = setUp(server, { concurrency: 8 });
  for (let i = 0; i < 9; i++) submit(`event ${i}`, WritePriority.event);
  for (let i = 0; i < 9; i++) submit(`status ${i}`, WritePriority.status);
  for (let i = 0; i < 9; i++) submit(`binding ${i}`);
  await settle();
  const count = (kind: string): number => server.sent.filter((path) => path.startsWith(kind)).length;
  expect([count('event'), count('status'), count('binding')]).toEqual([2, 2, 4]);
  expect(queue.stats()).toEqual({ waiting: [5, 0, 7, 7], underWay: 8 });
});

test('of one key only the newest waits, and it never runs beside an older one', async () => {
  const server = new Answers('hang', 'hang');
  const { submit, results, clock } = setUp(server, { concurrency: 2 });
  const write = (n: number): void => submit('pod', WritePriority.status, WRITE_POLICIES.status, n);
  for (const n of [1, 2, 3, 4]) write(n);
  await settle();
  expect(server.sent).toEqual(['pod 1']);
  server.pending[0]!.answer(200);
  await clock.advance(0);
  expect(server.sent).toEqual(['pod 1', 'pod 4']);
  server.pending[1]!.answer(200);
  await clock.advance(0);
  expect(
    results
      .get('pod')
      ?.map(({ kind }) => kind)
      .toSorted(),
  ).toEqual(['done', 'done', 'replaced', 'replaced']);
});

test('an older write that would be tried again gives way to a newer one of its key', async () => {
  const server = new Answers('hang');
  const { submit, results, clock } = setUp(server);
  submit('pod', WritePriority.status, WRITE_POLICIES.status, 1);
  await settle();
  submit('pod', WritePriority.status, WRITE_POLICIES.status, 2);
  server.pending[0]!.answer(503);
  await clock.advance(10_000);
  expect(server.sent).toEqual(['pod 1', 'pod 2']);
  expect(results.get('pod')?.map(({ kind }) => kind)).toEqual(['replaced', 'done']);
});

test('retries wait longer and longer, and as Retry-After says; then the write has failed', async () => {
  const server = new Answers(500, { status: 503, retryAfter: '9' }, new NoAnswerError('API_TIMEOUT', 'slow', true), 502, 500, 500, 200);
  const sentAtMs: number[] = [];
  const { submit, results, attempts, clock } = setUp(server, {
    mayWrite: () => {
      sentAtMs.push(clock.monotonicMs());
      return true;
    },
  });
  submit('pod');
  await clock.advance(60_000);
  // Between them three quarters of 200, 800, 1600 and 3200 ms, and nine seconds plus a twentieth.
  expect(sentAtMs).toEqual([0, 150, 9600, 10_200, 11_400, 13_800]);
  expect(attempts.map(({ attempt, status, verdict }) => [attempt, status, verdict])).toEqual([
    [1, 500, 'retry'],
    [2, 503, 'retry'],
    [3, 0, 'retry'],
    [4, 502, 'retry'],
    [5, 500, 'retry'],
    [6, 500, 'retry'],
  ]);
  expect(results.get('pod')).toEqual([
    {
      kind: 'failed',
      status: { code: 500, reason: '', message: 'answer 500', retryAfterMs: 0 },
      message: 'answer 500',
      attempts: 6,
      mayHaveArrived: true,
    },
  ]);
});

test('429 holds up everything of its priority and below for as long as the server asks', async () => {
  const server = new Answers({ status: 429, retryAfter: '2' });
  const { submit, clock } = setUp(server);
  submit('s1', WritePriority.status, WRITE_POLICIES.status);
  await settle();
  submit('s2', WritePriority.status, WRITE_POLICIES.status);
  submit('e', WritePriority.event, WRITE_POLICIES.event);
  submit('b');
  await clock.advance(2000);
  expect(server.sent).toEqual(['s1', 'b']);
  await clock.advance(200);
  expect(server.sent.toSorted()).toEqual(['b', 'e', 's1', 's1', 's2']);
});

test('paced: the burst at once, then so many per second', async () => {
  const server = new Answers();
  const { submit, clock } = setUp(server, { qps: 10, burst: 3 });
  for (let i = 0; i < 20; i++) submit(String(i));
  await settle();
  expect(server.sent.length).toBe(3);
  await clock.advance(1000);
  expect(server.sent.length).toBe(13);
  await clock.advance(600);
  expect(server.sent.length).toBe(19);
});

const NO_PERMISSION = { status: 403, message: 'pods "p" is forbidden: User "kai" cannot create resource "pods/binding" in API group ""' };

test('a server that has just come back and refuses is asked until it has read its roles', async () => {
  const server = Object.assign(new Answers(...Array<Answer>(9).fill(NO_PERMISSION)), { isSettling: () => clock.monotonicMs() < 15_000 });
  const { submit, results, clock } = setUp(server);
  submit('pod');
  await clock.advance(15_000);
  expect(results.get('pod')).toMatchObject([{ kind: 'done', attempts: 10 }]);
});

test('a refusal for lack of permission is final once the server has settled, and at once in steady state', async () => {
  const server = Object.assign(new Answers(...Array<Answer>(99).fill(NO_PERMISSION)), { isSettling: () => clock.monotonicMs() < 15_000 });
  const { submit, results, clock } = setUp(server);
  submit('early');
  await clock.advance(16_000);
  expect(results.get('early')).toMatchObject([{ kind: 'failed', status: { code: 403 }, message: NO_PERMISSION.message }]);
  submit('late');
  await clock.advance(0);
  expect(results.get('late')).toMatchObject([{ kind: 'failed', attempts: 1 }]);
});

test('a refusal by admission is final, also by a server that has just come back', async () => {
  const server = Object.assign(new Answers(403), { isSettling: () => true });
  const { submit, results, clock } = setUp(server);
  submit('pod');
  await clock.advance(0);
  expect(results.get('pod')).toMatchObject([{ kind: 'failed', attempts: 1 }]);
});

describe('what answers mean', () => {
  test.each([
    ['binding', 404, 'failed'],
    ['binding', 409, 'failed'],
    ['binding', 429, 'retry'],
    ['deletion', 404, 'done'],
    ['deletion', 409, 'failed'],
    ['status', 404, 'done'],
    ['status', 410, 'done'],
    ['status', 409, 'failed'],
    ['status', 500, 'retry'],
    ['event', 409, 'done'],
    ['event', 403, 'failed'],
    ['binding', 403, 'failed'],
    ['status', 422, 'failed'],
    ['binding', 504, 'retry'],
    ['binding', 201, 'done'],
  ] as const)('%s %i: %s', (policy, code, verdict) => {
    expect(judge(WRITE_POLICIES[policy], { code, message: NO_PERMISSION.message })).toBe(verdict);
  });
});

test('what is cancelled is not sent; what is under way is not cancelled, but what waits behind it', async () => {
  const server = new Answers('hang', 503);
  const { submit, queue, results, clock } = setUp(server, { concurrency: 1 });
  submit('a');
  submit('b');
  await settle();
  expect([queue.cancel('b'), queue.cancel('a'), queue.cancel('none')]).toEqual([true, false, false]);
  submit('a');
  expect(queue.cancel('a')).toBe(true);
  server.pending[0]!.answer(201);
  await clock.advance(0);
  submit('c');
  await clock.advance(10);
  expect(queue.stats().waiting[0]).toBe(1);
  expect(queue.cancel('c')).toBe(true);
  await clock.advance(60_000);
  expect(server.sent).toEqual(['a', 'c']);
  expect(Object.fromEntries([...results].map(([key, all]) => [key, all.map(({ kind }) => kind)]))).toEqual({
    a: ['cancelled', 'done'],
    b: ['cancelled'],
    c: ['cancelled'],
  });
  expect(queue.stats()).toEqual({ waiting: [0, 0, 0, 0], underWay: 0 });
});

test('drained: what is there is written, retries too; what comes later is refused', async () => {
  const server = new Answers(500, 'hang');
  const { submit, queue, results, clock } = setUp(server);
  submit('a');
  submit('b');
  await settle();
  let isDrained = false;
  void queue.drain(30_000).then(() => {
    isDrained = true;
  });
  submit('late');
  await clock.advance(1000);
  expect([isDrained, results.get('a')?.[0]?.kind, results.get('late')?.[0]?.kind]).toEqual([false, 'done', 'closed']);
  server.pending[0]!.answer(200);
  await clock.advance(0);
  expect([isDrained, results.get('b')?.[0]?.kind]).toEqual([true, 'done']);
});

test('what does not end in time is given up', async () => {
  const server = new Answers('hang');
  const { submit, queue, results, clock } = setUp(server, { concurrency: 1 });
  submit('a');
  submit('b');
  const drained = queue.drain(500);
  await clock.advance(500);
  await drained;
  expect([results.get('a')?.[0]?.kind, results.get('b')?.[0]?.kind]).toEqual(['closed', 'closed']);
  await settle();
  expect(queue.stats()).toEqual({ waiting: [0, 0, 0, 0], underWay: 0 });
});

test('who may not write any more does not: the rest is closed', async () => {
  const server = new Answers();
  let mayWrite = true;
  const { submit, results, clock } = setUp(server, { mayWrite: () => mayWrite });
  submit('a');
  await clock.advance(0);
  mayWrite = false;
  submit('b');
  submit('c');
  await clock.advance(1000);
  expect(server.sent).toEqual(['a']);
  expect([results.get('b')?.[0]?.kind, results.get('c')?.[0]?.kind]).toEqual(['closed', 'closed']);
});

test('refused credentials are told once per write and not tried again', async () => {
  const server = new Answers(new UnauthorizedError('https://x', 'expired'));
  const told: string[] = [];
  const { submit, results, clock } = setUp(server, { onUnauthorized: ({ code }) => told.push(code) });
  submit('a');
  await clock.advance(60_000);
  expect(told).toEqual(['UNAUTHORIZED']);
  expect(results.get('a')?.[0]).toMatchObject({ kind: 'failed', status: null, attempts: 1 });
});

test('backoff: doubling, capped, a random half, never below Retry-After', () => {
  const limits = { firstMs: 100, maxMs: 1000 };
  expect([1, 2, 3, 4, 5, 60].map((n) => backoffMs(n, limits, 0))).toEqual([50, 100, 200, 400, 500, 500]);
  expect(backoffMs(1, limits, 0.999)).toBeCloseTo(99.95);
  expect(backoffMs(1, limits, 0, 5000)).toBe(5000);
});
