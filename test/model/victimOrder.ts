// The order in which units are taken (spec 04 section 4, spec 02 sections 12.4 and 12.5): everything is looked at anew for each.
import { type Attempt, jobLimit, victimsOf } from './eligible.ts';
import { allocatable, atMost, compareJobs, dominantShare } from './queueOrder.ts';
import { acceptedTriple, sum, triple } from './queues.ts';
import { type Job, type QueueFacts, RESOURCES, type State, type Task, type Triple, type World } from './types.ts';
import { type BrokenFirst, heldTasks, nextUnit, scratchOf, staysWhole, type Unit } from './units.ts';

/** The next unit below a queue, and the leaf queue that it is of. */
interface Head {
  readonly queue: QueueFacts;
  readonly unit: Unit;
}

/** What pods that hold a place count for their queue. */
export function amountOfTasks(world: World, state: State, tasks: readonly Task[]): Triple {
  return sum(
    tasks.map((task) => {
      const { node } = state.tasks.get(task.key)!;
      return acceptedTriple(task.request, node === null ? undefined : world.nodes.get(node));
    }),
  );
}

export class VictimOrder {
  readonly #attempt: Attempt;
  readonly #state: State;
  readonly #scratch: State;
  readonly #candidates: Map<Job, 'surplus' | 'all'>;
  readonly #order: BrokenFirst;
  readonly #gone = new Set<string>();
  readonly #popped = new Map<string, Triple>();
  readonly #seen = new Set<Job>();

  constructor(attempt: Attempt, state: State, order: BrokenFirst) {
    this.#attempt = attempt;
    this.#state = state;
    this.#scratch = scratchOf(state);
    this.#candidates = victimsOf(attempt, state);
    this.#order = order;
  }

  /** The next unit, or null. */
  next(): Unit | null {
    const { world } = this.#attempt;
    const head = this.#lastOf([...world.queues.values()].filter((queue) => queue.parent === null));
    if (head === null) return null;
    const { unit } = head;
    const leaf = unit.job.queue;
    this.#popped.set(leaf, sum([this.#popped.get(leaf) ?? triple(() => 0), amountOfTasks(world, this.#state, unit.tasks)]));
    this.#seen.add(unit.job);
    this.drop(unit.tasks);
    return unit;
  }

  /** Pods that are no candidates any more. */
  drop(tasks: readonly Task[]): void {
    for (const { key } of tasks) {
      this.#gone.add(key);
      this.#scratch.tasks.get(key)!.status = 'releasing';
    }
  }

  #unitOf(job: Job): Unit | null {
    const { world } = this.#attempt;
    const tasks = nextUnit(world, this.#scratch, job, this.#order);
    if (tasks.length === 0) return null;
    const mayGo =
      this.#candidates.get(job) === 'all' || staysWhole(this.#state, job, new Set([...this.#gone, ...tasks.map(({ key }) => key)]));
    return mayGo ? { job, tasks } : null;
  }

  #headOf(queue: QueueFacts): Head | null {
    const { world } = this.#attempt;
    if (queue.children.length > 0) return this.#lastOf(queue.children.map((name) => world.queues.get(name)!));
    const isFull = this.#seen.size >= jobLimit(this.#attempt);
    const own = [...this.#candidates.keys()].filter(
      (job) => job.queue === queue.name && heldTasks(this.#scratch, job.root).length > 0 && (!isFull || this.#seen.has(job)),
    );
    own.sort((a, b) => compareJobs(world, this.#scratch, b, a));
    for (const job of own) {
      const unit = this.#unitOf(job);
      if (unit !== null) return { queue, unit };
    }
    return null;
  }

  #lastOf(siblings: readonly QueueFacts[]): Head | null {
    let last: { readonly queue: QueueFacts; readonly head: Head } | null = null;
    for (const queue of siblings) {
      const head = this.#headOf(queue);
      if (head === null) continue;
      if (last === null || this.#compare(last.queue, last.head, queue, head) < 0) last = { queue, head };
    }
    return last?.head ?? null;
  }

  /** The queue order with everything as when the attempt began; rule e sees the head's leaf without what was popped there. */
  #compare(a: QueueFacts, headA: Head, b: QueueFacts, headB: Head): number {
    const { world, start } = this.#attempt;
    const side = (queue: QueueFacts, { unit }: Head) => {
      const { allocated } = start.get(queue.name)!;
      const removed = sum([this.#popped.get(unit.job.queue) ?? triple(() => 0), amountOfTasks(world, this.#state, unit.tasks)]);
      return { queue, allocated, reduced: triple((r) => allocated[r] - removed[r]), shares: allocatable(world, queue) };
    };
    const [l, r] = [side(a, headA), side(b, headB)];
    type Side = typeof l;
    const smallerFirst = (value: (s: Side) => number): number => value(l) - value(r);
    const falseFirst = (test: (s: Side) => boolean): number => smallerFirst((s) => Number(test(s)));
    const isWeaker = (s: Side, other: Side): boolean =>
      RESOURCES.every((q) => atMost(s.shares[q], other.shares[q])) && !RESOURCES.every((q) => atMost(other.shares[q], s.shares[q]));
    return (
      falseFirst((s) => RESOURCES.every((q) => world.fairShare.get(s.queue.name)![q] < s.allocated[q])) ||
      falseFirst((s) => !RESOURCES.every((q) => atMost(s.allocated[q], s.queue.quota[q]))) ||
      smallerFirst((s) => -s.queue.priority) ||
      falseFirst((s) => RESOURCES.some((q) => s.shares[q] === 0 && s.allocated[q] > 0)) ||
      smallerFirst((s) => dominantShare(world, s.reduced, s.shares)) ||
      smallerFirst((s) => dominantShare(world, s.allocated, s.shares)) ||
      Number(isWeaker(r, l)) - Number(isWeaker(l, r)) ||
      a.createdMs - b.createdMs ||
      (a.name < b.name ? -1 : 1)
    );
  }
}

/** All units of an attempt, in order. */
export function allUnits(attempt: Attempt, state: State, order: BrokenFirst): Unit[] {
  const walk = new VictimOrder(attempt, state, order);
  const units: Unit[] = [];
  for (let unit = walk.next(); unit !== null; unit = walk.next()) units.push(unit);
  return units;
}
