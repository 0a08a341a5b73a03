// The claim behind extended resources that device classes serve (spec 07 section 6.8, 03 section 11.9).
import { createHash } from 'node:crypto';
import type { Pod } from '../base/objects.ts';
import { type BinderApi, hasStatus, inContext, StepError } from './binderApi.ts';
import { type LivePod, podKey, podPath } from './livePod.ts';
import { CLAIM_FINALIZER, claimFolder, type ResourceClaim, reserve, updateStatus } from './resourceClaims.ts';
import type { UndoStack } from './undoStack.ts';

const EXTENDED_ANNOTATION = 'resource.kubernetes.io/extended-resource-claim';
const MAX_BASE = 52;

export interface NamedMapping {
  readonly containerName: string;
  readonly resourceName: string;
  readonly requestName: string;
}

/** `extendedResourceClaimAllocation` of a bind request. */
export interface ExtendedAllocation {
  readonly allocation: unknown;
  readonly deviceRequests: readonly unknown[];
  readonly containerMappings: readonly NamedMapping[];
}

/** A decision counts containers, init containers first; bind requests and pod statuses name them. Throws StepError. */
export function namedAllocation(decided: unknown, pod: Pod): ExtendedAllocation {
  const { allocation, deviceRequests, containerMappings } = decided as {
    readonly allocation?: unknown;
    readonly deviceRequests?: readonly unknown[];
    readonly containerMappings?: readonly (Partial<NamedMapping> & { readonly containerIndex?: number })[];
  };
  const containers = [...(pod.spec.initContainers ?? []), ...(pod.spec.containers ?? [])];
  const named = (containerMappings ?? []).map(({ containerIndex, containerName, resourceName = '', requestName = '' }) => {
    const name = containerName ?? containers[containerIndex ?? -1]?.name;
    if (name === undefined)
      throw new StepError(`pod ${podKey(pod)} has no container number ${containerIndex}, which the decision gives devices`);
    return { containerName: name, resourceName, requestName };
  });
  return { allocation, deviceRequests: deviceRequests ?? [], containerMappings: named };
}

/** Creates, allocates and reserves the claim and writes it into the pod's status. Throws StepError. */
export async function reserveExtendedClaim(
  api: BinderApi,
  pod: LivePod,
  decided: unknown,
  version: string,
  undo: UndoStack,
): Promise<void> {
  const { allocation, deviceRequests, containerMappings } = namedAllocation(decided, pod);
  if (!allocation) throw new StepError(`empty allocation in extended resource bind request for pod ${podKey(pod)}`);
  const folder = claimFolder(version, pod.metadata.namespace);
  undo.push('the claim of the extended resources', () => undoExtendedClaim(api, pod, folder));
  const name = (await reusable(api, pod, folder, allocation)) ?? (await create(api, pod, folder, version, deviceRequests));
  try {
    await reserve(api, `${folder}/${name}`, pod, allocation);
  } catch (error) {
    throw inContext(`failed to update status of extended resource claim ${name} for pod ${podKey(pod)}`, error);
  }
  const status = { extendedResourceClaimStatus: { resourceClaimName: name, requestMappings: containerMappings } };
  try {
    await patchPodStatus(api, pod, status);
  } catch (error) {
    throw inContext(`failed to update pod status for extended resource claim for pod ${podKey(pod)}`, error);
  }
}

/** Name of a claim of an earlier attempt that has the same devices; any other claim of the pod is removed. */
async function reusable(api: BinderApi, pod: LivePod, folder: string, allocation: unknown): Promise<string | undefined> {
  let found: string | undefined;
  try {
    for (const claim of await claimsOf(api, pod, folder)) {
      const has = claim.status?.allocation;
      if (found === undefined && !claim.metadata.deletionTimestamp && has && devicesText(has) === devicesText(allocation))
        found = claim.metadata.name;
      else await remove(api, `${folder}/${claim.metadata.name}`, claim.metadata.uid);
    }
    return found;
  } catch (error) {
    throw inContext(`failed to check for existing extended resource claim for pod ${podKey(pod)}`, error);
  }
}

