// The one way to the API server: raw requests and streams over kept connections (HTTP/2 where the server speaks it).
import { Agent, type Dispatcher, ProxyAgent, Socks5ProxyAgent, request as sendRequest } from 'undici';
import { KaiError } from '../base/errors.ts';
import { type ApiHeaders, NoAnswerError, parseApiStatus, UnauthorizedError } from './apiError.ts';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { type Access, type CredentialSource, Credentials, type TransportOptions } from './credentials.ts';
import { exchange, type GivenUp, noAnswer, type WholeAnswer } from './exchange.ts';

/** Each lane has connections of its own, so that a slow reader or a burst of writes never holds up the others, above all the lease. */
export type Lane = 'watch' | 'read' | 'write' | 'lease';
export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ApiRequest {
  readonly method: HttpMethod;
  /** "/api/v1/pods": below the server's address, already escaped. */
  readonly path: string;
  readonly query?: Query;
  /** An object is sent as JSON, a text or bytes as they are. */
  readonly body?: unknown;
  /** Default application/json. */
  readonly contentType?: string;
  /** Default application/json. */
  readonly accept?: string;
  /** Default: read for GET, write for all others. */
  readonly lane?: Lane;
  /** Time for the whole answer, default 30,000; 0 = none. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export type ApiResponse = WholeAnswer;

export interface ApiStream {
  readonly status: number;
  readonly headers: ApiHeaders;
  /** Ends with the answer; throws NoAnswerError when it is cut. Leaving the loop cancels the request. */
  readonly body: AsyncIterable<Buffer>;
  /** Cancels the request; may be called at any time, also twice. */
  cancel(): void;
}

export interface KubeConnection {
  /**
   * Sends a request and reads the whole answer, whatever its status but 401. Throws NoAnswerError, UnauthorizedError, and the
   * KaiErrors of `Credentials`.
   */
  request(request: ApiRequest): Promise<ApiResponse>;
  /** As `request`, but hands over the body as it comes (`timeoutMs` default: none). The body must be read or cancelled. */
  stream(request: ApiRequest): Promise<ApiStream>;
  /** Address of the server, and the namespace of the context ('' unknown). */
  describe(): Promise<{ readonly server: string; readonly namespace: string }>;
  /**
   * Does the server not answer, or has it begun to again only a short time ago? One that has just started refuses (403) what its
   * roles allow, until it has read them.
   */
  isSettling(): boolean;
  /** Cuts all connections. Requests under way end with NoAnswerError. */
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly source: CredentialSource;
  readonly clock?: Clock;
  /** Product name in the User-Agent header, default `FIELD_MANAGER`. */
  readonly userAgent?: string;
  /** Makes the dispatcher of a lane; default: undici's, HTTP/2 by ALPN. */
  readonly createDispatcher?: (transport: TransportOptions) => Dispatcher;
}

/** By this name the API server notes in `metadata.managedFields` which fields this program has written. */
export const FIELD_MANAGER = 'kai-scheduler-ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** A connection that does not answer a ping by the next one is dead: noticed after 15 to 30 s, also by quiet watches. */
const PING_INTERVAL_MS = 15_000;
const MAX_STREAMS = 250;
/** An API server has read its roles long before. */
const SETTLING_MS = 15_000;

/** A connection costs nothing until its first request. */
export function connect(options: ConnectionOptions): KubeConnection {
  return new Connection(options);
}

/** Body of an answer as JSON. Throws KaiError BAD_ANSWER. */
export function jsonOf(response: ApiResponse): unknown {
  const text = response.body.toString('utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KaiError('BAD_ANSWER', `the answer (HTTP ${response.status}) is no JSON: ${text.slice(0, 80)}`, { cause: error });
  }
}

interface Place {
  readonly server: string;
  readonly origin: string;
  readonly prefix: string;
}

