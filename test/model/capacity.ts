// Limits and non-preemptible quota (spec 02 section 13).
import { formatHuman, formatRaw } from '../../src/base/formatNumber.ts';
import { acceptedGpus, deviceMib } from './ledger.ts';
import { pathOf } from './queues.ts';
import { isShared, type Request } from './request.ts';
import {
  type Job,
  type NodeFacts,
  type QueueFacts,
  type QueueLedger,
  RESOURCES,
  type Resource,
  type State,
  type Triple,
  UNLIMITED,
  type World,
} from './types.ts';

export interface CapacityProblem {
  readonly reason: 'OverLimit' | 'NonPreemptibleOverQuota';
  readonly message: string;
}

const UNIT: Triple = { cpu: 1000, memory: 1e9, gpu: 1000 };

function human(resource: Resource, amount: number): string {
  return amount === UNLIMITED ? 'Unlimited' : formatHuman(amount / UNIT[resource], 1);
}

function limitText(queue: QueueFacts, ledger: QueueLedger, r: Resource, requested: number): string {
  const name = { cpu: 'CPU cores', memory: 'memory', gpu: 'GPUs' }[r];
  const unit = { cpu: 'cores', memory: 'GB', gpu: 'GPUs' }[r];
  const figures = `Limit is ${human(r, queue.limit[r])} ${unit}, currently ${human(r, ledger.allocated[r])} ${unit} allocated`;
  return `${queue.displayName} quota has reached the allowable limit of ${name}. ${figures} and workload requested ${human(r, requested)} ${unit}`;
}

function quotaText(queue: QueueFacts, ledger: QueueLedger, r: Resource, requested: number): string {
  const wanted = { cpu: 'CPU cores', memory: 'GB memory', gpu: 'GPUs' }[r];
  const unit = { cpu: 'cores', memory: 'GB', gpu: 'GPUs' }[r];
  const amount = r === 'gpu' ? formatRaw(requested / UNIT.gpu) : human(r, requested);
  const used = human(r, ledger.allocatedNonPreemptible[r]);
  const figures = `${queue.displayName} quota is ${human(r, queue.quota[r])} ${unit}, while ${used} ${unit} are already allocated`;
  return `Non-preemptible workload is over quota. Workload requested ${amount} ${wanted}, but ${figures} for non-preemptible pods. Use a preemptible workload to go over quota.`;
}

/** The first bound that the amount would break, from the job's queue to the root: limits first, then quotas. */
export function capacityProblem(world: World, state: State, job: Job, requested: Triple): CapacityProblem | null {
  const path = pathOf(world.queues, job.queue).map((queue) => ({ queue, ledger: state.queues.get(queue.name)! }));
  for (const { queue, ledger } of path) {
    const r = RESOURCES.find(
      (q) => queue.limit[q] !== UNLIMITED && requested[q] !== 0 && queue.limit[q] < ledger.allocated[q] + requested[q],
    );
    if (r !== undefined) return { reason: 'OverLimit', message: limitText(queue, ledger, r, requested[r]) };
  }
  if (job.isPreemptible) return null;
  for (const { queue, ledger } of path) {
    const used = ledger.allocatedNonPreemptible;
    const r = RESOURCES.find((q) => queue.quota[q] !== UNLIMITED && requested[q] !== 0 && queue.quota[q] < used[q] + requested[q]);
    if (r !== undefined) return { reason: 'NonPreemptibleOverQuota', message: quotaText(queue, ledger, r, requested[r]) };
  }
  return null;
}

/** GPUs that the check of a task on a node counts: portions by memory, rounded up (spec 02 section 13.1). */
export function gpusForCheck(request: Request, facts: NodeFacts): number {
  if (!isShared(request)) return acceptedGpus(request, facts);
  return (Math.ceil((deviceMib(request, facts) / facts.gpuMib) * 100) * request.count) / 100;
}
