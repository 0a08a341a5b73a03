// The allocate action (spec 03 sections 6.1–6.9), and gangs placed in a trial of the victim actions (spec 04 section 5.5). Every
// attempt works on the state itself; one that fails puts back a copy.

import { amountOf } from './amounts.ts';
import { capacityProblem } from './capacity.ts';
import { restore } from './evict.ts';
import { fitsNow } from './fit.ts';
import { chooseGpus, NEW_GROUP } from './gpuChoice.ts';
import { addTask, nonAllocated, removeTask } from './ledger.ts';
import { refusal } from './nodeChecks.ts';
import { preCheckProblem } from './preChecks.ts';
import { compareJobs, nextJob } from './queueOrder.ts';
import { acceptedTriple, book, requestedBy } from './queues.ts';
import { isShared } from './request.ts';
import { nodesByScore } from './scores.ts';
import { countOf, isReady, orderedMembers, podSetsOf, tasksOf, tasksToAllocate } from './subGroups.ts';
import { emptyFitError, type FitError, type JobError, podText, taskFailure } from './texts.ts';
import {
  ALLOCATED,
  type Job,
  type Member,
  type NodeFacts,
  type NodeLedger,
  type State,
  type Task,
  type TaskState,
  USED,
  type World,
} from './types.ts';

export interface Placement {
  readonly kind: 'bind' | 'pipeline';
  readonly task: Task;
  readonly job: Job;
  readonly node: NodeFacts;
  readonly groups: readonly string[];
}

/** Pods are evicted in mind: they may be placed again, everything waits, and only some nodes are looked at. */
export interface Trial {
  /** null = all. */
  readonly nodes: ReadonlySet<string> | null;
  /** What the evicted pods held. */
  readonly evicted: ReadonlyMap<string, TaskState>;
  /** GPU groups made before the trial: each one that it makes takes a pod slot for its reservation. */
  readonly groupsBefore: number;
}

export interface Session {
  readonly world: World;
  state: State;
  /** Committed placements, in order. */
  readonly placements: Placement[];
  readonly jobErrors: Map<string, JobError[]>;
  readonly fitErrors: Map<string, FitError>;
  /** Jobs that started in this cycle. */
  readonly started: Set<string>;
  newGroups: number;
  trial: Trial | null;
}

export function openSession(world: World, state: State): Session {
  const empty = { placements: [], jobErrors: new Map(), fitErrors: new Map(), started: new Set<string>() };
  return { world, state, ...empty, newGroups: 0, trial: null };
}

export function addJobError(session: Session, job: Job, error: JobError): void {
  session.jobErrors.set(job.key, [...(session.jobErrors.get(job.key) ?? []), error]);
}

function fitErrorOf(session: Session, task: Task): FitError {
  const found = session.fitErrors.get(task.key) ?? emptyFitError();
  session.fitErrors.set(task.key, found);
  return found;
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}

/** A pod that was evicted in mind and comes to its own node and devices again stays; elsewhere it holds both places. */
function place(session: Session, { kind, task, job, node, groups }: Placement): void {
  const { world, state, trial } = session;
  const held = trial?.evicted.get(task.key);
  if (trial !== null && held !== undefined) {
    session.trial = { ...trial, evicted: new Map([...trial.evicted].filter(([key]) => key !== task.key)) };
    if (held.node === node.name && isSame(held.groups, groups)) {
      restore(world, state, task, held);
      return;
    }
  }
  const status = kind === 'bind' ? 'allocated' : 'pipelined';
  state.tasks.set(task.key, { status, node: node.name, groups });
  addTask(state.nodes.get(node.name)!, node, task, status, groups);
  book(world, state, job, acceptedTriple(task.request, node), 1);
}

function takeBack({ world, state }: Session, { task, job, node, groups }: Placement): void {
  removeTask(state.nodes.get(node.name)!, node, task, state.tasks.get(task.key)!.status, groups);
  state.tasks.set(task.key, { status: 'pending', node: null, groups: [] });
  book(world, state, job, acceptedTriple(task.request, node), -1);
}

function groupsMade(ledger: NodeLedger, before: number): number {
  const isNew = (name: string): boolean => name.startsWith(NEW_GROUP) && Number(name.slice(NEW_GROUP.length)) >= before;
  return [...ledger.groups].filter(([name, group]) => isNew(name) && group.usedMib > 0).length;
}

/** The placement of a task on a node that does not refuse it; null when its GPUs cannot be chosen there. */
function placementOn(session: Session, job: Job, task: Task, node: NodeFacts): Placement | null {
  const ledger = session.state.nodes.get(node.name)!;
  if (session.trial !== null && amountOf(nonAllocated(ledger), 'pods') - groupsMade(ledger, session.trial.groupsBefore) < 1) return null;
  if (!isShared(task.request)) {
    const mustWait = session.trial !== null || !fitsNow(task.request, node, ledger);
    return { kind: mustWait ? 'pipeline' : 'bind', task, job, node, groups: [] };
  }
  const choice = chooseGpus(session.world, task.request, node, ledger);
  if (choice === null) return null;
  const groups = choice.entries.map((group) => group ?? `${NEW_GROUP}${session.newGroups++}`);
  return { kind: choice.mustWait || session.trial !== null ? 'pipeline' : 'bind', task, job, node, groups };
}

