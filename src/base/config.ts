/** The effective configuration: every key filled, frozen. Names as upstream's file and flags (spec 01 section 3). */
export interface SchedulerConfig {
  /** Action names in order. */
  readonly actions: readonly string[];
  /** All tiers flattened, in order. */
  readonly plugins: readonly PluginConfig[];
  /** Jobs per leaf queue and action; absent = unlimited, 0 = none, negative = unlimited. */
  readonly queueDepthPerAction: Readonly<Record<string, number>>;
  /** Verbatim `scenarioSearchBudgets` and `usageDBConfig` for the parts that use them. */
  readonly scenarioSearchBudgets: Readonly<Record<string, unknown>>;
  readonly usageDBConfig: Readonly<Record<string, unknown>> | null;
  /** Block `safeEviction`, which upstream does not have (docs/safe-eviction.md); absent = off. */
  readonly safeEviction?: SafeEvictionConfig;
  readonly params: SchedulerParams;
}

/** What the scheduler promises when it evicts, beyond upstream's rules. */
export interface SafeEvictionConfig {
  /** No decision takes more pods than a PodDisruptionBudget allows. */
  readonly respectPodDisruptionBudgets: boolean;
  /** Pods go only for a job that gets their place, and the place is kept for it until it is bound. */
  readonly requireCommittedPlace: boolean;
  /** Decisions that may take pods from one pod group within an hour, at least 1; null = any number. */
  readonly maxEvictionsPerWorkloadPerHour: number | null;
}

export interface PluginConfig {
  readonly name: string;
  readonly arguments: Readonly<Record<string, string>>;
}

/** Parameters that upstream takes as flags and writes as `schedulerParams` (spec 01 sections 3.1, 6.2). */
export interface SchedulerParams {
  readonly schedulerName: string;
  readonly restrictSchedulingNodes: boolean;
  readonly nodePoolLabelKey: string;
  readonly nodePoolLabelValue: string;
  readonly maxNumberConsolidationPreemptees: number;
  readonly scheduleCsiStorage: boolean;
  readonly useSchedulingSignatures: boolean;
  readonly fullHierarchyFairness: boolean;
  readonly allowConsolidatingReclaim: boolean;
  readonly numOfStatusRecordingWorkers: number;
  readonly defaultStalenessGracePeriodMs: number;
  readonly schedulePeriodMs: number;
  readonly detailedFitErrors: boolean;
  readonly updatePodEvictionCondition: boolean;
  readonly queueLabelKey: string;
  readonly stuckInReleasingThresholdMs: number;
}
