import fastify, { type FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import { KaiError } from '../base/errors.ts';
import { loadPageAssets } from './assets.ts';
import type { DashboardSource } from './source.ts';

const HOST = '127.0.0.1';
const PORTS_TRIED = 20;
const PENDING_LIMIT = 200;

export interface DashboardOptions {
  readonly source: DashboardSource;
  /** Served as `/metrics`. */
  readonly registry: Registry;
  /** First port to try; when it is taken the next ones are. 0 = any free port. */
  readonly port: number;
}

export interface Dashboard {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves the dashboard on the loopback interface: the page, `/api/state`, `/api/nodes`, `/api/pending?query=`, `/metrics`
 * and `/healthz`. Read-only.
 * @throws KaiError `PORT_TAKEN` when none of 20 ports from `port` on is free.
 */
export async function startDashboard(options: DashboardOptions): Promise<Dashboard> {
  const lastPort = options.port === 0 ? 0 : Math.min(65535, options.port + PORTS_TRIED - 1);
  for (let port = options.port; port <= lastPort; port++) {
    const app = buildServer(options);
    try {
      const url = await app.listen({ host: HOST, port });
      return { url, close: () => app.close() };
    } catch (error) {
      await app.close();
      if (!isPortRefused(error)) throw error;
    }
  }
  throw new KaiError('PORT_TAKEN', `no free port from ${options.port} to ${lastPort} on ${HOST}; choose another with --port`);
}

function isPortRefused(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  return code === 'EADDRINUSE' || code === 'EACCES';
}

/** The server without a port, for tests (`inject`). */
export function buildServer(options: Omit<DashboardOptions, 'port'>): FastifyInstance {
  const { source, registry } = options;
  const assets = loadPageAssets();
  // Open keep-alive connections of browsers must not hold up the end of the program.
  const app = fastify({ bodyLimit: 1024, forceCloseConnections: true });
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff');
    reply.header('cache-control', 'no-store');
    reply.header('content-security-policy', assets.contentSecurityPolicy);
  });
  for (const [path, asset] of assets.files) {
    app.get(path, async (_request, reply) => reply.type(asset.type).send(asset.body));
  }
  app.get('/api/nodes', async () => source.nodes());
  app.get('/api/state', async () => source.state());
  const querystring = { type: 'object', properties: { query: { type: 'string', maxLength: 200, default: '' } } } as const;
  app.get<{ Querystring: { query: string } }>('/api/pending', { schema: { querystring } }, async (request) =>
    source.pending(request.query.query, PENDING_LIMIT),
  );
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  app.get('/healthz', async (_request, reply) => reply.type('text/plain').send('ok'));
  return app;
}
