// Leader election by a Lease of coordination.k8s.io (spec 08 section 6.3), with release on stop and a standby that watches.
import { KaiError } from '../base/errors.ts';
import { ApiStatusError, parseApiStatus, UnauthorizedError } from './apiError.ts';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { type ApiResponse, type HttpMethod, jsonOf, type KubeConnection } from './connection.ts';

export interface LeaseOptions {
  readonly connection: KubeConnection;
  readonly namespace: string;
  readonly name: string;
  /** Of this process: "<hostname>_<uuid>". */
  readonly identity: string;
  /** After this time without renewal others may take the lease; default 15,000. */
  readonly durationMs?: number;
  /** After this time without successful renewal the holder gives up; default 10,000. Less than `durationMs`. */
  readonly renewDeadlineMs?: number;
  /** Between renewals, and between tries of a standby; default 5,000. */
  readonly retryPeriodMs?: number;
  readonly clock?: Clock;
  /** A failure that is tried again. */
  readonly onTrouble?: (error: KaiError) => void;
  /** The server answered a try, whoever holds the lease. */
  readonly onAnswer?: () => void;
  /** Who holds the lease, as far as is known; '' nobody. */
  readonly onHolder?: (identity: string) => void;
}

interface LeaseRecord {
  readonly holder: string;
  readonly durationMs: number;
  readonly renewTime: string;
  readonly acquireTime: string;
  readonly transitions: number;
  readonly resourceVersion: string;
  /** As it came, for the fields that are not ours. */
  readonly object: Readonly<Record<string, unknown>>;
}

const REQUEST_TIMEOUT_MS = 2500;
const WATCH_SECONDS = 300;

export class LeaderElector {
  readonly #options: LeaseOptions;
  readonly #clock: Clock;
  readonly #durationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #path: string;
  readonly #stop = new AbortController();
  #record: LeaseRecord | null = null;
  /** When the record was last seen to change, on this process's clock: clocks of machines need not agree. */
  #recordSeenMs = 0;
  #renewedMs = Number.NEGATIVE_INFINITY;
  #isHolder = false;
  #renewing: Promise<void> | null = null;
  readonly #lost = Promise.withResolvers<KaiError>();

  constructor(options: LeaseOptions) {
    const { durationMs = 15_000, renewDeadlineMs = 10_000, retryPeriodMs = 5000, clock = SYSTEM_CLOCK } = options;
    if (!(retryPeriodMs > 0 && retryPeriodMs < renewDeadlineMs && renewDeadlineMs < durationMs)) {
      throw new KaiError(
        'BAD_LEASE',
        `lease times must rise: retry ${retryPeriodMs} < renew ${renewDeadlineMs} < duration ${durationMs} ms`,
      );
    }
    this.#options = options;
    this.#clock = clock;
    this.#durationMs = durationMs;
    this.#renewDeadlineMs = renewDeadlineMs;
    this.#retryPeriodMs = retryPeriodMs;
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`;
  }

  /** Resolves with the reason when a lease that was held is lost: another process may decide from now on. Not after `release`. */
  get lost(): Promise<KaiError> {
    return this.#lost.promise;
  }

  /** True while no other process can hold the lease, whatever happens to the network. To be asked before each write. */
  isHeld(): boolean {
    return this.#isHolder && this.#clock.monotonicMs() - this.#renewedMs < this.#renewDeadlineMs;
  }

  /** Who holds the lease by what was last read, '' = nobody, or nobody that has renewed it in time. */
  holder(): string {
    const record = this.#record;
    if (record === null || (!this.#isHolder && this.#isExpired(record))) return '';
    return record.holder;
  }

  /** Waits until the lease is held (true) or `signal` is aborted (false), then renews it in the background. Throws UnauthorizedError. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await this.#attempt()) {
        // What ends the renewing ends the leadership.
        this.#renewing = this.#keepRenewing().catch((error: KaiError) => {
          this.#isHolder = false;
          this.#lost.resolve(error);
        });
        return true;
      }
      await this.#waitForChance(signal);
    }
    return false;
  }

  /** Gives the lease back, so that a standby takes over at once. Stop deciding and drain the writes before. */
  async release(): Promise<void> {
    this.#stop.abort();
    await this.#renewing;
    const record = this.#record;
    if (!this.isHeld() || record === null) return;
    this.#isHolder = false;
    try {
      await this.#put({ ...record, holder: '', durationMs: 1000 });
    } catch (error) {
      this.#trouble(error);
    }
  }

  /** One try to take or renew the lease. */
  async #attempt(): Promise<boolean> {
    const startedMs = this.#clock.monotonicMs();
    try {
      const isOurs = await this.#takeOrRenew();
      this.#options.onAnswer?.();
      this.#isHolder = isOurs;
      if (isOurs) this.#renewedMs = startedMs;
      return isOurs;
    } catch (error) {
      this.#trouble(error);
      return false;
    }
  }

  async #takeOrRenew(): Promise<boolean> {
    // What was written last is most likely still there: one request instead of two.
    if (this.#isHolder && this.#record !== null && (await this.#put(this.#claim(this.#record)))) return true;
    const response = await this.#request('GET', `${this.#path}/${this.#options.name}`);
    if (response.status === 404) return this.#create();
    if (response.status !== 200) throw refusal('reading the lease', response);
    const record = this.#observe(readRecord(jsonOf(response)));
    const isFree = record.holder === '' || record.holder === this.#options.identity || this.#isExpired(record);
    return isFree && this.#put(this.#claim(record));
  }

  #isExpired(record: LeaseRecord): boolean {
    return this.#clock.monotonicMs() - this.#recordSeenMs >= record.durationMs;
  }

