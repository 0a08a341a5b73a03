// The one way in which this process changes anything on the API server: by priority, paced, deduplicated, tried again.
import { Queue } from 'mnemonist';
import { KaiError } from '../base/errors.ts';
import { type ApiStatus, NoAnswerError, parseApiStatus, UnauthorizedError } from './apiError.ts';
import { backoffMs, type Clock, SYSTEM_CLOCK } from './clock.ts';
import type { ApiRequest, ApiResponse, KubeConnection } from './connection.ts';
import { TokenBucket } from './tokenBucket.ts';
import { judge, type WritePolicy, WritePriority } from './writePolicy.ts';

export interface Write {
  /** Of equal keys only the newest is sent, and never two at the same time. */
  readonly key: string;
  readonly priority: WritePriority;
  readonly policy: WritePolicy;
  readonly request: Pick<ApiRequest, 'method' | 'path' | 'query' | 'body' | 'contentType'>;
}

export type WriteResult =
  | { readonly kind: 'done'; readonly status: number; readonly body: Buffer; readonly attempts: number }
  | {
      readonly kind: 'failed';
      /** null: no answer came. */
      readonly status: ApiStatus | null;
      readonly message: string;
      readonly attempts: number;
      /** An attempt without an answer may have been carried out: look before concluding anything, also from a 409. */
      readonly mayHaveArrived: boolean;
    }
  /** A newer write of the same key took its place. */
  | { readonly kind: 'replaced' }
  | { readonly kind: 'cancelled' }
  /** The queue was closed, or this process may not write any more. */
  | { readonly kind: 'closed' };

export interface FinishedAttempt {
  readonly priority: WritePriority;
  readonly method: string;
  /** HTTP status, 0 = no answer. */
  readonly status: number;
  readonly verdict: 'done' | 'failed' | 'retry';
  readonly attempt: number;
  /** From the submission (or, for a retry, its due time) to the sending. */
  readonly waitedMs: number;
  readonly tookMs: number;
}

export interface WriteQueueOptions {
  readonly connection: Pick<KubeConnection, 'request'> & Partial<Pick<KubeConnection, 'isSettling'>>;
  readonly clock?: Clock;
  /** Requests under way at once, default 64. Status and events together get half of it, events a quarter. */
  readonly concurrency?: number;
  /** Requests per second in the long run and at once; default: no limit but `concurrency`. */
  readonly qps?: number;
  readonly burst?: number;
  /** Asked before each request: false (the lease is lost) closes the queue. */
  readonly mayWrite?: () => boolean;
  /** The credentials are refused for good: the process has to end. */
  readonly onUnauthorized?: (error: UnauthorizedError) => void;
  readonly onAttempt?: (attempt: FinishedAttempt) => void;
}

export interface WriteQueueStats {
  /** By priority: waiting to be sent, retries that are not due included. */
  readonly waiting: readonly number[];
  readonly underWay: number;
}

const BACKOFF = { firstMs: 200, maxMs: 30_000 };
/** Between tries that a settling server refuses; their number is bounded by the time for which it settles. */
const SETTLING_BACKOFF = { firstMs: 200, maxMs: 1000 };
const PRIORITIES = [WritePriority.binding, WritePriority.eviction, WritePriority.status, WritePriority.event] as const;
/** Share of the concurrency that a priority and those below it may use together. */
const SHARES = [1, 1, 0.5, 0.25] as const;

interface Entry {
  write: Write;
  resolve: (result: WriteResult) => void;
  state: 'waiting' | 'delayed' | 'underWay' | 'over';
  attempts: number;
  /** Of the attempts, those that do not count against the policy's number. */
  freeAttempts: number;
  mayHaveArrived: boolean;
  readySinceMs: number;
  /** The write of the same key that came while this one was under way. */
  successor: Entry | null;
}

