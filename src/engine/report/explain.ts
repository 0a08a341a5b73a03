import type { SchedulerConfig } from '../../base/config.ts';
import type { RawDecision } from '../../base/decisions.ts';
import { formatHuman } from '../../base/formatNumber.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { pendingJobs } from '../actions/allocate.ts';
import { actionsOf, runActions } from '../cycle.ts';
import { isJobReady, isSetReady, jobCount } from '../jobs/gang.ts';
import { type Need, needOf, selectTasks } from '../jobs/selectTasks.ts';
import { INLINE_PORT } from '../parallel.ts';
import { findViolation, type Violation, violationError } from '../queues/capacity.ts';
import { countOf, nodeOf, queueCell, statusOf } from '../session/occupy.ts';
import { openSession, sizesOf } from '../session/open.ts';
import type { Session } from '../session/session.ts';
import { Status } from '../session/status.ts';
import { SET_CELL, stateSize } from '../state/layout.ts';
import { explainFit } from './explainFit.ts';
import { ServingOrder } from './explainOrder.ts';
import { explainTaking } from './explainTaking.ts';
import { explainVictims } from './explainVictims.ts';
import type { Constraint, CycleExplanation, PodCounts, WaitingExplanation } from './explanation.ts';

/**
 * Runs one cycle on a snapshot and explains it: for each pod group that waits the first binding constraint, who stands
 * before it and what would help; for each pod group that lost pods who took them and why. For use beside a scheduler, not
 * in one: every waiting pod group costs a look at all nodes. `workload`: only this pod group, as "namespace/name" or "name".
 * Throws KaiError UNKNOWN_ACTION for an action that does not exist.
 */
export function explainCycle(view: SnapshotView, config: SchedulerConfig, nowMs: number, workload?: string): CycleExplanation {
  const s = openSession(view, config, nowMs, new SharedArrayBuffer(stateSize(sizesOf(view))), INLINE_PORT);
  const decisions: RawDecision[] = [];
  runActions(s, actionsOf(config), (batch) => decisions.push(...batch));
  const isMeant = (key: string): boolean => workload === undefined || key === workload || key.endsWith(`/${workload}`);
  const order = new ServingOrder(s, pendingJobs(s));
  const waiting: WaitingExplanation[] = [];
  for (let job = 0; job < s.jobs.count; job++) {
    const key = view.texts.get(view.podGroups.keyText[s.jobs.row[job]!]!);
    const pods = podCounts(s, job);
    if (isMeant(key) && pods.pending + pods.gated + pods.promised > 0) waiting.push(explainJob(s, job, key, pods, order));
  }
  waiting.sort((a, b) => (a.podGroup < b.podGroup ? -1 : 1));
  const victims = explainVictims(s, decisions).filter((v) => isMeant(v.podGroup) || (v.evictor !== undefined && isMeant(v.evictor)));
  return { waiting, victims };
}

function setsOf(s: Session, job: number): number[] {
  return Array.from({ length: s.jobs.setCount[job]! }, (_, k) => s.jobs.firstSet[job]! + k);
}

function podCounts(s: Session, job: number): PodCounts {
  return {
    pending: jobCount(s, job, SET_CELL.pending) + (s.jobs.invalid.has(job) ? podsOutsideTree(s, job) : 0),
    gated: setsOf(s, job).reduce((sum, set) => sum + s.podSets.gated[set]!, 0),
    holding: jobCount(s, job, SET_CELL.allocated),
    promised: jobCount(s, job, SET_CELL.pipelined),
  };
}

/** Pending pods that a malformed tree has no place for. */
function podsOutsideTree(s: Session, job: number): number {
  let count = 0;
  for (const podRow of s.tasks.unknownSubGroup.keys()) {
    if (s.jobOfText[s.view.pods.groupKeyText[podRow]!] === job && statusOf(s, podRow) === Status.pending) count++;
  }
  return count;
}

