// What `explainCycle` says, as plain data: the JSON of `kai explain --output json`.

/** A cycle in words: who waits and why, who was evicted and under which rule. */
export interface CycleExplanation {
  /** Pod groups with pods that wait, by name. */
  readonly waiting: readonly WaitingExplanation[];
  /** Pod groups that lost pods in this cycle, by name. */
  readonly victims: readonly VictimExplanation[];
}

export interface WaitingExplanation {
  /** "namespace/name" */
  readonly podGroup: string;
  readonly queue: string;
  readonly pods: PodCounts;
  readonly constraint: Constraint;
  /** Why no action took resources for it; empty where none was asked. */
  readonly taking: readonly { readonly action: string; readonly text: string }[];
  readonly before: StandsBefore;
  /** What would make it fit, each on its own. Empty when only time helps. */
  readonly remedies: readonly string[];
}

export interface PodCounts {
  readonly pending: number;
  readonly gated: number;
  /** Bound or running. */
  readonly holding: number;
  /** Promised a place that others still have to leave. */
  readonly promised: number;
}

/** Kinds in the order in which they are looked at; the first that binds is told. */
export type ConstraintKind =
  | 'queueUnknown'
  | 'queueNotLeaf'
  | 'badTree'
  | 'gated'
  | 'notReady'
  | 'releasing'
  | 'incompleteMember'
  | 'depth'
  | 'limit'
  | 'quota'
  | 'podCannotRun'
  | 'gang'
  | 'nodeFit'
  | 'topology'
  | 'nextCycle';

export interface Constraint {
  readonly kind: ConstraintKind;
  readonly text: string;
  /** gang: places found, and pods of the step. */
  readonly placed?: number;
  readonly needed?: number;
  /** gang, nodeFit: nodes per reason, most frequent first. */
  readonly nodes?: readonly { readonly reason: string; readonly nodes: number }[];
}

/** Who is served before a job, as things stand after the cycle. */
export interface StandsBefore {
  /** Number of waiting jobs of its own queue, and the first of them. */
  readonly jobCount: number;
  readonly jobs: readonly string[];
  /** From the top of the queue tree down to its own queue: place among the siblings that have waiting jobs. */
  readonly queues: readonly QueueRank[];
}

export interface QueueRank {
  readonly queue: string;
  /** 1 = served first. */
  readonly rank: number;
  readonly of: number;
  /** Sibling directly before it, and the rule that decides (spec 02 section 11). */
  readonly behind?: { readonly queue: string; readonly rule: string };
}

export interface VictimExplanation {
  readonly podGroup: string;
  readonly queue: string;
  readonly action: string;
  /** Pod group that they were evicted for; absent for a stale gang. */
  readonly evictor?: string;
  /** The rule in words. */
  readonly rule: string;
  readonly pods: readonly { readonly pod: string; readonly node: string; readonly movedTo?: string }[];
}
