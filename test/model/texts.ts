// Texts of pods and pod groups that wait (spec 01 sections 5.4, 5.5; spec 03 sections 7.4, 12.3).
import { countOf, DEFAULT_POD_SET, isReady, podSetsOf } from './subGroups.ts';
import { ALIVE, type Job, type PodSet, type State } from './types.ts';

export interface JobError {
  readonly reason: string;
  readonly message: string;
  /** The named leaf that the error is about. */
  readonly podSet?: string;
}

/** Why a pod was not placed: a text about the pod as such, or the nodes that refused it by reason. */
export interface FitError {
  general: string | null;
  readonly nodesByReason: Map<string, Set<string>>;
}

export function emptyFitError(): FitError {
  return { general: null, nodesByReason: new Map() };
}

function histogram(entries: readonly string[]): string {
  return entries.length === 0 ? '' : `: ${[...entries].sort().join('. \n')}.`;
}

export function podText(error: FitError): string {
  const head = error.general ?? 'no nodes with enough resources were found';
  return head + histogram([...error.nodesByReason].map(([reason, nodes]) => `${nodes.size} ${reason}`));
}

export function podGroupText(job: Job, errors: readonly JobError[], isDetailed = false): string {
  const reason = errors.length === 1 ? errors[0]!.reason : 'Unable to schedule podgroup';
  if (isDetailed) {
    const details = errors.map(({ message, podSet }) => `\n${podSet === undefined ? '' : `subgroup ${podSet}: `}${message}.`);
    return `${prefix(job)}\n${reason}.${details.sort().join('')}`;
  }
  const counts = Map.groupBy(errors, (error) => error.message);
  const texts = [...counts].map(([message, same]) => (same.length > 1 ? `${same.length} ${message}` : message));
  return prefix(job) + reason + histogram(texts);
}

/** A group that is tried once per node pool tells the pool with every text. */
export function prefix(job: Job): string {
  const pool = job.group.metadata.labels?.['kai.scheduler/node-pool'] ?? 'default';
  return job.group.spec?.schedulingBackoff === 1 ? `Node-Pool '${pool}': ` : '';
}

export function notReadyText(job: Job, state: State): string {
  const part = ({ name, need, tasks }: PodSet): string => {
    const counts = `currently ${countOf(state, tasks, ALIVE)} exist, ${countOf(state, tasks, ['gated'])} are gated`;
    return name === DEFAULT_POD_SET ? ` Waiting for ${need} pods, ${counts}` : ` Waiting for ${need} pods for SubGroup ${name}, ${counts}.`;
  };
  const waiting = podSetsOf(job.root).filter((podSet) => !isReady(state, podSet));
  return `Job is not ready for scheduling.${waiting
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(part)
    .join('')}`;
}

/** The error of a job whose task failed after `placed` tasks of its pod set (spec 03 section 6.9). */
export function taskFailure(job: Job, podSet: PodSet, used: number, placed: number, pod: string, podReason: string): JobError {
  const all = podSetsOf(job.root);
  const isGang = all.some((set) => set.need > 1) && used < podSet.need;
  const isDefaultOnly = (job.group.spec?.subGroups ?? []).length === 0;
  const message = !isGang
    ? `Resources were not found for pod ${pod} due to: ${podReason}`
    : isDefaultOnly
      ? `Resources were found for ${placed} pods while ${podSet.need} are required for gang scheduling. Additional pods cannot be scheduled due to: ${podReason}`
      : `Resources were found for ${placed} pods from all sub-groups while sub-group ${podSet.name} requires ${podSet.need} pods for gang scheduling. Additional pods cannot be scheduled in this sub-group due to: ${podReason}`;
  const error = { reason: 'PodSchedulingErrors', message };
  return isDefaultOnly ? error : { ...error, podSet: podSet.name };
}
