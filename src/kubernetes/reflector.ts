// Keeps a copy of one list of the API server up to date: a list in pages, then a watch that is resumed for as long as it goes.
import { KaiError } from '../base/errors.ts';
import type { ListName } from '../base/objects.ts';
import { type ApiStatus, ApiStatusError, parseApiStatus, UnauthorizedError } from './apiError.ts';
import { backoffMs, type Clock } from './clock.ts';
import { isProtobuf, ListCodec, type ListPage, type WatchMessage } from './codec.ts';
import type { ApiResponse, ApiStream, KubeConnection } from './connection.ts';
import type { ServedList } from './discovery.ts';
import { FrameSplitter } from './frames.ts';
import { KnownObjects } from './knownObjects.ts';
import type { Observed } from './observedObjects.ts';
import type { TurnBudget } from './turns.ts';

/** Where the objects of a list go. Calls come in the order of the changes; an object that did not change is not put again. */
export interface ReflectorSink {
  /** A new object, or a new version of one. Before a recreated object of the same name the old one is removed. */
  put(list: ListName, key: string, observed: Observed): void;
  /** `key`: "namespace/name", cluster-scoped "name". */
  remove(list: ListName, key: string, uid: string): void;
  /** A whole list has been passed on; called again after each later one. */
  synced(list: ListName): void;
}

/** Why a watch was started again. */
export type RestartReason =
  /** The server ended it, as it does after `timeoutSeconds`. */
  | 'ended'
  /** Cut, refused, timed out. */
  | 'dropped'
  /** The server answered with an error. */
  | 'refused'
  /** Broken line or frame. */
  | 'garbled'
  /** 410: the version is too old, the list is read again. */
  | 'gone';

/** For metrics and logs. None may throw. */
export interface ReflectorHooks {
  listed?(list: ListName, objects: number, tookMs: number): void;
  /** A chunk of `events` messages was applied `lagMs` after it arrived in this process. */
  events?(list: ListName, events: number, lagMs: number): void;
  restarted?(list: ListName, reason: RestartReason, delayMs: number): void;
  /** A failure that is tried again after `delayMs`. */
  trouble?(list: ListName, error: KaiError, delayMs: number): void;
  /** An object that could not be read at all. */
  unreadable?(list: ListName, error: KaiError): void;
}

export interface ReflectorOptions {
  readonly connection: KubeConnection;
  readonly served: ServedList;
  readonly sink: ReflectorSink;
  readonly clock: Clock;
  readonly turns: TurnBudget;
  readonly hooks: ReflectorHooks;
}

const BACKOFF = { firstMs: 250, maxMs: 10_000 };
/** Watches end after a random time in this range, so that they do not all come back at once. */
const MIN_WATCH_S = 300;
const MAX_WATCH_S = 600;
/** Beyond the time it was asked for, a watch is dead. */
const WATCH_GRACE_S = 30;
/** A watch that ends sooner and brings nothing is a failure. */
const SHORT_WATCH_MS = 1000;
/** So many failures in a row that the server answered to, and the list is read again. */
const RELIST_AFTER = 3;

/** Ends one watch; the loop decides how to go on. */
class WatchEnd extends Error {
  readonly reason: RestartReason;
  readonly status: ApiStatus | null;

  constructor(reason: RestartReason, message: string, status: ApiStatus | null = null) {
    super(message);
    this.reason = reason;
    this.status = status;
  }
}

