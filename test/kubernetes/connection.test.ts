import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Clock } from '../../src/kubernetes/clock.ts';
import { connect, type KubeConnection } from '../../src/kubernetes/connection.ts';
import {
  describePermission,
  discover,
  missingPermissions,
  requirePermissions,
  requireServed,
  watchPermissions,
} from '../../src/kubernetes/discovery.ts';
import { HastyClock, until, VirtualClock } from './clocks.ts';
import { FakeApiServer, sendJson } from './fakeApiServer.ts';

let server: FakeApiServer;
let folder: string;
let connection: KubeConnection | undefined;

beforeEach(async () => {
  server = new FakeApiServer();
  await server.start();
  folder = mkdtempSync(join(tmpdir(), 'kai-connection-'));
});

afterEach(async () => {
  await connection?.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

const open = (user: object = {}, clock?: Clock): KubeConnection => {
  connection = connect({ source: { kind: 'text', text: server.kubeconfig(user) }, clock });
  return connection;
};

test('a token file that was rotated is read when the old token is refused; a token that stays refused is an error', async () => {
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 'old');
  server.tokens.add('old');
  const kube = open({ tokenFile });
  expect((await kube.request({ method: 'GET', path: '/api/v1/pods' })).status).toBe(200);
  server.tokens.delete('old');
  server.tokens.add('new');
  writeFileSync(tokenFile, 'new');
  const answers = await Promise.all(Array.from({ length: 5 }, () => kube.request({ method: 'GET', path: '/api/v1/pods' })));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  server.tokens.clear();
  server.tokens.add('other');
  await expect(kube.request({ method: 'GET', path: '/api/v1/pods' })).rejects.toMatchObject({
    code: 'UNAUTHORIZED',
    message: expect.stringContaining('Unauthorized, says the fake'),
  });
});

test('exec plugins and basic authentication reach the server', async () => {
  const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: 'from-plugin' } };
  const script = `console.log(${JSON.stringify(JSON.stringify(credential))})`;
  await open({ exec: { apiVersion: 'client.authentication.k8s.io/v1', command: process.execPath, args: ['-e', script] } }).request({
    method: 'GET',
    path: '/x',
  });
  expect(server.requests.at(-1)?.authorization).toBe('Bearer from-plugin');
  await connection?.close();
  await open({ username: 'ann', password: 'secret' }).request({ method: 'GET', path: '/x' });
  expect(server.requests.at(-1)?.authorization).toBe(`Basic ${Buffer.from('ann:secret').toString('base64')}`);
});

test('failures say what happened and whether the request may have arrived', async () => {
  const kube = open();
  server.faults.push((_, response) => {
    response.destroy();
    return true;
  });
  await expect(kube.request({ method: 'POST', path: '/x', body: {} })).rejects.toMatchObject({
    code: 'API_UNREACHABLE',
    mayHaveArrived: true,
  });
  server.faults.push(() => true);
  await expect(kube.request({ method: 'GET', path: '/x', timeoutMs: 20 })).rejects.toMatchObject({
    code: 'API_TIMEOUT',
    mayHaveArrived: true,
  });
  server.faults.push(() => true);
  const given = new AbortController();
  const request = kube.request({ method: 'GET', path: '/x', signal: given.signal });
  given.abort();
  await expect(request).rejects.toMatchObject({ code: 'API_ABORTED' });
  await server.stop();
  await expect(kube.request({ method: 'GET', path: '/x' })).rejects.toMatchObject({ code: 'API_UNREACHABLE', mayHaveArrived: false });
  await server.start();
});

test('a server that was away is settling while it does not answer well, and for 15 s after', async () => {
  const clock = new VirtualClock();
  const kube = open({}, clock);
  const isSettling: boolean[] = [];
  const ask = async (): Promise<void> => {
    await kube.request({ method: 'GET', path: '/api/v1/pods' }).catch(() => undefined);
    isSettling.push(kube.isSettling());
  };
  await ask();
  server.faults.push((_, response) => response.destroy() !== undefined);
  await ask();
  await clock.advance(60_000);
  server.faults.push((_, response) => {
    sendJson(response, {}, 503);
    return true;
  });
  await ask();
  await clock.advance(60_000);
  await ask();
  await clock.advance(14_999);
  await ask();
  await clock.advance(1);
  await ask();
  expect(isSettling).toEqual([false, true, true, true, true, false]);
});

