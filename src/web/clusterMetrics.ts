// Metrics of a scheduler on a real cluster: what every scheduler has, and the ways to and from the API server.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';
import type { Decision } from '../base/decisions.ts';
import { parseGoDurationMs } from '../base/duration.ts';
import type { FinishedAttempt } from '../kubernetes/writeQueue.ts';
import type { CycleResult } from '../runner/cycleRunner.ts';
import { createSchedulerMetrics } from './metrics.ts';

const LATENCY_BUCKETS_MS: readonly number[] = Object.freeze(Array.from({ length: 10 }, (_, i) => 5 * 2 ** i));
const SECONDS_BUCKETS: readonly number[] = Object.freeze(Array.from({ length: 20 }, (_, i) => 0.0005 * 2 ** i));
const PRIORITY_NAMES = ['binding', 'eviction', 'status', 'event'] as const;
/** Pod groups with a series of their own; beyond that the oldest go. */
const MAX_EVICTED_GROUPS = 1000;
const DELAY_QUANTILES = [0.5, 0.99, 1] as const;

/** Figures that are looked up when somebody scrapes. */
export interface ScrapedFigures {
  readonly workers: number;
  readonly isLeader: boolean;
  readonly isWorkWaiting: boolean;
  /** By write priority. */
  readonly writesWaiting: readonly number[];
  readonly writesUnderWay: number;
  readonly pods: { readonly assumed: number; readonly leaving: number; readonly held: number };
  readonly lists: readonly { readonly list: string; readonly objects: number; readonly silentMs: number; readonly isSynced: boolean }[];
}

export interface EvictedGroup {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly nodePool: string;
}

export interface ClusterMetrics {
  readonly registry: Registry;
  cycle(result: CycleResult, sealMs: number): void;
  cycleFailed(): void;
  budgets(budgets: Readonly<Record<string, unknown>>): void;
  /** `waitedMs` since the pod's creation, `seenMs` since this process first saw it waiting (NaN = not known). */
  bound(waitedMs: number, bindMs: number): void;
  confirmed(seenMs: number): void;
  bindFailed(): void;
  overtaken(kind: Decision['kind']): void;
  evicted(group: EvictedGroup, action: string): void;
  write(attempt: FinishedAttempt): void;
  watchEvents(list: string, events: number, lagMs: number): void;
  watchRestarted(list: string, reason: string): void;
  problem(): void;
  eventLost(reason: string): void;
  usageFetched(tookMs: number): void;
  usageFailed(): void;
}

