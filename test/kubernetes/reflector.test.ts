import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KaiError } from '../../src/base/errors.ts';
import { connect, type KubeConnection } from '../../src/kubernetes/connection.ts';
import type { Observed } from '../../src/kubernetes/observedObjects.ts';
import { Reflector, type ReflectorSink, type RestartReason } from '../../src/kubernetes/reflector.ts';
import { resourceOf } from '../../src/kubernetes/resources.ts';
import { TurnBudget } from '../../src/kubernetes/turns.ts';
import { HastyClock, until } from './clocks.ts';
import { FakeApiServer } from './fakeApiServer.ts';
import { encodeStatus } from './protoSchema.ts';

const PODS = '/api/v1/pods';
const pod = (name: string, node = '') => ({
  metadata: { namespace: 'team', name },
  spec: { containers: [{ name: 'main' }], nodeName: node },
});

/** What a sink must hold, and that nothing reaches it twice or out of order. */
class Model implements ReflectorSink {
  readonly objects = new Map<string, { readonly uid: string; readonly resourceVersion: string }>();
  readonly calls: string[] = [];
  synchronizations = 0;

  put(_: string, key: string, { uid, resourceVersion }: Observed): void {
    const known = this.objects.get(key);
    if (known !== undefined && known.uid !== uid) throw new Error(`${key} was recreated without removal`);
    if (known?.resourceVersion === resourceVersion) throw new Error(`${key} ${resourceVersion} came twice`);
    this.objects.set(key, { uid, resourceVersion });
    this.calls.push(`put ${key}`);
  }

  remove(_: string, key: string, uid: string): void {
    if (this.objects.get(key)?.uid !== uid) throw new Error(`${key} ${uid} was not there to be removed`);
    this.objects.delete(key);
    this.calls.push(`remove ${key}`);
  }

  synced(): void {
    this.synchronizations++;
  }

  isAs(server: FakeApiServer, path: string): boolean {
    const there = server.objects(path);
    if (there.size !== this.objects.size) return false;
    for (const [key, { metadata }] of there) {
      const here = this.objects.get(key);
      if (here?.uid !== metadata.uid || here.resourceVersion !== metadata.resourceVersion) return false;
    }
    return true;
  }
}

let server: FakeApiServer;
let connection: KubeConnection;
let stop: AbortController;
let running: Promise<void>;

beforeEach(async () => {
  server = new FakeApiServer();
  await server.start();
  connection = connect({ source: { kind: 'text', text: server.kubeconfig() } });
  stop = new AbortController();
  running = Promise.resolve();
});

afterEach(async () => {
  stop.abort();
  await running;
  await connection.close();
  await server.stop();
});

interface Watched {
  readonly model: Model;
  readonly clock: HastyClock;
  readonly reflector: Reflector;
  readonly restarts: RestartReason[];
  readonly troubles: KaiError[];
}

function watchPods(turnMs = 5): Watched {
  const model = new Model();
  const clock = new HastyClock();
  const restarts: RestartReason[] = [];
  const troubles: KaiError[] = [];
  const reflector = new Reflector({
    connection,
    served: { spec: resourceOf('pods'), version: 'v1', path: PODS },
    sink: model,
    clock,
    turns: new TurnBudget(turnMs),
    hooks: { restarted: (_, reason) => restarts.push(reason), trouble: (_, error) => troubles.push(error) },
  });
  running = reflector.run(stop.signal);
  return { model, clock, reflector, restarts, troubles };
}

const lists = (): number => server.requests.filter(({ url }) => url.pathname === PODS && !url.searchParams.has('watch')).length;

test('refusals come in the encoding that was asked for, and are told as sentences; 410 in protobuf starts a new list', async () => {
  const status = (code: number, reason: string, retryAfterSeconds = 0) =>
    encodeStatus({ status: 'Failure', code, reason, message: `${reason}, it says`, details: { retryAfterSeconds } });
  const refuse = (code: number, body: Buffer, isWatch: boolean): void => {
    server.faults.push((_, response, url) => {
      if (url.pathname !== PODS || url.searchParams.has('watch') !== isWatch) return false;
      response.writeHead(code, { 'content-type': 'application/vnd.kubernetes.protobuf' }).end(body);
      return true;
    });
  };
  refuse(429, status(429, 'TooManyRequests', 7), false);
  refuse(403, status(403, 'Forbidden'), true);
  refuse(410, status(410, 'Expired'), true);
  refuse(500, Buffer.from('k8s\0broken'), true);
  const { model, clock, restarts, troubles } = watchPods();
  await until(() => server.watchCount === 1 && model.synchronizations === 2);
  expect(troubles.map(({ message }) => message)).toEqual([
    expect.stringContaining('HTTP 429 TooManyRequests: TooManyRequests, it says'),
    expect.stringContaining('HTTP 403 Forbidden: Forbidden, it says'),
    expect.stringContaining('HTTP 500 : 10 bytes of protobuf that cannot be read'),
  ]);
  expect(restarts).toEqual(['refused', 'gone', 'refused']);
  expect(clock.sleptMs[0]).toBeGreaterThanOrEqual(7000);
});

