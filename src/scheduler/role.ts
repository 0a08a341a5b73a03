// The process `kai scheduler`: from the first request to the API server to the release of the lease.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { SchedulerParams } from '../base/config.ts';
import { KaiError } from '../base/errors.ts';
import { type ClusterObjects, LIST_NAMES, type ListName, type Queue } from '../base/objects.ts';
import type { BinderSettings } from '../binder/binder.ts';
import { snapshotOptionsFrom } from '../config/schedulerParams.ts';
import { UnauthorizedError } from '../kubernetes/apiError.ts';
import { backoffMs, type Clock, SYSTEM_CLOCK } from '../kubernetes/clock.ts';
import { connect, type KubeConnection } from '../kubernetes/connection.ts';
import type { CredentialSource } from '../kubernetes/credentials.ts';
import type { Discovery } from '../kubernetes/discovery.ts';
import { LeaderElector } from '../kubernetes/lease.ts';
import { jobOrderInThread } from '../runner/jobOrder.ts';
import { writeSnapshotZip } from '../snapshot/export/snapshotZip.ts';
import { createSnapshotWriter } from '../snapshot/writer.ts';
import { type ClusterMetrics, createClusterMetrics, type ScrapedFigures } from '../web/clusterMetrics.ts';
import { buildPluginServer, buildPublicServer, listen, type RunningServer } from '../web/schedulerServer.ts';
import { gainAccess } from './access.ts';
import { ClusterState } from './clusterState.ts';
import { ConfigSource, type Workers } from './configSource.ts';
import { Decider, isInShard } from './decider.ts';
import { Health, type HealthState } from './health.ts';
import { watchLatencies } from './latencies.ts';
import { type Logger, TroubleLog } from './logging.ts';
import type { UsageByQueue } from './usage/prometheus.ts';
import { UsageFeed } from './usage/usageFeed.ts';
import { Watching } from './watching.ts';

/** A job whose bind fails steps back, so that it does not hold its GPUs: 1 s, 2 s, 4 s, … */
const BIND_BACKOFF = { firstMs: 1_000, maxMs: 300_000 };

