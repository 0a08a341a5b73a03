import { KaiError } from '../base/errors.ts';
import { isProtobufBody, readStatusBody } from './protoEnvelope.ts';

/** What the API server says of a failed request (meta/v1 Status), as far as anything depends on it. */
export interface ApiStatus {
  /** HTTP status code. */
  readonly code: number;
  /** NotFound, AlreadyExists, Conflict, Expired, …; '' unknown. */
  readonly reason: string;
  readonly message: string;
  /** What the server asks to wait, 0 = nothing. */
  readonly retryAfterMs: number;
}

/** The server refused the credentials, also after they were read anew. Whoever runs the process ends it. Code UNAUTHORIZED. */
export class UnauthorizedError extends KaiError {
  constructor(server: string, detail: string) {
    super(
      'UNAUTHORIZED',
      `${server} does not accept the credentials, also after reading them anew: ${detail || 'HTTP 401'}. Check the token or certificate of the kubeconfig or service account.`,
    );
    this.name = 'UnauthorizedError';
  }
}

/** No answer: connection refused or cut, timeout, TLS. Codes API_UNREACHABLE, API_TIMEOUT, API_ABORTED (by the caller's signal). */
export class NoAnswerError extends KaiError {
  /** The request may have reached the server and may have been carried out. */
  readonly mayHaveArrived: boolean;

  constructor(code: 'API_UNREACHABLE' | 'API_TIMEOUT' | 'API_ABORTED', message: string, mayHaveArrived: boolean, options?: ErrorOptions) {
    super(code, message, options);
    this.name = 'NoAnswerError';
    this.mayHaveArrived = mayHaveArrived;
  }
}

/** An answer that is not the wished one. Code API_STATUS. */
export class ApiStatusError extends KaiError {
  readonly status: ApiStatus;

  constructor(what: string, status: ApiStatus) {
    super('API_STATUS', `${what}: HTTP ${status.code}${status.reason === '' ? '' : ` ${status.reason}`}: ${status.message}`);
    this.name = 'ApiStatusError';
    this.status = status;
  }
}

/** Reads a meta/v1 Status, in JSON or protobuf; anything else gives the HTTP code and the first bytes of the text. */
export function parseApiStatus(code: number, headers: ApiHeaders, body: Uint8Array): ApiStatus {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (isProtobufBody(bytes)) return protobufStatus(code, headers, bytes);
  const text = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, 64 << 10)).toString('utf8');
  const status = parseJson(text);
  const detailsMs = numberOf(recordOf(status.details).retryAfterSeconds) * 1000;
  return {
    code,
    reason: textOf(status.reason),
    message: textOf(status.message) || text.slice(0, 200).trim(),
    retryAfterMs: Math.max(retryAfterHeaderMs(headers['retry-after']), detailsMs),
  };
}

/** Those that ask for protobuf are refused in it as well. */
function protobufStatus(code: number, headers: ApiHeaders, body: Buffer): ApiStatus {
  const headerMs = retryAfterHeaderMs(headers['retry-after']);
  try {
    const { reason, message, retryAfterMs } = readStatusBody(body);
    return { code, reason, message, retryAfterMs: Math.max(headerMs, retryAfterMs) };
  } catch {
    return { code, reason: '', message: `${body.length} bytes of protobuf that cannot be read`, retryAfterMs: headerMs };
  }
}

export type ApiHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** `Retry-After` in seconds, as the API server writes it; dates and nonsense count as nothing. */
function retryAfterHeaderMs(value: string | readonly string[] | undefined): number {
  const seconds = Number(typeof value === 'string' ? value : value?.[0]);
  return seconds > 0 && seconds < 86_400 ? seconds * 1000 : 0;
}

function parseJson(text: string): Readonly<Record<string, unknown>> {
  try {
    return recordOf(JSON.parse(text));
  } catch {
    return {};
  }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && value > 0 ? value : 0;
}