test('lists in pages of 500, then watches from the list with bookmarks, the filter and a random end between 5 and 10 minutes', async () => {
  for (let i = 0; i < 1203; i++) server.put(PODS, pod(`p${i}`));
  const { model, reflector } = watchPods();
  await until(() => server.watchCount === 1);
  expect(model.isAs(server, PODS)).toBe(true);
  expect(reflector.size).toBe(1203);
  expect(server.requests.map(({ url }) => url.searchParams.get('limit'))).toEqual(['500', '500', '500', null]);
  const query = Object.fromEntries(server.requests.at(-1)!.url.searchParams);
  expect(query).toEqual({
    watch: '1',
    allowWatchBookmarks: 'true',
    resourceVersion: '1303',
    timeoutSeconds: '450',
    fieldSelector: 'status.phase!=Failed',
  });
});

test('asks for the next page before this one is applied; when its token is too old, the list is read from the start', async () => {
  for (let i = 0; i < 1203; i++) server.put(PODS, pod(`p${i}`));
  const sizes: number[] = [];
  server.faults.push((_, response, url) => {
    const isContinued = url.searchParams.has('continue');
    if (isContinued) sizes.push(reflector.size);
    // The second page of the first time comes, the third does not.
    if (sizes.length < 2) return false;
    response.writeHead(410, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ kind: 'Status', status: 'Failure', code: 410, reason: 'Expired', message: 'token too old' }));
    return true;
  });
  // One object per turn: the server has its turn long before a page is done.
  const { model, reflector, troubles } = watchPods(0);
  await until(() => server.watchCount === 1);
  expect(sizes[0]).toBeLessThan(500);
  expect(sizes[1]).toBeLessThan(1000);
  expect(model.isAs(server, PODS)).toBe(true);
  expect(model.calls).toEqual(Array.from({ length: 1203 }, (_, i) => `put team/p${i}`));
  expect(lists()).toBe(6);
  expect([model.synchronizations, troubles]).toEqual([1, []]);
});

test('resumes from the last event or bookmark after the server ended or cut the watch, without reading the list again', async () => {
  const { model, restarts } = watchPods();
  await until(() => server.watchCount === 1);
  server.put(PODS, pod('a'));
  await until(() => model.objects.size === 1);
  server.bookmark(PODS);
  server.put('/api/v1/nodes', { metadata: { name: 'other' } });
  server.bookmark(PODS);
  server.put(PODS, pod('b'));
  await until(() => model.objects.size === 2);
  server.endWatches();
  await until(() => server.watchCount === 1);
  server.cutWatches();
  await until(() => server.watchCount === 1);
  server.put(PODS, pod('c'));
  await until(() => model.isAs(server, PODS));
  expect(lists()).toBe(1);
  expect(restarts).toEqual(['ended', 'dropped']);
  expect(model.calls).toEqual(['put team/a', 'put team/b', 'put team/c']);
});

test.each(['protobuf', 'json'])('410 in the stream (%s): the list is read again and only differences are passed on', async (encoding) => {
  server.isProtobufSpoken = encoding === 'protobuf';
  for (const name of ['stays', 'changes', 'goes', 'recreated']) server.put(PODS, pod(name));
  const { model, restarts } = watchPods();
  await until(() => server.watchCount === 1);
  server.cutWatches();
  server.faults.push((_, response, url) => {
    if (!url.searchParams.has('watch')) return false;
    response.destroy();
    return true;
  });
  server.put(PODS, pod('changes', 'n1'));
  server.delete(PODS, 'team/goes');
  server.delete(PODS, 'team/recreated');
  server.put(PODS, pod('recreated'));
  server.compact();
  model.calls.length = 0;
  await until(() => model.isAs(server, PODS) && server.watchCount === 1);
  expect(restarts.at(-1)).toBe('gone');
  expect(model.calls.toSorted()).toEqual(['put team/changes', 'put team/recreated', 'remove team/goes', 'remove team/recreated']);
  expect(model.synchronizations).toBe(2);
});

test('repeated and late events are passed over', async () => {
  const { model } = watchPods();
  await until(() => server.watchCount === 1);
  server.put(PODS, pod('a'));
  server.put(PODS, pod('a', 'n1'));
  server.repeatLast(PODS);
  server.repeatFirst(PODS);
  server.delete(PODS, 'team/a');
  server.repeatLast(PODS);
  server.put(PODS, pod('end'));
  await until(() => model.isAs(server, PODS));
  expect(model.calls).toEqual(['put team/a', 'put team/a', 'remove team/a', 'put team/end']);
});

test('waits as Retry-After says, and longer with each further failure, at most 10 s and a random half less', async () => {
  server.failNext(1, 429, { 'retry-after': '7' });
  server.failNext(7, 500);
  server.put(PODS, pod('a'));
  const { model, clock, troubles } = watchPods();
  await until(() => model.isAs(server, PODS));
  // With 0.5 for every random number: three quarters of 250, 500, … 10,000 ms; Retry-After plus a twentieth.
  expect(clock.sleptMs).toEqual([7350, 375, 750, 1500, 3000, 6000, 7500, 7500]);
  expect(troubles.map(({ message }) => message)[0]).toContain('HTTP 429 Fault: made for a test');
});

