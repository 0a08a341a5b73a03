// HTTP of the scheduler role: metrics and health for the cluster, snapshot and job order on the loopback interface only.

import { PassThrough } from 'node:stream';
import fastify, { type FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import { KaiError } from '../base/errors.ts';

/** Undefined = well; else what is wrong, as a sentence. */
export type HealthCheck = () => string | undefined | Promise<string | undefined>;

export interface PublicServerOptions {
  readonly registry: Registry;
  /** The process makes progress. */
  readonly live: HealthCheck;
  /** It does its work, or could take over at once. */
  readonly ready: HealthCheck;
}

export interface PluginServerOptions {
  /** Writes the zip (spec 01 section 6.2) and ends the stream; undefined while there is nothing to show or plugin `snapshot` is off. */
  readonly snapshot: () => ((stream: PassThrough) => Promise<void>) | undefined;
  /** The document of spec 01 section 6.4; 'off' while plugin `reflectjoborder` is not enabled, undefined before the first cycle. */
  readonly jobOrder: () => Promise<object | 'off' | undefined>;
  /** Before the first cycle nothing is served. */
  readonly isStarted: () => boolean;
  readonly onError: (error: unknown) => void;
}

export interface RunningServer {
  /** "http://0.0.0.0:8080" */
  readonly url: string;
  close(): Promise<void>;
}

/** `/metrics`, `/healthz`, `/livez`, `/readyz`. */
export function buildPublicServer({ registry, live, ready }: PublicServerOptions): FastifyInstance {
  const app = newServer();
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  const addCheck = (path: string, check: HealthCheck): void => {
    app.get(path, async (_request, reply) => {
      const trouble = await check();
      return reply
        .code(trouble === undefined ? 200 : 503)
        .type('text/plain')
        .send(trouble ?? 'ok');
    });
  };
  addCheck('/healthz', live);
  addCheck('/livez', live);
  addCheck('/readyz', ready);
  return app;
}

/** `/get-snapshot` and `/get-job-order`; methods are not checked, as upstream. */
export function buildPluginServer({ snapshot, jobOrder, isStarted, onError }: PluginServerOptions): FastifyInstance {
  const app = newServer();
  app.setNotFoundHandler(async (_request, reply) =>
    reply
      .code(404)
      .type('text/plain')
      .send(isStarted() ? 'plugin not found' : '404 page not found'),
  );
  app.all('/get-snapshot', async (_request, reply) => {
    const write = snapshot();
    if (write === undefined) return reply.callNotFound();
    const stream = new PassThrough();
    // The headers are out by then: the reader sees a truncated archive.
    write(stream).catch((error: unknown) => {
      onError(error);
      stream.destroy();
    });
    return reply.type('application/zip').header('content-disposition', 'attachment; filename=snapshot.zip').send(stream);
  });
  app.all('/get-job-order', async (_request, reply) => {
    const order = await jobOrder();
    if (order === 'off') return reply.callNotFound();
    if (order === undefined) return reply.code(503).type('text/plain').send('Job order data not ready');
    return reply.type('application/json').send(`${JSON.stringify(order, null, 2)}\n`);
  });
  return app;
}

/** Throws KaiError PORT_TAKEN when the address cannot be used. */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<RunningServer> {
  try {
    const url = await app.listen({ host, port });
    return { url, close: () => app.close() };
  } catch (error) {
    await app.close();
    throw new KaiError('PORT_TAKEN', `cannot listen on ${host}:${port}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function newServer(): FastifyInstance {
  return fastify({ bodyLimit: 1024, forceCloseConnections: true });
}
