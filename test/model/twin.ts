// The model twin: a cycle by the letter of the specification, on plain objects and with no regard to speed. It shares no code
// with the engine. Its victims are those of the reference's own search.
import type { SchedulerConfig } from '../../src/base/config.ts';
import { formatPortion } from '../../src/base/formatNumber.ts';
import type { ClusterObjects } from '../../src/base/objects.ts';
import { addJobError, allocate, openSession, type Placement, type Session } from './allocate.ts';
import { amountOf } from './amounts.ts';
import type { VictimAction } from './eligible.ts';
import { evict } from './evict.ts';
import { portionOn } from './ledger.ts';
import { isShared } from './request.ts';
import { staleness } from './stale.ts';
import { countOf, isReady, podSetName, tasksOf } from './subGroups.ts';
import { notReadyText, podGroupText, podText, prefix } from './texts.ts';
import { ACTIVE, ALLOCATED, type Job, type State, type Task, type Triple } from './types.ts';
import { ownAnswer, serveInOrder } from './victimActions.ts';
import { openWorld, strayTasks } from './world.ts';

export interface TwinDecision {
  readonly kind: 'bind' | 'pipeline' | 'evict';
  /** "namespace/name" */
  readonly pod: string;
  readonly podGroup: string;
  readonly node: string;
  readonly gpuCount: number;
  /** Two decimals. */
  readonly gpuPortion: string;
  /** Existing groups by name; new ones "new#0", "new#1", … in the order of their making. */
  readonly gpuGroups: readonly string[];
}

export interface TwinJobReport {
  readonly state: 'unschedulable' | 'notReady';
  readonly message: string;
  readonly isConditionWanted: boolean;
  /** Texts of the pods by "namespace/name". */
  readonly pods: Readonly<Record<string, string>>;
  /** What of the texts the specification leaves open: nothing, the reasons of single nodes, or everything. */
  readonly open: 'nothing' | 'reasons' | 'all';
}

export interface TwinResult {
  readonly decisions: readonly TwinDecision[];
  /** Pod groups that wait or are not complete, by "namespace/name". */
  readonly jobs: ReadonlyMap<string, TwinJobReport>;
  /** By queue: milli-CPU, bytes, milli-GPU. */
  readonly fairShares: ReadonlyMap<string, Triple>;
  readonly allocated: ReadonlyMap<string, Triple>;
  /** Pod groups that started in this cycle. */
  readonly started: ReadonlySet<string>;
}

function decisionOf({ kind, task, job, node, groups }: Placement): TwinDecision {
  const { request, key } = task;
  const isWhole = request.type === 'regular' && amountOf(request.amounts, 'gpu') > 0;
  const portion = isShared(request) ? portionOn(request, node) : isWhole ? 1 : 0;
  const gpuCount = isShared(request) || isWhole ? request.count : 0;
  return { kind, pod: key, podGroup: job.key, node: node.name, gpuCount, gpuPortion: formatPortion(portion), gpuGroups: groups };
}

/** Texts of the waiting pods: those without a sub-group, those that were tried, and the others with the text of the group. */
function podTexts(session: Session, job: Job): Record<string, string> {
  const { world, state, fitErrors, jobErrors } = session;
  const errors = jobErrors.get(job.key) ?? [];
  const isPending = (task: Task): boolean => state.tasks.get(task.key)!.status === 'pending';
  const strays = strayTasks(world, job).map((task) => {
    const text = `Pod references subgroup "${podSetName(task)}", which does not exist in PodGroup ${job.key}`;
    return { task, text: prefix(job) + text };
  });
  const members = tasksOf(job).map((task) => {
    const own = fitErrors.get(task.key);
    if (own !== undefined) return { task, text: prefix(job) + podText(own) };
    return { task, text: errors.length > 0 ? podGroupText(job, errors) : `${prefix(job)}Unable to schedule pod` };
  });
  const all = isReady(state, job.root) ? [...strays, ...members] : strays;
  return Object.fromEntries(all.filter(({ task }) => isPending(task)).map(({ task, text }) => [task.key, text]));
}

