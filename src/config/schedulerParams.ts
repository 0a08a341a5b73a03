import type { SchedulerParams } from '../base/config.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotOptions } from '../base/snapshotView.ts';
import { DEFAULT_STUCK_IN_RELEASING_MS, FLAG_DEFAULTS } from './defaults.ts';
import { booleanField, type Fields, integerField, isFields, objectField, stringField, wrongType } from './fields.ts';

const PATH = 'schedulerParams';

/**
 * `schedulerParams` of a snapshot (spec 01 section 6.2). Null: the flags' defaults. Present: a key that is left out is zero,
 * empty or false, except that no scheduler name, no queue label key and no release threshold mean the flags' defaults.
 * Throws KaiError BAD_CONFIG for a value of the wrong type.
 */
export function readSchedulerParams(raw: unknown): SchedulerParams {
  if (raw === null || raw === undefined) return FLAG_DEFAULTS;
  if (!isFields(raw)) throw wrongType(PATH, 'an object', raw);
  const partition = objectField(raw, 'partitionParams', PATH) ?? {};
  const flag = (key: string): boolean => booleanField(raw, key, PATH) ?? false;
  const stuckMs = milliseconds(raw, 'stuckInReleasingThreshold');
  return {
    schedulerName: stringField(raw, 'schedulerName', PATH) || FLAG_DEFAULTS.schedulerName,
    restrictSchedulingNodes: flag('restrictSchedulingNodes'),
    nodePoolLabelKey: stringField(partition, 'NodePoolLabelKey', `${PATH}.partitionParams`) ?? '',
    nodePoolLabelValue: stringField(partition, 'NodePoolLabelValue', `${PATH}.partitionParams`) ?? '',
    maxNumberConsolidationPreemptees: integerField(raw, 'maxNumberConsolidationPreemptees', PATH) ?? 0,
    scheduleCsiStorage: flag('scheduleCSIStorage'),
    useSchedulingSignatures: flag('useSchedulingSignatures'),
    fullHierarchyFairness: flag('fullHierarchyFairness'),
    allowConsolidatingReclaim: flag('allowConsolidatingReclaim'),
    numOfStatusRecordingWorkers: integerField(raw, 'numOfStatusRecordingWorkers', PATH) ?? 0,
    defaultStalenessGracePeriodMs: milliseconds(raw, 'globalDefaultStalenessGracePeriod'),
    schedulePeriodMs: milliseconds(raw, 'schedulePeriod'),
    detailedFitErrors: flag('detailedFitErrors'),
    updatePodEvictionCondition: flag('updatePodEvictionCondition'),
    queueLabelKey: stringField(raw, 'queueLabelKey', PATH) || FLAG_DEFAULTS.queueLabelKey,
    stuckInReleasingThresholdMs: stuckMs > 0 ? stuckMs : DEFAULT_STUCK_IN_RELEASING_MS,
  };
}

/** What a snapshot's writer must know of the configuration; `served` as the cluster or the file tells. */
export function snapshotOptionsFrom(
  params: SchedulerParams,
  served: { readonly isDraServed: boolean; readonly isNodeTopologyServed: boolean },
): SnapshotOptions {
  return {
    ...DEFAULT_SNAPSHOT_OPTIONS,
    schedulerName: params.schedulerName,
    nodePoolLabelKey: params.nodePoolLabelKey,
    nodePoolLabelValue: params.nodePoolLabelValue,
    queueLabelKey: params.queueLabelKey,
    isDraServed: served.isDraServed,
    isNodeTopologyServed: served.isNodeTopologyServed,
  };
}

/** The file holds nanoseconds. */
function milliseconds(raw: Fields, key: string): number {
  return (integerField(raw, key, PATH) ?? 0) / 1e6;
}