  #claim(record: LeaseRecord): LeaseRecord {
    const isOurs = record.holder === this.#options.identity;
    return {
      ...record,
      holder: this.#options.identity,
      durationMs: this.#durationMs,
      acquireTime: isOurs ? record.acquireTime : this.#microTime(),
      transitions: record.transitions + (isOurs ? 0 : 1),
    };
  }

  async #create(): Promise<boolean> {
    const { namespace, name, identity } = this.#options;
    const object = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name } };
    const acquireTime = this.#microTime();
    const blank = {
      holder: identity,
      durationMs: this.#durationMs,
      renewTime: '',
      acquireTime,
      transitions: 0,
      resourceVersion: '',
      object,
    };
    const response = await this.#request('POST', this.#path, this.#toObject(blank));
    if (response.status === 409) return false;
    if (response.status !== 201) throw refusal('creating the lease', response);
    this.#observe(readRecord(jsonOf(response)));
    return true;
  }

  /** False: someone else wrote in between. */
  async #put(record: LeaseRecord): Promise<boolean> {
    const response = await this.#request('PUT', `${this.#path}/${this.#options.name}`, this.#toObject(record));
    if (response.status === 409 || response.status === 404) return false;
    if (response.status !== 200) throw refusal('writing the lease', response);
    this.#observe(readRecord(jsonOf(response)));
    return true;
  }

  #toObject(record: LeaseRecord): unknown {
    const spec = (record.object.spec ?? {}) as Readonly<Record<string, unknown>>;
    return {
      ...record.object,
      spec: {
        ...spec,
        holderIdentity: record.holder,
        leaseDurationSeconds: Math.max(1, Math.round(record.durationMs / 1000)),
        acquireTime: record.acquireTime,
        renewTime: this.#microTime(),
        leaseTransitions: record.transitions,
      },
    };
  }

  #observe(record: LeaseRecord): LeaseRecord {
    if (record.holder !== this.#record?.holder) this.#options.onHolder?.(record.holder);
    if (record.resourceVersion !== this.#record?.resourceVersion) this.#recordSeenMs = this.#clock.monotonicMs();
    this.#record = record;
    return record;
  }

  async #keepRenewing(): Promise<void> {
    const { signal } = this.#stop;
    let pauseMs = this.#retryPeriodMs;
    for (;;) {
      await this.#clock.sleep(pauseMs, signal);
      if (signal.aborted) return;
      if (await this.#attemptRenewal()) pauseMs = this.#retryPeriodMs;
      else if (this.isHeld()) pauseMs = Math.min(1000, this.#retryPeriodMs / 2);
      else {
        const holder = this.#record?.holder ?? '';
        const other = holder !== '' && holder !== this.#options.identity ? `, held by ${holder}` : '';
        this.#isHolder = false;
        this.#lost.resolve(new KaiError('LEASE_LOST', `the lease ${this.#options.namespace}/${this.#options.name} is lost${other}`));
        return;
      }
    }
  }

  /** A failure leaves the lease held until the deadline; another holder ends it at once. */
  async #attemptRenewal(): Promise<boolean> {
    const wasHolder = this.#isHolder;
    const isRenewed = await this.#attempt();
    const holder = this.#record?.holder;
    if (!isRenewed && wasHolder) this.#isHolder = holder === this.#options.identity;
    return isRenewed;
  }

  /** Until the next try of a standby: a jittered period, or less when the lease changes. */
  async #waitForChance(signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const cancel = (): void => done.abort();
    signal.addEventListener('abort', cancel);
    if (signal.aborted) cancel();
    const random = this.#clock.random();
    // A holder that is gone without release: at hand when its time is over.
    const remainingMs = this.#recordSeenMs + (this.#record?.durationMs ?? Number.POSITIVE_INFINITY) - this.#clock.monotonicMs();
    const periodMs = Math.min(this.#retryPeriodMs * (0.8 + 0.4 * random), Math.max(100, remainingMs) + 500 * random);
    await Promise.race([this.#clock.sleep(periodMs, done.signal), this.#changed(done.signal)]);
    done.abort();
    signal.removeEventListener('abort', cancel);
  }

  /** Resolves when the lease changes. Never, when that cannot be watched: the period decides then. */
  async #changed(signal: AbortSignal): Promise<void> {
    const never = new Promise<void>(() => undefined);
    if (this.#record === null) return never;
    try {
      const stream = await this.#options.connection.stream({
        method: 'GET',
        path: this.#path,
        query: {
          watch: 1,
          fieldSelector: `metadata.name=${this.#options.name}`,
          resourceVersion: this.#record.resourceVersion,
          timeoutSeconds: WATCH_SECONDS,
        },
        lane: 'watch',
        signal,
      });
      try {
        if (stream.status === 200) for await (const _ of stream.body) return;
      } finally {
        stream.cancel();
      }
    } catch (error) {
      // The next try meets the same failure and reports it.
      if (!(error instanceof KaiError)) throw error;
    }
    return never;
  }

  async #request(method: HttpMethod, path: string, body?: unknown): Promise<ApiResponse> {
    return this.#options.connection.request({
      method,
      path,
      body,
      lane: 'lease',
      timeoutMs: Math.min(REQUEST_TIMEOUT_MS, this.#retryPeriodMs),
    });
  }

  #trouble(error: unknown): void {
    if (error instanceof UnauthorizedError || !(error instanceof KaiError)) throw error;
    this.#options.onTrouble?.(error);
  }

  /** "2026-01-01T12:00:00.000000Z", the form of MicroTime. */
  #microTime(): string {
    return `${new Date(this.#clock.nowMs()).toISOString().slice(0, -1)}000Z`;
  }
}

function refusal(what: string, { status, headers, body }: ApiResponse): ApiStatusError {
  return new ApiStatusError(what, parseApiStatus(status, headers, body));
}

function readRecord(value: unknown): LeaseRecord {
  const object = fieldsOf(value);
  const metadata = fieldsOf(object.metadata);
  const spec = fieldsOf(object.spec);
  const text = (field: unknown): string => (typeof field === 'string' ? field : '');
  const count = (field: unknown): number => (typeof field === 'number' && field > 0 ? field : 0);
  return {
    holder: text(spec.holderIdentity),
    durationMs: count(spec.leaseDurationSeconds) * 1000,
    renewTime: text(spec.renewTime),
    acquireTime: text(spec.acquireTime),
    transitions: count(spec.leaseTransitions),
    resourceVersion: text(metadata.resourceVersion),
    object,
  };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
