// The queue tree and what queues hold (spec 02 sections 5, 6).

import type { SchedulerConfig } from '../../src/base/config.ts';
import type { Queue, QueueResource } from '../../src/base/objects.ts';
import { amountOf } from './amounts.ts';
import { acceptedGpus } from './ledger.ts';
import { isOfShard } from './nodeFacts.ts';
import { gpuQuota, type Request } from './request.ts';
import { tasksOf } from './subGroups.ts';
import {
  ALLOCATED,
  type Job,
  type NodeFacts,
  type QueueFacts,
  type QueueLedger,
  RESOURCES,
  type Resource,
  type State,
  type Task,
  type Triple,
  UNLIMITED,
  type World,
} from './types.ts';

const BYTES_PER_MB = 1_000_000;
const DEFAULT_PRIORITY = 100;
/** No queue can be called so: the top queue of two-level fairness. */
const PROJECT_ROOT = '\u0000root';

export function triple(amount: (resource: Resource) => number): Triple {
  return { cpu: amount('cpu'), memory: amount('memory'), gpu: amount('gpu') };
}

/** Milli-GPU of an amount of GPUs; the only place where it is rounded (spec 09 point 1). */
export function milliGpu(gpus: number): number {
  return Math.round(gpus * 1000);
}

function limitOf(resource: Resource, value: number | undefined): number {
  if (value === undefined) return 0;
  if (value < 0) return UNLIMITED;
  return resource === 'memory' ? value * BYTES_PER_MB : resource === 'gpu' ? milliGpu(value) : value;
}

function createdMs(object: Queue): number {
  return Date.parse(object.metadata.creationTimestamp ?? '1970-01-01T00:00:00Z');
}

function factsOf(queue: Queue, parent: string | null, children: readonly string[]): QueueFacts {
  const field = (name: keyof QueueResource) => (r: Resource) => queue.spec?.resources?.[r]?.[name];
  return {
    name: queue.metadata.name,
    displayName: queue.spec?.displayName || queue.metadata.name,
    queue,
    parent,
    children,
    priority: queue.spec?.priority ?? DEFAULT_PRIORITY,
    createdMs: createdMs(queue),
    quota: triple((r) => limitOf(r, field('quota')(r))),
    limit: triple((r) => limitOf(r, field('limit')(r))),
    weight: triple((r) => Math.max(0, field('overQuotaWeight')(r) ?? 0)),
  };
}

/** One top queue without bounds over all queues that have a parent (spec 02 section 5.2). */
function projectLevel(queues: readonly Queue[], nowMs: number): Map<string, QueueFacts> {
  const projects = queues.filter((queue) => (queue.spec?.parentQueue ?? '') !== '');
  const unlimited = triple(() => UNLIMITED);
  const root: QueueFacts = {
    name: PROJECT_ROOT,
    displayName: 'default',
    queue: null,
    parent: null,
    children: projects.map((queue) => queue.metadata.name),
    priority: DEFAULT_PRIORITY,
    createdMs: nowMs,
    quota: unlimited,
    limit: unlimited,
    weight: triple(() => 1),
  };
  return new Map([[PROJECT_ROOT, root], ...projects.map((q) => [q.metadata.name, factsOf(q, PROJECT_ROOT, [])] as const)]);
}

/** The queues of the shard that hang on a top queue; orphans and circles are left out with all that is below them. */
export function queueTree(queues: readonly Queue[], config: SchedulerConfig, nowMs: number): Map<string, QueueFacts> {
  const own = queues.filter((queue) => isOfShard(queue.metadata.labels, config));
  if (!config.params.fullHierarchyFairness) return projectLevel(own, nowMs);
  const tree = new Map<string, QueueFacts>();
  const addBelow = (parent: string | null): void => {
    for (const queue of own.filter((q) => (q.spec?.parentQueue || null) === parent)) {
      const name = queue.metadata.name;
      tree.set(
        name,
        factsOf(
          queue,
          parent,
          own.filter((q) => q.spec?.parentQueue === name).map((q) => q.metadata.name),
        ),
      );
      addBelow(name);
    }
  };
  addBelow(null);
  return tree;
}

/** The queue and its ancestors, leaf first; none for a queue that does not exist. */
export function pathOf(queues: ReadonlyMap<string, QueueFacts>, name: string): QueueFacts[] {
  const queue = queues.get(name);
  if (queue === undefined) return [];
  return [queue, ...(queue.parent === null ? [] : pathOf(queues, queue.parent))];
}

/** What a task on a node counts for its queues (spec 02 section 2.4). */
export function acceptedTriple(request: Request, facts: NodeFacts | undefined): Triple {
  if (facts === undefined) return triple(() => 0);
  const { amounts } = request;
  return { cpu: amountOf(amounts, 'cpu'), memory: amountOf(amounts, 'memory'), gpu: milliGpu(acceptedGpus(request, facts)) };
}

/** GPUs of a waiting task; GPU memory by the size of a GPU, nothing when that is unknown (spec 02 section 2.6). */
function waitingGpus({ request }: Task, gpuMib: number | undefined): number {
  if (request.type !== 'gpuMemory') return gpuQuota(request);
  return gpuMib === undefined ? 0 : (request.count * request.gpuMemory) / gpuMib;
}

/** What waiting tasks ask for together. */
export function requestedBy(tasks: readonly Task[], gpuMib: number | undefined): Triple {
  const total = (of: (task: Task) => number): number => tasks.reduce((amount, task) => amount + of(task), 0);
  return {
    cpu: total((task) => amountOf(task.request.amounts, 'cpu')),
    memory: total((task) => amountOf(task.request.amounts, 'memory')),
    gpu: total((task) => milliGpu(waitingGpus(task, gpuMib))),
  };
}

export function sum(triples: readonly Triple[]): Triple {
  return triple((r) => triples.reduce((total, t) => total + t[r], 0));
}

export function emptyQueueLedger(): QueueLedger {
  return { allocated: triple(() => 0), allocatedNonPreemptible: triple(() => 0) };
}

/** Books an amount of a job on its queue and all ancestors. */
export function book(world: Pick<World, 'queues'>, state: State, job: Job, amount: Triple, sign: 1 | -1): void {
  for (const { name } of pathOf(world.queues, job.queue)) {
    const ledger = state.queues.get(name)!;
    for (const r of RESOURCES) {
      ledger.allocated[r] += sign * amount[r];
      if (!job.isPreemptible) ledger.allocatedNonPreemptible[r] += sign * amount[r];
    }
  }
}

/** What all pods of each queue's subtree hold or wait for at the start (spec 02 section 6.2). */
export function requests(world: Omit<World, 'fairShare'>, state: State): Map<string, Triple> {
  const requested = new Map([...world.queues.keys()].map((name) => [name, triple(() => 0)]));
  const amountOfTask = (task: Task): Triple => {
    const { status, node } = state.tasks.get(task.key)!;
    if (status === 'pending') return requestedBy([task], world.minGpuMib);
    return ALLOCATED.includes(status) ? acceptedTriple(task.request, world.nodes.get(node ?? '')) : triple(() => 0);
  };
  for (const job of world.jobs) {
    const amount = sum(tasksOf(job).map(amountOfTask));
    for (const { name } of pathOf(world.queues, job.queue)) requested.set(name, sum([requested.get(name)!, amount]));
  }
  return requested;
}
