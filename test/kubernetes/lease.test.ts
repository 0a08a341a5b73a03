import { expect, test } from 'vitest';
import { NoAnswerError, UnauthorizedError } from '../../src/kubernetes/apiError.ts';
import type { ApiRequest, ApiResponse, ApiStream, KubeConnection } from '../../src/kubernetes/connection.ts';
import { LeaderElector, type LeaseOptions } from '../../src/kubernetes/lease.ts';
import { settle, VirtualClock } from './clocks.ts';

interface Spec {
  holderIdentity: string;
  leaseDurationSeconds: number;
  leaseTransitions: number;
}

/** One Lease, with versions and watches. */
class LeaseServer {
  lease: { metadata: { resourceVersion: string }; spec: Spec } | null = null;
  readonly log: string[] = [];
  isWatchAllowed = true;
  #version = 1;
  readonly #watchers = new Set<() => void>();

  /** A client of its own, which can be cut off. */
  client(): KubeConnection & { failure: Error | null; isHanging: boolean } {
    const server = this;
    return {
      failure: null,
      isHanging: false,
      async request({ method, body, timeoutMs }: ApiRequest): Promise<ApiResponse> {
        if (this.failure !== null) throw this.failure;
        if (this.isHanging) throw new NoAnswerError('API_TIMEOUT', `nothing within ${timeoutMs}`, true);
        return server.#answer(method, body as { metadata: { resourceVersion: string }; spec: Spec });
      },
      stream: ({ signal }) => server.#watch(signal),
      isSettling: () => false,
      describe: async () => ({ server: 'test', namespace: 'kai' }),
      close: async () => undefined,
    };
  }

  #answer(method: string, sent: { metadata: { resourceVersion: string }; spec: Spec }): ApiResponse {
    const answer = (status: number, body: unknown): ApiResponse => ({ status, headers: {}, body: Buffer.from(JSON.stringify(body)) });
    if (method === 'GET') return this.lease === null ? answer(404, {}) : answer(200, this.lease);
    const isConflict = method === 'POST' ? this.lease !== null : this.lease?.metadata.resourceVersion !== sent.metadata.resourceVersion;
    if (isConflict) return answer(409, { message: 'conflict' });
    this.lease = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(++this.#version) } };
    this.log.push(`${method} ${sent.spec.holderIdentity}`);
    for (const wake of this.#watchers) wake();
    return answer(method === 'POST' ? 201 : 200, this.lease);
  }

  async #watch(signal: AbortSignal | undefined): Promise<ApiStream> {
    const watchers = this.#watchers;
    const cancelled = new AbortController();
    const body = async function* (): AsyncGenerator<Buffer, void> {
      await new Promise<void>((resolve) => {
        watchers.add(resolve);
        for (const s of [signal, cancelled.signal]) s?.addEventListener('abort', () => resolve());
      });
      if (!signal?.aborted) yield Buffer.from('{}\n');
    };
    return { status: this.isWatchAllowed ? 200 : 403, headers: {}, body: body(), cancel: () => cancelled.abort() };
  }
}

function elector(server: LeaseServer, clock: VirtualClock, identity: string, options: Partial<LeaseOptions> = {}) {
  const client = server.client();
  const troubles: string[] = [];
  const leader = new LeaderElector({
    connection: client,
    namespace: 'kai',
    name: 'kai-scheduler',
    identity,
    clock,
    onTrouble: ({ code }) => troubles.push(code),
    ...options,
  });
  const stop = new AbortController();
  const state = { won: false };
  const start = (): Promise<void> =>
    leader.acquire(stop.signal).then((isWon) => {
      state.won = isWon;
    });
  return { leader, client, troubles, stop, state, start };
}

test('who holds the lease is known to standbys, until its time is over without renewal', async () => {
  const server = new LeaseServer();
  const clock = new VirtualClock();
  const a = elector(server, clock, 'a');
  const b = elector(server, clock, 'b');
  expect(b.leader.holder()).toBe('');
  void a.start();
  await settle();
  void b.start();
  await settle();
  expect([a.leader.holder(), b.leader.holder()]).toEqual(['a', 'a']);
  a.client.failure = new NoAnswerError('API_UNREACHABLE', 'cut', false);
  b.client.failure = a.client.failure;
  await clock.advance(16_000);
  expect(b.leader.holder()).toBe('');
  b.stop.abort();
});

test('the first takes the lease and renews it; a second waits, and takes over at once when it is released', async () => {
  const server = new LeaseServer();
  const clock = new VirtualClock();
  const a = elector(server, clock, 'a');
  const b = elector(server, clock, 'b');
  await a.start();
  void b.start();
  await clock.advance(60_000);
  expect([a.leader.isHeld(), b.state.won]).toEqual([true, false]);
  expect(server.log).toEqual(['POST a', ...Array<string>(12).fill('PUT a')]);
  await a.leader.release();
  await settle();
  await settle();
  expect([a.leader.isHeld(), b.leader.isHeld()]).toEqual([false, true]);
  expect(server.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseDurationSeconds: 15, leaseTransitions: 1 });
  await b.leader.release();
});

