// Everything that decides and writes: exists once per process, from the moment it may decide.
import { hostname } from 'node:os';
import type { KaiError } from '../base/errors.ts';
import type { Metadata, Node } from '../base/objects.ts';
import { parseRfc3339Ms } from '../base/time.ts';
import { Binder, type BinderSettings } from '../binder/binder.ts';
import { BindRequests } from '../binder/bindRequests.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { KubeConnection } from '../kubernetes/connection.ts';
import { type EventLoss, EventRecorder, type EventToRecord } from '../kubernetes/events.ts';
import { WriteQueue } from '../kubernetes/writeQueue.ts';
import { type CycleRunner, createCycleRunner } from '../runner/cycleRunner.ts';
import type { ClusterMetrics } from '../web/clusterMetrics.ts';
import type { ClusterState } from './clusterState.ts';
import { type CommitObserver, Committer } from './committer.ts';
import type { Configuration, Workers } from './configSource.ts';
import type { Logger } from './logging.ts';
import { DEFAULT_PAUSE_MS, type LoopObserver, SchedulingLoop } from './loop.ts';
import { Nominations } from './nominations.ts';
import { groupKeyOf } from './observedStore.ts';
import { Quarantine } from './quarantine.ts';
import { Reporter } from './reporter.ts';

/** Time for what is decided to be carried out when the process is to end, within the usual grace of 30 s. */
const COMMIT_GRACE_MS = 10_000;
const WRITE_GRACE_MS = 8_000;

export interface DeciderOptions {
  readonly state: ClusterState;
  readonly connection: KubeConnection;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ClusterMetrics;
  readonly configuration: () => Configuration;
  /** False: another process may decide by now. */
  readonly mayWrite: () => boolean;
  readonly onFatal: (error: KaiError) => void;
  readonly onAnswer: () => void;
  /** The flag `schedule-period`, undefined when it was not given. */
  readonly schedulePeriodMs: number | undefined;
  readonly qps: number | undefined;
  readonly burst: number | undefined;
  readonly binderSettings: BinderSettings;
  /** Another binder binds: decisions become BindRequests. */
  readonly isBinderSeparate: boolean;
}

export class Decider {
  readonly loop: SchedulingLoop;
  readonly #options: DeciderOptions;
  readonly #writes: WriteQueue;
  readonly #committer: Committer;
  readonly #binder: Binder;
  readonly #events: EventRecorder;
  readonly #stop = new AbortController();
  #runner: CycleRunner | null = null;
  #runnerWorkers: Workers = 'auto';
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: DeciderOptions) {
    const { state, connection, clock, log, metrics, configuration } = options;
    this.#options = options;
    const { params } = configuration().config;
    this.#writes = new WriteQueue({
      connection,
      clock,
      qps: options.qps,
      burst: options.burst,
      mayWrite: options.mayWrite,
      onUnauthorized: options.onFatal,
      onAttempt: (attempt) => {
        metrics.write(attempt);
        if (attempt.status > 0) options.onAnswer();
      },
    });
    this.#events = new EventRecorder({
      queue: this.#writes,
      component: params.schedulerName,
      instance: hostname(),
      clock,
      onLost: eventLosses(options),
    });
    // What was told about an object that is gone needs not be known any more.
    state.observed.onRemoved((list, object) => {
      if (list === 'pods' || list === 'podGroups') this.#events.forget((object as { readonly metadata: Metadata }).metadata.uid ?? '');
    });
    const onTrouble = (message: string): void => log.warn(`binder: ${message}`);
    this.#binder = new Binder({
      connection,
      writes: this.#writes,
      observed: state.observed,
      clock,
      settings: options.binderSettings,
      isOwnNode: (node) =>
        isInShard(state.observed.get('nodes', node) as Node | undefined, params.nodePoolLabelKey, params.nodePoolLabelValue),
      onTrouble,
    });
    const { nodePoolLabelKey, nodePoolLabelValue: nodePool } = params;
    const isEvictionConditionWritten = (): boolean => configuration().config.params.updatePodEvictionCondition;
    const requests = new BindRequests({ connection, writes: this.#writes, clock, nodePoolLabelKey, onTrouble });
    const common = { state, writes: this.#writes, events: this.#events, clock, nodePoolLabelKey };
    const isPlaceKept = (): boolean => configuration().config.safeEviction?.requireCommittedPlace === true;
    const nominations = new Nominations({
      state,
      writes: this.#writes,
      connection,
      isPlaceKept,
      isOwn: (pod) => isInShard(state.group(groupKeyOf(pod)), nodePoolLabelKey, nodePool),
    });
    this.#committer = new Committer({
      ...common,
      binder: options.isBinderSeparate ? requests : this.#binder,
      nodePool,
      isEvictionConditionWritten,
      nominations,
      observer: commitObserver(options),
    });
    const reporter = new Reporter({ ...common, removeStaleRequests: (keys) => void requests.removeStale(keys) });
    const quarantine = new Quarantine({
      state,
      clock,
      onFound: (group, error, pauseMs) => {
        log.error({ podGroup: group, pauseMs, err: errorText(error) }, 'this job makes the engine fail and is set aside');
        reporter.reportBroken(group, error);
      },
    });
    this.loop = new SchedulingLoop({
      state,
      clock,
      runner: () => this.#currentRunner(),
      config: () => configuration().config,
      pauseMs: () => Math.max(0, options.schedulePeriodMs ?? DEFAULT_PAUSE_MS),
      take: (batch) => {
        if (options.mayWrite()) this.#committer.take(batch);
      },
      report: (report, view) => {
        if (options.mayWrite()) nominations.endCycle();
        return reporter.report(report, view);
      },
      quarantine,
      observer: loopObserver(options),
    });
  }

  get workers(): number {
    return this.#runner?.workers ?? 0;
  }

  stats(): { readonly writesWaiting: readonly number[]; readonly writesUnderWay: number } {
    const { waiting, underWay } = this.#writes.stats();
    return { writesWaiting: waiting, writesUnderWay: underWay };
  }

  start(): void {
    const fail = (error: unknown): void => this.#options.onFatal(error as KaiError);
    const { isBinderSeparate } = this.#options;
    this.#running = Promise.all([this.loop.run(this.#stop.signal), isBinderSeparate ? undefined : this.#binder.start()]).catch(fail);
  }

  /** Stops deciding at once, gives what is under way its time, then gives up the rest. */
  async stop(): Promise<void> {
    const { clock } = this.#options;
    this.#stop.abort();
    const committed = this.#committer.stop();
    await this.#runner?.close();
    await Promise.race([committed, clock.sleep(COMMIT_GRACE_MS)]);
    this.#events.flush();
    await this.#writes.drain(WRITE_GRACE_MS);
    await this.#binder.stop();
    await this.#running;
  }

  /** A change of the worker count takes effect between two cycles. */
  #currentRunner(): CycleRunner {
    const { workers } = this.#options.configuration();
    if (this.#runner !== null && this.#runnerWorkers === workers) return this.#runner;
    this.#runner?.close().catch((error: unknown) => this.#options.log.error({ err: errorText(error) }, 'closing the old threads failed'));
    this.#runner = createCycleRunner({ workers });
    this.#runnerWorkers = workers;
    this.#options.log.info(`cycles run on ${this.#runner.workers} thread(s)`);
    return this.#runner;
  }
}