export class WriteQueue {
  readonly #options: WriteQueueOptions;
  readonly #clock: Clock;
  readonly #limits: readonly number[];
  readonly #bucket: TokenBucket | null;
  readonly #queues = PRIORITIES.map(() => new Queue<Entry>());
  readonly #byKey = new Map<string, Entry>();
  readonly #waiting = [0, 0, 0, 0];
  readonly #underWay = [0, 0, 0, 0];
  readonly #pausedUntilMs = [0, 0, 0, 0];
  readonly #abort = new AbortController();
  #isAccepting = true;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(options: WriteQueueOptions) {
    const { concurrency = 64, qps, clock = SYSTEM_CLOCK } = options;
    this.#options = options;
    this.#clock = clock;
    this.#limits = SHARES.map((share) => Math.max(1, Math.floor(concurrency * share)));
    this.#bucket = qps === undefined ? null : new TokenBucket(qps, options.burst ?? qps, clock.monotonicMs());
  }

  /** Never rejects. */
  submit(write: Write): Promise<WriteResult> {
    if (!this.#isAccepting) return Promise.resolve({ kind: 'closed' });
    const { promise, resolve } = Promise.withResolvers<WriteResult>();
    const entry: Entry = {
      write,
      resolve,
      state: 'over',
      attempts: 0,
      freeAttempts: 0,
      mayHaveArrived: false,
      readySinceMs: this.#clock.monotonicMs(),
      successor: null,
    };
    this.#add(entry);
    this.#pump();
    return promise;
  }

  /** Drops a write that is not under way, and what would follow one that is. Gives whether there was any. */
  cancel(key: string): boolean {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return false;
    if (entry.state !== 'underWay') this.#end(entry, { kind: 'cancelled' });
    else if (entry.successor !== null) {
      entry.successor.resolve({ kind: 'cancelled' });
      entry.successor = null;
    } else return false;
    return true;
  }

  stats(): WriteQueueStats {
    return { waiting: [...this.#waiting], underWay: sum(this.#underWay, 0) };
  }

  /** Takes no more writes and waits for those it has, at most `timeoutMs`; then gives up the rest. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isAccepting = false;
    if (this.#byKey.size > 0) {
      this.#idle ??= Promise.withResolvers();
      const done = new AbortController();
      await Promise.race([this.#idle.promise, this.#clock.sleep(timeoutMs, done.signal)]);
      done.abort();
    }
    this.close();
  }

  /** Gives up everything at once; requests under way are cut. */
  close(): void {
    this.#isAccepting = false;
    this.#abort.abort();
    for (const entry of [...this.#byKey.values()]) {
      entry.successor?.resolve({ kind: 'closed' });
      entry.successor = null;
      this.#end(entry, { kind: 'closed' });
    }
  }

  #add(entry: Entry): void {
    const { key, priority } = entry.write;
    const known = this.#byKey.get(key);
    if (known?.state === 'underWay') {
      known.successor?.resolve({ kind: 'replaced' });
      known.successor = entry;
      return;
    }
    if (known !== undefined && known.write.priority === priority) {
      // In its place: neither position nor pause start anew.
      known.resolve({ kind: 'replaced' });
      known.write = entry.write;
      known.resolve = entry.resolve;
      known.attempts = 0;
      known.freeAttempts = 0;
      known.mayHaveArrived = false;
      return;
    }
    if (known !== undefined) this.#end(known, { kind: 'replaced' });
    this.#byKey.set(key, entry);
    this.#enqueue(entry);
    this.#waiting[priority]!++;
  }

  #enqueue(entry: Entry): void {
    entry.state = 'waiting';
    entry.readySinceMs = this.#clock.monotonicMs();
    this.#queues[entry.write.priority]!.enqueue(entry);
  }

  /** Sends what may be sent now; otherwise sees to it that it is called again. */
  #pump(): void {
    for (;;) {
      const nowMs = this.#clock.monotonicMs();
      const entry = this.#peek(nowMs);
      if (entry === undefined) return;
      if (this.#options.mayWrite?.() === false) {
        this.close();
        return;
      }
      if (this.#bucket?.tryTake(nowMs) === false) {
        this.#wake(nowMs + this.#bucket.waitMs(nowMs));
        return;
      }
      this.#queues[entry.write.priority]!.dequeue();
      void this.#send(entry);
    }
  }

  /** The first entry of the highest priority that is neither paused nor at its limit. */
  #peek(nowMs: number): Entry | undefined {
    for (const priority of PRIORITIES) {
      const queue = this.#queues[priority]!;
      // Entries that ended while they waited lie in the queue until they come up.
      while (queue.size > 0 && queue.peek()!.state !== 'waiting') queue.dequeue();
      if (queue.size === 0) continue;
      if (sum(this.#underWay, priority) >= this.#limits[priority]! || sum(this.#underWay, 0) >= this.#limits[0]!) continue;
      if (this.#pausedUntilMs[priority]! <= nowMs) return queue.peek();
      this.#wake(this.#pausedUntilMs[priority]!);
    }
    return undefined;
  }

  #wake(atMs: number): void {
    if (atMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = atMs;
    void this.#clock.sleep(Math.max(1, atMs - this.#clock.monotonicMs()), this.#abort.signal).then(() => {
      if (this.#wakeAtMs === atMs) this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.#pump();
    });
  }

  async #send(entry: Entry): Promise<void> {
    const { write } = entry;
    const { priority, policy, request } = write;
    entry.state = 'underWay';
    entry.attempts++;
    this.#waiting[priority]!--;
    this.#underWay[priority]!++;
    const sentMs = this.#clock.monotonicMs();
    const outcome = await this.#attempt(request, policy);
    this.#underWay[priority]!--;
    this.#options.onAttempt?.({
      priority,
      method: request.method,
      status: outcome.status?.code ?? 0,
      verdict: outcome.verdict,
      attempt: entry.attempts,
      waitedMs: sentMs - entry.readySinceMs,
      tookMs: this.#clock.monotonicMs() - sentMs,
    });
    // Closed meanwhile: everything has been told already.
    if (entry.state === 'underWay') this.#settle(entry, outcome);
    this.#pump();
  }

  async #attempt(request: Write['request'], policy: WritePolicy): Promise<Outcome> {
    try {
      const response = await this.#options.connection.request({
        ...request,
        lane: 'write',
        timeoutMs: policy.timeoutMs,
        signal: this.#abort.signal,
      });
      const status = parseSuccess(response) ?? parseApiStatus(response.status, response.headers, response.body);
      const isSettling = this.#options.connection.isSettling?.() ?? false;
      return { verdict: judge(policy, status, isSettling), status, body: response.body, message: status.message, mayHaveArrived: false };
    } catch (error) {
      if (error instanceof UnauthorizedError) this.#options.onUnauthorized?.(error);
      const message = error instanceof Error ? error.message : String(error);
      const isHopeless = error instanceof UnauthorizedError || !(error instanceof KaiError);
      const mayHaveArrived = error instanceof NoAnswerError && error.mayHaveArrived;
      return { verdict: isHopeless ? 'failed' : 'retry', status: null, body: null, message, mayHaveArrived };
    }
  }

  #settle(entry: Entry, outcome: Outcome): void {
    const { verdict, status, body, message } = outcome;
    const { attempts, successor } = entry;
    entry.mayHaveArrived ||= outcome.mayHaveArrived;
    const isEarly = verdict === 'retry' && status?.code === 403;
    if (isEarly) entry.freeAttempts++;
    const backoff = isEarly ? SETTLING_BACKOFF : BACKOFF;
    const delayMs = verdict === 'retry' ? backoffMs(attempts, backoff, this.#clock.random(), status?.retryAfterMs) : 0;
    // An overloaded server wants to hear less of everybody, not only of this write.
    if (status?.code === 429) this.#pause(entry.write.priority, delayMs);
    if (successor !== null) {
      entry.successor = null;
      this.#end(entry, verdict === 'done' ? done(status, body, attempts) : { kind: 'replaced' });
      this.#byKey.set(successor.write.key, successor);
      this.#waiting[successor.write.priority]!++;
      this.#delay(successor, delayMs);
    } else if (verdict === 'done') this.#end(entry, done(status, body, attempts));
    else if (verdict === 'retry' && attempts - entry.freeAttempts < entry.write.policy.maxAttempts) {
      this.#waiting[entry.write.priority]!++;
      this.#delay(entry, delayMs);
    } else this.#end(entry, { kind: 'failed', status, message, attempts, mayHaveArrived: entry.mayHaveArrived });
  }

  #delay(entry: Entry, delayMs: number): void {
    if (delayMs <= 0) {
      this.#enqueue(entry);
      return;
    }
    entry.state = 'delayed';
    void this.#clock.sleep(delayMs, this.#abort.signal).then(() => {
      if (entry.state !== 'delayed') return;
      this.#enqueue(entry);
      this.#pump();
    });
  }

  #pause(priority: WritePriority, delayMs: number): void {
    const untilMs = this.#clock.monotonicMs() + delayMs;
    for (let p: number = priority; p < PRIORITIES.length; p++) this.#pausedUntilMs[p] = Math.max(this.#pausedUntilMs[p]!, untilMs);
  }

  #end(entry: Entry, result: WriteResult): void {
    const { key, priority } = entry.write;
    if (entry.state === 'waiting' || entry.state === 'delayed') this.#waiting[priority]!--;
    entry.state = 'over';
    if (this.#byKey.get(key) === entry) this.#byKey.delete(key);
    entry.resolve(result);
    if (this.#byKey.size === 0) this.#idle?.resolve();
  }
}

interface Outcome {
  readonly verdict: 'done' | 'failed' | 'retry';
  readonly status: ApiStatus | null;
  readonly body: Buffer | null;
  readonly message: string;
  readonly mayHaveArrived: boolean;
}

/** The body of a success is the object written; only the caller knows whether to read it. */
function parseSuccess({ status }: ApiResponse): ApiStatus | undefined {
  return status >= 200 && status < 300 ? { code: status, reason: '', message: '', retryAfterMs: 0 } : undefined;
}

function done(status: ApiStatus | null, body: Buffer | null, attempts: number): WriteResult {
  return { kind: 'done', status: status?.code ?? 0, body: body ?? Buffer.alloc(0), attempts };
}

function sum(counts: readonly number[], from: number): number {
  let total = 0;
  for (let i = from; i < counts.length; i++) total += counts[i]!;
  return total;
}
