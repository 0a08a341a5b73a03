// The few calls of a binder: live reads that are tried again, and writes through the one queue.
import { KaiError } from '../base/errors.ts';
import { type ApiStatus, NoAnswerError, parseApiStatus } from '../kubernetes/apiError.ts';
import { backoffMs, type Clock } from '../kubernetes/clock.ts';
import { type ApiResponse, jsonOf, type KubeConnection, type Query } from '../kubernetes/connection.ts';
import { isPremature, type WritePolicy, WritePriority } from '../kubernetes/writePolicy.ts';
import type { Write, WriteQueue } from '../kubernetes/writeQueue.ts';

export interface BinderApiOptions {
  readonly connection: Pick<KubeConnection, 'request'> & Partial<Pick<KubeConnection, 'isSettling'>>;
  readonly writes: Pick<WriteQueue, 'submit'>;
  readonly clock: Clock;
}

/** A step that did not succeed; the message is for people and carries all outer messages. Code BIND_STEP. */
export class StepError extends KaiError {
  /** HTTP status of the answer behind it, 0 = no answer, NaN = no request. */
  readonly status: number;

  constructor(message: string, status = Number.NaN, options?: ErrorOptions) {
    super('BIND_STEP', message, options);
    this.name = 'StepError';
    this.status = status;
  }
}

export type PatchType = 'merge' | 'json';

const PATCH_TYPES: Readonly<Record<PatchType, string>> = { merge: 'application/merge-patch+json', json: 'application/json-patch+json' };
/** The queue tries again what may pass; what an answer means is for the step to say. */
const POLICY: WritePolicy = { answers: { 404: 'failed', 409: 'failed', 410: 'failed', 422: 'failed' }, maxAttempts: 6, timeoutMs: 10_000 };
const READ_ATTEMPTS = 5;
const READ_TIMEOUT_MS = 10_000;
const READ_BACKOFF = { firstMs: 200, maxMs: 5000 };
const PAGE_SIZE = 500;

/** `context: cause`, with the cause's HTTP status. */
export function inContext(context: string, error: unknown): StepError {
  return new StepError(`${context}: ${textOf(error)}`, error instanceof StepError ? error.status : undefined, { cause: error });
}

export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function hasStatus(error: unknown, ...statuses: readonly number[]): boolean {
  return error instanceof StepError && statuses.includes(error.status);
}

/** No answer, overload, or an error of the server: the same request may succeed later. */
export function isPassing(error: unknown): boolean {
  return error instanceof StepError && (error.status === 0 || error.status === 429 || error.status >= 500);
}

export class BinderApi {
  readonly clock: Clock;
  readonly #connection: BinderApiOptions['connection'];
  readonly #writes: BinderApiOptions['writes'];
  #sent = 0;

  constructor({ connection, writes, clock }: BinderApiOptions) {
    this.clock = clock;
    this.#connection = connection;
    this.#writes = writes;
  }

  /** The object as it is now; throws StepError, status 404 when there is none. */
  async get<T>(path: string): Promise<T> {
    return jsonOf(await this.#read(path)) as T;
  }

  /** As `get`; undefined when there is none. */
  async find<T>(path: string): Promise<T | undefined> {
    try {
      return await this.get<T>(path);
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async list<T>(path: string, query: Query = {}): Promise<T[]> {
    const items: T[] = [];
    for (let next: string | undefined; ; ) {
      const page = jsonOf(await this.#read(path, { ...query, limit: PAGE_SIZE, continue: next })) as {
        readonly items?: readonly T[] | null;
        readonly metadata?: { readonly continue?: string };
      };
      items.push(...(page.items ?? []));
      next = page.metadata?.continue;
      if (next === undefined || next === '') return items;
    }
  }

  /** Gives the created object; throws StepError, status 409 when one of that name exists (also when an earlier try made it). */
  create<T>(path: string, body: object): Promise<T> {
    return this.#write<T>({ method: 'POST', path, body });
  }

  replace<T>(path: string, body: object): Promise<T> {
    return this.#write<T>({ method: 'PUT', path, body });
  }

  patch<T>(path: string, type: PatchType, body: object): Promise<T> {
    return this.#write<T>({ method: 'PATCH', path, body, contentType: PATCH_TYPES[type] });
  }

  /** Deletes at once the object of this UID; one that is gone or another (UID) is fine. */
  async delete(path: string, uid: string | undefined, graceSeconds?: number): Promise<void> {
    try {
      await this.#write({ method: 'DELETE', path, body: { preconditions: { uid }, gracePeriodSeconds: graceSeconds } });
    } catch (error) {
      if (!hasStatus(error, 404, 409)) throw error;
    }
  }

  async #write<T>(request: Write['request']): Promise<T> {
    const result = await this.#writes.submit({
      key: `binder ${request.method} ${request.path} ${this.#sent++}`,
      priority: WritePriority.binding,
      policy: POLICY,
      request,
    });
    if (result.kind === 'done') return (result.body.length === 0 ? undefined : JSON.parse(result.body.toString('utf8'))) as T;
    if (result.kind === 'failed') throw new StepError(result.message, result.status?.code ?? 0);
    throw new StepError('this process is about to end and writes nothing more');
  }

  async #read(path: string, query?: Query): Promise<ApiResponse> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#ask(path, query);
      if ('body' in answer) return answer;
      if ((attempt >= READ_ATTEMPTS && answer.code !== 403) || !answer.isWorthTrying) throw new StepError(answer.message, answer.code);
      await this.clock.sleep(backoffMs(attempt, READ_BACKOFF, this.clock.random(), answer.retryAfterMs));
    }
  }

  async #ask(path: string, query?: Query): Promise<ApiResponse | (ApiStatus & { readonly isWorthTrying: boolean })> {
    try {
      const response = await this.#connection.request({ method: 'GET', path, query, timeoutMs: READ_TIMEOUT_MS });
      if (response.status === 200) return response;
      const status = parseApiStatus(response.status, response.headers, response.body);
      const isEarly = isPremature(status, this.#connection.isSettling?.() ?? false);
      return { ...status, isWorthTrying: isEarly || status.code === 429 || status.code >= 500 };
    } catch (error) {
      return { code: 0, reason: '', message: textOf(error), retryAfterMs: 0, isWorthTrying: error instanceof NoAnswerError };
    }
  }
}