/** Places the task on the first node in score order that takes it, at once or later (spec 03 section 6.6). */
function allocateTask(session: Session, job: Job, task: Task): Placement | null {
  const { world, state } = session;
  const problem = preCheckProblem(world, task);
  if (problem !== null) {
    const error = fitErrorOf(session, task);
    error.general ??= problem;
    return null;
  }
  const refusals: { readonly node: NodeFacts; readonly reasons: readonly string[] }[] = [];
  for (const node of nodesByScore(world, state, task)) {
    if (session.trial?.nodes?.has(node.name) === false) continue;
    const reasons = refusal(world, state, job, task, node);
    const placement = reasons === null ? placementOn(session, job, task, node) : null;
    if (placement !== null) {
      place(session, placement);
      return placement;
    }
    refusals.push({ node, reasons: reasons ?? [] });
  }
  const { nodesByReason } = fitErrorOf(session, task);
  for (const { node, reasons } of refusals) {
    for (const reason of reasons) nodesByReason.set(reason, (nodesByReason.get(reason) ?? new Set()).add(node.name));
  }
  return null;
}

/** Places the tasks of one member and all below it, in member order; null when one of them finds no place. */
function allocateMember(session: Session, job: Job, member: Member, tasks: readonly Task[]): Placement[] | null {
  const { world, state } = session;
  const own = tasks.filter((task) => podSetsOf(member).some((podSet) => podSet.tasks.includes(task)));
  const placements: Placement[] = [];
  if (member.kind === 'set') {
    for (const child of orderedMembers(world, state, member)) {
      const placed = allocateMember(session, job, child, own);
      if (placed === null) return null;
      placements.push(...placed);
    }
    return placements;
  }
  for (const task of own) {
    const placement = allocateTask(session, job, task);
    if (placement === null) {
      const error = session.fitErrors.get(task.key);
      const text = error === undefined ? 'Unable to schedule pod' : podText(error);
      addJobError(session, job, taskFailure(job, member, countOf(state, member.tasks, USED), placements.length, task.key, text));
      return null;
    }
    placements.push(placement);
  }
  return placements;
}

/** A pod set has a waiting pod and is not satisfied without those that wait: the whole job waits (spec 03 section 6.8). */
function mustWait(state: State, job: Job): boolean {
  return podSetsOf(job.root).some(({ need, tasks }) => countOf(state, tasks, ['pipelined']) > 0 && countOf(state, tasks, ALLOCATED) < need);
}

/** Places the given tasks of a job in a trial, all of them or none. */
export function placeInTrial(session: Session, job: Job, tasks: readonly Task[]): boolean {
  const { world, state, trial } = session;
  if (tasks.length === 0 || capacityProblem(world, state, job, requestedBy(tasks, world.maxGpuMib)) !== null) return false;
  const before = structuredClone(state);
  if (allocateMember(session, job, job.root, tasks) !== null) return true;
  session.state = before;
  session.trial = trial;
  return false;
}

/** One attempt at a job; null when it failed and everything is as before. */
function attempt(session: Session, job: Job): { readonly placements: readonly Placement[]; readonly isWaiting: boolean } | null {
  const { world, state } = session;
  const tasks = tasksToAllocate(world, state, job.root);
  if (tasks.length === 0) return null;
  const problem = capacityProblem(world, state, job, requestedBy(tasks, world.maxGpuMib));
  if (problem !== null) {
    addJobError(session, job, problem);
    return null;
  }
  const before = structuredClone(state);
  const placements = allocateMember(session, job, job.root, tasks);
  if (placements === null) {
    session.state = before;
    return null;
  }
  if (!mustWait(state, job)) return { placements, isWaiting: false };
  const waiting = placements.filter(({ kind }) => kind === 'pipeline');
  for (const bound of placements.filter(({ kind }) => kind === 'bind')) {
    takeBack(session, bound);
    waiting.push({ ...bound, kind: 'pipeline' });
    place(session, waiting.at(-1)!);
  }
  return { placements: waiting, isWaiting: true };
}

function hasPending(state: State, job: Job): boolean {
  return countOf(state, tasksOf(job), ['pending']) > 0;
}

export function isInLeafQueue(world: World, job: Job): boolean {
  return world.queues.get(job.queue)?.children.length === 0;
}

/**
 * Jobs that take part in an action: ready, with a pending pod, in a leaf queue, and what else the action asks; of each queue the
 * best `depth` ones (spec 03 section 6.1, 04 section 2.1).
 */
export function candidates(world: World, state: State, action: string, isAllowed: (job: Job) => boolean = () => true): Job[] {
  const jobs = world.jobs.filter(
    (job) => !job.isMalformed && isInLeafQueue(world, job) && isReady(state, job.root) && hasPending(state, job) && isAllowed(job),
  );
  const depth = world.config.queueDepthPerAction[action] ?? -1;
  if (depth < 0) return jobs;
  const byQueue = Map.groupBy(jobs, (job) => job.queue);
  return [...byQueue.values()].flatMap((own) => own.sort((a, b) => compareJobs(world, state, a, b)).slice(0, depth));
}

export function allocate(session: Session): void {
  const { world } = session;
  let waiting = candidates(world, session.state, 'allocate');
  for (;;) {
    const job = nextJob(world, session.state, waiting);
    if (job === null) return;
    const hadRunning = countOf(session.state, tasksOf(job), ALLOCATED) > 0;
    const result = attempt(session, job);
    if (result !== null) {
      session.placements.push(...result.placements);
      if (!result.isWaiting && !hadRunning) session.started.add(job.key);
    }
    // After a failure the job is not tried again in this action; after a success it competes for its next step.
    if (result === null || !hasPending(session.state, job)) waiting = waiting.filter((other) => other !== job);
  }
}
