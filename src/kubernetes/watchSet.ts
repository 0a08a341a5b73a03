// All lists that scheduling needs, watched at once and fed into a snapshot writer.
import type { KaiError, ObjectProblem } from '../base/errors.ts';
import type { ListName } from '../base/objects.ts';
import type { SnapshotWriter } from '../base/writerPort.ts';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import type { KubeConnection } from './connection.ts';
import type { Discovery } from './discovery.ts';
import type { Observed } from './observedObjects.ts';
import { Reflector, type ReflectorHooks, type ReflectorSink } from './reflector.ts';
import { TurnBudget } from './turns.ts';

/** Told of every change right after the writer was. */
export interface WatchObserver {
  put?(list: ListName, key: string, observed: Observed): void;
  removed?(list: ListName, key: string, uid: string): void;
  /** Each defect of an object once, as long as it stays the same. */
  problem?(problem: ObjectProblem): void;
  synced?(list: ListName): void;
}

export interface WatchSetOptions {
  readonly connection: KubeConnection;
  readonly discovery: Discovery;
  readonly writer: Pick<SnapshotWriter, 'put' | 'remove'>;
  readonly observer?: WatchObserver;
  readonly hooks?: ReflectorHooks;
  readonly clock?: Clock;
  /** Default: all lists that are served. */
  readonly lists?: readonly ListName[];
  /** Of `createTurns`, shared with other sets. Default: its own. */
  readonly turns?: TurnBudget;
}

export interface ListState {
  readonly list: ListName;
  readonly isSynced: boolean;
  readonly objects: number;
  /** Since the server last said anything, NaN before. */
  readonly silentMs: number;
}

export interface WatchSet {
  /** Resolves when every list has been read once. Never, when `run` ends before. */
  readonly synced: Promise<void>;
  isSynced(): boolean;
  states(): readonly ListState[];
  /** Works until `signal` is aborted. Rejects with UnauthorizedError, and with errors of this program. */
  run(signal: AbortSignal): Promise<void>;
}

/** What all lists together may do before the event loop goes on; with the last item and a page's parsing it stays below 20 ms. */
const TURN_BUDGET_MS = 6;
/** Objects whose defects are remembered. */
const MAX_DEFECTIVE = 10_000;

/** The share of the event loop of lists that are read at the same time. */
export function createTurns(): TurnBudget {
  return new TurnBudget(TURN_BUDGET_MS);
}

export function createWatchSet(options: WatchSetOptions): WatchSet {
  return new Watches(options);
}

class Watches implements WatchSet {
  readonly synced: Promise<void>;
  readonly #writer: WatchSetOptions['writer'];
  readonly #observer: WatchObserver;
  readonly #reflectors = new Map<ListName, Reflector>();
  readonly #unsynced: Set<ListName>;
  /** Texts of the last defects by list and key. */
  readonly #defects = new Map<string, string>();
  readonly #resolveSynced: () => void;

  constructor(options: WatchSetOptions) {
    const { connection, discovery, clock = SYSTEM_CLOCK, hooks = {} } = options;
    this.#writer = options.writer;
    this.#observer = options.observer ?? {};
    const turns = options.turns ?? createTurns();
    const ownHooks: ReflectorHooks = { ...hooks, unreadable: (list, error) => this.#unreadable(list, error, hooks) };
    const sink: ReflectorSink = {
      put: (list, key, observed) => this.#put(list, key, observed),
      remove: (list, key, uid) => this.#remove(list, key, uid),
      synced: (list) => this.#listed(list),
    };
    for (const [list, served] of discovery.lists) {
      if (options.lists !== undefined && !options.lists.includes(list)) continue;
      this.#reflectors.set(list, new Reflector({ connection, served, sink, clock, turns, hooks: ownHooks }));
    }
    this.#unsynced = new Set(this.#reflectors.keys());
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#resolveSynced = resolve;
    if (this.#unsynced.size === 0) resolve();
  }

  isSynced(): boolean {
    return this.#unsynced.size === 0;
  }

  states(): readonly ListState[] {
    return [...this.#reflectors].map(([list, { size, silentMs }]) => ({
      list,
      isSynced: !this.#unsynced.has(list),
      objects: size,
      silentMs,
    }));
  }

  async run(signal: AbortSignal): Promise<void> {
    // One that fails takes the others with it.
    const own = new AbortController();
    const stop = (): void => own.abort();
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    try {
      await Promise.all([...this.#reflectors.values()].map((reflector) => reflector.run(own.signal)));
    } finally {
      stop();
      signal.removeEventListener('abort', stop);
    }
  }

  #put(list: ListName, key: string, observed: Observed): void {
    const problems = this.#writer.put(list, observed.object);
    this.#report(list, key, observed.problems, problems);
    this.#observer.put?.(list, key, observed);
  }

  #remove(list: ListName, key: string, uid: string): void {
    this.#writer.remove(list, key);
    this.#defects.delete(`${list} ${key}`);
    this.#observer.removed?.(list, key, uid);
  }

  #listed(list: ListName): void {
    this.#unsynced.delete(list);
    this.#observer.synced?.(list);
    if (this.#unsynced.size === 0) this.#resolveSynced();
  }

  #report(list: ListName, key: string, ofFields: readonly ObjectProblem[], ofWriter: readonly ObjectProblem[]): void {
    const id = `${list} ${key}`;
    if (ofFields.length === 0 && ofWriter.length === 0) {
      if (this.#defects.size > 0) this.#defects.delete(id);
      return;
    }
    const problems = [...ofFields, ...ofWriter];
    const text = JSON.stringify(problems);
    if (this.#defects.get(id) === text) return;
    const oldest = this.#defects.size >= MAX_DEFECTIVE ? this.#defects.keys().next().value : undefined;
    if (oldest !== undefined) this.#defects.delete(oldest);
    this.#defects.set(id, text);
    for (const problem of problems) this.#observer.problem?.(problem);
  }

  #unreadable(list: ListName, error: KaiError, hooks: ReflectorHooks): void {
    this.#observer.problem?.({ source: '', object: list, field: '', message: error.message });
    hooks.unreadable?.(list, error);
  }
}