function reportOf(session: Session, job: Job): TwinJobReport | null {
  const { world, state, jobErrors } = session;
  const tasks = tasksOf(job);
  if (job.isMalformed) {
    const isPending = strayTasks(world, job).some((task) => state.tasks.get(task.key)!.status === 'pending');
    return isPending ? { state: 'unschedulable', message: '', isConditionWanted: true, pods: {}, open: 'all' } : null;
  }
  if (countOf(state, tasks, ['pending', 'gated']) === 0) return null;
  const pods = podTexts(session, job);
  if (!isReady(state, job.root)) {
    return { state: 'notReady', message: notReadyText(job, state), isConditionWanted: false, pods, open: 'nothing' };
  }
  const message = podGroupText(job, jobErrors.get(job.key) ?? [], world.config.params.detailedFitErrors);
  // Which reasons a node has against shared requests is not determined.
  const open = tasks.some((task) => isShared(task.request)) ? 'reasons' : 'nothing';
  return { state: 'unschedulable', message, isConditionWanted: countOf(state, tasks, ACTIVE) === 0, pods, open };
}

/** What became of the pods of an answer; binds of this cycle that are taken back are simply not made (spec 09 row 4). */
function changesOf(session: Session, before: State): TwinDecision[] {
  const { world, state, placements } = session;
  const decisions: TwinDecision[] = [];
  for (const [key, { status, node, groups }] of state.tasks) {
    const held = before.tasks.get(key)!;
    if (held.status === status) continue;
    const task = world.tasks.get(key)!;
    const job = world.jobOf.get(key)!;
    const bound = placements.findIndex((placement) => placement.task === task);
    const isGone = ALLOCATED.includes(held.status);
    if (isGone && bound >= 0) placements.splice(bound, 1);
    else if (isGone) {
      const none = { gpuCount: 0, gpuPortion: '0.00', gpuGroups: [] };
      decisions.push({ kind: 'evict', pod: key, podGroup: job.key, node: held.node ?? '', ...none });
    }
    if (status === 'pipelined') decisions.push(decisionOf({ kind: 'pipeline', task, job, node: world.nodes.get(node!)!, groups }));
  }
  return decisions;
}

/** All configured actions, in their order. */
function runActions(session: Session): TwinDecision[] {
  const { world } = session;
  const robbed = new Set<string>();
  const taken: TwinDecision[] = [];
  const note = (before: State): void => {
    const decisions = changesOf(session, before);
    for (const { kind, podGroup } of decisions) if (kind === 'evict') robbed.add(podGroup);
    taken.push(...decisions);
  };
  for (const action of world.config.actions) {
    if (action === 'allocate') allocate(session);
    else if (action === 'stalegangeviction') {
      const before = structuredClone(session.state);
      for (const { tasks } of staleness(world, session.state)) for (const task of tasks) evict(world, session.state, task);
      note(before);
    } else {
      serveInOrder(session, action as VictimAction, robbed, (attempt, gate) => {
        const before = session.state;
        const answer = gate === null ? ownAnswer(attempt, session) : null;
        if (answer === null) return;
        session.state = answer.state;
        session.newGroups = answer.newGroups;
        note(before);
      });
    }
  }
  return [...session.placements.map(decisionOf), ...taken];
}

/** One cycle. The cluster must be in scope (scope.ts). */
export function decide(objects: ClusterObjects, config: SchedulerConfig, nowMs: number): TwinResult {
  const { world, state } = openWorld(objects, config, nowMs);
  const session = openSession(world, state);
  for (const job of world.jobs) {
    const queue = world.queues.get(job.queue);
    if (queue === undefined) {
      addJobError(session, job, { reason: 'QueueDoesNotExist', message: `Queue '${job.queue}' does not exist` });
    } else if (queue.children.length > 0) {
      const message = `Queue '${job.queue}' has child queues; only a queue without children takes jobs`;
      addJobError(session, job, { reason: 'QueueHasChildren', message });
    }
  }
  const decisions = runActions(session);
  const reports = world.jobs.flatMap((job) => {
    const report = reportOf(session, job);
    return report === null ? [] : [[job.key, report] as const];
  });
  return {
    decisions,
    jobs: new Map(reports),
    fairShares: world.fairShare,
    allocated: new Map([...session.state.queues].map(([name, ledger]) => [name, ledger.allocated])),
    started: session.started,
  };
}
