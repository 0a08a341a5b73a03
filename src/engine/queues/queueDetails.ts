import type { Need } from '../jobs/selectTasks.ts';
import { queueCell } from '../session/occupy.ts';
import type { Session } from '../session/session.ts';

/** A Kubernetes resource list as `queueDetails` of a condition holds it (spec 02 section 13.2, 01 section 5.10). */
interface QueueAmounts {
  readonly cpu: string;
  readonly memory: string;
  readonly 'nvidia.com/gpu': string;
}

/** The figures of the queue that refused a job. */
export interface QueueDetails {
  readonly name: string;
  readonly queueRequestedResources: QueueAmounts;
  readonly queueDeservedResources: QueueAmounts;
  readonly queueAllocatedResources: QueueAmounts;
  readonly queueAllocatedNonPreemptibleResources: QueueAmounts;
  readonly queueResourceLimits: QueueAmounts;
  readonly podGroupRequestedResources: QueueAmounts;
  readonly podGroupRequestedNonPreemptibleResources: QueueAmounts;
}

export function queueDetails(s: Session, job: number, q: number, need: Need): QueueDetails {
  const of = (a: Float64Array): QueueAmounts => amounts(a[3 * q]!, a[3 * q + 1]!, a[3 * q + 2]!);
  const cell = (column: number): number => s.state.cells[queueCell(s, column, q)]!;
  const requested = amounts(need.milliCpu, need.memoryBytes, need.gpuMilli);
  return {
    name: s.queues.name[q]!,
    queueRequestedResources: of(s.queues.request),
    queueDeservedResources: of(s.queues.quota),
    queueAllocatedResources: amounts(cell(0), cell(1), cell(2)),
    queueAllocatedNonPreemptibleResources: amounts(cell(3), cell(4), cell(5)),
    queueResourceLimits: of(s.queues.limit),
    podGroupRequestedResources: requested,
    podGroupRequestedNonPreemptibleResources: s.jobs.isPreemptible[job]! === 1 ? amounts(0, 0, 0) : requested,
  };
}

/**
 * cpu as milli quantity, memory in bytes; GPUs below one as milli quantity, above cut to whole devices as upstream's
 * readers expect; unlimited is −1m, −1 and 0.
 */
function amounts(milliCpu: number, memoryBytes: number, gpuMilli: number): QueueAmounts {
  const gpu = gpuMilli > 0 && gpuMilli < 1000 ? `${Math.trunc(gpuMilli)}m` : String(Math.max(0, Math.trunc(gpuMilli / 1000)));
  return { cpu: milliQuantity(Math.trunc(milliCpu)), memory: String(Math.trunc(memoryBytes)), 'nvidia.com/gpu': gpu };
}

function milliQuantity(milli: number): string {
  return milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`;
}
