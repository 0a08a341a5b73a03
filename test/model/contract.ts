// Whether one answer of the engine keeps the contract of spec 04 section 10, replayed on the twin's books.
import type { Session } from './allocate.ts';
import { amountOf } from './amounts.ts';
import { type Attempt, isFair, jobLimit, victimsOf } from './eligible.ts';
import { evict, restore } from './evict.ts';
import { addTask, removeTask } from './ledger.ts';
import { standingProblem } from './nodeChecks.ts';
import { acceptedTriple, book, pathOf } from './queues.ts';
import type { Segment } from './segments.ts';
import { countOf, podSetsOf, tasksOf } from './subGroups.ts';
import {
  ACTIVE,
  ALLOCATED,
  type Job,
  type Member,
  RESOURCES,
  type State,
  type Task,
  type TaskState,
  UNLIMITED,
  type World,
} from './types.ts';
import { nextUnit, scratchOf, staysWhole, type Unit } from './units.ts';
import { amountOfTasks } from './victimOrder.ts';

export interface Replay {
  /** The state that the answer leads to. */
  readonly state: State;
  /** Broken rules. */
  readonly problems: readonly string[];
  /** Units without a place that could have stayed. */
  readonly needless: readonly string[];
  /** Units that left their place, in the order in which they were taken. */
  readonly units: readonly Unit[];
  /** Pods without a place. */
  readonly deleted: ReadonlySet<string>;
}

interface Books {
  readonly attempt: Attempt;
  readonly before: State;
  readonly state: State;
  readonly held: Map<string, TaskState>;
  /** Places of pods that were evicted earlier in the cycle. */
  readonly leftBefore: ReadonlyMap<string, TaskState>;
  readonly problems: string[];
}

function names(tasks: readonly Task[]): string {
  return tasks.map(({ key }) => key).join(' ');
}

/**
 * The units of a job, in their order, that hold these pods; null when they are not taken as R3 says. Pods of them that are not
 * among these got their own place again (section 5.6). What goes for good are whole units, unless a pod that was promised a
 * place earlier in the cycle fills the gang.
 */
function unitsOf(world: World, before: State, job: Job, pods: ReadonlySet<string>, deleted: ReadonlySet<string>): Unit[] | null {
  for (const order of ['beforeMembers', 'beforeSurplus'] as const) {
    const scratch = scratchOf(before);
    const units: Unit[] = [];
    const left = new Set(pods);
    while (left.size > 0) {
      const tasks = nextUnit(world, scratch, job, order);
      if (tasks.length === 0) break;
      for (const { key } of tasks) {
        left.delete(key);
        scratch.tasks.get(key)!.status = 'releasing';
      }
      units.push({ job, tasks });
    }
    const isWhole = units.every(({ tasks }) => new Set(tasks.map(({ key }) => deleted.has(key))).size === 1);
    const hasPromises = countOf(before, tasksOf(job), ['pipelined']) > 0;
    if (left.size === 0 && (isWhole || hasPromises)) return units;
  }
  return null;
}

/** Who may lose what (R3, sections 3, 4.1 and 6.2); the units in the order in which their first pods were taken. */
function checkVictims({ attempt, before, problems }: Books, { leaving }: Segment, deleted: ReadonlySet<string>): Unit[] {
  const { world } = attempt;
  const eligible = victimsOf(attempt, before);
  const known = leaving.filter(({ pod }) => world.jobOf.has(pod));
  const podsOf = Map.groupBy(known, ({ pod }) => world.jobOf.get(pod)!);
  const units: Unit[] = [];
  for (const [job, pods] of podsOf) {
    const keys = new Set(pods.map(({ pod }) => pod));
    const text = `${[...keys].join(' ')} of ${job.key}`;
    if (keys.size < pods.length) problems.push(`R6: taken twice: ${text}`);
    const lost = [...keys].filter((key) => !ALLOCATED.includes(before.tasks.get(key)!.status));
    if (lost.length > 0) problems.push(`R3: holds no place: ${lost.join(' ')}`);
    const taking = eligible.get(job);
    if (taking === undefined) problems.push(`R3: no victim of this attempt: ${text}`);
    if (taking === 'surplus' && !staysWhole(before, job, keys)) problems.push(`R6: inside its minimum runtime: ${text}`);
    const own = unitsOf(world, before, job, keys, deleted);
    if (own === null) problems.push(`R3: not whole units in their order: ${text}`);
    units.push(...(own ?? []));
  }
  if (podsOf.size > jobLimit(attempt)) problems.push(`R7: ${podsOf.size} jobs take part`);
  const position = new Map(leaving.map(({ pod }, i) => [pod, i]));
  const at = (unit: Unit): number => Math.min(...unit.tasks.map(({ key }) => position.get(key) ?? leaving.length));
  return units.sort((a, b) => at(a) - at(b));
}

