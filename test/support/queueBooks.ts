import type { ClusterObjects, Node, PodGroup, Queue, QueueResource } from '../../src/base/objects.ts';
import { gpuMemoryMib, gpuRequestOf } from './clusterBooks.ts';
import { keyOf, type Placement, type PodState } from './podStates.ts';
import { requestOf } from './quantities.ts';

const RESOURCES = ['cpu', 'memory', 'gpu'] as const;
type Resource = (typeof RESOURCES)[number];
type Triple = Record<Resource, number>;
/** GPUs are sums of decimal fractions in doubles. */
const TOLERANCE = 1e-6;

interface Account {
  readonly queue: Queue;
  readonly allocated: Triple;
  readonly nonPreemptible: Triple;
  /** What came in this cycle: only then can the cycle be blamed. */
  readonly received: Triple;
  readonly receivedNonPreemptible: Triple;
}

const zero = (): Triple => ({ cpu: 0, memory: 0, gpu: 0 });

/** GPUs as queues count them (spec 02 sections 2.3, 2.4): devices, portions in hundredths, MIG slices. */
function acceptedOf(state: PodState, node: Node): Triple {
  const request = requestOf(state.pod);
  const { whole, share } = gpuRequestOf(state.pod);
  let gpu = whole;
  if (share !== null) {
    const portion = share.memoryMib > 0 ? Math.ceil((share.memoryMib / gpuMemoryMib(node)) * 100) / 100 : share.portion;
    gpu = (Math.round(portion * 100) * share.devices) / 100;
  }
  for (const [name, amount] of Object.entries(request)) {
    const slices = /^nvidia\.com\/mig-(\d+)g\.\d+gb$/.exec(name)?.[1];
    if (slices !== undefined) gpu += Number(slices) * amount;
  }
  return { cpu: request.cpu ?? 0, memory: request.memory ?? 0, gpu };
}

/** Quota or limit in scheduler units; null = unlimited (spec 01 section 1.2). */
function bound(queue: Queue, resource: Resource, field: keyof QueueResource): number | null {
  const value = queue.spec?.resources?.[resource]?.[field] ?? 0;
  if (resource === 'memory') return value < 0 ? null : value * 1e6;
  return value === -1 ? null : value;
}

/** Accounts of all queues over one cycle. */
export class QueueBooks {
  readonly #accounts: Map<string, Account>;
  readonly #priorities: Map<string, number>;
  readonly #nodes: ReadonlyMap<string, Node>;
  readonly #problems: string[] = [];

  constructor(objects: ClusterObjects, nodes: ReadonlyMap<string, Node>) {
    const account = (queue: Queue): Account => ({
      queue,
      allocated: zero(),
      nonPreemptible: zero(),
      received: zero(),
      receivedNonPreemptible: zero(),
    });
    this.#accounts = new Map(objects.queues.map((queue) => [queue.metadata.name, account(queue)]));
    this.#priorities = new Map(objects.priorityClasses.map((c) => [c.metadata.name, c.value ?? 0]));
    this.#nodes = nodes;
  }

  /** The queue and its ancestors, or null when the queue or one of them does not exist. */
  #chain(name: string): Account[] | null {
    const chain: Account[] = [];
    for (let at = name; at !== ''; ) {
      const account = this.#accounts.get(at);
      if (account === undefined || chain.includes(account)) return null;
      chain.push(account);
      at = account.queue.spec?.parentQueue ?? '';
    }
    return chain.length > 0 ? chain : null;
  }

  #isPreemptible(group: PodGroup): boolean {
    const { preemptibility, priorityClassName } = group.spec ?? {};
    if (preemptibility === 'preemptible' || preemptibility === 'non-preemptible') return preemptibility === 'preemptible';
    return (this.#priorities.get(priorityClassName ?? '') ?? 50) < 100;
  }

  /** Books the pods of a job that hold or got something. */
  addJob(group: PodGroup, pods: readonly PodState[], placements: ReadonlyMap<string, Placement>, evicted: ReadonlySet<string>): void {
    const chain = this.#chain(group.spec?.queue ?? '');
    const isFirm = !this.#isPreemptible(group);
    for (const state of pods) {
      const placement = placements.get(state.key);
      const holds = state.isActive && !evicted.has(state.key) ? this.#nodes.get(state.node ?? '') : undefined;
      const node = placement?.node ?? holds;
      if (placement !== undefined && chain === null) this.#problems.push(`${keyOf(group)}: placed although its queue does not exist`);
      if (node === undefined || chain === null) continue;
      const amounts = acceptedOf(state, node);
      for (const account of chain) {
        for (const resource of RESOURCES) {
          account.allocated[resource] += amounts[resource];
          if (isFirm) account.nonPreemptible[resource] += amounts[resource];
          if (placement === undefined) continue;
          account.received[resource] += amounts[resource];
          if (isFirm) account.receivedNonPreemptible[resource] += amounts[resource];
        }
      }
    }
  }

  /** Breached limits and non-preemptible quotas (spec 02 section 13.1) of queues that received something this cycle. */
  problems(): string[] {
    const out = [...this.#problems];
    for (const { queue, allocated, nonPreemptible, received, receivedNonPreemptible } of this.#accounts.values()) {
      for (const resource of RESOURCES) {
        const name = `queue ${queue.metadata.name}: ${resource}`;
        const limit = bound(queue, resource, 'limit');
        if (received[resource] > 0 && limit !== null && allocated[resource] > limit + TOLERANCE) {
          out.push(`${name} ${allocated[resource]} over limit ${limit}`);
        }
        const quota = bound(queue, resource, 'quota');
        if (receivedNonPreemptible[resource] > 0 && quota !== null && nonPreemptible[resource] > quota + TOLERANCE) {
          out.push(`${name} non-preemptible ${nonPreemptible[resource]} over quota ${quota}`);
        }
      }
    }
    return out;
  }
}
