// The watched lists of the role. Late groups are waited for a short time only: they count as a whole once all of them has been read.
import { formatProblem, type ObjectProblem } from '../base/errors.ts';
import type { ListName } from '../base/objects.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { KubeConnection } from '../kubernetes/connection.ts';
import { type Discovery, LATE_GROUPS } from '../kubernetes/discovery.ts';
import { createTurns, createWatchSet, type ListState, type WatchSet } from '../kubernetes/watchSet.ts';
import type { ClusterMetrics } from '../web/clusterMetrics.ts';
import { gainLateAccess } from './access.ts';
import type { ClusterState } from './clusterState.ts';
import { type Logger, OutageLog } from './logging.ts';

/** So long the start waits for them when all others have been read. */
const PATIENCE_MS = 10_000;

export interface WatchingOptions {
  readonly connection: KubeConnection;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ClusterMetrics;
  readonly state: Pick<ClusterState, 'put' | 'remove' | 'hold' | 'admit'>;
  readonly discovery: Discovery;
  readonly onAnswer: () => void;
  readonly onForgone: (list: ListName) => void;
}

export class Watching {
  readonly #options: WatchingOptions;
  readonly #turns = createTurns();
  readonly #outage: OutageLog;
  readonly #sets: WatchSet[] = [];
  #discovery: Discovery;
  #isBegun = false;

  constructor(options: WatchingOptions) {
    this.#options = options;
    this.#discovery = options.discovery;
    this.#outage = new OutageLog(options.log);
  }

  /** What is served, as far as it is known by now. */
  get discovery(): Discovery {
    return this.#discovery;
  }

  /** Everything that the start waits for has been read. */
  isBegun(): boolean {
    return this.#isBegun;
  }

  states(): readonly ListState[] {
    return this.#sets.flatMap((set) => set.states());
  }

  /**
   * Watches until `signal` is aborted; calls back once the role can begin, or never. Rejects with UnauthorizedError, and with errors
   * of this program.
   */
  async run(signal: AbortSignal, onBegun: () => void): Promise<void> {
    const { discovery, clock } = this.#options;
    const late = LATE_GROUPS.flat();
    const required = this.#open(
      discovery,
      [...discovery.lists.keys()].filter((list) => !late.includes(list)),
    );
    const patience = required.synced.then(() => clock.sleep(PATIENCE_MS, signal));
    const groups = LATE_GROUPS.map((lists) => this.#watchGroup(lists, patience, signal));
    void Promise.all([required.synced, ...groups.map(({ settled }) => settled)]).then(() => {
      this.#isBegun = true;
      if (!signal.aborted) onBegun();
    });
    await Promise.all([required.run(signal), ...groups.map(({ done }) => done)]);
  }

  /** `settled`: the start needs not wait for the group any more; `done`: it is watched no more. */
  #watchGroup(group: readonly ListName[], patience: Promise<void>, signal: AbortSignal): { settled: Promise<void>; done: Promise<void> } {
    const { discovery } = this.#options;
    const unanswered = group.filter((list) => discovery.unanswered.includes(list));
    if (unanswered.length > 0) return { settled: Promise.resolve(), done: this.#watchUnanswered(unanswered, signal) };
    const served = group.filter((list) => discovery.lists.has(list));
    if (served.length === 0) return { settled: Promise.resolve(), done: Promise.resolve() };
    const set = this.#open(discovery, served);
    const first = Promise.race([set.synced.then(() => true), patience.then(() => false)]);
    const settled = first.then((isSynced) => {
      if (isSynced || signal.aborted) return;
      this.#hold(served);
      void set.synced.then(() => this.#admit(served));
    });
    return { settled, done: set.run(signal) };
  }

  async #watchUnanswered(unanswered: readonly ListName[], signal: AbortSignal): Promise<void> {
    const { connection, clock, log, onForgone } = this.#options;
    this.#hold(unanswered);
    for (let waiting = unanswered; waiting.length > 0; ) {
      const found = await gainLateAccess({ connection, clock, signal, onForgone }, waiting);
      if (found === undefined) return;
      const lists = waiting.filter((list) => found.lists.has(list));
      waiting = waiting.filter((list) => found.unanswered.includes(list));
      if (lists.length === 0) {
        log.warn({ lists: unanswered }, 'the API server answers by now: these lists are not served or may not be read');
        continue;
      }
      const set = this.#open(found, lists);
      void set.synced.then(() => {
        this.#discovery = extended(this.#discovery, found, lists);
        this.#admit(lists);
      });
      await set.run(signal);
    }
  }

  #hold(lists: readonly ListName[]): void {
    this.#options.state.hold(lists);
    this.#options.log.warn({ lists }, 'the API server does not answer for these lists: pods that need them wait, others do not');
  }

  #admit(lists: readonly ListName[]): void {
    for (const problem of this.#options.state.admit(lists)) this.#tell(problem);
    this.#options.log.info({ lists }, 'the API server answers for these lists by now: they count');
  }

  #open(discovery: Discovery, lists: readonly ListName[]): WatchSet {
    const { connection, clock, log, metrics, state, onAnswer } = this.#options;
    const set = createWatchSet({
      connection,
      discovery,
      lists,
      writer: state,
      clock,
      turns: this.#turns,
      observer: { problem: (problem) => this.#tell(problem) },
      hooks: {
        listed: (list, objects, tookMs) => {
          this.#outage.over(list);
          log.debug({ list, objects, ms: Math.round(tookMs) }, 'listed');
        },
        events: (list, events, lagMs) => {
          this.#outage.over(list);
          onAnswer();
          metrics.watchEvents(list, events, lagMs);
        },
        restarted: (list, reason, delayMs) => {
          metrics.watchRestarted(list, reason);
          log.debug({ list, reason, delayMs: Math.round(delayMs) }, 'watch restarted');
        },
        trouble: (list, error) => this.#outage.tell(list, error.message),
      },
    });
    this.#sets.push(set);
    return set;
  }

  #tell(problem: ObjectProblem): void {
    this.#options.metrics.problem();
    this.#options.log.warn(formatProblem(problem));
  }
}

/** What was known, and these lists of what was found later. */
function extended(known: Discovery, found: Discovery, lists: readonly ListName[]): Discovery {
  return {
    ...known,
    lists: new Map([...known.lists, ...lists.map((list) => [list, found.lists.get(list)!] as const)]),
    isDraServed: known.isDraServed || lists.includes('resourceClaims'),
    isNodeTopologyServed: known.isNodeTopologyServed || lists.includes('nodeResourceTopologies'),
  };
}
