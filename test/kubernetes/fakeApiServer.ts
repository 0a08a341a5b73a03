// A small API server on loopback: lists in pages, watches, versions, and every fault that a test asks for. Not for anything that
// depends on what a real server does (conflicts, defaulting, RBAC): that is tested on the real one.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeFrame, encodeList } from './protoSchema.ts';

export interface StoredObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid: string; readonly resourceVersion: string };
  readonly [field: string]: unknown;
}
interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly version: number;
  readonly object: StoredObject;
}
interface Watch {
  readonly path: string;
  readonly response: ServerResponse;
  readonly isProtobuf: boolean;
}
/** Answers a request in its own way; false = not meant, the server goes on. */
export type Fault = (request: IncomingMessage, response: ServerResponse, url: URL) => boolean;

export class FakeApiServer {
  readonly requests: {
    readonly method: string;
    readonly url: URL;
    readonly authorization: string;
    readonly accept: string;
    readonly body: string;
  }[] = [];
  /** Asked in order before each request; a fault that was meant is taken out. */
  readonly faults: Fault[] = [];
  /** Fixed answers by "METHOD path". */
  readonly answers = new Map<string, unknown>();
  /** Bearer tokens that are accepted; empty = any. */
  readonly tokens = new Set<string>();
  /** Lists and watches of protobuf are answered in it. */
  isProtobufSpoken = true;
  #version = 100;
  #compactedBefore = 0;
  readonly #objects = new Map<string, Map<string, StoredObject>>();
  readonly #changes = new Map<string, Change[]>();
  readonly #watches = new Set<Watch>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => this.#handle(request, response));
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A kubeconfig for this server. */
  kubeconfig(user: object = {}): string {
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'fake',
      clusters: [{ name: 'fake', cluster: { server: this.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'user', user }],
      contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'user', namespace: 'kai' } }],
    });
  }

  get watchCount(): number {
    return this.#watches.size;
  }

  objects(path: string): ReadonlyMap<string, StoredObject> {
    return this.#objects.get(path) ?? new Map();
  }

  /** Creates or changes; the UID stays, as on a server. */
  put(
    path: string,
    object: { readonly metadata: { readonly name: string; readonly namespace?: string }; readonly [field: string]: unknown },
  ): void {
    const key = keyOf(object.metadata);
    const known = this.objects(path).get(key);
    const metadata = { ...object.metadata, uid: known?.metadata.uid ?? randomUUID(), resourceVersion: String(++this.#version) };
    const stored = { ...object, metadata };
    this.#listOf(path).set(key, stored);
    this.#publish(path, { type: known === undefined ? 'ADDED' : 'MODIFIED', version: this.#version, object: stored });
  }

  delete(path: string, key: string): void {
    const known = this.objects(path).get(key);
    if (known === undefined) return;
    this.#listOf(path).delete(key);
    const object = { ...known, metadata: { ...known.metadata, resourceVersion: String(++this.#version) } };
    this.#publish(path, { type: 'DELETED', version: this.#version, object });
  }

  /** Sends the last change of a list once more. */
  repeatLast(path: string): void {
    const change = this.#changes.get(path)?.at(-1);
    if (change !== undefined) this.#send(path, change);
  }

  /** Sends an old change of a list once more, whatever came since. */
  repeatFirst(path: string): void {
    const change = this.#changes.get(path)?.[0];
    if (change !== undefined) this.#send(path, change);
  }

  bookmark(path: string): void {
    this.#send(path, { type: 'BOOKMARK', object: { kind: 'Pod', apiVersion: 'v1', metadata: { resourceVersion: String(this.#version) } } });
  }

  sendError(path: string, status: { readonly code: number; readonly reason: string; readonly message: string }): void {
    this.#send(path, { type: 'ERROR', object: { kind: 'Status', status: 'Failure', ...status } });
    this.endWatches();
  }

  /** Watches from versions before now get 410. */
  compact(): void {
    this.#compactedBefore = this.#version;
    for (const changes of this.#changes.values()) changes.length = 0;
  }

  /** Ends all watches in an orderly way. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end();
    this.#watches.clear();
  }

  /** Cuts all connections of watches, with `garbage` as their last bytes. */
  cutWatches(garbage?: Buffer): void {
    for (const { response } of this.#watches) {
      if (garbage === undefined) response.destroy();
      else response.write(garbage, () => response.destroy());
    }
    this.#watches.clear();
  }

  /** Writes bytes into all watches, which go on. */
  writeToWatches(bytes: Buffer): void {
    for (const { response } of this.#watches) response.write(bytes);
  }

  failNext(times: number, status: number, headers: Readonly<Record<string, string>> = {}): void {
    for (let i = 0; i < times; i++) {
      this.faults.push((_, response) => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(JSON.stringify({ kind: 'Status', code: status, reason: 'Fault', message: 'made for a test' }));
        return true;
      });
    }
  }

  #listOf(path: string): Map<string, StoredObject> {
    let list = this.#objects.get(path);
    if (list === undefined) {
      list = new Map();
      this.#objects.set(path, list);
    }
    return list;
  }

  #publish(path: string, change: Change): void {
    const changes = this.#changes.get(path) ?? [];
    this.#changes.set(path, changes);
    changes.push(change);
    this.#send(path, change);
  }

  #send(path: string, event: { readonly type: string; readonly object: object }): void {
    for (const watch of this.#watches) if (watch.path === path) watch.response.write(encodeEvent(event, watch));
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '', 'http://localhost');
      const authorization = request.headers.authorization ?? '';
      const method = request.method ?? '';
      this.requests.push({ method, url, authorization, accept: request.headers.accept ?? '', body: Buffer.concat(chunks).toString() });
      const fault = this.faults.findIndex((f) => f(request, response, url));
      if (fault >= 0) this.faults.splice(fault, 1);
      else if (this.tokens.size > 0 && !this.tokens.has(authorization.replace('Bearer ', ''))) sendStatus(response, 401, 'Unauthorized');
      else if (this.answers.has(`${method} ${url.pathname}`)) sendJson(response, this.answers.get(`${method} ${url.pathname}`));
      else if (method !== 'GET') sendStatus(response, 404, 'NotFound');
      else if (url.searchParams.get('watch') === '1') this.#watch(request, response, url);
      else this.#list(request, response, url);
    });
  }

  #list(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const limit = Number(url.searchParams.get('limit') ?? '500');
    const [version = this.#version, start = 0] = (url.searchParams.get('continue') ?? '').split(':').filter(Boolean).map(Number);
    if (version < this.#compactedBefore) {
      sendStatus(response, 410, 'Expired');
      return;
    }
    const all = [...this.objects(url.pathname).values()];
    const end = start + limit;
    const metadata = { resourceVersion: String(version), ...(end < all.length ? { continue: `${version}:${end}` } : {}) };
    const list = { metadata, items: all.slice(start, end) };
    if (this.#isProtobuf(request)) {
      response.writeHead(200, { 'content-type': 'application/vnd.kubernetes.protobuf' });
      response.end(encodeList(url.pathname.endsWith('nodes') ? 'Node' : 'Pod', list));
    } else sendJson(response, list);
  }

  #watch(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const from = Number(url.searchParams.get('resourceVersion'));
    if (from < this.#compactedBefore) {
      sendStatus(response, 410, 'Expired');
      return;
    }
    const isProtobuf = this.#isProtobuf(request);
    response.writeHead(200, { 'content-type': isProtobuf ? 'application/vnd.kubernetes.protobuf;stream=watch' : 'application/json' });
    response.flushHeaders();
    const watch = { path: url.pathname, response, isProtobuf };
    for (const change of this.#changes.get(url.pathname) ?? []) if (change.version > from) response.write(encodeEvent(change, watch));
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }

  #isProtobuf(request: IncomingMessage): boolean {
    return this.isProtobufSpoken && (request.headers.accept ?? '').startsWith('application/vnd.kubernetes.protobuf');
  }
}

function encodeEvent({ type, object }: { readonly type: string; readonly object: object }, watch: Watch): Buffer {
  if (!watch.isProtobuf) return Buffer.from(`${JSON.stringify({ type, object })}\n`);
  return encodeFrame(watch.path.endsWith('nodes') ? 'Node' : 'Pod', { type, object: object as Readonly<Record<string, unknown>> });
}

export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function sendStatus(response: ServerResponse, code: number, reason: string): void {
  sendJson(response, { kind: 'Status', status: 'Failure', code, reason, message: `${reason}, says the fake` }, code);
}

function keyOf({ namespace, name }: { readonly namespace?: string; readonly name: string }): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