test('bytes that cannot be read: the watch is resumed, then JSON is asked for, then the list is read again', async () => {
  const { model, restarts } = watchPods();
  const watches = (): string[] => server.requests.filter(({ url }) => url.searchParams.has('watch')).map(({ accept }) => accept);
  await until(() => server.watchCount === 1);
  const poison = Buffer.from([0, 0, 0, 5, 1, 2, 3, 4, 5]);
  for (let i = 2; i <= 3; i++) {
    server.writeToWatches(poison);
    await until(() => watches().length === i && server.watchCount === 1);
  }
  expect(watches()).toEqual([
    ...Array<string>(2).fill('application/vnd.kubernetes.protobuf;stream=watch,application/json'),
    'application/json',
  ]);
  expect(lists()).toBe(1);
  server.writeToWatches(Buffer.from('{"type":"ADDED","object":{"metadata"\n'));
  await until(() => watches().length === 4);
  expect(lists()).toBe(2);
  server.put(PODS, pod('after'));
  await until(() => model.isAs(server, PODS));
  expect(restarts).toEqual(['garbled', 'garbled', 'garbled']);
});

test('an object without identity is reported and left out, the others come', async () => {
  server.isProtobufSpoken = false;
  server.answers.set(`GET ${PODS}`, {
    metadata: { resourceVersion: '5' },
    items: [{ spec: {} }, { metadata: { namespace: 'team', name: 'a', uid: 'u', resourceVersion: '3' } }],
  });
  const model = new Model();
  const unreadable: KaiError[] = [];
  const reflector = new Reflector({
    connection,
    served: { spec: resourceOf('pods'), version: 'v1', path: PODS },
    sink: model,
    clock: new HastyClock(),
    turns: new TurnBudget(5),
    hooks: { unreadable: (_, error) => unreadable.push(error) },
  });
  running = reflector.run(stop.signal);
  await until(() => model.synchronizations > 0);
  expect([...model.objects.keys()]).toEqual(['team/a']);
  expect(unreadable[0]?.message).toBe('a Pod without metadata');
});

test('401 ends the reflector with an error that says so', async () => {
  server.tokens.add('good');
  const { troubles } = watchPods();
  const failure = await running.catch((error: unknown) => error);
  running = Promise.resolve();
  expect(failure).toMatchObject({ code: 'UNAUTHORIZED' });
  expect(troubles).toEqual([]);
});

describe('any sequence of changes and faults', () => {
  const faults = [
    'end',
    'cut',
    'garbage',
    'half',
    'compact',
    'repeat',
    'late',
    'bookmark',
    'error',
    'burst',
    'gone',
    'settle',
    'settle',
  ] as const;
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), name: fc.constantFrom('a', 'b', 'c', 'd') }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('delete', 'recreate'), name: fc.constantFrom('a', 'b', 'c', 'd') }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom(...faults), name: fc.constant('') }) },
  );

  const perform = async (action: string, name: string, watched: Watched): Promise<void> => {
    switch (action) {
      case 'put':
        return server.put(PODS, pod(name));
      case 'delete':
        return server.delete(PODS, `team/${name}`);
      case 'recreate':
        server.delete(PODS, `team/${name}`);
        return server.put(PODS, pod(name));
      case 'end':
        return server.endWatches();
      case 'cut':
        return server.cutWatches();
      case 'garbage':
        return server.cutWatches(Buffer.from([0, 0, 0, 3, 255, 255, 255, 10, 10]));
      case 'half':
        return server.cutWatches(Buffer.from([0, 0, 1]));
      case 'compact':
        return server.compact();
      case 'repeat':
        return server.repeatLast(PODS);
      case 'late':
        return server.repeatFirst(PODS);
      case 'bookmark':
        return server.bookmark(PODS);
      case 'error':
        return server.sendError(PODS, { code: 500, reason: 'InternalError', message: 'etcd' });
      case 'gone':
        return server.sendError(PODS, { code: 410, reason: 'Expired', message: 'too old' });
      case 'burst':
        return server.failNext(3, 503);
      default:
        return until(() => watched.model.isAs(server, PODS) && server.watchCount === 1);
    }
  };

  test.each(['protobuf', 'json'])('ends in what the server has (%s)', async (encoding) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
        server = new FakeApiServer();
        server.isProtobufSpoken = encoding === 'protobuf';
        await server.start();
        const own = connect({ source: { kind: 'text', text: server.kubeconfig() } });
        connection = own;
        stop = new AbortController();
        const watched = watchPods();
        // A failure of the model must end the wait for it.
        const failed = running.then(() => 'ended' as const);
        for (const { do: action, name } of steps) await Promise.race([perform(action, name, watched), failed]);
        await Promise.race([until(() => watched.model.isAs(server, PODS)), failed]);
        stop.abort();
        await running;
        await own.close();
        await server.stop();
      }),
      { seed: 11, numRuns: 200 },
    );
  });
});
