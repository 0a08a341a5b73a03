import type { JobReport, PodReport, QueueReport } from '../../base/decisions.ts';
import { faultText, JobFaultError } from '../../base/jobFault.ts';
import { NO_ROW, type PodGroupRow, type PodRow } from '../../base/rows.ts';
import { isJobReady, isSetReady, jobCount } from '../jobs/gang.ts';
import { sortedPods } from '../jobs/taskOrder.ts';
import { countOf, queueCell, statusOf } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';
import { Status } from '../session/status.ts';
import { blaming, isSetAside } from '../session/turns.ts';
import { QUEUE_CELL, SET_CELL } from '../state/layout.ts';
import { newRecentEvictions } from '../victims/safety.ts';
import { detailedPodText } from './detailedErrors.ts';
import { addJobError } from './jobErrors.ts';

const NO_GROUP_TEXT = 'Unable to schedule podgroup';
const NO_POD_TEXT = 'Unable to schedule pod';

/** What the cycle says of each pod group that waits or has something to clear (spec 01 section 5.4, 03 section 12.3). */
export function jobReports(s: Session): JobReport[] {
  const reports: JobReport[] = [];
  // An error in a report is no reason to decide otherwise.
  s.turns.begun++;
  const unknown = unknownByJob(s);
  for (let job = 0; job < s.jobs.count; job++) {
    if (isSetAside(s, job)) {
      reports.push(brokenReport(s, job, unknown.get(job) ?? []));
      continue;
    }
    if (isQuiet(s, job) && !unknown.has(job)) continue;
    const report = blaming(s, job, () => jobReport(s, job, unknown.get(job) ?? []));
    if (report !== null) reports.push(report);
  }
  return reports;
}

/** Most jobs of a full cluster: nothing waits, nothing changed, nothing to clear. */
function isQuiet(s: Session, job: number): boolean {
  return (
    jobCount(s, job, SET_CELL.pending) === 0 &&
    gatedCount(s, job) === 0 &&
    s.view.podGroups.conditionsJson[s.jobs.row[job]!]! === NO_ROW &&
    !s.started.has(job) &&
    !s.robbed.has(job) &&
    !s.stale.has(job) &&
    !s.staleSince.has(job)
  );
}

function jobReport(s: Session, job: number, unknownPods: readonly PodReport[]): JobReport | null {
  const waiting = jobCount(s, job, SET_CELL.pending) + gatedCount(s, job);
  const started = changesOf(s, job);
  const podGroupRow = s.jobs.row[job]! as PodGroupRow;
  const base = { podGroupRow, errors: [], isConditionWanted: false, ...started };
  // Without a readable tree no pod has a place in it: all of them wait for the same reason.
  if (s.jobs.invalid.has(job)) return unknownPods.length === 0 && waiting === 0 ? null : invalidReport(s, job, unknownPods);
  if (waiting > 0) {
    if (!isJobReady(s, job)) {
      return { ...base, state: 'notReady', message: notReadyText(s, job), pods: unknownPods };
    }
    return { ...unschedulable(s, job, unknownPods), ...started };
  }
  const isSettled = jobCount(s, job, SET_CELL.pipelined) === 0 && !hasUnsettled(s, job);
  const hasConditions = s.view.podGroups.conditionsJson[podGroupRow]! !== NO_ROW;
  if (isSettled && hasConditions) return { ...base, state: 'scheduled', message: '', pods: unknownPods };
  if (unknownPods.length > 0 || Object.keys(started).length > 0) return { ...base, state: 'scheduled', message: '', pods: unknownPods };
  return null;
}

/** Of a job that made the engine throw. It is told whatever state the job is in. */
function brokenReport(s: Session, job: number, unknownPods: readonly PodReport[]): JobReport {
  const message = faultText(new JobFaultError(s.turns.faults.get(job)!));
  addJobError(s, job, { reason: 'InternalError', message, detail: message, subGroup: '' });
  const podGroupRow = s.jobs.row[job]! as PodGroupRow;
  const bare: JobReport = { podGroupRow, state: 'unschedulable', message, errors: [], pods: [], isConditionWanted: false };
  const errors = [{ reason: 'InternalError', message }];
  try {
    return { ...bare, ...jobReport(s, job, unknownPods), state: 'unschedulable', message, errors, isBroken: true };
  } catch {
    return { ...bare, errors, isBroken: true };
  }
}