/** Does the object belong to this shard (spec 01 section 2.10)? */
export function isInShard(object: { readonly metadata: Metadata } | undefined, labelKey: string, labelValue: string): boolean {
  if (labelKey === '') return true;
  const value = object?.metadata.labels?.[labelKey];
  return labelValue === '' ? value === undefined : value === labelValue;
}

function commitObserver({ log, metrics, clock, state, configuration }: DeciderOptions): CommitObserver {
  return {
    bound: (pod, { pod: key, node, action }, tookMs) => {
      const createdMs = parseRfc3339Ms(pod.metadata.creationTimestamp ?? '');
      metrics.bound(Number.isNaN(createdMs) ? 0 : Math.max(0, clock.nowMs() - createdMs), tookMs);
      log.info({ action, pod: key, node }, 'bound');
    },
    bindFailed: (_pod, { pod: key, node, action }, message) => {
      metrics.bindFailed();
      log.warn({ action, pod: key, node, reason: message }, 'binding failed');
    },
    overtaken: ({ kind, pod: key, node, action }, reason) => {
      metrics.overtaken(kind);
      log.info({ action, kind, pod: key, node, reason }, 'decision dropped');
    },
    evicted: (_pod, { pod: key, podGroup, action, node }) => {
      const group = state.group(podGroup);
      const [namespace = '', name = ''] = podGroup.split('/');
      const nodePool = group?.metadata.labels?.[configuration().config.params.nodePoolLabelKey] || 'default';
      metrics.evicted({ name, namespace, uid: group?.metadata.uid ?? '', nodePool }, action);
      log.info({ action, pod: key, node }, 'evicted');
    },
    evictionFailed: (_pod, { pod: key, action }, message) => log.warn({ action, pod: key, reason: message }, 'eviction failed'),
    broken: ({ kind, pod: key }, error) => log.error({ kind, pod: key, err: errorText(error) }, 'carrying out a decision failed'),
  };
}

/** All are counted; the log has the first of each kind. */
function eventLosses({ log, metrics }: DeciderOptions): (loss: EventLoss, event: EventToRecord, detail: string) => void {
  const logged = new Set<EventLoss>();
  return (loss, { object, reason }, detail) => {
    metrics.eventLost(loss);
    if (logged.has(loss)) return;
    logged.add(loss);
    const what = { loss, object: `${object.kind} ${object.namespace}/${object.name}`, reason, detail };
    log.warn(what, 'a Kubernetes event is dropped; further ones for the same cause are only counted (events_dropped_total)');
  };
}

function loopObserver({ log, metrics, configuration }: DeciderOptions): LoopObserver {
  let lastBudgets: unknown;
  return {
    started: () => {
      const { scenarioSearchBudgets } = configuration().config;
      if (scenarioSearchBudgets === lastBudgets) return;
      lastBudgets = scenarioSearchBudgets;
      metrics.budgets(scenarioSearchBudgets);
    },
    finished: (result, view, sealMs) => {
      metrics.cycle(result, sealMs);
      const { bound, pipelined, evicted, jobsAttempted, jobsFailed } = result.report.counts;
      const counts = { cycle: view.generation, ms: Math.round(result.cycleMs), bound, pipelined, evicted, jobsAttempted, jobsFailed };
      if (bound + pipelined + evicted > 0) log.info(counts, 'cycle');
      else log.debug(counts, 'cycle');
    },
    failed: (error, delayMs) => {
      metrics.cycleFailed();
      log.error({ err: errorText(error), retryInMs: Math.round(delayMs) }, 'the scheduling cycle failed');
    },
  };
}

function errorText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
