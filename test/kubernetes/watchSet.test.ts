import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatProblem, type ObjectProblem } from '../../src/base/errors.ts';
import { LIST_NAMES, type ListName } from '../../src/base/objects.ts';
import { connect, type KubeConnection } from '../../src/kubernetes/connection.ts';
import type { Discovery, ServedList } from '../../src/kubernetes/discovery.ts';
import { groupVersionPath, resourceOf } from '../../src/kubernetes/resources.ts';
import { createWatchSet } from '../../src/kubernetes/watchSet.ts';
import { HastyClock, until } from './clocks.ts';
import { FakeApiServer } from './fakeApiServer.ts';

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

function everything(): Discovery {
  const lists = new Map<ListName, ServedList>();
  for (const list of LIST_NAMES) {
    const spec = resourceOf(list);
    const version = spec.versions[0]!;
    lists.set(list, { spec, version, path: `${groupVersionPath(spec.group, version)}/${spec.plural}` });
  }
  return {
    serverVersion: 'v1.37.2',
    major: 1,
    minor: 37,
    lists,
    missing: [],
    unanswered: [],
    isDraServed: true,
    isNodeTopologyServed: true,
  };
}

const QUEUES = '/apis/scheduling.run.ai/v2/queues';
const queue = (name: string, spec: object) => ({ metadata: { name }, spec });

test('all lists are read at once, one that fails delays only itself; then it is synced, and changes go to the writer', async () => {
  server.failNext(0, 500);
  let queueFailures = 2;
  server.faults.push(
    ...Array.from({ length: 2 }, () => (_: unknown, response: { destroy(): void }, url: URL) => {
      if (url.pathname !== QUEUES || queueFailures-- <= 0) return false;
      response.destroy();
      return true;
    }),
  );
  server.put('/api/v1/nodes', { metadata: { name: 'n1' }, status: { allocatable: { cpu: '4' } } });
  server.put('/api/v1/pods', { metadata: { namespace: 'team', name: 'p' }, spec: { containers: [] } });
  server.put(QUEUES, queue('q', { priority: 1 }));
  const calls: string[] = [];
  const synced: ListName[] = [];
  const set = createWatchSet({
    connection,
    discovery: everything(),
    writer: {
      put: (list, object) => {
        calls.push(`put ${list} ${(object as { metadata: { name: string } }).metadata.name}`);
        return [];
      },
      remove: (list, key) => void calls.push(`remove ${list} ${key}`),
    },
    observer: { synced: (list) => synced.push(list) },
    clock: new HastyClock(),
  });
  expect(set.isSynced()).toBe(false);
  running = set.run(stop.signal);
  await set.synced;
  expect(set.isSynced()).toBe(true);
  expect(synced.toSorted()).toEqual([...LIST_NAMES].sort());
  expect(calls.toSorted()).toEqual(['put nodes n1', 'put pods p', 'put queues q']);
  expect(set.states().find(({ list }) => list === 'queues')).toMatchObject({ isSynced: true, objects: 1 });
  server.delete('/api/v1/pods', 'team/p');
  await until(() => calls.includes('remove pods team/p'));
});

test('a defect is reported once as long as it stays the same, whatever else of the object changes', async () => {
  const problems: ObjectProblem[] = [];
  const set = createWatchSet({
    connection,
    discovery: everything(),
    lists: ['queues'],
    writer: { put: () => [], remove: () => undefined },
    observer: { problem: (problem) => problems.push(problem) },
    clock: new HastyClock(),
  });
  server.put(QUEUES, queue('q', { priority: 'high' }));
  running = set.run(stop.signal);
  await set.synced;
  const last = async (spec: object): Promise<void> => {
    server.put(QUEUES, queue('q', spec));
    server.put(QUEUES, queue('mark', { priority: Math.random() * 0 }));
    const mark = server.objects(QUEUES).get('mark')!.metadata.resourceVersion;
    const seen = (): boolean => set.states()[0]!.objects === 2;
    await until(seen);
    server.delete(QUEUES, 'mark');
    await until(() => set.states()[0]!.objects === 1 && mark !== '');
  };
  await last({ priority: 'high', displayName: 'Q' });
  await last({ priority: 2 });
  await last({ priority: 'low' });
  expect(problems.map(formatProblem)).toEqual([
    'Queue q: spec.priority: expected a 32-bit integer, found the string "high"',
    'Queue q: spec.priority: expected a 32-bit integer, found the string "low"',
  ]);
});

test('refused credentials end the whole set', async () => {
  server.tokens.add('other');
  const set = createWatchSet({ connection, discovery: everything(), writer: { put: () => [], remove: () => undefined } });
  await expect(set.run(stop.signal)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
});
