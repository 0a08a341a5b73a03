// What binding, running, leaving and coming back do to a pod object. Pure: a new object each time, the old one unchanged.
import { ReceivedType } from '../../base/codes.ts';
import type { Decision } from '../../base/decisions.ts';
import type { BindRequest, Metadata, Pod } from '../../base/objects.ts';

const GPU_GROUP_LABEL = 'runai-gpu-group';
const GPU_GROUP_PREFIX = 'runai-gpu-group/';
const RECEIVED_ANNOTATION = 'received-resource-type';
const PREDICTED_ANNOTATION = 'kai.scheduler/numa-placement-predicted';
const OBSERVED_ANNOTATION = 'kai.scheduler/numa-placement-observed';
const RECEIVED_NAME: Readonly<Record<number, string>> = {
  [ReceivedType.regular]: 'Regular',
  [ReceivedType.fraction]: 'Fraction',
  [ReceivedType.migInstance]: 'MigInstance',
};

/** What a binder writes on a pod. */
export interface Binding {
  readonly node: string;
  readonly receivedType: string;
  readonly gpuGroups: readonly string[];
  readonly predictedNumaZones?: readonly unknown[];
  /** Claim that holds the devices of extended resources (spec 03 section 11.9), and which container uses which request. */
  readonly extendedClaim?: { readonly resourceClaimName: string; readonly requestMappings: unknown };
}

export function bindingOfDecision(decision: Decision): Binding {
  return {
    node: decision.node,
    receivedType: RECEIVED_NAME[decision.receivedType] ?? '',
    gpuGroups: decision.gpuGroups,
    predictedNumaZones: decision.details?.predictedNUMAZones,
  };
}

export function bindingOfRequest(request: BindRequest): Binding {
  return {
    node: request.spec?.selectedNode ?? '',
    receivedType: request.spec?.receivedResourceType ?? '',
    gpuGroups: request.spec?.selectedGPUGroups ?? [],
    predictedNumaZones: request.spec?.predictedNUMAZones ?? undefined,
  };
}

/** RFC 3339 in UTC with whole seconds, as the API server and the scheduler write times. */
export function formatTime(atMs: number): string {
  return `${new Date(Math.floor(atMs / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

/** "namespace/name"; objects without a namespace: "name". */
export function keyOf(metadata: Metadata): string {
  return metadata.namespace === undefined || metadata.namespace === '' ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

export function isDeleting(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined && pod.metadata.deletionTimestamp !== null;
}

export function hasNode(pod: Pod): boolean {
  return pod.spec.nodeName !== undefined && pod.spec.nodeName !== '';
}

/** Node, received type and, for shared GPUs, the group labels (spec 01 section 4; 07 section 7). Whole GPUs need no more. */
export function bound(pod: Pod, binding: Binding): Pod {
  const annotations: Record<string, string> = { ...pod.metadata.annotations };
  if (binding.receivedType !== '') annotations[RECEIVED_ANNOTATION] = binding.receivedType;
  if (binding.predictedNumaZones !== undefined) annotations[PREDICTED_ANNOTATION] = JSON.stringify(binding.predictedNumaZones);
  const labels = withoutGroupLabels(pod.metadata.labels);
  if (binding.receivedType === 'Fraction') {
    const [only, ...more] = binding.gpuGroups;
    if (only !== undefined && more.length === 0) labels[GPU_GROUP_LABEL] = only;
    else for (const group of binding.gpuGroups) labels[`${GPU_GROUP_PREFIX}${group}`] = group;
  }
  const status = binding.extendedClaim === undefined ? pod.status : { ...pod.status, extendedResourceClaimStatus: binding.extendedClaim };
  return { ...pod, metadata: { ...pod.metadata, labels, annotations }, spec: { ...pod.spec, nodeName: binding.node }, status };
}

export function withPhase(pod: Pod, phase: string): Pod {
  return { ...pod, status: { ...pod.status, phase } };
}

/** Being deleted: stays until `atMs`. */
export function leaving(pod: Pod, atMs: number): Pod {
  return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: formatTime(atMs) } };
}

/** The new pod that its owner creates: same name and spec, another UID, nothing of the old placement. */
export function successor(pod: Pod, nowMs: number): Pod {
  const annotations: Record<string, string> = { ...pod.metadata.annotations };
  for (const name of [RECEIVED_ANNOTATION, PREDICTED_ANNOTATION, OBSERVED_ANNOTATION]) delete annotations[name];
  const { nodeName: _, ...spec } = pod.spec;
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      uid: nextUid(pod.metadata.uid ?? ''),
      creationTimestamp: formatTime(nowMs),
      deletionTimestamp: undefined,
      labels: withoutGroupLabels(pod.metadata.labels),
      annotations,
    },
    spec,
    status: { phase: 'Pending', qosClass: pod.status?.qosClass, resourceClaimStatuses: pod.status?.resourceClaimStatuses },
  };
}

/** "uid", "uid-r1", "uid-r2", … */
export function nextUid(uid: string): string {
  const match = /^(.*)-r([0-9]+)$/.exec(uid);
  return match === null ? `${uid}-r1` : `${match[1]}-r${Number(match[2]) + 1}`;
}

function withoutGroupLabels(labels: Metadata['labels']): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [key, value] of Object.entries(labels ?? {})) {
    if (key !== GPU_GROUP_LABEL && !key.startsWith(GPU_GROUP_PREFIX)) kept[key] = value;
  }
  return kept;
}
