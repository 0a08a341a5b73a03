// The reference's own search for victims (spec 04 section 5): probes of growing length, two generators of scenarios, trials
// that place everybody in scheduling order. Where the specification corrects it, the correction is taken.
import { placeInTrial, type Session } from './allocate.ts';
import { amountOf, MIG_PREFIX, migGpus } from './amounts.ts';
import { type Attempt, isFair, needsGpuThroughout } from './eligible.ts';
import { evict } from './evict.ts';
import { acceptedGpus } from './ledger.ts';
import { nextJob } from './queueOrder.ts';
import { gpuQuota, isGpuTask, isShared } from './request.ts';
import { countOf, podSetsOf, tasksOf, tasksToAllocate } from './subGroups.ts';
import { ACTIVE, type Job, type Member, type NodeFacts, type NodeLedger, type State, type Task, type TaskState } from './types.ts';
import type { Unit } from './units.ts';
import { amountOfTasks, VictimOrder } from './victimOrder.ts';

export interface Outcome {
  readonly state: State;
  /** Units with a pod that left its place, in the order of eviction. */
  readonly units: readonly Unit[];
  /** All units of the trial. */
  readonly tried: readonly Unit[];
  /** Pods that have no place any more, and those with another one. */
  readonly deleted: ReadonlySet<string>;
  readonly moved: ReadonlySet<string>;
  readonly newGroups: number;
}

type Generator = (search: Search, tasks: readonly Task[], recorded: readonly Unit[]) => Outcome | null;

/**
 * Who of a victim job may be placed in a trial. The reference takes its waiting pods too, so that an evicted pod may lose its
 * place to one that fits nowhere (spec 04 section 13 case 18); evicted pods only is allowed (R4).
 */
export type Returning = 'waitingToo' | 'evictedOnly';

interface Search {
  readonly returning: Returning;
  readonly attempt: Attempt;
  readonly session: Session;
  readonly base: ReadonlySet<string>;
  readonly failed: Set<string>;
}

/** GPUs that are idle or leaving, parts of shared devices by memory. */
function freeGpus(facts: NodeFacts, node: NodeLedger): number {
  const migs = Object.keys(facts.allocatable).filter((name) => name.startsWith(MIG_PREFIX));
  const free = Object.fromEntries(migs.map((name) => [name, Math.max(0, amountOf(node.idle, name) + amountOf(node.releasing, name))]));
  const parts = [...node.groups.values()].filter((group) => group.usedMib > 0 && group.allocatedMib > group.releasingMib);
  const shared = parts.reduce((gpus, g) => gpus + 1 - (g.allocatedMib - g.releasingMib) / facts.gpuMib, 0);
  return amountOf(node.idle, 'gpu') + amountOf(node.releasing, 'gpu') + shared + migGpus(free);
}

function gpusOf({ request }: Task): number {
  return gpuQuota(request);
}

function nodesOf(state: State, tasks: readonly Task[]): Set<string> {
  return new Set(tasks.flatMap(({ key }) => state.tasks.get(key)!.node ?? []));
}

function all(units: readonly Unit[]): Task[] {
  return units.flatMap(({ tasks }) => tasks);
}

/** With these tasks the member is satisfied, and so is everything below it that gets some of them (R4). */
function completes(state: State, member: Member, tasks: ReadonlySet<Task>): boolean {
  const isMet = (m: Member): boolean => {
    if (m.kind === 'set') return m.members.filter(isMet).length >= m.need;
    return countOf(state, m.tasks, ACTIVE) + m.tasks.filter((task) => tasks.has(task)).length >= m.need;
  };
  const takesPart = (m: Member): boolean => podSetsOf(m).some((podSet) => podSet.tasks.some((task) => tasks.has(task)));
  const isWhole = (m: Member): boolean => !takesPart(m) || (isMet(m) && (m.kind === 'podSet' || m.members.every(isWhole)));
  return isWhole(member);
}

/** Jobs in scheduling order: the preemptor and the victims get places, the others only stand for their queues (section 5.5). */
function placeAll({ attempt, session, returning }: Search, tasks: readonly Task[], victims: ReadonlySet<Job>): boolean {
  const { world, job } = attempt;
  const nextTasks = (j: Job): Task[] => {
    if (j === job) return [...tasks];
    if (!victims.has(j)) return tasksToAllocate(world, session.state, j.root);
    const found = tasksToAllocate(world, session.state, j.root, session.trial!.evicted, returning === 'waitingToo');
    return returning === 'evictedOnly' && !completes(session.state, j.root, new Set(found)) ? [] : found;
  };
  let todo = world.jobs.filter(
    (j) => j === job || victims.has(j) || (!j.isMalformed && countOf(session.state, tasksOf(j), ['pending']) > 0),
  );
  for (;;) {
    const next = nextJob(world, session.state, todo, nextTasks);
    if (next === null) return true;
    todo = todo.filter((j) => j !== next);
    if (next === job && !placeInTrial(session, job, tasks)) return false;
    if (next !== job && victims.has(next)) placeInTrial(session, next, nextTasks(next));
  }
}

