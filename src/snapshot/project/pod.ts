import { PodFlag, PodPhase, ReceivedType } from '../../base/codes.ts';
import type { PodClaimJson, PodNumaJson } from '../../base/jsonColumns.ts';
import type { Pod } from '../../base/objects.ts';
import type { SnapshotOptions } from '../../base/snapshotView.ts';
import type { COLUMNS } from '../generated/layout.gen.ts';
import type { Labels } from '../tables/labelSetTable.ts';
import type { RecordOf } from '../tables/recordTable.ts';
import { canonicalJson } from './canonicalJson.ts';
import { EMPTY_SIGNATURE, projectSignature } from './constraints.ts';
import { parseNumaZones } from './numa.ts';
import { parseInt64, toInt32 } from './numbers.ts';
import { type Report, textOrNull } from './report.ts';
import { EMPTY_SHAPE, projectShape } from './request.ts';

export type PodRecord = RecordOf<typeof COLUMNS.pods>;

const GPU_GROUP = 'runai-gpu-group';
const NUMA_OBSERVED = 'kai.scheduler/numa-placement-observed';
const NUMA_PREDICTED = 'kai.scheduler/numa-placement-predicted';
const TASK_PRIORITY = 'kai.scheduler/task-priority';
const NO_LABELS: Labels = Object.freeze({});

const PHASES: Readonly<Record<string, PodPhase>> = {
  Pending: PodPhase.pending,
  Running: PodPhase.running,
  Succeeded: PodPhase.succeeded,
  Failed: PodPhase.failed,
};

/** A pod as a row (spec 03 section 2.4); null for failed pods, which do not exist for the scheduler (02 section 3.1). */
export function projectPod(pod: Pod, key: string, namespace: string, options: SnapshotOptions, report: Report): PodRecord | null {
  const { metadata, spec, status } = pod;
  const phaseCode = PHASES[status?.phase ?? ''] ?? PodPhase.unknown;
  if (phaseCode === PodPhase.failed) return null;
  const labels = report.labels(metadata);
  const annotations = report.annotations(metadata);
  const identity = identityOf(pod, key, namespace, labels, annotations, options);
  if (phaseCode === PodPhase.succeeded) return { ...FINISHED, ...identity };
  const priority = readTaskPriority(labels[TASK_PRIORITY]);
  return {
    ...identity,
    schedulerText: textOrNull(spec.schedulerName),
    phaseCode,
    flags: readFlags(pod, labels, options) | priority.flags,
    taskPriority: priority.value,
    createdMs: report.timeMs(metadata.creationTimestamp, 'metadata.creationTimestamp'),
    deletionMs: report.timeMs(metadata.deletionTimestamp, 'metadata.deletionTimestamp'),
    nodeText: textOrNull(spec.nodeName),
    nominatedNodeText: textOrNull(status?.nominatedNodeName),
    shapeRow: projectShape(pod, annotations, report),
    signatureRow: projectSignature(pod, namespace, annotations),
    labelSetRow: labels,
    gpuGroupsJson: gpuGroupsJson(labels),
    receivedTypeCode: receivedTypeOf(annotations['received-resource-type']),
    claimsJson: claimsJson(pod),
    numaJson: numaJson(annotations, report),
  };
}

/** All that is kept of a succeeded pod, beside what makes it a row. */
function identityOf(pod: Pod, key: string, namespace: string, labels: Labels, annotations: Labels, options: SnapshotOptions) {
  // A pod of another scheduler is a plain occupant without a job (03 section 2.8). Reduced copies of finished pods name none.
  const isForeign = pod.spec.schedulerName !== undefined && pod.spec.schedulerName !== options.schedulerName;
  const group = isForeign ? undefined : annotations['pod-group-name'];
  return {
    keyText: key,
    namespaceText: namespace,
    uidText: textOrNull(pod.metadata.uid),
    groupKeyText: group === undefined || group === '' ? null : `${namespace}/${group}`,
    subGroupText: textOrNull(labels['kai.scheduler/subgroup-name']),
  };
}