/** A pod that was to move is still where it was, and leaves; others wait again. */
function applyPromises({ attempt, state, leftBefore, problems }: Books, { lostPromises }: Segment): void {
  const { world } = attempt;
  for (const key of lostPromises) {
    const held = state.tasks.get(key);
    if (held?.status !== 'pipelined') {
      problems.push(`no promise was made to ${key}`);
      continue;
    }
    const [task, facts] = [world.tasks.get(key)!, world.nodes.get(held.node!)!];
    removeTask(state.nodes.get(facts.name)!, facts, task, 'pipelined', held.groups);
    book(world, state, world.jobOf.get(key)!, acceptedTriple(task.request, facts), -1);
    const left = leftBefore.get(key);
    state.tasks.set(key, left === undefined ? { status: 'pending', node: null, groups: [] } : { ...left, status: 'releasing' });
  }
}

function applyEvictions(books: Books, { leaving }: Segment): void {
  const { world } = books.attempt;
  for (const { pod, isBind } of leaving) {
    const task = world.tasks.get(pod);
    if (task === undefined || !world.jobOf.has(pod) || books.held.has(pod)) continue;
    const held = evict(world, books.state, task);
    books.held.set(pod, held);
    // A bind that is never made is nothing that others must avoid.
    if (isBind && held.node !== null) books.state.nodes.get(held.node)!.tasks.delete(pod);
  }
}

/** Every placement on a node that takes the pod (R2). */
function applyPlacements({ attempt, state, held, problems }: Books, { placements }: Segment): void {
  const { world, job, tasks } = attempt;
  const wanted = new Set(tasks.map(({ key }) => key));
  for (const { pod, node, gpuGroups } of placements) {
    const [task, facts, owner] = [world.tasks.get(pod), world.nodes.get(node), world.jobOf.get(pod)];
    if (task === undefined || facts === undefined || owner === undefined) {
      problems.push(`R2: unknown pod or node: ${pod} on ${node}`);
      continue;
    }
    const from = held.get(pod);
    if (owner === job ? !wanted.delete(pod) : from === undefined) problems.push(`R2: not to be placed: ${pod}`);
    if (from?.node === node && from.groups.join() === gpuGroups.join()) problems.push(`section 5.6: ${pod} stays where it is`);
    const problem = standingProblem(world, state, task, facts);
    if (problem !== null) problems.push(`R2: ${pod} on ${node}: ${problem}`);
    state.tasks.set(pod, { status: 'pipelined', node, groups: gpuGroups });
    addTask(state.nodes.get(node)!, facts, task, 'pipelined', gpuGroups);
    book(world, state, owner, acceptedTriple(task.request, facts), 1);
  }
  if (wanted.size > 0) problems.push(`R2: not placed: ${[...wanted].join(' ')}`);
}

/** Nodes on which more is promised than there is, now or once what leaves has left. */
function overfullNodes(world: World, state: State): string[] {
  return [...state.nodes].flatMap(([name, node]) => {
    const { gpuMib, allocatable } = world.nodes.get(name)!;
    const short = Object.keys(allocatable).filter((r) => amountOf(node.idle, r) + amountOf(node.releasing, r) < -1e-9);
    const groups = [...node.groups].filter(([, g]) => g.usedMib > 0 && g.allocatedMib - g.releasingMib > gpuMib).map(([group]) => group);
    return [...short, ...groups].map((what) => `${what} of ${name}`);
  });
}

/** No node lacks pod slots for the reservations of the GPU groups that the answer makes. */
function hasReservationSlots(before: State, after: State): boolean {
  return [...after.nodes].every(([name, node]) => {
    const known = before.nodes.get(name)!.groups;
    const made = [...node.groups].filter(([group, { usedMib }]) => usedMib > 0 && (known.get(group)?.usedMib ?? 0) === 0).length;
    return made === 0 || amountOf(node.idle, 'pods') + amountOf(node.releasing, 'pods') >= made;
  });
}

/**
 * Limits that are exceeded and were not before, or are exceeded more (R5); quotas when the preemptor is not preemptible.
 * `isStrict`: also those that were exceeded before.
 */
function exceededQueues({ attempt, state }: Books, owners: ReadonlySet<Job>, isStrict = false): string[] {
  const { world, job, start } = attempt;
  const queues = new Set([...owners].flatMap((owner) => pathOf(world.queues, owner.queue)));
  const over = [...queues].flatMap(({ name, limit }) => {
    const now = state.queues.get(name)!.allocated;
    const isOver = RESOURCES.some(
      (r) => limit[r] !== UNLIMITED && now[r] > limit[r] && (isStrict || now[r] > start.get(name)!.allocated[r]),
    );
    return isOver ? [`limit of ${name}`] : [];
  });
  if (job.isPreemptible) return over;
  const beyond = pathOf(world.queues, job.queue).flatMap(({ name, quota }) => {
    const [now, was] = [state.queues.get(name)!.allocatedNonPreemptible, start.get(name)!.allocatedNonPreemptible];
    return RESOURCES.some((r) => quota[r] !== UNLIMITED && now[r] > quota[r] && now[r] > was[r]) ? [`quota of ${name}`] : [];
  });
  return [...over, ...beyond];
}