export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #list: ListName;
  readonly #codec: ListCodec;
  readonly #known: KnownObjects;
  #resourceVersion = '';
  #isListNeeded = true;
  #failures = 0;
  #lastMessageMs = Number.NaN;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    this.#list = options.served.spec.list;
    this.#codec = new ListCodec(options.served);
    this.#known = new KnownObjects(this.#list, options.sink);
  }

  /** Objects known at this moment. */
  get size(): number {
    return this.#known.size;
  }

  /** Milliseconds since the server last said anything on this list (bookmarks come about once a minute); NaN before. */
  get silentMs(): number {
    return this.#options.clock.monotonicMs() - this.#lastMessageMs;
  }

  /** Works until `signal` is aborted. Rejects with UnauthorizedError and errors of this program only; all else is tried again. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#isListNeeded) await this.#readList(signal);
        if (!signal.aborted) await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error, signal);
      }
    }
  }

  async #readList(signal: AbortSignal): Promise<void> {
    const { clock, sink, hooks } = this.#options;
    const startedMs = clock.monotonicMs();
    this.#known.beginList();
    const resourceVersion = await this.#readPages(signal);
    if (signal.aborted) return;
    this.#known.endList();
    this.#resourceVersion = resourceVersion;
    this.#isListNeeded = false;
    this.#failures = 0;
    this.#lastMessageMs = clock.monotonicMs();
    hooks.listed?.(this.#list, this.#known.size, clock.monotonicMs() - startedMs);
    sink.synced(this.#list);
  }

  /** Gives the version of the list. The server makes the next page while this one is decoded. */
  async #readPages(signal: AbortSignal): Promise<string> {
    const ended = new AbortController();
    const either = AbortSignal.any([signal, ended.signal]);
    try {
      for (let asked = this.#askForPage(undefined, either); ; ) {
        const page = await this.#openPage(await asked);
        const { resourceVersion, continueToken } = page;
        if (signal.aborted) return resourceVersion;
        const isLast = continueToken === '';
        if (!isLast) {
          asked = this.#askForPage(continueToken, either);
          // It may fail before anybody waits for it; awaiting it tells.
          asked.catch(() => undefined);
        }
        await this.#applyPage(page, signal);
        if (isLast || signal.aborted) return resourceVersion;
      }
    } finally {
      // A page that is still asked for is of no use after a failure.
      ended.abort();
    }
  }

  async #askForPage(token: string | undefined, signal: AbortSignal): Promise<ApiResponse> {
    const { connection, served } = this.#options;
    const response = await connection.request({
      method: 'GET',
      path: served.path,
      query: { limit: this.#codec.pageSize, continue: token, fieldSelector: served.spec.fieldSelector },
      accept: this.#codec.listAccept,
      lane: 'read',
      timeoutMs: 60_000,
      signal,
    });
    if (response.status === 200) return response;
    throw new ApiStatusError(`listing ${served.path}`, parseApiStatus(response.status, response.headers, response.body));
  }

  async #openPage({ headers, body }: ApiResponse): Promise<ListPage> {
    const { turns } = this.#options;
    if (turns.isSpent()) await turns.next();
    return this.#codec.readPage(body, contentTypeOf(headers['content-type']));
  }

  async #applyPage(page: ListPage, signal: AbortSignal): Promise<void> {
    const { turns, hooks } = this.#options;
    for (let i = 0; i < page.count; i++) {
      if (turns.isSpent()) await turns.next();
      if (signal.aborted) return;
      try {
        this.#known.list(page.item(i));
      } catch (error) {
        if (!isBadObject(error)) throw error;
        hooks.unreadable?.(this.#list, error);
      }
    }
  }

  /** Returns never but by an error: WatchEnd, NoAnswerError, what the codec throws; or when `signal` is aborted. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { clock, connection, served } = this.#options;
    const seconds = Math.round(MIN_WATCH_S + clock.random() * (MAX_WATCH_S - MIN_WATCH_S));
    const startedMs = clock.monotonicMs();
    const stream = await connection.stream({
      method: 'GET',
      path: served.path,
      query: {
        watch: 1,
        allowWatchBookmarks: true,
        resourceVersion: this.#resourceVersion,
        timeoutSeconds: seconds,
        fieldSelector: served.spec.fieldSelector,
      },
      accept: this.#codec.watchAccept,
      lane: 'watch',
      timeoutMs: (seconds + WATCH_GRACE_S) * 1000,
      signal,
    });
    let messages = 0;
    try {
      if (stream.status !== 200) throw await refusal(stream);
      messages = await this.#readEvents(stream, signal);
    } finally {
      stream.cancel();
    }
    const isShort = messages === 0 && clock.monotonicMs() - startedMs < SHORT_WATCH_MS;
    if (!signal.aborted) throw new WatchEnd(isShort ? 'dropped' : 'ended', 'the watch ended');
  }

  async #readEvents(stream: ApiStream, signal: AbortSignal): Promise<number> {
    const { clock, turns, hooks } = this.#options;
    const contentType = contentTypeOf(stream.headers['content-type']);
    const splitter = new FrameSplitter(isProtobuf(contentType));
    let total = 0;
    for await (const chunk of stream.body) {
      const arrivedMs = clock.monotonicMs();
      this.#lastMessageMs = arrivedMs;
      splitter.push(chunk);
      let count = 0;
      for (let frame = splitter.next(); frame !== undefined; frame = splitter.next()) {
        if (turns.isSpent()) await turns.next();
        if (signal.aborted) return total;
        this.#applyFrame(frame, contentType);
        count++;
      }
      total += count;
      if (count > 0) hooks.events?.(this.#list, count, clock.monotonicMs() - arrivedMs);
    }
    if (splitter.pendingBytes > 0) throw new WatchEnd('garbled', `the watch ended within a message (${splitter.pendingBytes} bytes of it)`);
    return total;
  }

  #applyFrame(frame: Buffer, contentType: string): void {
    let message: WatchMessage;
    try {
      message = this.#codec.readMessage(frame, contentType);
    } catch (error) {
      if (!isBadObject(error)) throw error;
      this.#options.hooks.unreadable?.(this.#list, error);
      return;
    }
    if (message.type === 'ERROR') {
      const { status } = message;
      throw new WatchEnd(isGone(status) ? 'gone' : 'refused', `the watch ended with an error: ${status.message}`, status);
    }
    if (message.type === 'BOOKMARK') this.#advance(message.resourceVersion);
    else {
      this.#known.apply(message.type, message.observed);
      this.#advance(message.observed.resourceVersion);
    }
    this.#failures = 0;
  }

  #advance(resourceVersion: string): void {
    if (resourceVersion !== '') this.#resourceVersion = resourceVersion;
  }

  /** Waits as long as fits the failure, and decides whether the watch can be resumed. Rethrows what nothing can be done about. */
  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { clock, hooks } = this.#options;
    if (error instanceof UnauthorizedError || !isExpected(error)) throw error;
    const wasListing = this.#isListNeeded;
    const reason = reasonOf(error);
    const status = statusOf(error);
    if (reason === 'ended') {
      this.#failures = 0;
      hooks.restarted?.(this.#list, reason, 0);
      return;
    }
    this.#failures++;
    if (reason === 'gone' || (reason !== 'dropped' && this.#failures >= RELIST_AFTER)) this.#isListNeeded = true;
    // The first 410 of a watch needs no pause: the list is read from another place.
    const isFirstGone = reason === 'gone' && !wasListing && this.#failures === 1;
    const delayMs = isFirstGone ? 0 : backoffMs(this.#failures, BACKOFF, clock.random(), status?.retryAfterMs);
    if (reason === 'garbled' && this.#failures > 1) this.#codec.fallBackToJson();
    if (!wasListing) hooks.restarted?.(this.#list, reason, delayMs);
    if (reason !== 'gone') hooks.trouble?.(this.#list, describe(error, this.#options.served.path), delayMs);
    if (delayMs > 0) await clock.sleep(delayMs, signal);
  }
}

async function refusal(stream: ApiStream): Promise<WatchEnd> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream.body) chunks.push(chunk);
  const status = parseApiStatus(stream.status, stream.headers, Buffer.concat(chunks));
  const text = `the watch was refused: HTTP ${status.code} ${status.reason}: ${status.message}`;
  return new WatchEnd(isGone(status) ? 'gone' : 'refused', text, status);
}

function isGone({ code, reason }: ApiStatus): boolean {
  return code === 410 || reason === 'Expired' || reason === 'Gone';
}

function isBadObject(error: unknown): error is KaiError {
  return error instanceof KaiError && error.code === 'BAD_OBJECT';
}

/** Anything else is a defect of this program: trying again would only hide it. */
function isExpected(error: unknown): error is KaiError | WatchEnd {
  return error instanceof KaiError || error instanceof WatchEnd;
}

function reasonOf(error: KaiError | WatchEnd): RestartReason {
  if (error instanceof WatchEnd) return error.reason;
  if (error instanceof ApiStatusError) return isGone(error.status) ? 'gone' : 'refused';
  return error.code === 'BAD_ANSWER' ? 'garbled' : 'dropped';
}

function statusOf(error: unknown): ApiStatus | undefined {
  if (error instanceof ApiStatusError) return error.status;
  return error instanceof WatchEnd ? (error.status ?? undefined) : undefined;
}

function describe(error: KaiError | WatchEnd, path: string): KaiError {
  return error instanceof KaiError ? error : new KaiError('WATCH_ENDED', `${path}: ${error.message}`);
}

function contentTypeOf(header: string | readonly string[] | undefined): string {
  return typeof header === 'string' ? header : (header?.[0] ?? '');
}