function explainJob(s: Session, job: number, podGroup: string, pods: PodCounts, order: ServingOrder): WaitingExplanation {
  const queue = s.jobs.queue[job]!;
  const { constraint, remedies, tasks, takingOf } = explainConstraint(s, job, pods);
  const taking = tasks.length === 0 ? [] : explainTaking(s, job, tasks);
  return {
    podGroup,
    queue: queue >= 0 ? s.queues.name[queue]! : textOf(s, s.view.podGroups.queueText[s.jobs.row[job]!]!),
    pods,
    constraint,
    taking: taking.filter(({ action }) => takingOf?.has(action) !== false),
    before: order.before(job),
    remedies,
  };
}

function textOf(s: Session, row: number): string {
  return row === NO_ROW ? '' : s.view.texts.get(row);
}

interface Answer {
  readonly constraint: Constraint;
  readonly remedies: readonly string[];
  /** Pods that the job would be tried with next. */
  readonly tasks: readonly number[];
  /** Actions that could have cured it; absent = all that take from others. */
  readonly takingOf?: ReadonlySet<string>;
}

/** What a queue lacks itself can only come from its own jobs. */
const OWN_QUEUE: ReadonlySet<string> = new Set(['preempt']);

function explainConstraint(s: Session, job: number, pods: PodCounts): Answer {
  const early = beforeTasks(s, job, pods);
  if (early !== null) return { ...early, tasks: [] };
  const tasks = selectTasks(s, job);
  if (pods.promised > 0 && (tasks.length === 0 || !isBelowMinimum(s, job))) return { ...explainPromise(s, job, pods), tasks: [] };
  if (tasks.length === 0) {
    const text = 'the pods that wait belong to optional sub-groups that do not have all their pods yet';
    return { constraint: { kind: 'incompleteMember', text }, remedies: [], tasks };
  }
  const need = needOf(s, tasks, s.maxGpuMib, false);
  const violation = findViolation(s, job, need);
  if (violation !== null) return { ...explainViolation(s, job, need, violation), tasks, takingOf: OWN_QUEUE };
  if (!s.attempted.has(job)) {
    const depth = s.config.queueDepthPerAction['allocate'] ?? -1;
    return { constraint: { kind: 'depth', text: `only the first ${depth} jobs of a queue are tried in a cycle` }, remedies: [], tasks };
  }
  const fit = explainFit(s, job, tasks);
  if (fit.constraint !== null) return { constraint: fit.constraint, remedies: fit.remedies, tasks };
  return { constraint: placeable(s, job), remedies: [], tasks };
}

/** Each pod finds a place by itself: then a topology constraint is in the way, or room was made only later in the cycle. */
function placeable(s: Session, job: number): Constraint {
  const told = (s.errors.job.get(job) ?? []).map((e) => e.message).join('; ');
  const isConstrained =
    s.jobs.rootConstraint.has(job) || setsOf(s, job).some((set) => s.jobs.setConstraint.has(set)) || s.jobs.tree.has(job);
  if (isConstrained && told !== '') return { kind: 'topology', text: told };
  return { kind: 'nextCycle', text: 'it fits now: room was made after it was tried, and it is tried again in the next cycle' };
}

/** What is wrong before any pod is looked at. */
function beforeTasks(s: Session, job: number, pods: PodCounts): Omit<Answer, 'tasks'> | null {
  const queue = s.jobs.queue[job]!;
  if (queue < 0) {
    const name = textOf(s, s.view.podGroups.queueText[s.jobs.row[job]!]!);
    const text = `queue '${name}' does not exist, or a queue above it does not`;
    return { constraint: { kind: 'queueUnknown', text }, remedies: [`a queue '${name}' in this node pool`] };
  }
  if (s.queues.isLeaf[queue] !== 1) {
    const text = `queue ${s.queues.name[queue]!} has queues below it; only leaf queues are served`;
    return { constraint: { kind: 'queueNotLeaf', text }, remedies: ['one of the queues below it'] };
  }
  const invalid = s.jobs.invalid.get(job);
  if (invalid !== undefined) return { constraint: { kind: 'badTree', text: `its sub-groups are malformed: ${invalid}` }, remedies: [] };
  if (pods.pending === 0 && pods.promised === 0) {
    return { constraint: { kind: 'gated', text: `${pods.gated} pods have scheduling gates` }, remedies: ['the gates removed'] };
  }
  if (pods.pending > 0 && !isJobReady(s, job)) return explainNotReady(s, job);
  return null;
}

