// What the dashboard shows, and the port it reads it from: the simulator now, a running scheduler as well.

export interface DashboardNodes {
  /** Rises when nodes come or go; the per-node arrays of `DashboardState` belong to one version. */
  readonly version: number;
  readonly names: readonly string[];
  /** Devices × 1000; 0 for CPU-only nodes. */
  readonly gpuMilli: readonly number[];
}

export interface DashboardQueue {
  readonly name: string;
  /** '' for a top-level queue. */
  readonly parent: string;
  /** Devices; −1 = unlimited. */
  readonly quotaGpu: number;
  readonly limitGpu: number;
  readonly fairShareGpu: number;
  readonly allocatedGpu: number;
  readonly waitingPods: number;
}

export interface DashboardState {
  readonly title: string;
  readonly description: string;
  /** Clock of the cluster, ms since the Unix epoch. */
  readonly nowMs: number;
  readonly startedMs: number;
  /** Cluster time ÷ real time; 1 for a real cluster. */
  readonly speed: number;
  readonly isFinished: boolean;
  readonly gpu: { readonly totalMilli: number; readonly allocatedMilli: number; readonly fragmentationShare: number };
  readonly pods: {
    readonly bound: number;
    readonly running: number;
    readonly waiting: number;
    readonly finished: number;
    readonly evicted: number;
    /** Bound per second of cycle time. */
    readonly boundPerSecond: number;
  };
  readonly cycles: { readonly count: number; readonly lastMs: number; readonly p50Ms: number; readonly p99Ms: number };
  readonly nodesVersion: number;
  /** Allocated part of each node, in the order of `DashboardNodes`. */
  readonly nodeAllocatedMilli: readonly number[];
  readonly queues: readonly DashboardQueue[];
  /** Latest cycles, oldest first; arrays of one length. */
  readonly cycleHistory: { readonly atMs: readonly number[]; readonly tookMs: readonly number[] };
  readonly allocationHistory: {
    readonly atMs: readonly number[];
    readonly allocatedShare: readonly number[];
    readonly fragmentationShare: readonly number[];
  };
}

export interface DashboardPendingPod {
  /** "namespace/name" */
  readonly pod: string;
  readonly podGroup: string;
  readonly queue: string;
  readonly waitingMs: number;
  readonly reason: string;
}

export interface DashboardPending {
  /** All waiting pods. */
  readonly total: number;
  /** Those that match the query; `pods` holds the first of them. */
  readonly matched: number;
  readonly pods: readonly DashboardPendingPod[];
}

/** Read side of whatever runs the cycles. Calls are cheap, synchronous and never throw. */
export interface DashboardSource {
  nodes(): DashboardNodes;
  state(): DashboardState;
  /** Waiting pods whose name, group, queue or reason contains `query`, letters of any case; at most `limit` of them. */
  pending(query: string, limit: number): DashboardPending;
}
