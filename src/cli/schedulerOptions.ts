// Flags of `kai scheduler`: upstream's names (spec 01 section 3.1) and a few of ours.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { SchedulerParams } from '../base/config.ts';
import { parseGoDurationMs } from '../base/duration.ts';
import { workersOption } from './usage.ts';

export interface SchedulerFlags {
  readonly schedulerName: string;
  readonly namespace: string;
  readonly metricsNamespace: string;
  readonly resourceReservationAppLabel: string;
  readonly restrictNodeScheduling: boolean;
  readonly nodepoolLabelKey: string;
  readonly queueLabelKey: string;
  readonly partitionLabelValue: string;
  readonly schedulerConf: string;
  readonly schedulePeriod?: number;
  readonly leaderElect: boolean;
  readonly version: boolean;
  readonly listenAddress: ListenAddress;
  readonly enableProfiler: boolean;
  readonly profilerPort: number;
  readonly v: number;
  readonly maxConsolidationPreemptees: number;
  readonly qps?: number;
  readonly burst?: number;
  readonly detailedFitErrors: boolean;
  readonly updatePodEvictionCondition: boolean;
  readonly scheduleCsiStorage: boolean;
  readonly useSchedulingSignatures: boolean;
  readonly fullHierarchyFairness: boolean;
  readonly allowConsolidatingReclaim: boolean;
  readonly numOfStatusRecordingWorkers: number;
  readonly defaultStalenessGracePeriod: number;
  readonly pluginServerPort: number;
  readonly cpuWorkerNodeLabelKey: string;
  readonly gpuWorkerNodeLabelKey: string;
  readonly migWorkerNodeLabelKey: string;
  readonly stuckInReleasingThreshold: number;
  readonly logJson: boolean;
  readonly logFlushFrequency: number;
  readonly kubeconfig?: string;
  readonly workers?: 'auto' | number;
  readonly resourceReservationNamespace: string;
  readonly resourceReservationServiceAccount: string;
  readonly resourceReservationPodImage: string;
  readonly resourceReservationAllocationTimeout: number;
  readonly runtimeClassName: string;
  readonly scaleAdjustNamespace: string;
  readonly fakeGpuNodes: boolean;
  readonly resourceReservationPodResources: JsonObject;
  readonly resourceReservationPodSecurityContext?: JsonObject;
  readonly resourceReservationContainerSecurityContext?: JsonObject;
  readonly binderPlugins: string;
  readonly separateBinder: boolean;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export interface ListenAddress {
  /** '' = all interfaces. */
  readonly host: string;
  readonly port: number;
}

/** Accepted because upstream's operator may pass them; they set up what exists in its own runtime only. */
export const IGNORED_FLAGS = [
  'pyroscope-address',
  'pyroscope-mutex-profiler-rate',
  'pyroscope-block-profiler-rate',
  'feature-gates',
] as const;

export function addSchedulerOptions(command: Command): Command {
  const text = (flag: string, fallback: string, help: string): void => void command.option(`--${flag} <text>`, help, fallback);
  const bool = (flag: string, fallback: boolean, help: string): void => {
    command.addOption(new Option(`--${flag} [boolean]`, help).argParser(booleanOption).preset('true').default(fallback));
  };
  const count = (flag: string, fallback: number | undefined, help: string): void => {
    command.addOption(new Option(`--${flag} <number>`, help).argParser(countOption).default(fallback));
  };
  const time = (flag: string, fallbackMs: number | undefined, help: string): void => {
    const option = new Option(`--${flag} <duration>`, help).argParser(durationOption);
    command.addOption(fallbackMs === undefined ? option : option.default(fallbackMs, `${fallbackMs / 1000}s`));
  };
  text('scheduler-name', 'kai-scheduler', 'pods with this spec.schedulerName are scheduled; component of events, name of the lease');
  text('namespace', 'kai-scheduler', 'namespace of the lease');
  text('metrics-namespace', 'kai', 'prefix of metric names');
  text('scheduler-conf', '', 'configuration file; read again when it changes');
  text('nodepool-label-key', 'kai.scheduler/node-pool', 'label that divides nodes, queues and pod groups into shards');
  text('partition-label-value', '', 'value of that label in this shard; empty: objects without it');
  text('queue-label-key', 'kai.scheduler/queue', 'label that names the queue of a claim');
  bool('leader-elect', false, 'several replicas, of which the holder of a lease decides');
  command.addOption(
    new Option('--listen-address <address>', '/metrics, /healthz, /livez and /readyz')
      .argParser(listenOption)
      .default(listenOption(':8080'), ':8080'),
  );
  count('plugin-server-port', 8081, 'port on 127.0.0.1 of /get-snapshot and /get-job-order');
  time('schedule-period', undefined, 'least pause between two cycles; default 50ms, and while something waits a cycle each second');
  command.addOption(
    new Option(
      '--workers <count>',
      'threads of a cycle: auto, 0 = main thread, or a count (default: key workers of the file, or auto)',
    ).argParser(workersOption),
  );
  bool('restrict-node-scheduling', false, 'only nodes with a worker label');
  count('max-consolidation-preemptees', 16, 'pods that one consolidation may move');
  bool('detailed-fit-errors', false, 'explanations node by node');
  bool('update-pod-eviction-condition', false, 'condition DisruptionTarget before an eviction');
  bool('schedule-csi-storage', false, 'count CSI storage');
  bool('use-scheduling-signatures', true, 'skip jobs equal to one that failed in the cycle');
  bool('full-hierarchy-fairness', true, 'fairness at every level of the queue tree');
  bool('allow-consolidating-reclaim', true, 'victims that are placed again do not count as reclaimed');
  count('num-of-status-recording-workers', 5, 'recorded in snapshots; writes are paced by one queue');
  time('default-staleness-grace-period', 60_000, 'time that a gang may lack members; negative: for ever');
  time('stuck-in-releasing-threshold', 120_000, 'overdue by this, a leaving pod gives no room');
  text('resource-reservation-app-label', 'kai-resource-reservation', 'label app of GPU reservation pods');
  text('cpu-worker-node-label-key', 'node-role.kubernetes.io/cpu-worker', 'label of nodes for pods without GPUs');
  text('gpu-worker-node-label-key', 'node-role.kubernetes.io/gpu-worker', 'label of nodes for pods with GPUs');
  text('mig-worker-node-label-key', 'node-role.kubernetes.io/mig-enabled', 'label of nodes with MIG');
  count('qps', undefined, 'writes per second in the long run (default: no limit)');
  count('burst', undefined, 'writes at once, with --qps');
  count('v', 3, 'verbosity of the log, 0 to 7');
  bool('log-json', false, 'log lines as JSON');
  time('log-flush-frequency', 1_000, 'longest time that log lines are held back');
  bool('version', true, 'log the version at start');
  bool('enable-profiler', false, 'inspector on 127.0.0.1');
  count('profiler-port', 8182, 'its port');
  command.option('--kubeconfig <file>', 'kubeconfig (default: KUBECONFIG, ~/.kube/config, service account)');
  text('resource-reservation-namespace', 'kai-resource-reservation', 'namespace of GPU reservation pods');
  text('resource-reservation-service-account', 'kai-resource-reservation', 'their service account');
  text('resource-reservation-pod-image', 'registry/local/kai-scheduler/resource-reservation', 'their image');
  count('resource-reservation-allocation-timeout', 40, 'seconds that they may take to name their GPU');
  text('runtime-class-name', '', 'their runtime class');
  text('scale-adjust-namespace', 'kai-scale-adjust', 'namespace of scaling pods');
  const json = (flag: string, help: string, fallback?: JsonObject): void => {
    const option = new Option(`--${flag} <json>`, help).argParser(jsonOption);
    command.addOption(fallback === undefined ? option : option.default(fallback, '{}'));
  };
  json('resource-reservation-pod-resources', 'their {"requests": …, "limits": …}', {});
  json('resource-reservation-pod-security-context', 'their PodSecurityContext');
  json('resource-reservation-container-security-context', 'SecurityContext of their container');
  text('binder-plugins', '', 'steps before a binding, as the flag --plugins of upstream’s binder');
  bool('separate-binder', false, 'write BindRequests for a binder that runs by itself instead of binding');
  bool('fake-gpu-nodes', false, 'nodes without real GPUs: reservation pods only sleep');
  for (const flag of IGNORED_FLAGS) command.addOption(new Option(`--${flag} <text>`).hideHelp());
  return command;
}

/** What goes into the configuration; the period only where it was given. */
export function paramsOf(flags: SchedulerFlags): Partial<SchedulerParams> {
  return {
    schedulerName: flags.schedulerName,
    restrictSchedulingNodes: flags.restrictNodeScheduling,
    nodePoolLabelKey: flags.nodepoolLabelKey,
    nodePoolLabelValue: flags.partitionLabelValue,
    maxNumberConsolidationPreemptees: flags.maxConsolidationPreemptees,
    scheduleCsiStorage: flags.scheduleCsiStorage,
    useSchedulingSignatures: flags.useSchedulingSignatures,
    fullHierarchyFairness: flags.fullHierarchyFairness,
    allowConsolidatingReclaim: flags.allowConsolidatingReclaim,
    numOfStatusRecordingWorkers: flags.numOfStatusRecordingWorkers,
    defaultStalenessGracePeriodMs: flags.defaultStalenessGracePeriod,
    schedulePeriodMs: flags.schedulePeriod,
    detailedFitErrors: flags.detailedFitErrors,
    updatePodEvictionCondition: flags.updatePodEvictionCondition,
    queueLabelKey: flags.queueLabelKey,
    stuckInReleasingThresholdMs: flags.stuckInReleasingThreshold > 0 ? flags.stuckInReleasingThreshold : 120_000,
  };
}

/** As Go reads them: 1, t, true, 0, f, false in the usual spellings. */
function booleanOption(value: string): boolean {
  if (/^(1|t|T|true|True|TRUE)$/.test(value)) return true;
  if (/^(0|f|F|false|False|FALSE)$/.test(value)) return false;
  throw new InvalidArgumentError('It must be true or false.');
}

function countOption(value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('It must be a whole number.');
}

/** Empty = not given. */
function jsonOption(value: string): JsonObject | undefined {
  if (value === '') return undefined;
  try {
    const parsed: unknown = JSON.parse(value);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as JsonObject;
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError('It must be a JSON object.');
}

function durationOption(value: string): number {
  const ms = parseGoDurationMs(value);
  if (!Number.isNaN(ms)) return ms;
  throw new InvalidArgumentError('It must be a duration such as 1s, 250ms or 5m30s.');
}

function listenOption(value: string): ListenAddress {
  const match = /^(.*):(\d{1,5})$/.exec(value);
  const port = Number(match?.[2]);
  if (match !== null && port <= 65535) return { host: match[1]!.replace(/^\[(.*)\]$/, '$1'), port };
  throw new InvalidArgumentError('It must be HOST:PORT or :PORT.');
}