export interface RoleOptions {
  readonly credentials: CredentialSource;
  readonly configPath: string;
  readonly flags: Partial<SchedulerParams>;
  readonly workers: Workers | undefined;
  readonly listen: { readonly host: string; readonly port: number };
  readonly pluginPort: number;
  readonly isLeaderElected: boolean;
  /** Of the lease. */
  readonly namespace: string;
  readonly metricsPrefix: string;
  readonly nodeLabels: {
    readonly resourceReservationAppLabel: string;
    readonly cpuWorkerNodeLabelKey: string;
    readonly gpuWorkerNodeLabelKey: string;
    readonly migWorkerNodeLabelKey: string;
  };
  readonly qps: number | undefined;
  readonly burst: number | undefined;
  readonly binderSettings: BinderSettings;
  /** Another binder binds: decisions become BindRequests. */
  readonly isBinderSeparate: boolean;
  readonly log: Logger;
  /** SIGTERM, SIGINT. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** Runs until `signal` is aborted (exit code 0) or until going on makes no sense (1, with the reason in the log). */
export async function runSchedulerRole(options: RoleOptions): Promise<number> {
  const role = new SchedulerRole(options);
  try {
    await role.run();
    return 0;
  } catch (error) {
    if (error instanceof UnauthorizedError) {
      options.log.error(`API server returned 401 Unauthorized, exiting to trigger pod restart: ${error.message}`);
    } else if (error instanceof KaiError) options.log.error({ code: error.code }, error.message);
    else
      options.log.error({ err: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'this should not have happened');
    return 1;
  } finally {
    await role.stop();
  }
}

class SchedulerRole {
  readonly #options: RoleOptions;
  readonly #clock: Clock;
  readonly #configSource: ConfigSource;
  readonly #connection: KubeConnection;
  readonly #metrics: ClusterMetrics;
  readonly #health: Health;
  readonly #usage: UsageFeed;
  #latestUsage: UsageByQueue = new Map();
  readonly #ended = new AbortController();
  readonly #fatal = Promise.withResolvers<never>();
  readonly #servers: RunningServer[] = [];
  #state: ClusterState | null = null;
  #watching: Watching | null = null;
  #decider: Decider | null = null;
  #elector: LeaderElector | null = null;
  #isStopping = false;
  #ordering: Promise<object | undefined> | undefined;

  constructor(options: RoleOptions) {
    const { log, clock = SYSTEM_CLOCK } = options;
    this.#options = options;
    this.#clock = clock;
    // Whoever waits for it is told; nobody waiting is no error.
    this.#fatal.promise.catch(() => undefined);
    this.#configSource = new ConfigSource({
      path: options.configPath,
      flags: options.flags,
      workers: options.workers,
      clock,
      onChange: ({ usage }) => {
        log.info('the configuration has changed and is in use');
        this.#usage.configure(usage);
        this.#decider?.loop.wake();
      },
      onRefused: (error) => log.error(`the changed configuration is refused, the previous one stays in use: ${error.message}`),
      onWarning: (warning) => log.warn(`configuration: ${warning}`),
    });
    this.#connection = connect({ source: options.credentials, clock });
    const displayNameOf = (queue: string): string =>
      (this.#state?.observed.get('queues', queue) as Queue | undefined)?.spec?.displayName ?? '';
    this.#metrics = createClusterMetrics(options.metricsPrefix, displayNameOf, () => this.#figures());
    this.#usage = new UsageFeed({
      clock,
      log,
      apply: (usage) => {
        this.#latestUsage = usage;
        this.#state?.setUsage(usage);
      },
      onFetched: (tookMs) => this.#metrics.usageFetched(tookMs),
      onFailed: () => this.#metrics.usageFailed(),
    });
    this.#health = new Health(
      clock,
      () => ({
        loop: this.#decider?.loop.status(),
        isSynced: this.#watching?.isBegun() ?? false,
        rank: this.#rank(),
        isStopping: this.#isStopping,
      }),
      () => this.#connection,
    );
  }

  async run(): Promise<void> {
    const { log, signal } = this.#options;
    const { usage } = await this.#configSource.load();
    await this.#serve();
    this.#usage.configure(usage);
    void this.#configSource.watch(this.#ended.signal).catch(this.#fatal.reject);
    const discovery = await this.#orFatal(this.#gainAccess());
    if (discovery === undefined) return;
    await this.#orFatal(this.#orAborted(this.#startWatching(discovery)));
    if (signal.aborted) return;
    log.info({ objects: Object.fromEntries(this.#watching!.states().map(({ list, objects }) => [list, objects])) }, 'all objects are read');
    await this.#orFatal(this.#usage.ready(signal));
    if (!(await this.#orFatal(this.#lead()))) return;
    // What begins now looks at every object: not in the turn that read the last of them.
    await nextTurn();
    this.#startDeciding();
    await this.#orFatal(this.#orAborted(new Promise(() => undefined)));
  }

  /** Stops deciding, drains the writes, releases the lease. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const startedMs = this.#clock.monotonicMs();
    await this.#decider?.stop();
    this.#ended.abort();
    this.#usage.stop();
    await this.#elector?.release();
    await Promise.all(this.#servers.map((server) => server.close()));
    await this.#connection.close();
    this.#options.log.info(`stopped within ${Math.round(this.#clock.monotonicMs() - startedMs)} ms`);
  }

  async #serve(): Promise<void> {
    const { listen: address, pluginPort, log } = this.#options;
    const { live, ready } = this.#health;
    this.#servers.push(await listen(buildPublicServer({ registry: this.#metrics.registry, live, ready }), address.host, address.port));
    const plugins = buildPluginServer({
      isStarted: () => this.#decider?.loop.view !== undefined,
      snapshot: () => this.#snapshotWriter(),
      jobOrder: () => this.#jobOrder(),
      onError: (error) => log.error(`writing the snapshot failed: ${String(error)}`),
    });
    this.#servers.push(await listen(plugins, '127.0.0.1', pluginPort));
  }

  async #gainAccess(): Promise<Discovery | undefined> {
    const { log, signal, isLeaderElected, namespace } = this.#options;
    const { server } = await this.#connection.describe();
    const discovery = await gainAccess({
      connection: this.#connection,
      clock: this.#clock,
      signal,
      leaseNamespace: isLeaderElected ? namespace : undefined,
      onTrouble: (error, delayMs) => log.warn({ retryInMs: Math.round(delayMs) }, error.message),
      onForgone: this.#forgo,
    });
    if (discovery === undefined) return undefined;
    const { serverVersion, isDraServed, isNodeTopologyServed } = discovery;
    log.info({ server, serverVersion, isDraServed, isNodeTopologyServed }, 'connected');
    return discovery;
  }

  readonly #forgo = (list: ListName): void => {
    this.#options.log.warn({ list }, 'this list is served but may not be read: the scheduler does without it');
  };

  /** Resolves when the role can begin. */
  #startWatching(discovery: Discovery): Promise<void> {
    const { log, nodeLabels } = this.#options;
    const { params } = this.#configSource.current.config;
    const { unanswered } = discovery;
    const options = snapshotOptionsFrom(params, {
      // Empty until they are known: pods with claims wait, and are not placed as if they had none.
      isDraServed: discovery.isDraServed || unanswered.includes('resourceClaims'),
      isNodeTopologyServed: discovery.isNodeTopologyServed || unanswered.includes('nodeResourceTopologies'),
    });
    const state = new ClusterState({
      writer: createSnapshotWriter({ ...options, ...nodeLabels }),
      clock: this.#clock,
      schedulerName: params.schedulerName,
      holdMs: (failures) => backoffMs(failures, BIND_BACKOFF, this.#clock.random()),
      onRelevant: () => this.#decider?.loop.wake(),
      onExpired: (pod, node) => log.warn({ pod, node }, 'the pod was bound, but the watch never showed it; it counts as waiting again'),
    });
    watchLatencies(state.observed, params.schedulerName, this.#clock, (seenMs) => this.#metrics.confirmed(seenMs));
    state.setUsage(this.#latestUsage);
    this.#state = state;
    const watching = new Watching({
      connection: this.#connection,
      clock: this.#clock,
      log,
      metrics: this.#metrics,
      state,
      discovery,
      onAnswer: this.#health.answered,
      onForgone: this.#forgo,
    });
    this.#watching = watching;
    const { promise, resolve } = Promise.withResolvers<void>();
    watching.run(this.#ended.signal, resolve).catch(this.#fatal.reject);
    return promise;
  }

  /** True when this process may decide. */
  async #lead(): Promise<boolean> {
    const { log, signal, isLeaderElected, namespace } = this.#options;
    if (!isLeaderElected) return !signal.aborted;
    const { schedulerName, nodePoolLabelValue } = this.#configSource.current.config.params;
    const name = nodePoolLabelValue === '' ? schedulerName : `${schedulerName}-${nodePoolLabelValue}`;
    const identity = `${hostname()}_${randomUUID()}`;
    const trouble = new TroubleLog(log, 'lease');
    const elector = new LeaderElector({
      connection: this.#connection,
      clock: this.#clock,
      namespace,
      name,
      identity,
      onTrouble: (error) => trouble.tell(error.message),
      onAnswer: () => trouble.over(),
      onHolder: (holder) => log.info({ holder }, holder === identity ? 'leading' : 'lease holder'),
    });
    this.#elector = elector;
    log.info({ lease: `${namespace}/${name}`, identity }, 'waiting for the lease');
    if (!(await elector.acquire(signal))) return false;
    void elector.lost.then(this.#fatal.reject);
    return true;
  }

  #rank(): HealthState['rank'] {
    if (!this.#options.isLeaderElected || this.#decider !== null) return 'leader';
    return (this.#elector?.holder() ?? '') === '' ? 'nobody leads' : 'standby';
  }

  #startDeciding(): void {
    const { log, qps, burst, flags, binderSettings, isBinderSeparate } = this.#options;
    const elector = this.#elector;
    const draVersion = (): string => this.#watching?.discovery.lists.get('resourceClaims')?.version ?? binderSettings.draVersion;
    this.#decider = new Decider({
      state: this.#state!,
      connection: this.#connection,
      clock: this.#clock,
      log,
      metrics: this.#metrics,
      configuration: () => this.#configSource.current,
      mayWrite: () => elector?.isHeld() ?? true,
      onFatal: this.#fatal.reject,
      onAnswer: this.#health.answered,
      schedulePeriodMs: flags.schedulePeriodMs,
      qps,
      burst,
      binderSettings: {
        ...binderSettings,
        // May become known later.
        get draVersion() {
          return draVersion();
        },
      },
      isBinderSeparate,
    });
    this.#decider.start();
  }

  #figures(): ScrapedFigures | undefined {
    if (this.#state === null) return undefined;
    const { writesWaiting, writesUnderWay } = this.#decider?.stats() ?? { writesWaiting: [], writesUnderWay: 0 };
    return {
      workers: this.#decider?.workers ?? 0,
      isLeader: this.#decider !== null && (this.#elector?.isHeld() ?? true),
      isWorkWaiting: this.#decider?.loop.status().isWorkWaiting ?? false,
      writesWaiting,
      writesUnderWay,
      pods: this.#state.counts(),
      lists: this.#watching?.states() ?? [],
    };
  }

  #snapshotWriter(): ((stream: Parameters<typeof writeSnapshotZip>[1]) => Promise<void>) | undefined {
    const { config } = this.#configSource.current;
    const state = this.#state;
    const discovery = this.#watching?.discovery ?? null;
    if (state === null || discovery === null || this.#decider?.loop.view === undefined) return undefined;
    if (!config.plugins.some(({ name }) => name === 'snapshot')) return undefined;
    const { nodePoolLabelKey, nodePoolLabelValue } = config.params;
    const { major, minor, serverVersion, isDraServed, isNodeTopologyServed } = discovery;
    const inShard = (object: unknown): boolean => isInShard(object as Queue, nodePoolLabelKey, nodePoolLabelValue);
    const objects = Object.fromEntries(
      LIST_NAMES.map((list) => {
        const all = [...state.observed.values(list)];
        return [list, list === 'nodes' || list === 'queues' || list === 'podGroups' ? all.filter(inShard) : all];
      }),
    ) as unknown as ClusterObjects;
    const resources = [
      ...new Set([...discovery.lists.values()].map(({ spec, version }) => (spec.group === '' ? version : `${spec.group}/${version}`))),
    ];
    const served = {
      serverVersion: { major: String(major), minor: String(minor), gitVersion: serverVersion },
      resources: resources.map((groupVersion) => ({ groupVersion, resources: [] })),
    };
    const now = new Date(this.#clock.nowMs()).toISOString();
    return (stream) => writeSnapshotZip({ objects, config, discovery: served, isDraServed, isNodeTopologyServed, now }, stream);
  }

  /** Requests that come while one is answered get the same answer. */
  async #jobOrder(): Promise<object | 'off' | undefined> {
    const { config } = this.#configSource.current;
    if (!config.plugins.some(({ name }) => name === 'reflectjoborder')) return 'off';
    this.#ordering ??= this.#decider?.loop
      .withView((view) => jobOrderInThread(view, config, this.#clock.nowMs()))
      .finally(() => {
        this.#ordering = undefined;
      });
    return this.#ordering;
  }

  #orFatal<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#fatal.promise]);
  }

  /** Resolves when `work` does, or when the process is told to stop. */
  async #orAborted(work: Promise<unknown>): Promise<void> {
    const { signal } = this.#options;
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = (): void => resolve();
    signal.addEventListener('abort', stop, { once: true });
    await Promise.race([work, promise]);
    signal.removeEventListener('abort', stop);
  }
}