class Connection implements KubeConnection {
  readonly #credentials: Credentials;
  readonly #userAgent: string;
  readonly #createDispatcher: (transport: TransportOptions) => Dispatcher;
  readonly #clock: Clock;
  /** When the server answered again after it had not; Infinity while it does not. */
  #answersSinceMs = Number.NEGATIVE_INFINITY;
  readonly #dispatchers = new Map<Lane, { readonly key: string; readonly dispatcher: Dispatcher }>();
  #place: Place | null = null;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#credentials = new Credentials(options.source, this.#clock);
    this.#userAgent = options.userAgent ?? FIELD_MANAGER;
    this.#createDispatcher = options.createDispatcher ?? createDispatcher;
  }

  // A refused credential is read anew once; the server had the request then, but did nothing with it.
  async request(request: ApiRequest): Promise<ApiResponse> {
    const access = await this.#credentials.access();
    const first = await this.#exchange(request, access);
    if (first.status !== 401) return first;
    const second = await this.#exchange(request, await this.#credentials.renew(access));
    if (second.status !== 401) return second;
    throw unauthorized(access, second);
  }

  async stream(request: ApiRequest): Promise<ApiStream> {
    const access = await this.#credentials.access();
    const first = await this.#open(request, access);
    if (first.status !== 401) return first;
    first.cancel();
    const second = await this.#open(request, await this.#credentials.renew(access));
    if (second.status !== 401) return second;
    throw unauthorized(access, { ...second, body: await collect(second.body) });
  }

  async describe(): Promise<{ readonly server: string; readonly namespace: string }> {
    const { server, namespace } = await this.#credentials.access();
    return { server, namespace };
  }

  isSettling(): boolean {
    return this.#clock.monotonicMs() - this.#answersSinceMs < SETTLING_MS;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const open = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    await Promise.all(open.map(({ dispatcher }) => dispatcher.destroy()));
  }

  async #exchange(request: ApiRequest, access: Access): Promise<ApiResponse> {
    const { origin, prefix } = this.#placeOf(access);
    const options = { origin, path: prefix + pathOf(request), ...this.#optionsOf(request, access) };
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = request;
    const what = whatOf(request, access);
    const answer = await exchange(this.#dispatcher(request, access), options, { what, signal, timeoutMs, onLost: this.#onLost });
    this.#noteAnswer(answer.status);
    return answer;
  }

  readonly #onLost = (): void => {
    this.#answersSinceMs = Number.POSITIVE_INFINITY;
  };

  #noteAnswer(status: number): void {
    if (this.#answersSinceMs === Number.POSITIVE_INFINITY && status < 500) this.#answersSinceMs = this.#clock.monotonicMs();
  }

  async #open(request: ApiRequest, access: Access): Promise<ApiStream> {
    const cancel = new Cancellation(whatOf(request, access), request.signal, request.timeoutMs ?? 0, this.#onLost);
    try {
      const response = await sendRequest(access.server + pathOf(request), {
        ...this.#optionsOf(request, access),
        dispatcher: this.#dispatcher(request, access),
        signal: cancel.signal,
      });
      this.#noteAnswer(response.statusCode);
      return {
        status: response.statusCode,
        headers: response.headers,
        body: guarded(response.body, cancel),
        cancel: () => {
          cancel.cancel();
          cancel.release();
          response.body.on('error', () => undefined).destroy();
        },
      };
    } catch (error) {
      throw cancel.explain(error);
    }
  }

  #optionsOf(request: ApiRequest, access: Access) {
    const { method, accept = 'application/json', contentType = 'application/json' } = request;
    const headers: Record<string, string> = { ...access.headers, accept, 'user-agent': this.#userAgent };
    const body = encodeBody(request.body);
    if (body !== undefined) headers['content-type'] = contentType;
    return { method, headers, body, headersTimeout: 0, bodyTimeout: 0 };
  }

  /** Origin of the server's address and what stands before each path. */
  #placeOf({ server }: Access): Place {
    if (this.#place?.server === server) return this.#place;
    const { origin, pathname } = new URL(server);
    this.#place = { server, origin, prefix: pathname.replace(/\/+$/, '') };
    return this.#place;
  }

  #dispatcher({ method, lane = method === 'GET' ? 'read' : 'write' }: ApiRequest, access: Access): Dispatcher {
    if (this.#isClosed) throw new NoAnswerError('API_ABORTED', 'the connection is closed', false);
    const known = this.#dispatchers.get(lane);
    if (known?.key === access.transportKey) return known.dispatcher;
    const dispatcher = this.#createDispatcher(access.transport);
    this.#dispatchers.set(lane, { key: access.transportKey, dispatcher });
    // New certificates: what runs on the old connections may end there.
    known?.dispatcher.close().catch(() => undefined);
    return dispatcher;
  }
}

