import { ReceivedType } from '../base/codes.ts';
import type { CycleReport, Decision } from '../base/decisions.ts';
import { NO_ROW } from '../base/rows.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import { DemandMix, fragmentationShare, type GpuDemand } from './fragmentation.ts';
import { Ledger, type PodUse } from './ledger.ts';
import { Distribution, Series } from './series.ts';
import { groupWaiting, listWaiting, type WaitingGroup, type WaitingPod } from './waiting.ts';

const TIMELINE_POINTS = 240;
const TIMELINE_STEP_MS = 60_000;
const RECENT_CYCLES = 300;

export interface TimelinePoint {
  /** Since the beginning of the simulation. */
  readonly atMs: number;
  readonly allocatedShare: number;
  readonly fragmentationShare: number;
  readonly waitingPods: number;
}

export interface CycleOutcome {
  readonly decisions: readonly Decision[];
  readonly report: CycleReport;
  readonly cycleMs: number;
}

export interface RecentCycle {
  /** Virtual time of the cycle. */
  readonly atMs: number;
  readonly tookMs: number;
}

export interface LargestCycle {
  readonly boundPods: number;
  readonly tookMs: number;
}

interface QueueSums {
  allocatedGpuMs: number;
  fairShareGpuMs: number;
}

/** Counts of a run. Pods that come back after an eviction wait again. */
export interface PodCounts {
  submitted: number;
  bound: number;
  waiting: number;
  finished: number;
  evicted: number;
  dropped: number;
}

/** Gathers everything the report and the dashboard show of one run, from the decisions and the passing of virtual time. */
export class Recorder {
  readonly startMs: number;
  readonly pods: PodCounts = { submitted: 0, bound: 0, waiting: 0, finished: 0, evicted: 0, dropped: 0 };
  readonly ledger: Ledger;
  readonly mix = new DemandMix();
  readonly timeline = new Series<TimelinePoint>(TIMELINE_POINTS, TIMELINE_STEP_MS);
  readonly waits = new Distribution();
  readonly cycleTimes = new Distribution();
  readonly phaseTimes = new Map<string, Distribution>();
  readonly recentCycles: RecentCycle[] = [];
  readonly #queueSums = new Map<string, QueueSums>();
  cycles = 0;
  /** The cycle that bound most pods. */
  largestCycle: LargestCycle = { boundPods: 0, tookMs: 0 };
  jobsAttempted = 0;
  /** Evicted pods by action. */
  readonly evictedBy = new Map<string, number>();
  pipelined = 0;
  lastReport: CycleReport | undefined;
  #lastView: SnapshotView | undefined;
  #lastDecisions: readonly Decision[] = [];
  #waitingPods: readonly WaitingPod[] | undefined = [];
  #clockMs: number;
  #allocatedMilliMs = 0;
  #queuesSinceMs: number;

  /** `view`: a snapshot of the cluster before anything was placed. */
  constructor(view: SnapshotView, startMs: number) {
    this.ledger = new Ledger(view);
    this.startMs = startMs;
    this.#clockMs = startMs;
    this.#queuesSinceMs = startMs;
  }

