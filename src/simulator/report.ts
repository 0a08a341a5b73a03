import type { Queue } from '../base/objects.ts';
import type { AuditSummary } from './cycleAudit.ts';
import { type LargestCycle, type PodCounts, type Recorder, share, type TimelinePoint } from './recorder.ts';
import type { Percentiles } from './series.ts';
import type { WaitingGroup } from './waiting.ts';
import type { Workload } from './workload.ts';

/** GPU amounts in devices; −1 = unlimited. */
export interface QueueShare {
  readonly queue: string;
  readonly parent: string;
  readonly quotaGpu: number;
  readonly limitGpu: number;
  /** As the last cycle saw them. */
  readonly fairShareGpu: number;
  readonly allocatedGpu: number;
  /** Means over virtual time. */
  readonly meanFairShareGpu: number;
  readonly meanAllocatedGpu: number;
}

/** Measured on this machine in this run; everything else in a report is a function of the seed. */
export interface ReportTiming {
  readonly wallMs: number;
  readonly workers: number;
  readonly cycleMs: Percentiles;
  readonly phaseMs: Readonly<Record<string, Percentiles>>;
  /** Bound pods per second of cycle time. */
  readonly podsPerSecond: number;
  readonly largestCycle: LargestCycle;
}

export interface SimulationReport {
  readonly workload: string;
  readonly simulatedMs: number;
  readonly nodes: number;
  readonly pods: PodCounts & { readonly running: number };
  /** Evicted pods by action; those of consolidation had a new place reserved. */
  readonly evictedBy: Readonly<Record<string, number>>;
  /** Pods that wait at the end, by reason. */
  readonly waiting: readonly WaitingGroup[];
  /** Virtual time from the creation of a pod to its binding. */
  readonly waitMs: Percentiles;
  readonly gpu: {
    readonly total: number;
    readonly allocated: number;
    readonly allocatedShare: number;
    readonly meanAllocatedShare: number;
    /** See `fragmentationShare`: the part of the free GPU capacity that a typical pod cannot use. */
    readonly fragmentationShare: number;
  };
  readonly timeline: readonly TimelinePoint[];
  readonly queues: readonly QueueShare[];
  readonly cycles: { readonly count: number; readonly jobsAttempted: number; readonly pipelined: number };
  /** Placements that took more than a node has, found by the simulator's own books; always 0 unless the scheduler is wrong. */
  readonly overcommits: number;
  /** What the auditor found, if every cycle was audited. */
  readonly audit?: AuditSummary;
  readonly timing: ReportTiming;
}

/** The report of a run so far. */
export function buildReport(
  recorder: Recorder,
  workload: Workload,
  wallMs: number,
  workers: number,
  audit: AuditSummary | null = null,
): SimulationReport {
  const { ledger, pods, cycleTimes } = recorder;
  const now = recorder.now();
  return {
    workload: workload.description,
    simulatedMs: now.atMs,
    nodes: ledger.nodes.length,
    pods: { ...pods, running: ledger.placedPods },
    evictedBy: Object.fromEntries(recorder.evictedBy),
    waiting: recorder.waitingGroups(),
    waitMs: recorder.waits.percentiles(),
    gpu: {
      total: ledger.totalGpuMilli / 1000,
      allocated: ledger.allocatedGpuMilli / 1000,
      allocatedShare: now.allocatedShare,
      meanAllocatedShare: recorder.meanAllocatedShare(),
      fragmentationShare: now.fragmentationShare,
    },
    timeline: recorder.timeline.points,
    queues: queueShares(recorder, workload.objects.queues ?? []),
    cycles: { count: recorder.cycles, jobsAttempted: recorder.jobsAttempted, pipelined: recorder.pipelined },
    overcommits: ledger.overcommits,
    ...(audit === null ? {} : { audit }),
    timing: {
      wallMs,
      workers,
      cycleMs: cycleTimes.percentiles(),
      phaseMs: Object.fromEntries([...recorder.phaseTimes].map(([phase, times]) => [phase, times.percentiles()])),
      podsPerSecond: share(pods.bound * 1000, cycleTimes.sumMs),
      largestCycle: recorder.largestCycle,
    },
  };
}

/** Every queue of the workload, in its order, with what the cycles said of it. */
export function queueShares(recorder: Recorder, queues: readonly Queue[]): QueueShare[] {
  const last = new Map((recorder.lastReport?.queues ?? []).map((q) => [q.queue, q]));
  return queues.map(({ metadata, spec }) => {
    const reported = last.get(metadata.name);
    const means = recorder.queueMeans(metadata.name);
    return {
      queue: metadata.name,
      parent: spec?.parentQueue ?? '',
      quotaGpu: spec?.resources?.gpu?.quota ?? 0,
      limitGpu: spec?.resources?.gpu?.limit ?? 0,
      fairShareGpu: reported?.fairShareGpu ?? 0,
      allocatedGpu: reported?.allocatedGpu ?? 0,
      meanFairShareGpu: means.fairShareGpu,
      meanAllocatedGpu: means.allocatedGpu,
    };
  });
}