function createDispatcher(transport: TransportOptions): Dispatcher {
  const common = {
    allowH2: true,
    keepAliveTimeout: 30_000,
    h2Options: { maxConcurrentStreams: MAX_STREAMS, pingInterval: PING_INTERVAL_MS },
  };
  switch (transport.type) {
    case 'agent':
      return new Agent({ ...common, connect: { ...transport.connect, timeout: CONNECT_TIMEOUT_MS } });
    case 'proxy':
      return new ProxyAgent({ ...common, uri: transport.uri, requestTls: transport.requestTls });
    case 'socks':
      return new Socks5ProxyAgent(transport.uri, { ...common, requestTls: transport.requestTls });
    case 'none':
      return new Agent({ ...common, connect: { timeout: CONNECT_TIMEOUT_MS } });
  }
}

/** The caller's signal, a timer and `cancel` as one signal, without leaving listeners on signals that live long. */
class Cancellation {
  readonly #controller = new AbortController();
  readonly #what: string;
  readonly #timeoutMs: number;
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onLost: () => void;
  #reason: GivenUp = 'none';

  constructor(what: string, outer: AbortSignal | undefined, timeoutMs: number, onLost: () => void) {
    this.#what = what;
    this.#onLost = onLost;
    this.#timeoutMs = timeoutMs;
    this.#outer = outer;
    if (outer?.aborted) this.cancel();
    else outer?.addEventListener('abort', this.cancel);
    if (timeoutMs > 0) this.#timer = setTimeout(() => this.#abort('timeout'), timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly cancel = (): void => this.#abort('cancelled');

  release(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.cancel);
  }

  /** The error a caller sees; releases as well. */
  explain(error: unknown): NoAnswerError {
    this.release();
    // A server that is merely slow is the same as before.
    if (!(error instanceof NoAnswerError) && this.#reason === 'none') this.#onLost();
    return noAnswer(this.#what, this.#reason, this.#timeoutMs, error);
  }

  #abort(reason: 'timeout' | 'cancelled'): void {
    if (this.#reason === 'none') this.#reason = reason;
    this.#controller.abort();
  }
}

async function* guarded(body: AsyncIterable<Buffer>, cancel: Cancellation): AsyncGenerator<Buffer, void> {
  try {
    for await (const chunk of body) yield chunk;
  } catch (error) {
    throw cancel.explain(error);
  } finally {
    cancel.release();
  }
}

async function collect(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

function encodeBody(body: unknown): string | Uint8Array | undefined {
  return body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
}

function whatOf({ method, path }: ApiRequest, { server }: Access): string {
  return `${method} ${server}${path}`;
}

function pathOf({ path, query }: ApiRequest): string {
  return path + queryText(query);
}

/** The server refused the same request again, with credentials that were read anew. */
function unauthorized({ server }: Access, { headers, body }: Pick<ApiResponse, 'headers' | 'body'>): UnauthorizedError {
  return new UnauthorizedError(server, parseApiStatus(401, headers, body).message);
}

function queryText(query: Query | undefined): string {
  let text = '';
  for (const name in query) {
    const value = query[name];
    if (value !== undefined) text += `${text === '' ? '?' : '&'}${name}=${encodeURIComponent(value)}`;
  }
  return text;
}