function invalidReport(s: Session, job: number, unknownPods: readonly PodReport[]): JobReport {
  const report = unschedulable(s, job, []);
  return { ...report, pods: [...unknownPods.map(({ podRow }) => ({ podRow, message: report.message })), ...report.pods] };
}

type Change = 'lastStartMs' | 'lastEvictionMs' | 'recentEvictionsMs' | 'staleSinceMs' | 'staleMessage';

/** Times and texts that go with a job whatever else is said of it. */
function changesOf(s: Session, job: number): Partial<Pick<JobReport, Change>> {
  const staleSinceMs = s.staleSince.get(job);
  const recentEvictionsMs = newRecentEvictions(s, job);
  return {
    ...(s.started.has(job) ? { lastStartMs: s.nowMs } : {}),
    ...(s.robbed.has(job) ? { lastEvictionMs: s.nowMs } : {}),
    ...(recentEvictionsMs === undefined ? {} : { recentEvictionsMs }),
    ...(staleSinceMs === undefined ? {} : { staleSinceMs }),
    ...(s.stale.has(job) ? { staleMessage: staleText(s, job) } : {}),
  };
}

/** Text of the StaleJob event (spec 01 section 5.2). */
function staleText(s: Session, job: number): string {
  const sets = Array.from({ length: s.jobs.setCount[job]! }, (_, k) => s.jobs.firstSet[job]! + k);
  const minimum = sets.reduce((sum, set) => sum + s.podSets.min[set]!, 0);
  let text = `Job is stale. ${jobCount(s, job, SET_CELL.used)} pods are active, minMember is ${minimum}`;
  sets.sort((a, b) => (s.podSets.name[a]! < s.podSets.name[b]! ? -1 : 1));
  for (const set of sets) {
    const used = countOf(s, SET_CELL.used, set);
    const name = s.podSets.name[set]!;
    if (name !== 'default' && used < s.podSets.min[set]!)
      text += `, subGroup ${name} minMember is ${s.podSets.min[set]!} and ${used} pods are active`;
  }
  return text;
}

/** Some task is Allocated or Binding: conditions stay as explanation while a bind is in flight. */
function hasUnsettled(s: Session, job: number): boolean {
  const { first, size, pods } = s.podSets;
  for (let set = s.jobs.firstSet[job]!; set < s.jobs.firstSet[job]! + s.jobs.setCount[job]!; set++) {
    if (countOf(s, SET_CELL.allocated, set) === 0) continue;
    for (let i = first[set]!; i < first[set]! + size[set]!; i++) {
      const status = statusOf(s, pods[i]!);
      if (status === Status.allocated || status === Status.binding) return true;
    }
  }
  return false;
}

function gatedCount(s: Session, job: number): number {
  let count = 0;
  for (let set = s.jobs.firstSet[job]!; set < s.jobs.firstSet[job]! + s.jobs.setCount[job]!; set++) count += s.podSets.gated[set]!;
  return count;
}

function unschedulable(s: Session, job: number, unknownPods: readonly PodReport[]): JobReport {
  const podGroupRow = s.jobs.row[job]! as PodGroupRow;
  const errors = s.errors.job.get(job) ?? [];
  const prefix = poolPrefix(s, podGroupRow);
  const counts = new Map<string, number>();
  for (const e of errors) counts.set(e.message, (counts.get(e.message) ?? 0) + 1);
  const head = errors.length === 1 ? errors[0]!.reason : NO_GROUP_TEXT;
  const groupText = jobText(head, counts);
  const pods: PodReport[] = unknownPods.slice();
  for (let set = s.jobs.firstSet[job]!; set < s.jobs.firstSet[job]! + s.jobs.setCount[job]!; set++) {
    for (const podRow of sortedPods(s, set)) {
      if (statusOf(s, podRow) !== Status.pending) continue;
      pods.push({ podRow: podRow as PodRow, message: prefix + podText(s, podRow, errors.length > 0 ? groupText : NO_POD_TEXT) });
    }
  }
  return {
    podGroupRow,
    state: 'unschedulable',
    message: prefix + (s.config.params.detailedFitErrors && errors.length > 0 ? detailedJobText(head, errors) : groupText),
    errors: errors.map((e) => ({
      reason: e.reason,
      message: e.message,
      ...(e.queueDetails === undefined ? {} : { queueDetails: e.queueDetails }),
    })),
    pods,
    isConditionWanted: jobCount(s, job, SET_CELL.active) === 0,
  };
}

