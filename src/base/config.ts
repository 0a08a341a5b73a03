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
  readonly params: SchedulerParams;
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
