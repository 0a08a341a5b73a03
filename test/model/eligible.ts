// Who may ask for victims, and who may be one (spec 04 sections 2 and 3, spec 02 sections 4.4, 14.1, 14.2 and 15).
import { parseExtendedDurationMs, parseGoDurationMs } from '../../src/base/duration.ts';
import { isInLeafQueue } from './allocate.ts';
import { preCheckProblem } from './preChecks.ts';
import { allocatable, atMost } from './queueOrder.ts';
import { pathOf, requestedBy, sum, triple } from './queues.ts';
import { podSetsOf, tasksOf } from './subGroups.ts';
import {
  hasPlugin,
  type Job,
  type QueueFacts,
  RESOURCES,
  type State,
  type SubGroupSet,
  type Task,
  type Triple,
  UNLIMITED,
  type World,
} from './types.ts';
import { heldTasks } from './units.ts';

export const VICTIM_ACTIONS = ['consolidation', 'reclaim', 'preempt'] as const;
export type VictimAction = (typeof VICTIM_ACTIONS)[number];

/** Allocated amounts of the queues when an attempt begins. */
export type Amounts = ReadonlyMap<string, { readonly allocated: Triple; readonly allocatedNonPreemptible: Triple }>;

export interface Attempt {
  readonly world: World;
  readonly action: VictimAction;
  readonly job: Job;
  readonly tasks: readonly Task[];
  readonly start: Amounts;
}

export function amountsOf(state: State): Amounts {
  return structuredClone(state.queues);
}

function isWithin(amount: Triple, bound: Triple): boolean {
  return RESOURCES.every((r) => atMost(amount[r], bound[r]));
}

function needOf({ world, tasks }: Pick<Attempt, 'world' | 'tasks'>): Triple {
  return requestedBy(tasks, world.minGpuMib);
}

function annotationMs(job: Job, name: string): number {
  return Date.parse(job.group.metadata.annotations?.[`kai.scheduler/${name}`] ?? '');
}

/** Inside its preemption delay (spec 02 section 4.4); `robbed`: lost pods earlier in this cycle. */
export function isDelayed(world: World, job: Job, robbed: ReadonlySet<string>): boolean {
  const delayMs = parseGoDurationMs(job.group.spec?.preemptionDelay ?? '0s');
  if (!(delayMs > 0)) return false;
  const evicted = robbed.has(job.key) ? world.nowMs : annotationMs(job, 'last-eviction-timestamp');
  return world.nowMs < Math.max(job.createdMs, Number.isNaN(evicted) ? 0 : evicted) + delayMs;
}

/** Why the job may not be searched for, or null (spec 04 sections 2.5, 2.6, 2.9). */
export function gateProblem(attempt: Attempt): string | null {
  const { world, action, job, tasks, start } = attempt;
  if (tasks.length === 0) return 'nothing to place';
  if (tasks.some((task) => preCheckProblem(world, task) !== null)) return 'no eviction can help';
  const plus = (amounts: Triple, need: Triple): Triple => sum([amounts, need]);
  const own = start.get(job.queue)!;
  if (action === 'reclaim') {
    const need = needOf(attempt);
    if (!isWithin(plus(own.allocated, need), world.fairShare.get(job.queue)!)) return 'above its fair share';
    const quota = world.queues.get(job.queue)!.quota;
    if (!job.isPreemptible && !isWithin(plus(own.allocatedNonPreemptible, need), quota)) return 'non-preemptible above its quota';
  }
  if (action === 'preempt' && !job.isPreemptible) {
    const need = requestedBy(tasks, world.maxGpuMib);
    const isOver = pathOf(world.queues, job.queue).some(({ name, quota }) =>
      RESOURCES.some((r) => need[r] > 0 && !atMost(start.get(name)!.allocatedNonPreemptible[r] + need[r], quota[r])),
    );
    if (isOver) return 'non-preemptible above its quota';
  }
  return null;
}

/** The first queues in which the two paths differ, from the top; the last pair when one path holds the other. */
function divergingPair(world: World, a: string, b: string): readonly [QueueFacts, QueueFacts] {
  const [pathA, pathB] = [pathOf(world.queues, a).reverse(), pathOf(world.queues, b).reverse()];
  const length = Math.min(pathA.length, pathB.length);
  const at = pathA.slice(0, length).findIndex((queue, i) => queue.name !== pathB[i]!.name);
  const i = at < 0 ? length - 1 : at;
  return [pathA[i]!, pathB[i]!];
}

/** Something may be taken from the queue that has this much left (spec 04 section 6.1.2). */
function mayTakeFrom({ world, job, start, ...attempt }: Attempt, victimQueue: string, left: (name: string) => Triple): boolean {
  const [own, other] = divergingPair(world, job.queue, victimQueue);
  if (!isWithin(left(other.name), allocatable(world, other))) return true;
  const asked = sum([start.get(own.name)!.allocated, needOf({ world, tasks: attempt.tasks })]);
  return isWithin(asked, own.quota) && !isWithin(left(other.name), other.quota);
}