function isValid({ attempt }: Search, units: readonly Unit[], outcome: Outcome, before: State): boolean {
  const { world, action } = attempt;
  if (action === 'consolidation') return outcome.deleted.size === 0;
  if (action === 'preempt') return true;
  const countsMoved = !world.config.params.allowConsolidatingReclaim;
  const isTaken = ({ key }: Task): boolean => outcome.deleted.has(key) || (countsMoved && outcome.moved.has(key));
  const chunks = units.map(({ job, tasks }) => ({ queue: job.queue, taken: tasks.filter(isTaken) }));
  return isFair(
    attempt,
    chunks.filter(({ taken }) => taken.length > 0).map(({ queue, taken }) => ({ queue, amount: amountOfTasks(world, before, taken) })),
  );
}

/** There may be GPUs enough (section 5.3): on the fullest node for the largest pod, and in sum. */
function mayHaveRoom({ attempt: { world }, session: { state } }: Search, tasks: readonly Task[], victims: readonly Task[]): boolean {
  const rooms = [...world.nodes.values()].map((facts) => {
    const own = victims.filter((task) => state.tasks.get(task.key)!.node === facts.name);
    return freeGpus(facts, state.nodes.get(facts.name)!) + own.reduce((gpus, { request }) => gpus + acceptedGpus(request, facts), 0);
  });
  const needs = tasks.map(gpusOf);
  const total = (amounts: readonly number[]): number => amounts.reduce((a, b) => a + b, 0);
  return Math.max(...rooms) + 1e-6 >= Math.max(...needs) && total(rooms.map((room) => Math.max(0, room))) + 1e-6 >= total(needs);
}

/** One trial with these units gone; null when it does not hold. */
function simulate(search: Search, tasks: readonly Task[], units: readonly Unit[]): Outcome | null {
  const { attempt, base, failed } = search;
  const victims = all(units);
  if (!mayHaveRoom(search, tasks, victims)) return null;
  const key = `${tasks.length}: ${victims.map((task) => task.key).sort()}`;
  if (victims.length === 0 || failed.has(key)) return null;
  const before = search.session.state;
  const session: Session = { ...search.session, state: structuredClone(before), fitErrors: new Map(), jobErrors: new Map() };
  const evicted = new Map<string, TaskState>(victims.map((task) => [task.key, evict(attempt.world, session.state, task)]));
  session.trial = { nodes: new Set([...base, ...nodesOf(before, victims)]), evicted, groupsBefore: session.newGroups };
  const inner = { ...search, session };
  if (placeAll(inner, tasks, new Set(units.map(({ job }) => job)))) {
    const statusOf = (task: Task) => session.state.tasks.get(task.key)!.status;
    const deleted = new Set(victims.filter((task) => statusOf(task) === 'releasing').map((task) => task.key));
    const moved = new Set(victims.filter((task) => statusOf(task) === 'pipelined').map((task) => task.key));
    const left = units.filter((unit) => unit.tasks.some((task) => deleted.has(task.key) || moved.has(task.key)));
    const outcome = { state: session.state, units: left, tried: units, deleted, moved, newGroups: session.newGroups };
    if (isValid(search, units, outcome, before)) return outcome;
  }
  failed.add(key);
  return null;
}

/** Accumulates units, one more for each step; those of recorded victims are passed over (section 5.2). */
function* accumulate({ attempt, session }: Search, recorded: readonly Unit[]): Generator_<Unit[]> {
  const order = new VictimOrder(attempt, session.state, 'beforeMembers');
  const isRecorded = new Set(all(recorded).map(({ key }) => key));
  const potential: Unit[] = [];
  for (let unit = order.next(); unit !== null; unit = order.next()) {
    if (unit.tasks.some(({ key }) => isRecorded.has(key))) {
      order.drop(tasksOf(unit.job).filter(({ key }) => isRecorded.has(key)));
      continue;
    }
    potential.push(unit);
    yield potential;
  }
}
type Generator_<T> = globalThis.Generator<T>;

