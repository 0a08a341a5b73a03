// One request and its whole answer, handed to undici's dispatcher as it is: the stream, the signal and the scopes that its `request`
// puts around an answer cost more than the answer, and bindings come by the thousand.
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { type ApiHeaders, NoAnswerError } from './apiError.ts';
import { messageOf } from './credentials.ts';

export interface WholeAnswer {
  readonly status: number;
  readonly headers: ApiHeaders;
  readonly body: Buffer;
}

/** Who ended a request that has no answer. */
export type GivenUp = 'none' | 'timeout' | 'cancelled';

export interface ExchangeOptions {
  /** For messages. */
  readonly what: string;
  readonly signal: AbortSignal | undefined;
  /** For the whole answer, 0 = none. */
  readonly timeoutMs: number;
  /** The connection failed. Not called when the time was over or the caller gave up: a slow server is the same as before. */
  readonly onLost: () => void;
}

/** Sends a request and collects its answer. Throws NoAnswerError. */
export function exchange(dispatcher: Dispatcher, request: Dispatcher.DispatchOptions, options: ExchangeOptions): Promise<WholeAnswer> {
  const handler = new Exchange(options);
  if (!options.signal?.aborted) handler.send(dispatcher, request);
  else handler.cancel();
  return handler.answer;
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions;
  readonly #answer = Promise.withResolvers<WholeAnswer>();
  readonly #timer: NodeJS.Timeout | undefined;
  #controller: Dispatcher.DispatchController | null = null;
  #givenUp: GivenUp = 'none';
  #isOver = false;
  #status = 0;
  #headers: ApiHeaders = {};
  #chunks: Buffer[] = [];

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const { signal, timeoutMs } = options;
    signal?.addEventListener('abort', this.cancel);
    if (timeoutMs > 0) this.#timer = setTimeout(() => this.#giveUp('timeout'), timeoutMs);
  }

  get answer(): Promise<WholeAnswer> {
    return this.#answer.promise;
  }

  send(dispatcher: Dispatcher, request: Dispatcher.DispatchOptions): void {
    try {
      dispatcher.dispatch(request, this);
    } catch (error) {
      this.#fail(error);
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Given up while it waited for a connection.
    if (this.#givenUp !== 'none') controller.abort(new Error('given up'));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#isOver) return;
    this.#release();
    const chunks = this.#chunks;
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    this.#answer.resolve({ status: this.#status, headers: this.#headers, body });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error);
  }

  readonly cancel = (): void => this.#giveUp('cancelled');

  #giveUp(by: GivenUp): void {
    if (this.#isOver) return;
    this.#givenUp = by;
    this.#controller?.abort(new Error('given up'));
    this.#fail(undefined);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#release();
    if (!(error instanceof NoAnswerError) && this.#givenUp === 'none') this.#options.onLost();
    this.#answer.reject(noAnswer(this.#options.what, this.#givenUp, this.#options.timeoutMs, error));
  }

  #release(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.cancel);
  }
}

/** The error a caller sees for a request without an answer. */
export function noAnswer(what: string, givenUp: GivenUp, timeoutMs: number, error: unknown): NoAnswerError {
  if (error instanceof NoAnswerError) return error;
  if (givenUp === 'timeout') return new NoAnswerError('API_TIMEOUT', `${what}: no answer within ${timeoutMs} ms`, true);
  if (givenUp === 'cancelled') return new NoAnswerError('API_ABORTED', `${what}: given up`, true);
  return new NoAnswerError('API_UNREACHABLE', `${what}: ${causeText(error)}`, !isBeforeSending(error), { cause: error });
}

const BEFORE_SENDING = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);

function isBeforeSending(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' && (BEFORE_SENDING.has(code) || code.startsWith('ERR_TLS_') || code.includes('CERT'));
}

/** Errors of several addresses ("localhost") have an empty message of their own. */
function causeText(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return messageOf(error);
}
