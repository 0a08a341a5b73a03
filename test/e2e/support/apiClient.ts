// A plain client of the API server for tests and benchmarks, on undici alone: it shares no code with the adapter under test.
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, type Dispatcher, request } from 'undici';

export interface KubeMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Any object of the API; the caller names the part that it reads. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: KubeMetadata;
}

/** A refused request: everything from status 400 on. */
export class ApiError extends Error {
  readonly status: number;
  /** Reason of the Status object: AlreadyExists, NotFound, Conflict, Invalid… */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(what: string, status: number, body: string, retryAfterMs: number | undefined) {
    const parsed = parseStatus(body);
    super(`${what}: ${status} ${parsed.message}`);
    this.status = status;
    this.reason = parsed.reason;
    this.retryAfterMs = retryAfterMs;
  }
}

function parseStatus(body: string): { readonly message: string; readonly reason: string } {
  try {
    const status = JSON.parse(body) as { readonly message?: string; readonly reason?: string };
    return { message: status.message ?? body, reason: status.reason ?? '' };
  } catch {
    return { message: body, reason: '' };
  }
}

export type PatchKind = 'merge' | 'strategic' | 'json' | 'apply';
const PATCH_TYPES: Readonly<Record<PatchKind, string>> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
};

export interface ApiClientOptions {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  readonly token: string;
  /** One HTTP/2 connection by default; false = keep-alive connections of HTTP/1.1. */
  readonly isHttp2?: boolean;
  /** Sockets for requests; default 1 with HTTP/2, 32 without. */
  readonly connections?: number;
}

export interface ListOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Objects per page; default 500. */
  readonly pageSize?: number;
}

export interface ListResult<T> {
  readonly items: T[];
  readonly resourceVersion: string;
}

const MAX_STREAMS = 250;
/** A new CRD answers 429 for a moment, and a restarted server refuses connections: set-up code waits that long. */
const RETRY_LIMIT = 150;
const RETRY_MS = 50;

export class ApiClient {
  readonly options: ApiClientOptions;
  readonly #dispatcher: Agent;
  readonly #watchDispatcher: Agent;

  constructor(options: ApiClientOptions) {
    this.options = options;
    const isHttp2 = options.isHttp2 ?? true;
    const connect = { ca: options.ca };
    this.#dispatcher = new Agent({
      allowH2: isHttp2,
      connect,
      connections: options.connections ?? (isHttp2 ? 1 : 32),
      maxConcurrentStreams: MAX_STREAMS,
      keepAliveTimeout: 60_000,
    });
    // Watches apart from requests, so that neither waits for the other's flow control.
    this.#watchDispatcher = new Agent({ allowH2: false, connect, headersTimeout: 0, bodyTimeout: 0 });
  }

  /** Sends one request as it is; no status is an error here. */
  async send(
    method: string,
    path: string,
    body?: string,
    contentType = 'application/json',
  ): Promise<{ status: number; body: string; retryAfterMs?: number }> {
    const response = await request(`${this.options.url}${path}`, {
      method: method as Dispatcher.HttpMethod,
      dispatcher: this.#dispatcher,
      headers: { authorization: `Bearer ${this.options.token}`, accept: 'application/json', 'content-type': contentType },
      body: body ?? null,
    });
    const after = response.headers['retry-after'];
    const retryAfterMs = typeof after === 'string' ? Number(after) * 1000 : undefined;
    return { status: response.statusCode, body: await response.body.text(), retryAfterMs };
  }

  async #call<T>(method: string, path: string, body?: unknown, contentType?: string): Promise<T> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await this.send(method, path, text, contentType);
    if (answer.status >= 400) throw new ApiError(`${method} ${path}`, answer.status, answer.body, answer.retryAfterMs);
    return JSON.parse(answer.body) as T;
  }

  get<T = KubeObject>(path: string): Promise<T> {
    return this.#call<T>('GET', path);
  }

  /** undefined when it does not exist. */
  async find<T = KubeObject>(path: string): Promise<T | undefined> {
    try {
      return await this.get<T>(path);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  create<T = KubeObject>(path: string, object: object): Promise<T> {
    return this.#call<T>('POST', path, object);
  }

  replace<T = KubeObject>(path: string, object: object): Promise<T> {
    return this.#call<T>('PUT', path, object);
  }

  patch<T = KubeObject>(path: string, patch: object, kind: PatchKind = 'merge'): Promise<T> {
    return this.#call<T>('PATCH', path, patch, PATCH_TYPES[kind]);
  }

  delete<T = KubeObject>(path: string, options: object = {}): Promise<T> {
    return this.#call<T>('DELETE', path, options);
  }

  /** Server-side apply; fields of other managers are taken over. */
  apply<T = KubeObject>(path: string, object: object): Promise<T> {
    return this.patch<T>(`${path}?fieldManager=kai-test&force=true`, object, 'apply');
  }

  async list<T = KubeObject>(path: string, { labelSelector, fieldSelector, pageSize = 500 }: ListOptions = {}): Promise<ListResult<T>> {
    interface Page {
      readonly items: T[] | null;
      readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
    }
    const items: T[] = [];
    for (let next: string | undefined; ; ) {
      const query = queryOf({ limit: String(pageSize), labelSelector, fieldSelector, continue: next });
      const page = await this.get<Page>(`${path}?${query}`);
      items.push(...(page.items ?? []));
      next = page.metadata.continue;
      if (next === undefined || next === '') return { items, resourceVersion: page.metadata.resourceVersion };
    }
  }

  /** Opens one watch; the lines are the events as sent. Ends when the server or the signal ends it. */
  async *watchLines(path: string, query: Readonly<Record<string, string | undefined>>, signal: AbortSignal): AsyncGenerator<string> {
    const response = await request(`${this.options.url}${path}?${queryOf({ watch: 'true', ...query })}`, {
      dispatcher: this.#watchDispatcher,
      headers: { authorization: `Bearer ${this.options.token}`, accept: 'application/json' },
      signal,
    });
    if (response.statusCode >= 400) throw new ApiError(`watch ${path}`, response.statusCode, await response.body.text(), undefined);
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') yield line;
    }
  }

  /** Repeats a call while the server is overloaded, starting or restarting. Other errors go through at once. */
  async retry<T>(call: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        const isRefused = error instanceof ApiError && error.status !== 429 && error.status < 500;
        if (isRefused || attempt === RETRY_LIMIT) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#dispatcher.destroy(), this.#watchDispatcher.destroy()]);
  }
}

function queryOf(values: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, value);
  return query.toString();
}