/** `prefix`: "kai_"; '' is allowed. */
export function createClusterMetrics(
  prefix: string,
  displayNameOf: (queue: string) => string,
  figures: () => ScrapedFigures | undefined,
): ClusterMetrics {
  const base = createSchedulerMetrics(prefix, displayNameOf);
  const { registry } = base;
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> =>
    new Counter({ name: prefix + name, help, labelNames: [...labelNames], registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> =>
    new Gauge({ name: prefix + name, help, labelNames: [...labelNames], registers });
  const histogram = <L extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly L[] = [],
  ): Histogram<L> => new Histogram({ name: prefix + name, help, buckets: [...buckets], labelNames: [...labelNames], registers });

  const bindMs = histogram('task_bind_latency_milliseconds', 'Decision to the end of the binding', LATENCY_BUCKETS_MS);
  const bindSeconds = histogram('bind_duration_seconds', 'Decision to the end of the binding', SECONDS_BUCKETS);
  const seenToBound = histogram('first_seen_to_bound_seconds', 'Pod first seen waiting to pod seen bound', SECONDS_BUCKETS);
  const sealSeconds = histogram('seal_duration_seconds', 'Sealing of the snapshot, on the main thread', SECONDS_BUCKETS);
  const decisions = counter('decisions_total', 'Decisions by action and kind', ['action', 'kind']);
  const searches = counter('victim_search_total', 'Elementary counts of the victim searches, by what is counted', ['count']);
  const jobs = counter('jobs_total', 'Jobs attempted and failed', ['result']);
  const preempted = counter('total_preemption_attempts', 'Jobs that got room by preemption');
  const restarts = counter('cycle_restarts_total', 'Attempts at cycles that were repeated because a thread failed');
  const failed = counter('cycle_failures_total', 'Cycles that came to nothing');
  const jobFaults = counter('job_faults_total', 'Jobs that lost their turn in a cycle because of an error of the engine');
  const bindFailures = counter('bind_failures_total', 'Bindings that failed and were undone');
  const overtaken = counter('decisions_overtaken_total', 'Decisions dropped because of what happened meanwhile', ['kind']);
  const evictedPods = counter('pod_group_evicted_pods_total', 'Evicted pods', ['podgroup', 'namespace', 'uid', 'nodepool', 'action']);
  const writes = counter('api_writes_total', 'Attempts at writes by priority, HTTP status (0 = no answer) and verdict', [
    'priority',
    'code',
    'verdict',
  ]);
  const writeWait = histogram('api_write_wait_seconds', 'Submission of a write to its sending', SECONDS_BUCKETS, ['priority']);
  const writeTime = histogram('api_write_duration_seconds', 'Sending of a write to its answer', SECONDS_BUCKETS, ['priority']);
  const watchLag = histogram('watch_lag_seconds', 'Arrival of watch events to their application', SECONDS_BUCKETS);
  const watchEvents = counter('watch_events_total', 'Watch events', ['list']);
  const watchRestarts = counter('watch_restarts_total', 'Watches started again', ['list', 'reason']);
  const problems = counter('object_problems_total', 'Defects of objects, each once');
  const eventsLost = counter('events_dropped_total', 'Kubernetes events that nobody will see, by why', ['reason']);
  const usageQuery = histogram('usage_query_latency_milliseconds', 'Successful fetches of the usage of queues', LATENCY_BUCKETS_MS);
  const usageFailures = counter('usage_query_failures_total', 'Fetches of the usage of queues that failed');
  const actionBudget = gauge('scenario_search_action_budget_configured_seconds', 'Victim search per action, 0 = unlimited', ['action']);
  const jobBudget = gauge('scenario_search_job_budget_configured_seconds', 'Victim search per job, 0 = unlimited');
  const generatorBudget = gauge('scenario_search_generator_budget_configured_seconds', 'Victim search per generator', ['generator']);
  addScrapedGauges(gauge, figures);

  const evictedGroups = new Map<string, { readonly labels: Record<string, string>; readonly actions: Set<string> }>();
  const waited: number[] = [];
  return {
    registry,
    cycle: (result, sealMs) => {
      base.observe({ decisions: result.decisions, report: result.report, cycleMs: result.cycleMs, waitedMs: waited.splice(0) });
      sealSeconds.observe(sealMs / 1000);
      restarts.inc(result.restarts);
      jobFaults.inc(result.faults.length);
      for (const { action, kind } of result.decisions) decisions.inc({ action, kind });
      preempted.inc(result.report.searchByAction.preempt?.solved ?? 0);
      for (const [count, value] of Object.entries(result.report.search)) searches.inc({ count }, value);
      jobs.inc({ result: 'attempted' }, result.report.counts.jobsAttempted);
      jobs.inc({ result: 'failed' }, result.report.counts.jobsFailed);
    },
    cycleFailed: () => failed.inc(),
    budgets: (budgets) => {
      const seconds = (value: unknown): number => (typeof value === 'string' ? parseGoDurationMs(value) / 1000 : 0);
      const perAction = (budgets.maxActionSearchDuration ?? {}) as Readonly<Record<string, unknown>>;
      for (const action of ['consolidation', 'reclaim', 'preempt'])
        actionBudget.set({ action }, seconds(perAction[action] ?? perAction.default));
      jobBudget.set(seconds(budgets.maxJobSearchDuration));
      for (const [generator, value] of Object.entries(budgets.maxGeneratorSearchDuration ?? {}))
        generatorBudget.set({ generator }, seconds(value));
    },
    bound: (waitedMs, tookMs) => {
      waited.push(waitedMs);
      bindMs.observe(tookMs);
      bindSeconds.observe(tookMs / 1000);
    },
    confirmed: (seenMs) => seenToBound.observe(seenMs / 1000),
    bindFailed: () => bindFailures.inc(),
    overtaken: (kind) => overtaken.inc({ kind }),
    evicted: ({ name, namespace, uid, nodePool }, action) => {
      const known = evictedGroups.get(uid) ?? { labels: { podgroup: name, namespace, uid, nodepool: nodePool }, actions: new Set() };
      known.actions.add(action);
      evictedGroups.delete(uid);
      evictedGroups.set(uid, known);
      evictedPods.inc({ ...known.labels, action });
      if (evictedGroups.size <= MAX_EVICTED_GROUPS) return;
      const [oldest, { labels, actions }] = evictedGroups.entries().next().value!;
      for (const name of actions) evictedPods.remove({ ...labels, action: name });
      evictedGroups.delete(oldest);
    },
    write: ({ priority, status, verdict, waitedMs, tookMs }) => {
      const name = PRIORITY_NAMES[priority];
      writes.inc({ priority: name, code: status, verdict });
      writeWait.observe({ priority: name }, waitedMs / 1000);
      writeTime.observe({ priority: name }, tookMs / 1000);
    },
    watchEvents: (list, events, lagMs) => {
      watchEvents.inc({ list }, events);
      watchLag.observe(lagMs / 1000);
    },
    watchRestarted: (list, reason) => watchRestarts.inc({ list, reason }),
    problem: () => problems.inc(),
    usageFetched: (tookMs) => usageQuery.observe(tookMs),
    usageFailed: () => usageFailures.inc(),
    eventLost: (reason) => eventsLost.inc({ reason }),
  };
}

/** Gauges that cost nothing until somebody scrapes. */
function addScrapedGauges(
  gauge: <L extends string>(name: string, help: string, labelNames?: readonly L[]) => Gauge<L>,
  figures: () => ScrapedFigures | undefined,
): void {
  const collected = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    fill: (target: Gauge<L>, now: ScrapedFigures) => void,
  ): void => {
    const target = gauge(name, help, labelNames);
    Object.assign(target, {
      collect: () => {
        const now = figures();
        target.reset();
        if (now !== undefined) fill(target, now);
      },
    });
  };
  collected('workers', 'Threads of the scheduling cycle, 0 = the main thread', [], (g, now) => g.set(now.workers));
  collected('leader', '1 while this process decides', [], (g, now) => g.set(now.isLeader ? 1 : 0));
  collected('work_waiting', '1 while something waits for a placement or a clock', [], (g, now) => g.set(now.isWorkWaiting ? 1 : 0));
  collected('api_writes_waiting', 'Writes waiting to be sent', ['priority'], (g, now) => {
    for (const [i, priority] of PRIORITY_NAMES.entries()) g.set({ priority }, now.writesWaiting[i] ?? 0);
  });
  collected('api_writes_under_way', 'Writes under way', [], (g, now) => g.set(now.writesUnderWay));
  collected('pods_in_flight', 'Pods decided upon and not settled: assumed on a node, leaving, stepping back', ['state'], (g, now) => {
    for (const [state, count] of Object.entries(now.pods)) g.set({ state }, count);
  });
  collected('watched_objects', 'Objects known', ['list'], (g, now) => {
    for (const { list, objects } of now.lists) g.set({ list }, objects);
  });
  collected('watch_silent_seconds', 'Time since the API server last said anything on the list', ['list'], (g, now) => {
    for (const { list, silentMs } of now.lists) if (!Number.isNaN(silentMs)) g.set({ list }, silentMs / 1000);
  });
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  collected('event_loop_delay_seconds', 'Delay of the main event loop since the last scrape', ['quantile'], (g) => {
    for (const quantile of DELAY_QUANTILES) g.set({ quantile: String(quantile) }, delay.percentile(quantile * 100) / 1e9);
    delay.reset();
  });
}