function explainNotReady(s: Session, job: number): Omit<Answer, 'tasks'> {
  const short = setsOf(s, job).filter((set) => !isSetReady(s, set));
  const parts = short.map((set) => {
    const alive = countOf(s, SET_CELL.alive, set) - s.podSets.gated[set]!;
    return { name: s.podSets.name[set]!, alive, min: s.podSets.min[set]!, gated: s.podSets.gated[set]! };
  });
  const title = (name: string): string => (name === 'default' ? 'the pod group' : `sub-group ${name}`);
  const gates = (gated: number): string => (gated > 0 ? `, ${gated} more are gated` : '');
  const text = parts.map((p) => `${title(p.name)} has ${p.alive} of ${p.min} pods${gates(p.gated)}`).join('; ');
  return {
    constraint: { kind: 'notReady', text: `not all pods exist that it needs: ${text}` },
    remedies: parts.map((p) => `${p.min - p.alive} more pods of ${title(p.name)}`),
  };
}

/** Some pod set of the job has fewer active pods than its minimum. */
function isBelowMinimum(s: Session, job: number): boolean {
  return setsOf(s, job).some((set) => countOf(s, SET_CELL.active, set) < s.podSets.min[set]!);
}

/** Pods that have a promise wait for others to leave. */
function explainPromise(s: Session, job: number, pods: PodCounts): Omit<Answer, 'tasks'> {
  const { first, size, pods: all } = s.podSets;
  const nodes = new Set<number>();
  for (const set of setsOf(s, job)) {
    for (let i = first[set]!; i < first[set]! + size[set]!; i++)
      if (statusOf(s, all[i]!) === Status.pipelined) nodes.add(nodeOf(s, all[i]!));
  }
  const leaving: string[] = [];
  for (let p = 0; p < s.view.pods.rows; p++) {
    if (s.view.pods.used[p] === 1 && statusOf(s, p) === Status.releasing && nodes.has(nodeOf(s, p)))
      leaving.push(textOf(s, s.view.pods.keyText[p]!));
  }
  const names = [...nodes].map((n) => s.nodeName[n]!).sort();
  const shown = leaving.sort().slice(0, 5).join(', ');
  const more = leaving.length > 5 ? ` and ${leaving.length - 5} more` : '';
  const until = leaving.length > 0 ? `, once these have left: ${shown}${more}` : '';
  const who = pods.promised === 1 ? '1 pod is promised a place' : `${pods.promised} pods are promised places`;
  const text = `${who} on ${names.join(', ')}${until}`;
  return { constraint: { kind: 'releasing', text }, remedies: [] };
}

const RESOURCE = [
  { unit: 1000, name: 'CPU cores' },
  { unit: 1e9, name: 'GB of memory' },
  { unit: 1000, name: 'GPUs' },
] as const;

function explainViolation(s: Session, job: number, need: Need, v: Violation): Omit<Answer, 'tasks'> {
  const { unit, name } = RESOURCE[v.resource]!;
  const asked = [need.milliCpu, need.memoryBytes, need.gpuMilli][v.resource]!;
  const used = s.state.cells[queueCell(s, (v.isLimit ? 0 : 3) + v.resource, v.queue)]!;
  const bound = (v.isLimit ? s.queues.limit : s.queues.quota)[3 * v.queue + v.resource]!;
  // Cut to three decimals it would not be enough.
  const step = unit / 1000;
  const missing = formatHuman(Math.ceil((used + asked - bound) / step) * step, unit);
  const where = `${v.isLimit ? 'limit' : 'quota'} of queue ${s.queues.name[v.queue]!}`;
  const remedies = [`${missing} more ${name} in the ${where}`];
  if (!v.isLimit) remedies.push('a preemptible workload, which may go over the quota');
  return { constraint: { kind: v.isLimit ? 'limit' : 'quota', text: violationError(s, job, need, v).message.trim() }, remedies };
}
