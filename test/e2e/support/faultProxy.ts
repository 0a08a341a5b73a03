// A reverse proxy before the API server that fails as told: status codes, delays, lost answers, cut and garbled watches, silence.
// It speaks HTTP/2 and HTTP/1.1 and has the API server's own certificate, so clients only get another port.
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, type Dispatcher, request } from 'undici';
import type { ControlPlane } from '../../control-plane/controlPlane.ts';
import { expiredFrame, garbageFrame } from './watchFrames.ts';

export type FaultAction =
  /** Answered by the proxy; the server does not hear of it. */
  | { readonly kind: 'status'; readonly status: number; readonly reason?: string; readonly retryAfterSeconds?: number }
  /** Forwarded, later. */
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** Done by the server; the answer gets lost with the connection's stream. */
  | { readonly kind: 'lose-answer' }
  /** The stream is reset before the server hears of it. */
  | { readonly kind: 'reset' };

export interface Fault {
  readonly action: FaultAction;
  readonly method?: string;
  /** Tested against path and query. */
  readonly path?: RegExp;
  /** true = only watches, false = all but watches. */
  readonly isWatch?: boolean;
  /** How many requests it hits; default all. */
  readonly times?: number;
  /** Which part of the matching requests it hits, by a seeded generator; default all. */
  readonly probability?: number;
}

/** An injected fault: how often it hit, and its end. */
export interface InjectedFault {
  readonly hits: number;
  remove(): void;
}

export interface ProxyRecord {
  readonly method: string;
  /** With query. */
  readonly path: string;
  /** 0 = the client got no answer. */
  readonly status: number;
  readonly fault: FaultAction['kind'] | null;
  /** performance.now() when the request came in. */
  readonly atMs: number;
}

interface ActiveFault {
  readonly fault: Fault;
  hits: number;
}

interface OpenWatch {
  readonly path: string;
  readonly contentType: string;
  readonly response: Http2ServerResponse;
}

/** Headers that belong to one connection and are not passed on. */
const HOP_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'host',
  'te',
  'content-length',
]);
const REASONS: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
};

/** Starts a proxy on a free port of loopback. */
export async function startFaultProxy(plane: Pick<ControlPlane, 'url' | 'ca' | 'webhook'>, seed = 1): Promise<FaultProxy> {
  const proxy = new FaultProxy(plane, seed);
  await proxy.listen();
  return proxy;
}

export class FaultProxy {
  readonly records: ProxyRecord[] = [];
  readonly #target: string;
  readonly #upstream: Agent;
  readonly #server: Http2SecureServer;
  readonly #faults = new Set<ActiveFault>();
  readonly #watches = new Set<OpenWatch>();
  readonly #sockets = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  #random: number;
  #url = '';
  #thawed: Promise<void> | null = null;
  #thaw: () => void = () => undefined;

