// What the answers of the API server mean for each kind of write (spec 03 section 12, 07 section 6.5).
import type { ApiStatus } from './apiError.ts';

/** Order in which waiting writes are sent. */
export const WritePriority = { binding: 0, eviction: 1, status: 2, event: 3 } as const;
export type WritePriority = (typeof WritePriority)[keyof typeof WritePriority];

/** done: what was wanted is the case. failed: it will not become so by trying again. */
export type Verdict = 'done' | 'failed' | 'retry';

export interface WritePolicy {
  /** Answers that mean something else than the general rule says, by HTTP status. */
  readonly answers: Readonly<Record<number, Verdict>>;
  /** Attempts in all; Infinity = until something else ends it. */
  readonly maxAttempts: number;
  /** Time for one attempt. */
  readonly timeoutMs: number;
}

/** Gone: the object does not exist any more, so nobody needs what was to be written about it. */
const GONE = { 404: 'done', 410: 'done' } as const;

export const WRITE_POLICIES = Object.freeze({
  /** A pod that is gone (404) or bound already (409: the caller looks where) is not bound by trying again. */
  binding: { answers: { 404: 'failed', 409: 'failed', 410: 'failed' }, maxAttempts: 6, timeoutMs: 10_000 },
  /** Deleting what is gone is done; a UID that differs (409) is another object. */
  deletion: { answers: { ...GONE, 409: 'failed' }, maxAttempts: 8, timeoutMs: 10_000 },
  /** NotFound and Conflict are final (03 section 12.2): a later cycle writes anew from what it sees then. */
  status: { answers: { ...GONE, 409: 'failed' }, maxAttempts: 5, timeoutMs: 10_000 },
  /** Worth two more tries; one that exists already was written by a try whose answer got lost. */
  event: { answers: { 404: 'failed', 409: 'done', 410: 'failed' }, maxAttempts: 3, timeoutMs: 10_000 },
} satisfies Record<string, WritePolicy>);

/** By the words of the API server's authorizer; a refusal by admission, a quota or a webhook is a 403 as well, and final. */
const NO_PERMISSION = /\bcannot \S+ resource\b/;

/** The refusal of a server that may not have read its roles yet (`isSettling`): it says nothing about the permission. */
export function isPremature({ code, message }: Pick<ApiStatus, 'code' | 'message'>, isSettling: boolean): boolean {
  return isSettling && code === 403 && NO_PERMISSION.test(message);
}

/** Success is done; overload (429), time-outs and server errors are tried again, and premature refusals; any other is final. */
export function judge(policy: WritePolicy, status: Pick<ApiStatus, 'code' | 'message'>, isSettling = false): Verdict {
  const { code } = status;
  if (isPremature(status, isSettling)) return 'retry';
  const special = policy.answers[code];
  if (special !== undefined) return special;
  if (code >= 200 && code < 300) return 'done';
  return code === 408 || code === 429 || code === 500 || code === 502 || code === 503 || code === 504 ? 'retry' : 'failed';
}
