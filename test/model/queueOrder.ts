// Which queue and which job is next (spec 02 sections 9.1, 11, 12): the exact minimum, found by looking at everything.
import { requestedBy, sum, triple } from './queues.ts';
import { elasticState, tasksToAllocate } from './subGroups.ts';
import { hasPlugin, type Job, type QueueFacts, RESOURCES, type State, type Task, type Triple, UNLIMITED, type World } from './types.ts';

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Order of the jobs of a leaf queue. */
export function compareJobs(world: World, state: State, a: Job, b: Job): number {
  const byPriority = hasPlugin(world.config, 'priority') ? b.priority - a.priority : 0;
  const byElastic = hasPlugin(world.config, 'elastic') ? elasticState(state, a) - elasticState(state, b) : 0;
  const [nameA, nameB] = [a.group.metadata.name, b.group.metadata.name];
  return byPriority || byElastic || a.createdMs - b.createdMs || compareText(nameA, nameB) || compareText(a.key, b.key);
}

export function atMost(a: number, b: number): boolean {
  return b === UNLIMITED || (a !== UNLIMITED && a <= b);
}

/** Quota or fair share, whichever is more, but not more than the limit (spec 02 section 6.1). */
export function allocatable(world: World, queue: QueueFacts): Triple {
  return triple((r) => {
    const limit = queue.limit[r];
    if (queue.quota[r] === UNLIMITED) return limit;
    const share = Math.max(queue.quota[r], world.fairShare.get(queue.name)![r]);
    return limit === UNLIMITED ? share : Math.min(limit, share);
  });
}

export function dominantShare(world: World, allocated: Triple, shares: Triple): number {
  const ratios = RESOURCES.map((r) => {
    const share = shares[r] === UNLIMITED ? world.total[r] : shares[r];
    if (share !== 0) return allocated[r] / share;
    return r === 'gpu' ? allocated[r] : allocated[r] * 1000;
  });
  return Math.max(0, ...ratios);
}

/** What a job would place next. */
type NextTasks = (job: Job) => readonly Task[];

/** Negative: `a` goes first with its best job, by the numbered rules of spec 02 section 11. */
function compareQueues(world: World, state: State, a: QueueFacts, jobA: Job, b: QueueFacts, jobB: Job, tasksOfJob: NextTasks): number {
  const side = (queue: QueueFacts, job: Job) => {
    const { allocated } = state.queues.get(queue.name)!;
    const need = requestedBy(tasksOfJob(job), world.minGpuMib);
    return { queue, allocated, withJob: sum([allocated, need]), shares: allocatable(world, queue) };
  };
  const [l, r] = [side(a, jobA), side(b, jobB)];
  type Side = typeof l;
  const falseFirst = (test: (s: Side) => boolean): number => Number(test(l)) - Number(test(r));
  const smallerFirst = (value: (s: Side) => number): number => value(l) - value(r);

  const isOverUtilised = (s: Side): boolean => RESOURCES.every((q) => world.fairShare.get(s.queue.name)![q] < s.allocated[q]);
  const isStarved = (s: Side): boolean => RESOURCES.every((q) => atMost(s.withJob[q], s.queue.quota[q]));
  const violates = (s: Side): boolean => RESOURCES.some((q) => s.shares[q] === 0 && s.withJob[q] > 0);
  const isWeaker = (s: Side, other: Side): boolean =>
    RESOURCES.every((q) => atMost(s.shares[q], other.shares[q])) && !RESOURCES.every((q) => atMost(other.shares[q], s.shares[q]));

  return (
    falseFirst(isOverUtilised) ||
    falseFirst((s) => !isStarved(s)) ||
    smallerFirst((s) => -s.queue.priority) ||
    falseFirst(violates) ||
    smallerFirst((s) => dominantShare(world, s.withJob, s.shares)) ||
    smallerFirst((s) => dominantShare(world, s.allocated, s.shares)) ||
    Number(isWeaker(r, l)) - Number(isWeaker(l, r)) ||
    l.queue.createdMs - r.queue.createdMs ||
    compareText(l.queue.name, r.queue.name)
  );
}

/** The next of the waiting jobs: at every level the queue that is first, with the best job of each as it is now. */
export function nextJob(world: World, state: State, waiting: readonly Job[], tasksOfJob?: NextTasks): Job | null {
  const nextTasks = tasksOfJob ?? ((job: Job) => tasksToAllocate(world, state, job.root));
  const bestBelow = (queue: QueueFacts): Job | null => {
    if (queue.children.length > 0) return bestOf(queue.children.map((name) => world.queues.get(name)!));
    const own = waiting.filter((job) => job.queue === queue.name);
    return own.sort((a, b) => compareJobs(world, state, a, b))[0] ?? null;
  };
  const bestOf = (siblings: readonly QueueFacts[]): Job | null => {
    const inOrder = [...siblings].sort((a, b) => a.createdMs - b.createdMs || compareText(a.name, b.name));
    let best: { readonly queue: QueueFacts; readonly job: Job } | null = null;
    for (const queue of inOrder) {
      const job = bestBelow(queue);
      if (job === null) continue;
      if (best === null || compareQueues(world, state, queue, job, best.queue, best.job, nextTasks) < 0) best = { queue, job };
    }
    return best?.job ?? null;
  };
  return bestOf([...world.queues.values()].filter((queue) => queue.parent === null));
}