  constructor({ url, ca, webhook }: Pick<ControlPlane, 'url' | 'ca' | 'webhook'>, seed: number) {
    this.#target = url;
    this.#random = seed;
    this.#upstream = new Agent({ allowH2: false, connect: { ca }, headersTimeout: 0, bodyTimeout: 0 });
    const settings = { maxConcurrentStreams: 250 };
    this.#server = createSecureServer({ ...webhook, allowHTTP1: true, settings, maxSessionMemory: 1000 });
    this.#server.on('request', (incoming, response) => void this.#handle(incoming, response).catch(() => abort(response)));
    this.#server.on('secureConnection', (socket) => track(this.#sockets, socket));
    this.#server.on('session', (session) => track(this.#sessions, session));
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address();
        this.#url = `https://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
        resolve();
      });
    });
  }

  get url(): string {
    return this.#url;
  }

  /** From now on. Of several faults that match a request the one injected first hits. */
  inject(fault: Fault): InjectedFault {
    const active: ActiveFault = { fault, hits: 0 };
    this.#faults.add(active);
    const faults = this.#faults;
    return {
      get hits(): number {
        return active.hits;
      },
      remove: () => void faults.delete(active),
    };
  }

  clear(): void {
    this.#faults.clear();
  }

  /** Breaks open watches in the middle; returns how many. */
  cutWatches(path = /./): number {
    return this.#eachWatch(path, ({ response }) => abort(response));
  }

  /** Sends the server's own event for lost history (410) into open watches and ends them; returns how many. */
  expireWatches(path = /./): number {
    return this.#eachWatch(path, ({ response, contentType }) => response.end(expiredFrame(contentType)));
  }

  /** Puts a frame that cannot be read into open watches, which go on; returns how many. */
  garbleWatches(path = /./): number {
    return this.#eachWatch(path, ({ response, contentType }) => response.write(garbageFrame(contentType)));
  }

  /** Open watches by path and query. */
  watchPaths(): string[] {
    return [...this.#watches].map((watch) => watch.path).sort();
  }

  /** Ends all connections at once. */
  cutConnections(): number {
    const count = this.#sockets.size;
    for (const socket of this.#sockets) socket.destroy();
    return count;
  }

  /** Asks HTTP/2 clients to open another connection (GOAWAY), as servers behind load balancers do. */
  goAway(): void {
    for (const session of this.#sessions) session.close();
  }

  /** Nothing passes in either direction until thaw; connections stay open. */
  freeze(): void {
    if (this.#thawed !== null) return;
    this.#thawed = new Promise((resolve) => {
      this.#thaw = resolve;
    });
  }

  thaw(): void {
    this.#thawed = null;
    this.#thaw();
  }

  async close(): Promise<void> {
    this.thaw();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cutConnections();
    await closed;
    await this.#upstream.destroy();
  }

  #eachWatch(path: RegExp, action: (watch: OpenWatch) => void): number {
    const watches = [...this.#watches].filter((watch) => path.test(watch.path));
    for (const watch of watches) action(watch);
    return watches.length;
  }

  #faultFor(method: string, path: string, isWatch: boolean): Fault | null {
    for (const active of this.#faults) {
      const { fault } = active;
      if (fault.times !== undefined && active.hits >= fault.times) continue;
      if (fault.method !== undefined && fault.method !== method) continue;
      if (fault.path !== undefined && !fault.path.test(path)) continue;
      if (fault.isWatch !== undefined && fault.isWatch !== isWatch) continue;
      if (fault.probability !== undefined && this.#draw() >= fault.probability) continue;
      active.hits++;
      return fault;
    }
    return null;
  }

  /** Linear congruential generator: enough to spread faults, the same for the same seed. */
  #draw(): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    return this.#random / 2 ** 32;
  }

  async #handle(incoming: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    const atMs = performance.now();
    const method = incoming.method;
    const path = incoming.url;
    const isWatch = /[?&]watch=(true|1)/.test(path);
    const body = await readAll(incoming);
    const fault = this.#faultFor(method, path, isWatch);
    const record = (status: number): void => void this.records.push({ method, path, status, fault: fault?.action.kind ?? null, atMs });
    await this.#thawed;
    const action = fault?.action;
    if (action?.kind === 'status') {
      record(action.status);
      refuse(response, action);
      return;
    }
    if (action?.kind === 'reset') {
      record(0);
      abort(response);
      return;
    }
    if (action?.kind === 'delay') await sleep(action.delayMs);
    const closed = new AbortController();
    response.once('close', () => closed.abort());
    const answer = await request(`${this.#target}${path}`, {
      method: method as Dispatcher.HttpMethod,
      dispatcher: this.#upstream,
      headers: passedOn(incoming.headers),
      body: body.length === 0 ? null : body,
      signal: closed.signal,
    });
    if (action?.kind === 'lose-answer') {
      await answer.body.dump();
      record(0);
      abort(response);
      return;
    }
    await this.#thawed;
    record(answer.statusCode);
    response.writeHead(answer.statusCode, passedOn(answer.headers));
    await this.#stream(answer.body, response, isWatch ? path : null, String(answer.headers['content-type']));
  }

  async #stream(
    body: AsyncIterable<Uint8Array>,
    response: Http2ServerResponse,
    watchPath: string | null,
    contentType: string,
  ): Promise<void> {
    const watch = watchPath === null ? null : { path: watchPath, contentType, response };
    if (watch !== null) {
      this.#watches.add(watch);
      // A client of a quiet watch waits for the headers, which HTTP/1.1 sends with the first byte only.
      (response as { readonly flushHeaders?: () => void }).flushHeaders?.();
    }
    try {
      for await (const chunk of body) {
        await this.#thawed;
        if (response.writableEnded || response.destroyed) return;
        if (!response.write(chunk)) await drained(response);
      }
      await this.#thawed;
      if (!response.writableEnded) response.end();
    } finally {
      if (watch !== null) this.#watches.delete(watch);
    }
  }
}

function track<T extends { once(event: 'close', listener: () => void): unknown }>(set: Set<T>, item: T): void {
  set.add(item);
  item.once('close', () => set.delete(item));
}

async function readAll(incoming: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function drained(response: Http2ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once('drain', resolve);
    response.once('close', resolve);
  });
}

function passedOn(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !name.startsWith(':') && !HOP_HEADERS.has(name)) kept[name] = value;
  }
  return kept;
}

function refuse(response: Http2ServerResponse, { status, reason, retryAfterSeconds }: FaultAction & { readonly kind: 'status' }): void {
  const body = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `injected fault ${status}`,
    reason: reason ?? REASONS[status] ?? 'Unknown',
    details: retryAfterSeconds === undefined ? undefined : { retryAfterSeconds },
    code: status,
  };
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (retryAfterSeconds !== undefined) headers['retry-after'] = String(retryAfterSeconds);
  response.writeHead(status, headers);
  response.end(JSON.stringify(body));
}

/** Resets the stream, or with HTTP/1.1 the connection: the client gets an error, not an end. */
function abort(response: Http2ServerResponse): void {
  // With HTTP/1.1 the response of the compatibility layer is one of node:http, which has no stream.
  const { stream } = response as { readonly stream?: Http2ServerResponse['stream'] };
  if (stream === undefined) (response.socket as Socket | null)?.destroy();
  else stream.close(constants.NGHTTP2_INTERNAL_ERROR);
}