/** Texts once without a count, several times with it (spec 01 section 5.5). */
function jobText(head: string, counts: ReadonlyMap<string, number>): string {
  if (counts.size === 0) return head;
  const parts = [...counts].map(([text, number]) => (number > 1 ? `${number} ${text}` : text)).sort();
  return `${head}: ${parts.join('. \n')}.`;
}

function detailedJobText(head: string, errors: readonly { readonly detail: string; readonly subGroup: string }[]): string {
  const lines = errors.map((e) => `\n${e.subGroup === '' ? '' : `subgroup ${e.subGroup}: `}${e.detail}.`).sort();
  return `\n${head}.${lines.join('')}`;
}

function podText(s: Session, podRow: number, groupText: string): string {
  const own = s.errors.task.get(podRow);
  if (own === undefined) return groupText;
  return s.config.params.detailedFitErrors ? detailedPodText(s, podRow, own) : own;
}

/** `Node-Pool '<pool>': ` on every text of a group that is tried once per pool (back-off 1). */
function poolPrefix(s: Session, podGroupRow: number): string {
  if (s.view.podGroups.schedulingBackoff[podGroupRow]! !== 1) return '';
  const pool = s.view.podGroups.poolText[podGroupRow]!;
  return `Node-Pool '${pool === NO_ROW ? 'default' : s.view.texts.get(pool)}': `;
}

function notReadyText(s: Session, job: number): string {
  let text = 'Job is not ready for scheduling.';
  const sets = Array.from({ length: s.jobs.setCount[job]! }, (_, k) => s.jobs.firstSet[job]! + k);
  sets.sort((a, b) => (s.podSets.name[a]! < s.podSets.name[b]! ? -1 : 1));
  for (const set of sets) {
    if (isSetReady(s, set)) continue;
    const counts = `currently ${countOf(s, SET_CELL.alive, set)} exist, ${s.podSets.gated[set]!} are gated`;
    const name = s.podSets.name[set]!;
    const min = s.podSets.min[set]!;
    text += name === 'default' ? ` Waiting for ${min} pods, ${counts}` : ` Waiting for ${min} pods for SubGroup ${name}, ${counts}.`;
  }
  return text;
}

/** Pending pods that name a sub-group which their pod group does not have. */
function unknownByJob(s: Session): Map<number, PodReport[]> {
  const byJob = new Map<number, PodReport[]>();
  for (const [podRow, name] of s.tasks.unknownSubGroup) {
    if (statusOf(s, podRow) !== Status.pending) continue;
    const groupText = s.view.pods.groupKeyText[podRow]!;
    const job = s.jobOfText[groupText]!;
    const group = s.view.texts.get(groupText);
    const message = `${poolPrefix(s, s.jobs.row[job]!)}Pod references subgroup "${name}", which does not exist in PodGroup ${group}`;
    const list = byJob.get(job);
    const report: PodReport = { podRow: podRow as PodRow, message };
    if (list === undefined) byJob.set(job, [report]);
    else list.push(report);
  }
  return byJob;
}

export function queueReports(s: Session): QueueReport[] {
  const q = s.queues;
  const reports: QueueReport[] = [];
  for (let i = 0; i < q.count; i++) {
    if (q.row[i]! === NO_ROW) continue;
    reports.push({
      queue: q.name[i]!,
      fairShareMilliCpu: q.fairShare[3 * i]!,
      fairShareMemoryBytes: q.fairShare[3 * i + 1]!,
      fairShareGpu: q.fairShare[3 * i + 2]! / 1000,
      allocatedMilliCpu: s.state.cells[queueCell(s, QUEUE_CELL.milliCpu, i)]!,
      allocatedMemoryBytes: s.state.cells[queueCell(s, QUEUE_CELL.memoryBytes, i)]!,
      allocatedGpu: s.state.cells[queueCell(s, QUEUE_CELL.gpuMilli, i)]! / 1000,
      usageCpu: q.usage[3 * i]!,
      usageMemory: q.usage[3 * i + 1]!,
      usageGpu: q.usage[3 * i + 2]!,
    });
  }
  return reports;
}