  /** Virtual time passes; to be called before anything changes at `nowMs`. */
  passTo(nowMs: number): void {
    if (nowMs <= this.#clockMs) return;
    this.#allocatedMilliMs += this.ledger.allocatedGpuMilli * (nowMs - this.#clockMs);
    this.#clockMs = nowMs;
  }

  /** Pods of one job were submitted. */
  submit(podCount: number, demand: GpuDemand): void {
    this.pods.submitted += podCount;
    this.pods.waiting += podCount;
    this.mix.add(demand, podCount);
  }

  /** A cycle is over and its decisions were carried out; the view must stay as it is until the next call. Returns how long each bound pod had waited, in ms. */
  observe(view: SnapshotView, outcome: CycleOutcome, nowMs: number): number[] {
    this.passTo(nowMs);
    const waitedMs: number[] = [];
    for (const decision of outcome.decisions) {
      if (decision.kind === 'evict') {
        this.pods.evicted++;
        this.evictedBy.set(decision.action, (this.evictedBy.get(decision.action) ?? 0) + 1);
      }
      if (decision.kind === 'pipeline') this.pipelined++;
      if (decision.kind === 'bind') {
        this.#bind(view, decision);
        waitedMs.push(Math.max(0, nowMs - (view.pods.createdMs[decision.podRow] ?? nowMs)));
      }
    }
    for (const ms of waitedMs) this.waits.add(ms);
    if (waitedMs.length > this.largestCycle.boundPods) this.largestCycle = { boundPods: waitedMs.length, tookMs: outcome.cycleMs };
    this.#observeTimes(outcome, nowMs);
    this.#observeQueues(outcome.report, nowMs);
    this.lastReport = outcome.report;
    this.#lastView = view;
    this.#lastDecisions = outcome.decisions;
    this.#waitingPods = undefined;
    return waitedMs;
  }

  /** The pod gives back what it held: it finished, or it is gone. */
  release(pod: string, atMs: number): void {
    this.passTo(atMs);
    this.ledger.release(pod);
  }

  /** Takes a point of the time line when one is due. */
  sample(nowMs: number): void {
    if (!this.timeline.isDue(nowMs - this.startMs)) return;
    this.timeline.add(this.now());
  }

  /** The present state as a point of the time line. */
  now(): TimelinePoint {
    return {
      atMs: this.#clockMs - this.startMs,
      allocatedShare: share(this.ledger.allocatedGpuMilli, this.ledger.totalGpuMilli),
      fragmentationShare: fragmentationShare(this.ledger, this.mix),
      waitingPods: this.pods.waiting,
    };
  }

  /** Mean over the virtual time so far. */
  meanAllocatedShare(): number {
    return share(this.#allocatedMilliMs, this.ledger.totalGpuMilli * (this.#clockMs - this.startMs));
  }

  /** Means over the virtual time up to the last cycle, in devices; 0 before the second cycle. */
  queueMeans(queue: string): { readonly allocatedGpu: number; readonly fairShareGpu: number } {
    const sums = this.#queueSums.get(queue);
    const spanMs = this.#queuesSinceMs - this.startMs;
    return { allocatedGpu: share(sums?.allocatedGpuMs ?? 0, spanMs), fairShareGpu: share(sums?.fairShareGpuMs ?? 0, spanMs) };
  }

  /** Pods that the last cycle left waiting; none when they are gone since. */
  waitingPods(): readonly WaitingPod[] {
    if (this.pods.waiting === 0) return [];
    if (this.#waitingPods === undefined) {
      const view = this.#lastView;
      this.#waitingPods =
        view === undefined || this.lastReport === undefined ? [] : listWaiting(view, this.lastReport, this.#lastDecisions);
    }
    return this.#waitingPods;
  }

  waitingGroups(): WaitingGroup[] {
    return groupWaiting(this.waitingPods());
  }

  #bind(view: SnapshotView, decision: Decision): void {
    this.pods.bound++;
    this.pods.waiting--;
    const shapeRow = view.pods.shapeRow[decision.podRow] ?? NO_ROW;
    const { shapes } = view;
    const use: PodUse = {
      milliCpu: shapes.milliCpu[shapeRow] ?? 0,
      memoryBytes: shapes.memoryBytes[shapeRow] ?? 0,
      gpuCount: decision.gpuCount,
      gpuMilliEach: Math.round(Number(decision.gpuPortion) * 1000),
      gpuMemoryMibEach: shapes.gpuMemoryMib[shapeRow] ?? 0,
      gpuGroups: decision.receivedType === ReceivedType.fraction ? decision.gpuGroups : [],
    };
    this.ledger.place(decision.pod, decision.node, use);
  }

  #observeTimes({ cycleMs, report }: CycleOutcome, nowMs: number): void {
    this.cycles++;
    this.jobsAttempted += report.counts.jobsAttempted;
    this.cycleTimes.add(cycleMs);
    for (const [phase, ms] of Object.entries(report.phaseMs)) {
      let times = this.phaseTimes.get(phase);
      if (times === undefined) {
        times = new Distribution();
        this.phaseTimes.set(phase, times);
      }
      times.add(ms);
    }
    this.recentCycles.push({ atMs: nowMs, tookMs: cycleMs });
    if (this.recentCycles.length > RECENT_CYCLES) this.recentCycles.shift();
  }

  /** What the last cycle said of a queue held until this one. */
  #observeQueues(report: CycleReport, nowMs: number): void {
    const heldMs = nowMs - this.#queuesSinceMs;
    this.#queuesSinceMs = nowMs;
    for (const q of this.lastReport?.queues ?? report.queues) {
      let sums = this.#queueSums.get(q.queue);
      if (sums === undefined) {
        sums = { allocatedGpuMs: 0, fairShareGpuMs: 0 };
        this.#queueSums.set(q.queue, sums);
      }
      sums.allocatedGpuMs += q.allocatedGpu * heldMs;
      sums.fairShareGpuMs += q.fairShareGpu * heldMs;
    }
  }
}

export function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}