test('a request that is given up while its connection is being made is never sent', async () => {
  const kube = open();
  // Credentials are read by now, and the lane for writes has no connection yet.
  await kube.request({ method: 'GET', path: '/x' });
  const given = new AbortController();
  const request = kube.request({ method: 'POST', path: '/never', body: {}, signal: given.signal });
  // Microtasks only: it is dispatched, but nothing can have come from the network.
  for (let i = 0; i < 50; i++) await null;
  given.abort();
  await expect(request).rejects.toMatchObject({ code: 'API_ABORTED' });
  await kube.request({ method: 'POST', path: '/after', body: {} });
  const paths = server.requests.map(({ url }) => url.pathname);
  expect(paths).toContain('/after');
  expect(paths).not.toContain('/never');
});

test('unusable credentials are refused with the reason', async () => {
  const path = join(folder, 'config');
  const fail = (source: Parameters<typeof connect>[0]['source']) => connect({ source }).request({ method: 'GET', path: '/x' });
  await expect(fail({ kind: 'file', path })).rejects.toMatchObject({ code: 'BAD_KUBECONFIG', message: expect.stringContaining(path) });
  writeFileSync(path, server.kubeconfig());
  await expect(fail({ kind: 'file', path, context: 'none' })).rejects.toMatchObject({
    code: 'NO_CLUSTER',
    message: expect.stringContaining('"none"'),
  });
  await expect(open({ exec: { command: join(folder, 'missing') } }).request({ method: 'GET', path: '/x' })).rejects.toMatchObject({
    code: 'CREDENTIALS',
  });
});

test('over HTTP/2 many requests share one connection, and a request that the server resets fails alone', async () => {
  const sessions = new Set<ServerHttp2Session>();
  const h2: Http2Server = createServer();
  h2.on('session', (session) => sessions.add(session));
  h2.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (headers[':path'] === '/reset') stream.close(2);
    else if (headers[':path'] !== '/hang') stream.respond({ ':status': 200 }, { endStream: true });
  });
  await new Promise<void>((resolve) => h2.listen(0, '127.0.0.1', resolve));
  const text = server.kubeconfig().replaceAll(server.url, `http://127.0.0.1:${(h2.address() as AddressInfo).port}`);
  const cleartext = { allowH2: true, useH2c: true, h2Options: { useH2c: true, maxConcurrentStreams: 100 } };
  connection = connect({ source: { kind: 'text', text }, createDispatcher: () => new Agent(cleartext) });
  const kube = connection;
  // Expected at once: on a busy machine it fails before the others have been answered.
  const hanging = expect(kube.request({ method: 'POST', path: '/hang', timeoutMs: 200 })).rejects.toMatchObject({ code: 'API_TIMEOUT' });
  const answers = await Promise.all(Array.from({ length: 200 }, () => kube.request({ method: 'POST', path: '/ok' })));
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  await hanging;
  await expect(kube.request({ method: 'POST', path: '/reset' })).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
  expect((await kube.request({ method: 'POST', path: '/ok' })).status).toBe(200);
  expect(sessions.size).toBeLessThanOrEqual(2);
  await kube.close();
  await new Promise((resolve) => h2.close(resolve));
});

const resources = (...names: string[]) => ({ resources: names.map((name) => ({ name })) });

function serveApi(options: { readonly dra?: string; readonly queues?: string; readonly topologies?: boolean } = {}): void {
  const { dra, queues = 'v2', topologies = true } = options;
  const group = (name: string, ...versions: string[]) => ({
    name,
    versions: versions.map((version) => ({ version, groupVersion: `${name}/${version}` })),
  });
  server.answers.set('GET /version', { major: '1', minor: '37+', gitVersion: 'v1.37.2' });
  server.answers.set('GET /apis', {
    groups: [
      group('scheduling.run.ai', queues, 'v2alpha2', 'v1alpha2'),
      ...(topologies ? [group('kai.scheduler', 'v1alpha1')] : []),
      group('scheduling.k8s.io', 'v1'),
      group('storage.k8s.io', 'v1'),
      ...(dra === undefined ? [] : [group('resource.k8s.io', dra)]),
    ],
  });
  server.answers.set('GET /api/v1', resources('pods', 'nodes', 'configmaps', 'persistentvolumeclaims', 'persistentvolumes', 'namespaces'));
  server.answers.set(`GET /apis/scheduling.run.ai/${queues}`, resources('queues', 'queues/status'));
  server.answers.set('GET /apis/scheduling.run.ai/v2alpha2', resources('podgroups'));
  server.answers.set('GET /apis/scheduling.run.ai/v1alpha2', resources('bindrequests'));
  server.answers.set('GET /apis/kai.scheduler/v1alpha1', resources('topologies'));
  server.answers.set('GET /apis/scheduling.k8s.io/v1', resources('priorityclasses'));
  server.answers.set('GET /apis/storage.k8s.io/v1', resources('storageclasses', 'csidrivers', 'csistoragecapacities'));
  server.answers.set(`GET /apis/resource.k8s.io/${dra}`, resources('resourceclaims', 'resourceslices', 'deviceclasses'));
}