/** Section 5.4.1: the units of the jobs that the latest unit's job meets on one node. */
function nodeLocalGreedy(search: Search, tasks: readonly Task[], recorded: readonly Unit[]): Outcome | null {
  const { state } = search.session;
  const alone = recorded.length > 0 ? simulate(search, tasks, recorded) : null;
  if (alone !== null) return alone;
  for (const potential of accumulate(search, recorded)) {
    const latest = potential.at(-1)!.job;
    for (const node of [...nodesOf(state, tasksOf(latest))].sort()) {
      const jobs = new Set(potential.filter((unit) => nodesOf(state, unit.tasks).has(node)).map((unit) => unit.job));
      const solved = simulate(search, tasks, [...recorded, ...potential.filter((unit) => jobs.has(unit.job))]);
      if (solved !== null) return solved;
    }
  }
  return null;
}

/** Section 5.4.2: the units of the smallest sufficient nodes. */
function multiNodeGang(search: Search, tasks: readonly Task[], recorded: readonly Unit[]): Outcome | null {
  const { world } = search.attempt;
  const { state } = search.session;
  const alone = simulate(search, tasks, recorded);
  if (alone !== null) return alone;
  const heldOn = (node: string, victims: readonly Task[]): number =>
    victims
      .filter((task) => state.tasks.get(task.key)!.node === node)
      .reduce((gpus, { request }) => gpus + acceptedGpus(request, world.nodes.get(node)!), 0);
  const demand = tasks.reduce((gpus, task) => gpus + gpusOf(task), 0);
  const minTask = Math.min(...tasks.map(gpusOf));
  for (const potential of accumulate(search, recorded)) {
    const ownNodes = new Set(potential.flatMap((unit) => [...nodesOf(state, unit.tasks)]));
    const base = (node: string): number => freeGpus(world.nodes.get(node)!, state.nodes.get(node)!) + heldOn(node, all(recorded));
    const caps = [...ownNodes].map((node) => ({ node, cap: base(node) + heldOn(node, all(potential)) }));
    const candidates = caps.filter(({ cap }) => minTask === 0 || cap >= minTask).sort((a, b) => a.cap - b.cap);
    const feasible = new Set([...search.base, ...nodesOf(state, all(recorded))]);
    const baseline = [...feasible].filter((node) => !ownNodes.has(node)).reduce((gpus, node) => gpus + base(node), 0);
    const sumOf = (count: number): number => candidates.slice(0, count).reduce((gpus, { cap }) => gpus + cap, 0);
    let count = 0;
    while (count < candidates.length && sumOf(count) < demand - baseline) count++;
    if (sumOf(count) < demand - baseline) continue;
    for (let step = 1; ; step *= 2) {
      const chosen = new Set(candidates.slice(0, count).map(({ node }) => node));
      const units = potential.filter((unit) => [...nodesOf(state, unit.tasks)].some((node) => chosen.has(node)));
      const solved = simulate(search, tasks, [...recorded, ...units]);
      if (solved !== null) return solved;
      if (count >= candidates.length) break;
      count = Math.min(count + step, candidates.length);
    }
  }
  return null;
}

/** Units that a solved probe hands on, those that stayed among them: of whole jobs, or as they are (section 5.7). */
function recordedOf({ units, tried }: Outcome, generate: Generator): Unit[] {
  if (generate === multiNodeGang) return [...units];
  const jobs = new Set(units.map(({ job }) => job));
  return tried.filter(({ job }) => jobs.has(job));
}

function attemptWith(search: Search, generate: Generator): Outcome | null {
  const { tasks } = search.attempt;
  let recorded: Unit[] = [];
  const probe = (count: number): Outcome | null => {
    const outcome = generate(search, tasks.slice(0, count), recorded);
    if (outcome !== null) recorded = recordedOf(outcome, generate);
    return outcome;
  };
  let low = 0;
  let high = tasks.length + 1;
  for (let k = 1; ; k = Math.min(2 * k, tasks.length)) {
    if (probe(k) === null) {
      high = k;
      break;
    }
    low = k;
    if (k === tasks.length) return probe(tasks.length);
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (probe(middle) === null) high = middle;
    else low = middle;
  }
  return low > 0 ? probe(tasks.length) : null;
}

/** What the reference does for this attempt; null when it finds no victims. The session's state stays as it is. */
export function referenceSearch(attempt: Attempt, session: Session, returning: Returning = 'waitingToo'): Outcome | null {
  const { world, job } = attempt;
  const hasGpus = ({ name }: NodeFacts): boolean => freeGpus(world.nodes.get(name)!, session.state.nodes.get(name)!) > 0;
  const needsGpus = needsGpuThroughout(job, (task) => isGpuTask(task.request) || isShared(task.request));
  const base = new Set([...world.nodes.values()].filter((facts) => !needsGpus || hasGpus(facts)).map(({ name }) => name));
  const search: Search = { returning, attempt, session: { ...session, trial: null }, base, failed: new Set() };
  return attemptWith(search, nodeLocalGreedy) ?? attemptWith(search, multiNodeGang);
}
