// Resource claims of a pod (spec 03 section 11): whom they are reserved for, what they hold, which a pod's owner renews.
import type { OtherObject, Pod } from '../../base/objects.ts';
import { nextUid } from './pods.ts';

const EXTENDED_ANNOTATION = 'resource.kubernetes.io/extended-resource-claim';

interface ClaimStatus {
  readonly allocation?: unknown;
  readonly reservedFor?: readonly { readonly resource?: string; readonly name?: string; readonly uid?: string }[] | null;
}

function statusOf(claim: OtherObject): ClaimStatus {
  return (claim.status ?? {}) as ClaimStatus;
}

/** Names of the claims that an entry of `spec.resourceClaims` may stand for: given directly or made from a template. */
export function claimNameOf(pod: Pod, reference: string): string | undefined {
  const entry = pod.spec.resourceClaims?.find((e) => e.name === reference);
  const direct = entry?.resourceClaimName;
  if (direct !== undefined && direct !== null) return direct;
  return pod.status?.resourceClaimStatuses?.find((e) => e.name === reference)?.resourceClaimName ?? undefined;
}

/** Keys of all claims of a pod, the one of its extended resources included. */
export function claimKeysOf(pod: Pod): string[] {
  const namespace = pod.metadata.namespace ?? '';
  const names = (pod.spec.resourceClaims ?? []).map((e) => claimNameOf(pod, e.name));
  names.push(pod.status?.extendedResourceClaimStatus?.resourceClaimName);
  return names.filter((name) => name !== undefined).map((name) => `${namespace}/${name}`);
}

/** The claim with its allocation (an existing one stays) and the pod among its users. */
export function reserved(claim: OtherObject, allocation: unknown, pod: Pod): OtherObject {
  const status = statusOf(claim);
  const others = (status.reservedFor ?? []).filter((user) => user.uid !== pod.metadata.uid);
  const user = { resource: 'pods', name: pod.metadata.name, uid: pod.metadata.uid ?? '' };
  return { ...claim, status: { ...status, allocation: status.allocation ?? allocation, reservedFor: [...others, user] } };
}

/** The claim without this user; without any user it loses its allocation. The same object when the pod does not use it. */
export function released(claim: OtherObject, podUid: string): OtherObject {
  const status = statusOf(claim);
  const users = status.reservedFor ?? [];
  const others = users.filter((user) => user.uid !== podUid);
  if (others.length === users.length) return claim;
  const { allocation, ...rest } = status;
  return { ...claim, status: others.length === 0 ? { ...rest, reservedFor: [] } : { ...rest, allocation, reservedFor: others } };
}

/** Made for this pod alone: it goes when the pod goes. */
export function isOwnedBy(claim: OtherObject, podUid: string): boolean {
  return (claim.metadata.ownerReferences ?? []).some((owner) => owner.kind === 'Pod' && owner.uid === podUid);
}

export function isExtendedClaim(claim: OtherObject): boolean {
  return claim.metadata.annotations?.[EXTENDED_ANNOTATION] === 'true';
}

/** The claim that the template makes for the successor of its pod: same name and spec, nothing allocated. */
export function renewed(claim: OtherObject, oldPodUid: string, newPodUid: string): OtherObject {
  const owners = (claim.metadata.ownerReferences ?? []).map((o) => (o.uid === oldPodUid ? { ...o, uid: newPodUid } : o));
  return { ...claim, metadata: { ...claim.metadata, uid: nextUid(claim.metadata.uid ?? ''), ownerReferences: owners }, status: {} };
}

/** `extendedResourceClaimAllocation` of a decision (spec 03 section 11.9). */
interface ExtendedAllocation {
  readonly allocation?: unknown;
  readonly deviceRequests?: readonly unknown[];
  readonly containerMappings?: readonly unknown[];
}

/** The claim that a binder makes for the devices behind a pod's extended resources, and the mappings for its status. */
export function extendedClaim(pod: Pod, decided: unknown): { claim: OtherObject; mappings: readonly unknown[] } {
  const { allocation, deviceRequests, containerMappings } = decided as ExtendedAllocation;
  const uid = pod.metadata.uid ?? '';
  const claim = {
    metadata: {
      name: `${pod.metadata.name}-extended-resources-${uid}`,
      namespace: pod.metadata.namespace,
      uid: `${uid}-extended-resources`,
      annotations: { [EXTENDED_ANNOTATION]: 'true' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid, controller: true }],
    },
    spec: { devices: { requests: deviceRequests ?? [] } },
  };
  return { claim: reserved(claim, allocation, pod), mappings: containerMappings ?? [] };
}