const FINISHED = Object.freeze({
  schedulerText: null,
  phaseCode: PodPhase.succeeded,
  flags: 0,
  taskPriority: 0,
  createdMs: Number.NaN,
  deletionMs: Number.NaN,
  nodeText: null,
  nominatedNodeText: null,
  shapeRow: EMPTY_SHAPE,
  signatureRow: EMPTY_SIGNATURE,
  labelSetRow: NO_LABELS,
  gpuGroupsJson: null,
  receivedTypeCode: ReceivedType.none,
  claimsJson: null,
  numaJson: null,
});

function readFlags(pod: Pod, labels: Labels, options: SnapshotOptions): number {
  let flags = 0;
  if (pod.metadata.deletionTimestamp) flags |= PodFlag.deleting;
  if (pod.spec.schedulingGates?.length) flags |= PodFlag.gated;
  const app = labels.app;
  if (app !== undefined && app === options.resourceReservationAppLabel) flags |= PodFlag.reservation;
  if (app === 'scaling-pod') flags |= PodFlag.scaling;
  const role = labels['training.kubeflow.org/job-role'];
  if (role === 'master' || role === 'launcher') flags |= PodFlag.kubeflowMaster;
  if (labels['ray.io/node-type'] === 'head') flags |= PodFlag.rayHead;
  if (pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status !== 'True')) flags |= PodFlag.notReady;
  return flags;
}

function readTaskPriority(text: string | undefined): { readonly flags: number; readonly value: number } {
  if (text === undefined) return { flags: 0, value: 0 };
  const value = parseInt64(text);
  if (Number.isNaN(value)) return { flags: PodFlag.badTaskPriority, value: 0 };
  return { flags: PodFlag.hasTaskPriority, value: toInt32(value) };
}

/**
 * GPU groups of the labels: the plain label, then the prefixed ones by key (01 section 2.1: also where the plain one is
 * absent). A group is one device and stands once.
 */
function gpuGroupsJson(labels: Labels): string | null {
  let prefixed: string[] | null = null;
  for (const key in labels) {
    if (!key.startsWith(`${GPU_GROUP}/`)) continue;
    prefixed ??= [];
    prefixed.push(key);
  }
  const plain = labels[GPU_GROUP];
  if (plain === undefined && prefixed === null) return null;
  const groups = new Set(plain ? [plain] : []);
  for (const key of prefixed?.sort() ?? []) if (labels[key]) groups.add(labels[key]);
  return groups.size === 0 ? null : canonicalJson([...groups]);
}

/** `Regular`, `Fraction`, `MigInstance`; anything else is none. */
export function receivedTypeOf(text: string | undefined): ReceivedType {
  if (text === 'Regular') return ReceivedType.regular;
  if (text === 'Fraction') return ReceivedType.fraction;
  return text === 'MigInstance' ? ReceivedType.migInstance : ReceivedType.none;
}

function claimsJson(pod: Pod): string | null {
  const claims = pod.spec.resourceClaims;
  if (!claims?.length) return null;
  const statuses = pod.status?.resourceClaimStatuses ?? [];
  return canonicalJson(
    claims.map(({ name, resourceClaimName, resourceClaimTemplateName }): PodClaimJson => {
      const template = !resourceClaimName && Boolean(resourceClaimTemplateName);
      const claim = template ? statuses.find((s) => s.name === name)?.resourceClaimName : resourceClaimName;
      return { name, claim: claim || null, template };
    }),
  );
}

function numaJson(annotations: Labels, report: Report): string | null {
  const observed = parseNumaZones(annotations[NUMA_OBSERVED], `metadata.annotations[${NUMA_OBSERVED}]`, report);
  const predicted = parseNumaZones(annotations[NUMA_PREDICTED], `metadata.annotations[${NUMA_PREDICTED}]`, report);
  if (observed === null && predicted === null) return null;
  return canonicalJson({ observed: observed ?? undefined, predicted: predicted ?? undefined } satisfies PodNumaJson);
}