test('discovery: what is served, in the best version; optional groups may be absent', async () => {
  serveApi({ dra: 'v1beta1' });
  const withDra = await discover(open());
  expect(withDra).toMatchObject({
    serverVersion: 'v1.37.2',
    major: 1,
    minor: 37,
    isDraServed: true,
    isNodeTopologyServed: false,
    missing: [],
  });
  expect(withDra.lists.get('resourceClaims')?.path).toBe('/apis/resource.k8s.io/v1beta1/resourceclaims');
  expect(withDra.lists.get('pods')?.path).toBe('/api/v1/pods');
  serveApi();
  const withoutDra = await discover(connection!);
  expect(withoutDra.isDraServed).toBe(false);
  expect([...withoutDra.lists.keys()]).not.toContain('resourceSlices');
  expect(() => requireServed(withoutDra)).not.toThrow();
  expect(watchPermissions(withoutDra).map(describePermission)).toContain('watch queues.scheduling.run.ai');
});

test('discovery: a group that does not answer is not yet known; without an answer about a required one there is none', async () => {
  serveApi({ dra: 'v1' });
  let silent = '/apis/resource.k8s.io/v1';
  server.faults.push(
    ...Array.from({ length: 2 }, () => (_: unknown, response: Parameters<typeof sendJson>[0], url: URL) => {
      if (url.pathname !== silent) return false;
      sendJson(response, {}, 503);
      return true;
    }),
  );
  const discovery = await discover(open());
  expect(discovery).toMatchObject({ isDraServed: false, missing: [] });
  expect([...discovery.unanswered].sort()).toEqual(['deviceClasses', 'resourceClaims', 'resourceSlices']);
  expect(() => requireServed(discovery)).not.toThrow();
  silent = '/apis/scheduling.run.ai/v2';
  await expect(discover(connection!)).rejects.toMatchObject({ status: { code: 503 } });
  expect(await discover(connection!)).toMatchObject({ isDraServed: true, unanswered: [] });
});

test('discovery: CRDs that are missing or too old are named, with what to do', async () => {
  serveApi({ queues: 'v1', topologies: false });
  const discovery = await discover(open());
  expect(() => requireServed(discovery)).toThrow(
    'the API server (v1.37.2) lacks what is needed: ' +
      'Queue (queues.scheduling.run.ai) is needed in version v2, the group is served in v1, v2alpha2, v1alpha2: update the CRD queues.scheduling.run.ai; ' +
      'Topology (topologies.kai.scheduler, version v1alpha1) is not served: install the CRD topologies.kai.scheduler',
  );
});

test('missing permissions are named by verb and resource', async () => {
  const wanted = [
    { verb: 'list', group: '', resource: 'pods' },
    { verb: 'create', group: '', resource: 'pods', subresource: 'binding' },
    { verb: 'update', group: 'coordination.k8s.io', resource: 'leases', namespace: 'kai' },
  ];
  const review = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const kube = open();
  for (let i = 0; i < 6; i++) {
    server.faults.push((_, response) => {
      const { resource } = (
        JSON.parse(server.requests.at(-1)!.body) as { spec: { resourceAttributes: { resource: string; subresource?: string } } }
      ).spec.resourceAttributes;
      const isLast = server.requests.at(-1)!.body.includes('binding');
      sendJson(response, { status: { allowed: resource === 'pods' && !isLast } }, 201);
      return true;
    });
  }
  expect(await missingPermissions(kube, wanted)).toEqual(wanted.slice(1));
  await expect(requirePermissions(kube, wanted)).rejects.toMatchObject({
    code: 'FORBIDDEN',
    message: expect.stringContaining('create pods/binding; update leases.coordination.k8s.io in namespace kai'),
  });
  expect(server.requests.every(({ url }) => url.pathname === review)).toBe(true);
  await expect(missingPermissions(kube, wanted)).rejects.toMatchObject({ code: 'API_STATUS' });
});

test('a stream that is left or cancelled frees its connection', async () => {
  const kube = open({}, new HastyClock());
  const stream = await kube.stream({ method: 'GET', path: '/api/v1/pods', query: { watch: 1, resourceVersion: '0' }, lane: 'watch' });
  await until(() => server.watchCount === 1);
  stream.cancel();
  await expect(stream.body[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'API_ABORTED' });
  await until(() => server.watchCount === 0);
});