/** The claims of this pod among those that its status or its own name lead to: upstream's have a random ending. */
async function claimsOf(api: BinderApi, pod: LivePod, folder: string): Promise<ResourceClaim[]> {
  const names = new Set([extendedClaimName(pod)]);
  const noted = (await api.find<Pod>(podPath(pod.metadata.namespace, pod.metadata.name)))?.status?.extendedResourceClaimStatus
    ?.resourceClaimName;
  if (noted) names.add(noted);
  const claims: ResourceClaim[] = [];
  for (const name of names) {
    const claim = await api.find<ResourceClaim>(`${folder}/${name}`);
    if (claim !== undefined && isClaimOf(claim, pod)) claims.push(claim);
  }
  return claims;
}

async function create(api: BinderApi, pod: LivePod, folder: string, version: string, deviceRequests: readonly unknown[]): Promise<string> {
  const name = extendedClaimName(pod);
  const owner = {
    apiVersion: 'v1',
    kind: 'Pod',
    name: pod.metadata.name,
    uid: pod.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
  try {
    await api.create(folder, {
      apiVersion: `resource.k8s.io/${version}`,
      kind: 'ResourceClaim',
      metadata: {
        name,
        namespace: pod.metadata.namespace,
        annotations: { [EXTENDED_ANNOTATION]: 'true' },
        finalizers: [CLAIM_FINALIZER],
        ownerReferences: [owner],
      },
      spec: { devices: { requests: version === 'v1beta1' ? deviceRequests.map(inOldShape) : deviceRequests } },
    });
  } catch (error) {
    // An earlier try of the same request had arrived; one of somebody else is in the way.
    const isMade = hasStatus(error, 409) && (await claimsOf(api, pod, folder)).some(({ metadata }) => metadata.name === name);
    if (!isMade) throw inContext(`failed to create extended resource claim for pod ${podKey(pod)}`, error);
  }
  return name;
}

/** v1beta1 has the fields of `exactly` in the request itself. */
function inOldShape(request: unknown): unknown {
  const { exactly, ...rest } = request as { readonly exactly?: object };
  return { ...rest, ...exactly };
}

async function undoExtendedClaim(api: BinderApi, pod: LivePod, folder: string): Promise<void> {
  const claims = await claimsOf(api, pod, folder);
  try {
    // API servers up to 1.37 keep the old value all the same; the next attempt overwrites it.
    await patchPodStatus(api, pod, { extendedResourceClaimStatus: null });
  } catch (error) {
    if (!hasStatus(error, 404, 409)) throw error;
  }
  for (const { metadata } of claims) await remove(api, `${folder}/${metadata.name}`, metadata.uid);
}

/** Frees the devices first: with its finalizer the claim would keep them for ever. */
async function remove(api: BinderApi, path: string, uid: string | undefined): Promise<void> {
  try {
    await updateStatus(api, path, ({ metadata, status }) =>
      metadata.uid === uid && (status?.allocation || status?.reservedFor?.length) ? { reservedFor: null, allocation: null } : null,
    );
    await api.patch(path, 'merge', { metadata: { uid, finalizers: null } });
    await api.delete(path, uid);
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
}

function patchPodStatus(api: BinderApi, { metadata }: LivePod, status: object): Promise<unknown> {
  return api.patch(`${podPath(metadata.namespace, metadata.name)}/status`, 'merge', { metadata: { uid: metadata.uid }, status });
}

/** Always the same for one pod, so that a repeated creation makes no second claim. */
function extendedClaimName({ metadata }: LivePod): string {
  const ending = createHash('sha256').update(metadata.uid).digest('hex').slice(0, 10);
  return `${`${metadata.name}-extended-resources-`.slice(0, MAX_BASE)}${ending}`;
}

function isClaimOf({ metadata }: ResourceClaim, pod: LivePod): boolean {
  if (metadata.annotations?.[EXTENDED_ANNOTATION] !== 'true') return false;
  return metadata.ownerReferences?.some((o) => o.controller === true && o.uid === pod.metadata.uid) === true;
}

/** Which devices serve which request; what a server adds to an allocation does not count. */
function devicesText(allocation: unknown): string {
  const { devices } = allocation as {
    readonly devices?: {
      readonly results?: readonly {
        readonly request?: string;
        readonly driver?: string;
        readonly pool?: string;
        readonly device?: string;
      }[];
    };
  };
  return JSON.stringify((devices?.results ?? []).map(({ request, driver, pool, device }) => [request, driver, pool, device]).sort());
}
