import { ReceivedType } from '../../base/codes.ts';
import type { PluginConfig, SchedulerConfig } from '../../base/config.ts';
import type { CycleCounts, Decision, DecisionDetails, JobError, JobReport, QueueReport } from '../../base/decisions.ts';
import type { ObjectProblem } from '../../base/errors.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { CycleResult } from '../../runner/cycleRunner.ts';

/** What `kai decide --output json` prints. Only `phaseMs` and `cycleMs` differ between runs on the same input. */
export interface DecideDocument {
  /** Time of the cycle, RFC 3339. */
  readonly now: string;
  readonly config: { readonly actions: readonly string[]; readonly plugins: readonly PluginConfig[] };
  readonly decisions: readonly DecisionRecord[];
  readonly jobs: readonly JobRecord[];
  readonly queues: readonly QueueReport[];
  readonly counts: CycleCounts;
  readonly phaseMs: Readonly<Record<string, number>>;
  readonly cycleMs: number;
  /** "namespace/name" of bind requests that are to be deleted. */
  readonly staleBindRequests: readonly string[];
  readonly problems: readonly ObjectProblem[];
}

export interface DecisionRecord {
  readonly kind: Decision['kind'];
  readonly action: string;
  readonly pod: string;
  readonly podGroup: string;
  readonly node: string;
  readonly gpuGroups: readonly string[];
  /** Regular, Fraction, MigInstance, or '' where nothing is received. */
  readonly receivedResourceType: string;
  readonly receivedGpu: { readonly count: number; readonly portion: string };
  readonly details?: DecisionDetails;
}

export interface JobRecord {
  readonly podGroup: string;
  readonly state: JobReport['state'];
  readonly message: string;
  readonly errors: readonly JobError[];
  readonly pods: readonly { readonly pod: string; readonly message: string }[];
}

export interface DecideResult {
  readonly nowMs: number;
  readonly config: SchedulerConfig;
  readonly view: SnapshotView;
  readonly result: CycleResult;
  readonly problems: readonly ObjectProblem[];
}

const RECEIVED_TYPE_NAMES: Readonly<Record<number, string>> = Object.freeze({
  [ReceivedType.none]: '',
  [ReceivedType.regular]: 'Regular',
  [ReceivedType.fraction]: 'Fraction',
  [ReceivedType.migInstance]: 'MigInstance',
});

/** The result of a cycle with names in place of rows. */
export function decisionsDocument({ nowMs, config, view, result, problems }: DecideResult): DecideDocument {
  const { report } = result;
  return {
    now: new Date(nowMs).toISOString(),
    config: { actions: config.actions, plugins: config.plugins },
    decisions: result.decisions.map(decisionRecord),
    jobs: report.jobs.map((job) => jobRecord(job, view)),
    queues: report.queues,
    counts: report.counts,
    phaseMs: report.phaseMs,
    cycleMs: result.cycleMs,
    staleBindRequests: report.staleBindRequests,
    problems,
  };
}

function decisionRecord(decision: Decision): DecisionRecord {
  return {
    kind: decision.kind,
    action: decision.action,
    pod: decision.pod,
    podGroup: decision.podGroup,
    node: decision.node,
    gpuGroups: decision.gpuGroups,
    receivedResourceType: RECEIVED_TYPE_NAMES[decision.receivedType] ?? '',
    receivedGpu: { count: decision.gpuCount, portion: decision.gpuPortion },
    ...(decision.details === undefined ? {} : { details: decision.details }),
  };
}

function jobRecord(job: JobReport, view: SnapshotView): JobRecord {
  const { texts, podGroups, pods } = view;
  return {
    podGroup: texts.get(podGroups.keyText[job.podGroupRow]!),
    state: job.state,
    message: job.message,
    errors: job.errors,
    pods: job.pods.map(({ podRow, message }) => ({ pod: texts.get(pods.keyText[podRow]!), message })),
  };
}