/** How long victims of a queue are protected from the preemptor (spec 02 section 15.2), ms. */
function minRuntimeMs(world: World, action: VictimAction, preemptorQueue: string, victimQueue: string): number {
  if (action === 'consolidation' || !hasPlugin(world.config, 'minruntime')) return 0;
  const kind = action === 'preempt' ? 'preemptMinRuntime' : 'reclaimMinRuntime';
  const given = world.config.plugins.find((p) => p.name === 'minruntime')!.arguments;
  const fallback = parseExtendedDurationMs(given[action === 'preempt' ? 'defaultPreemptMinRuntime' : 'defaultReclaimMinRuntime'] ?? '0s');
  const own = (queue: QueueFacts): number => parseGoDurationMs(queue.queue?.spec?.[kind] ?? '');
  const firstOf = (queues: readonly QueueFacts[]): number => {
    const found = queues.map(own).find((ms) => !Number.isNaN(ms));
    return found ?? (Number.isNaN(fallback) ? 0 : Math.max(0, fallback));
  };
  const up = pathOf(world.queues, victimQueue);
  if (action === 'preempt' || given.reclaimResolveMethod === 'queue') return firstOf(up);
  const preemptors = pathOf(world.queues, preemptorQueue);
  if (preemptors.at(-1)!.name !== up.at(-1)!.name) return firstOf(up.slice(-1));
  // From one step below the lowest common ancestor upwards.
  const common = up.findIndex((queue) => preemptors.some(({ name }) => name === queue.name));
  return firstOf(up.slice(Math.max(0, common - 1)));
}

function isElastic(job: Job): boolean {
  const hasMore = (set: SubGroupSet): boolean =>
    set.need < set.members.length || set.members.some((m) => (m.kind === 'podSet' ? m.need < m.tasks.length : hasMore(m)));
  return hasMore(job.root);
}

/** What of a job may be taken: nothing, only what leaves its gang whole, or all. */
function takingOf(attempt: Attempt, victim: Job, robbedQueue: (queue: string) => boolean): 'nothing' | 'surplus' | 'all' {
  const { world, action, job } = attempt;
  if (victim.key === job.key || victim.isMalformed || !victim.isPreemptible || !isInLeafQueue(world, victim)) return 'nothing';
  if (action === 'preempt' && (victim.queue !== job.queue || victim.priority >= job.priority)) return 'nothing';
  if (action === 'reclaim' && (victim.queue === job.queue || !robbedQueue(victim.queue))) return 'nothing';
  const startMs = annotationMs(victim, 'last-start-timestamp');
  const isProtected = world.nowMs < startMs + minRuntimeMs(world, action, job.queue, victim.queue);
  if (!isProtected) return 'all';
  return isElastic(victim) ? 'surplus' : 'nothing';
}

/** Queues that something may be taken from as the attempt begins: the exact form of spec 04 section 3.5. */
function robbableQueues(attempt: Attempt): (queue: string) => boolean {
  return (queue) => mayTakeFrom(attempt, queue, (name) => attempt.start.get(name)!.allocated);
}

/** Jobs that something may be taken from, with how much. */
export function victimsOf(attempt: Attempt, state: State): Map<Job, 'surplus' | 'all'> {
  const isRobbable = robbableQueues(attempt);
  const victims = new Map<Job, 'surplus' | 'all'>();
  for (const job of attempt.world.jobs) {
    const taking = takingOf(attempt, job, isRobbable);
    if (taking !== 'nothing' && heldTasks(state, job.root).length > 0) victims.set(job, taking);
  }
  return victims;
}

/** Most jobs that may take part in a consolidation: max + 1 (spec 04 section 3.4). */
export function jobLimit({ world, action }: Attempt): number {
  const max = world.config.params.maxNumberConsolidationPreemptees;
  return action !== 'consolidation' || max < 0 ? Number.POSITIVE_INFINITY : max + 1;
}

/** Whether the victims' queues are told a fair story: chunks in order of eviction, then every level of the tree (section 6.1). */
export function isFair(attempt: Attempt, chunks: readonly { readonly queue: string; readonly amount: Triple }[]): boolean {
  const { world, job, start } = attempt;
  const need = needOf(attempt);
  const taken = new Map<string, Triple>();
  const involved = new Map<string, Set<string>>();
  const left = (name: string): Triple => triple((r) => start.get(name)!.allocated[r] - (taken.get(name)?.[r] ?? 0));
  for (const { queue, amount } of chunks) {
    if (!mayTakeFrom(attempt, queue, left)) return false;
    for (const { name } of pathOf(world.queues, queue)) {
      taken.set(name, sum([taken.get(name) ?? triple(() => 0), amount]));
      const resources = involved.get(name) ?? new Set();
      for (const r of RESOURCES) if (amount[r] > 0) resources.add(r);
      involved.set(name, resources);
    }
  }
  const saturation = (amount: number, share: number): number => {
    if (share === 0) return amount > 0 ? Number.POSITIVE_INFINITY : 0;
    return share === UNLIMITED ? 0 : amount / share;
  };
  const factor = multiplierOf(world);
  return pathOf(world.queues, job.queue).every((queue) => {
    const after = sum([left(queue.name), need]);
    const siblings = [...world.queues.values()].filter(
      ({ parent, name }) => parent === queue.parent && name !== queue.name && taken.has(name),
    );
    const isTooFull = siblings.some(({ name }) =>
      RESOURCES.some((r) => {
        if (need[r] === 0 && !involved.get(name)!.has(r)) return false;
        const [own, other] = [world.fairShare.get(queue.name)![r], world.fairShare.get(name)![r]];
        const x = saturation(after[r], own);
        return x > 1 && other > 0 && x * factor >= saturation(left(name)[r], other);
      }),
    );
    const fixed = sum([start.get(queue.name)!.allocatedNonPreemptible, need]);
    return !isTooFull && (job.isPreemptible || isWithin(fixed, queue.quota));
  });
}

function multiplierOf(world: World): number {
  const text = world.config.plugins.find((p) => p.name === 'proportion')?.arguments.relcaimerSaturationMultiplier;
  const value = Number(text ?? '1');
  return Number.isNaN(value) ? 1 : Math.max(1, value);
}

/** GPUs of jobs' pods in any state matter to which nodes are looked at: a job with a pod that needs none looks at all. */
export function needsGpuThroughout(job: Job, isGpu: (task: Task) => boolean): boolean {
  return podSetsOf(job.root).length > 0 && tasksOf(job).every(isGpu);
}
