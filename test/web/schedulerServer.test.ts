import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { buildPluginServer, buildPublicServer } from '../../src/web/schedulerServer.ts';

test('health answers with its reason, metrics with the registry', async () => {
  let trouble: string | undefined = 'no cycle yet';
  const app = buildPublicServer({ registry: new Registry(), live: () => undefined, ready: async () => trouble });
  const get = async (url: string): Promise<[number, string]> => {
    const { statusCode, body } = await app.inject({ url });
    return [statusCode, body];
  };
  expect(await get('/livez')).toEqual([200, 'ok']);
  expect(await get('/healthz')).toEqual([200, 'ok']);
  expect(await get('/readyz')).toEqual([503, 'no cycle yet']);
  trouble = undefined;
  expect(await get('/readyz')).toEqual([200, 'ok']);
  expect((await get('/metrics'))[0]).toBe(200);
  expect((await get('/debug/pprof/heap'))[0]).toBe(404);
  await app.close();
});

test('plugin endpoints: off, not ready, on; any method; a failure in the middle truncates and is reported (spec 08 section 8)', async () => {
  const errors: unknown[] = [];
  const state = { isStarted: false, order: undefined as object | 'off' | undefined, fails: false };
  const app = buildPluginServer({
    isStarted: () => state.isStarted,
    snapshot: () =>
      state.isStarted
        ? async (stream) => {
            stream.write('PK');
            if (state.fails) throw new Error('broken');
            stream.end();
          }
        : undefined,
    jobOrder: async () => state.order,
    onError: (error) => errors.push(error),
  });
  const get = (url: string, method: 'GET' | 'POST' = 'GET') => app.inject({ url, method });
  expect((await get('/get-snapshot')).statusCode).toBe(404);
  expect((await get('/nothing')).body).toBe('404 page not found');
  expect(await get('/get-job-order')).toMatchObject({ statusCode: 503, body: 'Job order data not ready' });
  state.isStarted = true;
  state.order = 'off';
  expect(await get('/get-job-order')).toMatchObject({ statusCode: 404, body: 'plugin not found' });
  state.order = { global_order: [], queue_order: {} };
  const order = await get('/get-job-order', 'POST');
  expect([order.headers['content-type'], order.body]).toEqual([
    expect.stringContaining('application/json'),
    '{\n  "global_order": [],\n  "queue_order": {}\n}\n',
  ]);
  const snapshot = await get('/get-snapshot', 'POST');
  expect(snapshot.headers).toMatchObject({ 'content-type': 'application/zip', 'content-disposition': 'attachment; filename=snapshot.zip' });
  expect(snapshot.body).toBe('PK');
  state.fails = true;
  await get('/get-snapshot').catch(() => undefined);
  expect(errors).toHaveLength(1);
  await app.close();
});
