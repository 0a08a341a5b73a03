// What this process has done and the watch has not shown yet. The next cycle must see it, or it would do it again.
import { ReceivedType } from '../base/codes.ts';
import type { Decision } from '../base/decisions.ts';
import type { BindRequest, Pod, PodGroup, SchedulingCondition } from '../base/objects.ts';

/** State of one pod (by UID) that goes beyond its object. */
export interface PodOverlay {
  readonly uid: string;
  assumed: AssumedBind | null;
  /** A deletion was sent. */
  isLeaving: boolean;
  /** A bind failed: no further try before this moment of the monotonic clock; NaN = free. */
  heldUntilMs: number;
  /** Failed binds in a row. */
  failures: number;
}

export interface AssumedBind {
  readonly node: string;
  /** The form in which the snapshot takes it: a bind request in flight. */
  readonly request: BindRequest;
  /** Aborted when the pod is gone or belongs to another. */
  readonly abort: AbortController;
  /** Claims are allocated in objects of their own, whose watch may be later than the pod's. */
  readonly hasClaims: boolean;
  /** After this moment of the monotonic clock it counts no longer; Infinity while the binder works on it. */
  expiresAtMs: number;
}

/** Exists only in the snapshot. */
const HELD_GATE = Object.freeze([{ name: 'kai.scheduler/held' }]);
const RECEIVED_NAMES: Readonly<Record<number, string>> = {
  [ReceivedType.regular]: 'Regular',
  [ReceivedType.fraction]: 'Fraction',
  [ReceivedType.migInstance]: 'MigInstance',
};

/** The pod as the next cycle is to see it; the same object when there is nothing to add. */
export function overlaidPod(pod: Pod, overlay: PodOverlay | undefined, nowIso: string): Pod {
  if (overlay === undefined || overlay.uid !== pod.metadata.uid) return pod;
  let result = pod;
  if (overlay.isLeaving && !pod.metadata.deletionTimestamp) {
    result = { ...result, metadata: { ...result.metadata, deletionTimestamp: nowIso } };
  }
  return Number.isNaN(overlay.heldUntilMs) ? result : gatedPod(result);
}

/** There, but not to be placed now; pods on nodes stay as they are. */
export function gatedPod(pod: Pod): Pod {
  if (pod.spec.nodeName) return pod;
  return { ...pod, spec: { ...pod.spec, schedulingGates: [...(pod.spec.schedulingGates ?? []), ...HELD_GATE] } };
}

/** Its name is none that an object of the API server can have. */
export function assumedRequest(pod: Pod, decision: Decision): BindRequest {
  const { name, namespace, uid = '' } = pod.metadata;
  const { details } = decision;
  return {
    metadata: { name: `Assumed ${name}`, namespace, ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid }] },
    spec: {
      podName: name,
      selectedNode: decision.node,
      receivedResourceType: RECEIVED_NAMES[decision.receivedType] ?? '',
      receivedGPU: { count: decision.gpuCount, portion: decision.gpuPortion },
      selectedGPUGroups: decision.gpuGroups,
      resourceClaimAllocations: details?.resourceClaimAllocations,
      extendedResourceClaimAllocation: details?.extendedResourceClaimAllocation,
      predictedNUMAZones: details?.predictedNUMAZones,
    },
  };
}

export function assumedRequestKey({ metadata }: BindRequest): string {
  return `${metadata.namespace ?? 'default'}/${metadata.name}`;
}

/** What was written on a pod group (by UID) and not seen yet. */
export interface GroupOverlay {
  readonly uid: string;
  /** null = removed. */
  annotations: Readonly<Record<string, string | null>>;
  conditions: readonly SchedulingCondition[] | null;
  readonly expiresAtMs: number;
}

/** The group as the next cycle is to see it; the same object when the overlay adds nothing: it can be forgotten then. */
export function overlaidGroup(group: PodGroup, overlay: GroupOverlay | undefined): PodGroup {
  if (overlay === undefined || overlay.uid !== group.metadata.uid) return group;
  let result = group;
  const changed = Object.entries(overlay.annotations).filter(([name, value]) => (group.metadata.annotations?.[name] ?? null) !== value);
  if (changed.length > 0) {
    const annotations: Record<string, string> = { ...group.metadata.annotations };
    for (const [name, value] of changed) {
      if (value === null) delete annotations[name];
      else annotations[name] = value;
    }
    result = { ...result, metadata: { ...result.metadata, annotations } };
  }
  if (overlay.conditions !== null && !isAsNew(group.status?.schedulingConditions ?? [], overlay.conditions)) {
    result = { ...result, status: { ...result.status, schedulingConditions: overlay.conditions } };
  }
  return result;
}

/** Does the list show what was written, or something newer? A removal is seen when nothing is left. */
function isAsNew(seen: readonly SchedulingCondition[], written: readonly SchedulingCondition[]): boolean {
  if (written.length === 0) return seen.length === 0;
  return newestTransition(seen) >= newestTransition(written);
}

/** Highest transitionID, −1 = none that can be read (spec 01 section 5.4). */
export function newestTransition(conditions: readonly SchedulingCondition[]): number {
  return conditions.reduce(
    (highest, { transitionID = '' }) => Math.max(highest, /^\d+$/.test(transitionID) ? Number(transitionID) : -1),
    -1,
  );
}