test('without the right to watch, a standby finds the released lease at its next try', async () => {
  const server = new LeaseServer();
  server.isWatchAllowed = false;
  const clock = new VirtualClock();
  const a = elector(server, clock, 'a');
  const b = elector(server, clock, 'b');
  await a.start();
  void b.start();
  await clock.advance(1000);
  await a.leader.release();
  await clock.advance(6000);
  expect(b.leader.isHeld()).toBe(true);
  await b.leader.release();
});

test('a holder that is cut off gives up before anybody else can take the lease', async () => {
  const server = new LeaseServer();
  const clock = new VirtualClock();
  const a = elector(server, clock, 'a');
  const b = elector(server, clock, 'b');
  await a.start();
  void b.start();
  await clock.advance(4000);
  a.client.failure = new NoAnswerError('API_UNREACHABLE', 'cut off', false);
  let lost = '';
  void a.leader.lost.then(({ code }) => {
    lost = code;
  });
  let bothHeldMs = 0;
  let heldUntilMs = 0;
  let takenMs = 0;
  for (let ms = 0; ms < 20_000; ms += 100) {
    await clock.advance(100);
    if (a.leader.isHeld() && b.leader.isHeld()) bothHeldMs += 100;
    if (a.leader.isHeld()) heldUntilMs = clock.monotonicMs();
    if (takenMs === 0 && b.leader.isHeld()) takenMs = clock.monotonicMs();
  }
  expect(bothHeldMs).toBe(0);
  expect(lost).toBe('LEASE_LOST');
  expect(heldUntilMs).toBeLessThan(10_000);
  expect(takenMs).toBeGreaterThanOrEqual(15_000);
  expect(takenMs).toBeLessThan(17_000);
  expect(a.troubles.length).toBeGreaterThan(2);
  await b.leader.release();
});

test('short failures do not cost the lease', async () => {
  const server = new LeaseServer();
  const clock = new VirtualClock();
  const a = elector(server, clock, 'a');
  await a.start();
  for (let i = 0; i < 5; i++) {
    a.client.isHanging = true;
    await clock.advance(6000);
    a.client.isHanging = false;
    await clock.advance(2000);
    expect(a.leader.isHeld()).toBe(true);
  }
  await a.leader.release();
  expect(server.lease?.spec.holderIdentity).toBe('');
});

test('a lease that somebody else took by force is lost at the next renewal', async () => {
  const server = new LeaseServer();
  const clock = new VirtualClock();
  const a = elector(server, clock, 'a');
  await a.start();
  server.lease = { metadata: { resourceVersion: '99' }, spec: { holderIdentity: 'thief', leaseDurationSeconds: 15, leaseTransitions: 1 } };
  const lost = a.leader.lost;
  await clock.advance(5000);
  expect((await lost).message).toBe('the lease kai/kai-scheduler is lost, held by thief');
  expect(a.leader.isHeld()).toBe(false);
});

test('many that start at once: exactly one holds the lease, through ten hand-overs', async () => {
  const server = new LeaseServer();
  const clock = new VirtualClock();
  const all = Array.from({ length: 5 }, (_, i) => elector(server, clock, `p${i}`));
  for (const one of all) void one.start();
  const seen: string[] = [];
  for (let round = 0; round < 10; round++) {
    await clock.advance(7000);
    const holders = all.filter(({ leader }) => leader.isHeld());
    expect(holders.length).toBe(1);
    const holder = holders[0]!;
    seen.push(server.lease!.spec.holderIdentity);
    await holder.leader.release();
    const again = elector(server, clock, `again${round}`);
    all.splice(all.indexOf(holder), 1, again);
    void again.start();
  }
  expect(new Set(seen).size).toBeGreaterThan(5);
  for (const { stop } of all) stop.abort();
  await clock.advance(0);
});

test('refused credentials end the wait for the lease, and the leadership', async () => {
  const server = new LeaseServer();
  const clock = new VirtualClock();
  const a = elector(server, clock, 'a');
  await a.start();
  a.client.failure = new UnauthorizedError('https://x', 'expired');
  const lost = a.leader.lost;
  await clock.advance(5000);
  expect((await lost).code).toBe('UNAUTHORIZED');
  const b = elector(server, clock, 'b');
  b.client.failure = a.client.failure;
  await expect(b.leader.acquire(b.stop.signal)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
});

test('times that could let two lead are refused', () => {
  const server = new LeaseServer();
  expect(() => elector(server, new VirtualClock(), 'a', { durationMs: 10_000, renewDeadlineMs: 10_000 })).toThrow(/must rise/);
});
