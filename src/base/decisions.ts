import type { NodeRow, PodGroupRow, PodRow } from './rows.ts';

/** A decision as the engine emits it: rows of the sealed snapshot plus the few texts that exist nowhere else. */
export interface RawDecision {
  readonly kind: 'bind' | 'pipeline' | 'evict';
  /** Name of the action that decided. */
  readonly action: string;
  readonly podRow: PodRow;
  readonly podGroupRow: PodGroupRow;
  /** Target node; for `evict` the node that is left. */
  readonly nodeRow: NodeRow;
  /** ReceivedType code. */
  readonly receivedType: number;
  /** `receivedGPU.count`: devices; 0 for CPU-only, MIG and pure claim pods. */
  readonly gpuCount: number;
  /** Portion of each device, two decimals as text ("0.50"): spec 03 section 10. */
  readonly gpuPortion: string;
  readonly gpuGroups: readonly string[];
  /** Only where there is one: claim allocations, extended claim, NUMA zones; eviction message and metadata. */
  readonly details?: DecisionDetails;
}

export interface DecisionDetails {
  readonly resourceClaimAllocations?: readonly { readonly name: string; readonly allocation?: unknown }[];
  readonly extendedResourceClaimAllocation?: unknown;
  readonly predictedNUMAZones?: readonly unknown[];
  readonly message?: string;
  /** Evict, and pipeline of a pod that moves: the pod group that is served by it. */
  readonly evictorPodGroup?: string;
  readonly evictedPods?: number;
  /** Evict: a place is reserved for the successor of the pod. */
  readonly isMoved?: boolean;
  /** Places of this cycle that the attempt took back: binds that nobody had seen, in the order of eviction, then promises; on one of its decisions. */
  readonly takenBack?: readonly TakenBack[];
}

/** A bind that was never made, or a promise that does not hold. */
export interface TakenBack {
  /** "namespace/name" */
  readonly pod: string;
  readonly node: string;
  /** Binds: evictions of the same attempt that come before it in victim order. */
  readonly evictionsBefore?: number;
  /** The pod only waited for its place. */
  readonly isPromise?: boolean;
}

/** A decision with names, for output and for adapters. */
export interface Decision extends RawDecision {
  /** "namespace/name" */
  readonly pod: string;
  readonly podUid: string;
  readonly podGroup: string;
  readonly node: string;
}

export interface PodReport {
  readonly podRow: PodRow;
  /** Text of the pod's condition and event. */
  readonly message: string;
}

export interface JobError {
  readonly reason: string;
  readonly message: string;
  /** Queue figures of OverLimit and NonPreemptibleOverQuota (spec 01 section 5.10). */
  readonly queueDetails?: unknown;
}

/** What a cycle says of one pod group that waits, is stale or changed (spec 01 section 5.4, 03 section 12.3). */
export interface JobReport {
  readonly podGroupRow: PodGroupRow;
  readonly state: 'unschedulable' | 'notReady' | 'scheduled' | 'stale';
  /** Text of the pod group's condition or event. */
  readonly message: string;
  readonly errors: readonly JobError[];
  /** Pending pods with their own texts; several pods may share one string. */
  readonly pods: readonly PodReport[];
  /** The condition must be written: no pod of the group is active. */
  readonly isConditionWanted: boolean;
  /** New annotation times in ms; NaN = remove; absent = unchanged. */
  readonly lastStartMs?: number;
  readonly staleSinceMs?: number;
  readonly lastEvictionMs?: number;
  /**
   * All of annotation `kai.scheduler/recent-eviction-timestamps`: times of the last evictions, oldest first, ms. Only with
   * `safeEviction.maxEvictionsPerWorkloadPerHour`; absent = unchanged.
   */
  readonly recentEvictionsMs?: readonly number[];
  /** The engine threw on this job: it lost its turn. */
  readonly isBroken?: boolean;
  /** Text of the StaleJob event, where the job is marked stale. */
  readonly staleMessage?: string;
}

export interface QueueReport {
  readonly queue: string;
  readonly fairShareMilliCpu: number;
  readonly fairShareMemoryBytes: number;
  readonly fairShareGpu: number;
  readonly allocatedMilliCpu: number;
  readonly allocatedMemoryBytes: number;
  readonly allocatedGpu: number;
  /** Historical usage as shares of the cluster's capacity, 0 = none or not known. */
  readonly usageCpu: number;
  readonly usageMemory: number;
  readonly usageGpu: number;
}

export interface CycleCounts {
  bound: number;
  pipelined: number;
  evicted: number;
  jobsAttempted: number;
  jobsFailed: number;
  /** Node evaluations: one (pod class, node) pair scored and checked. */
  nodesEvaluated: number;
  /** Pods placed by a plain scan because their class cannot be indexed. */
  scans: number;
  classes: number;
}

/** Elementary counts of victim searches (spec 04 section 7.4 in terms of this search). */
export interface SearchCounts {
  /** Preemptors searched for. */
  attempts: number;
  solved: number;
  /** Units looked at in victim order. */
  unitsPopped: number;
  /** Units that left their place in a trial. */
  unitsLeaving: number;
  /** Placements tried for real. */
  simulations: number;
  /** Of these, placed but refused by the action's rule. */
  rejected: number;
  /** Parts of `simulations` and `rejected` that are of the narrow search, one unit's nodes at a time. */
  narrowSimulations: number;
  narrowRejected: number;
  /** Sets of victims that were not worth a trial: counters show that they make no room. */
  filtered: number;
  /** Preemptors that nobody was searched for, because no generator is enabled. */
  unsearched: number;
  /** Preemptors whose search ran out of its time, and those that none was left for. */
  exhausted: number;
  notAttempted: number;
  /** Parts of `attempts`, `solved` and `exhausted` for which less time was left than a job may have. */
  reducedAttempts: number;
  reducedSolved: number;
  reducedExhausted: number;
  /** Preemptors equal to one that failed, with nothing changed since. */
  skipped: number;
}

export function emptySearchCounts(): SearchCounts {
  return {
    attempts: 0,
    solved: 0,
    unitsPopped: 0,
    unitsLeaving: 0,
    simulations: 0,
    rejected: 0,
    narrowSimulations: 0,
    narrowRejected: 0,
    filtered: 0,
    unsearched: 0,
    exhausted: 0,
    notAttempted: 0,
    reducedAttempts: 0,
    reducedSolved: 0,
    reducedExhausted: 0,
    skipped: 0,
  };
}

/** What was counted between two moments. */
export function searchCountsSince(before: SearchCounts, now: SearchCounts): SearchCounts {
  const since = emptySearchCounts();
  for (const name of Object.keys(since) as (keyof SearchCounts)[]) since[name] = now[name] - before[name];
  return since;
}

/** Result of one cycle besides its decisions. Plain data: it crosses threads by structured clone. */
export interface CycleReport {
  readonly jobs: readonly JobReport[];
  readonly queues: readonly QueueReport[];
  readonly counts: CycleCounts;
  /** Of all actions together. */
  readonly search: SearchCounts;
  /** Of the actions that searched for somebody. */
  readonly searchByAction: Readonly<Record<string, SearchCounts>>;
  /** Milliseconds per phase ("open", "allocate", …), taken by the runner's clock; not part of the decisions. */
  readonly phaseMs: Readonly<Record<string, number>>;
  /** Bind requests to delete (spec 03 section 2.5): "namespace/name". */
  readonly staleBindRequests: readonly string[];
  /** With the same objects and configuration a cycle decides and says the same before this time, ms; −Infinity after decisions. */
  readonly sameUntilMs: number;
}