/** The action's own rule (R6, R7): everybody has a place, or what is taken for good is fair. */
function ruleProblem({ attempt, before, held }: Books, units: readonly Unit[], deleted: ReadonlySet<string>): string | null {
  const { world, action } = attempt;
  if (action === 'consolidation') return deleted.size === 0 ? null : `R7: without a place: ${[...deleted].join(' ')}`;
  if (action === 'preempt') return null;
  const countsMoved = !world.config.params.allowConsolidatingReclaim;
  const taken = units.map(({ job, tasks }) => ({
    job,
    tasks: tasks.filter(({ key }) => deleted.has(key) || (countsMoved && held.has(key))),
  }));
  const chunks = taken.filter(({ tasks }) => tasks.length > 0);
  const amounts = chunks.map(({ job, tasks }) => ({ queue: job.queue, amount: amountOfTasks(world, before, tasks) }));
  return isFair(attempt, amounts) ? null : `R6: not fair: ${chunks.map(({ tasks }) => names(tasks)).join(' | ')}`;
}

function isSatisfied(state: State, member: Member): boolean {
  if (member.kind === 'podSet') return countOf(state, member.tasks, ACTIVE) >= member.need;
  return member.members.filter((m) => isSatisfied(state, m)).length >= member.need;
}

/** Gangs that were complete and are now broken, not gone (R4). */
function brokenGangs(before: State, after: State, owners: ReadonlySet<Job>): string[] {
  return [...owners].flatMap((job) => {
    const parts: Member[] = [job.root, ...podSetsOf(job.root)];
    const broken = parts.filter((part) => {
      const left = podSetsOf(part).reduce((count, { tasks }) => count + countOf(after, tasks, ACTIVE), 0);
      return left > 0 && isSatisfied(before, part) && !isSatisfied(after, part);
    });
    return broken.map((part) => `R4: broken: ${job.key} ${part.name}`);
  });
}

/** Units without a place that could have stayed where they were, with everything else as decided (section 12.5). */
function needlessUnits(books: Books, units: readonly Unit[], deleted: ReadonlySet<string>, lostPromises: readonly string[]): string[] {
  const { attempt, state, held } = books;
  const { world } = attempt;
  const jobs = new Set(units.map(({ job }) => job));
  return [...jobs].flatMap((job) => {
    const last = units.filter((unit) => unit.job === job).at(-1)!;
    if (!last.tasks.every(({ key }) => deleted.has(key))) return [];
    // With the unit in its place the promise would hold too, and take its room.
    if (lostPromises.some((pod) => world.jobOf.get(pod) === job)) return [];
    // Binds that are not made were not weighed by the rules of running pods.
    if (last.tasks.some(({ key }) => books.before.tasks.get(key)!.status === 'allocated')) return [];
    const spared = structuredClone(state);
    for (const task of last.tasks) restore(world, spared, task, held.get(task.key)!);
    const rest = units.filter((unit) => unit !== last);
    const stillHeld = new Map([...held].filter(([key]) => !last.tasks.some((task) => task.key === key)));
    const trial = { ...books, state: spared, held: stillHeld };
    const without = new Set([...deleted].filter((key) => !last.tasks.some((task) => task.key === key)));
    const isPossible =
      overfullNodes(world, spared).length === 0 &&
      hasReservationSlots(books.before, spared) &&
      exceededQueues(trial, new Set([attempt.job, job]), true).length === 0 &&
      ruleProblem(trial, rest, without) === null;
    return isPossible ? [names(last.tasks)] : [];
  });
}

/** Replays an answer. The session is not changed. `leftBefore`: places of pods that were evicted earlier in the cycle. */
export function replay(attempt: Attempt, session: Session, segment: Segment, leftBefore: ReadonlyMap<string, TaskState>): Replay {
  const { world } = attempt;
  const before = session.state;
  const books: Books = { attempt, before, state: structuredClone(before), held: new Map(), leftBefore, problems: [] };
  const { problems, state } = books;
  const placed = new Set(segment.placements.map(({ pod }) => pod));
  const deleted = new Set(segment.leaving.map(({ pod }) => pod).filter((pod) => !placed.has(pod)));
  const units = checkVictims(books, segment, deleted);
  applyEvictions(books, segment);
  applyPromises(books, segment);
  applyPlacements(books, segment);
  const owners = new Set([attempt.job, ...units.map(({ job }) => job)]);
  const wasOverfull = overfullNodes(world, before);
  const overfull = overfullNodes(world, state).filter((what) => !wasOverfull.includes(what));
  problems.push(...overfull.map((what) => `R2: promised twice: ${what}`));
  problems.push(...exceededQueues(books, owners).map((what) => `R5: ${what}`));
  const unruly = ruleProblem(books, units, deleted);
  if (unruly !== null) problems.push(unruly);
  problems.push(...brokenGangs(before, state, new Set(units.map(({ job }) => job))));
  const needless = overfull.length === 0 ? needlessUnits(books, units, deleted, segment.lostPromises) : [];
  return { state, problems, needless, units, deleted };
}
