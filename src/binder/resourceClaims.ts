// Claims of dynamic resource allocation that a pod names (spec 07 section 6.8): allocation and reservation in their status.
// Deviation: a claim that is allocated here gets the finalizer of the in-tree scheduler. Without it the claim controller never takes
// the devices back when the last user of a claim with a name of its own has gone.
import type { Metadata } from '../base/objects.ts';
import { type BinderApi, hasStatus, StepError, textOf } from './binderApi.ts';
import { type LivePod, podKey } from './livePod.ts';
import type { UndoStack } from './undoStack.ts';

export interface ClaimUser {
  readonly apiGroup?: string;
  readonly resource?: string;
  readonly name?: string;
  readonly uid?: string;
}

export interface ResourceClaim {
  readonly metadata: Metadata & { readonly finalizers?: readonly string[] | null };
  readonly spec?: unknown;
  readonly status?: { readonly allocation?: unknown; readonly reservedFor?: readonly ClaimUser[] | null } | null;
}

export interface DecidedClaim {
  /** Name of the entry in `spec.resourceClaims`. */
  readonly name: string;
  readonly allocation?: unknown;
}

interface ClaimSettings {
  /** Of `resource.k8s.io`. */
  readonly version: string;
  /** Of the monotonic clock: no claim is begun later. */
  readonly deadlineMs: number;
}

/** Marks claims whose allocation the claim controller is to end. */
export const CLAIM_FINALIZER = 'resource.kubernetes.io/delete-protection';
const CONFLICT_TRIES = 5;
const CONFLICT_PAUSE_MS = 10;

/** "/apis/resource.k8s.io/v1/namespaces/team-a/resourceclaims" */
export function claimFolder(version: string, namespace: string): string {
  return `/apis/resource.k8s.io/${version}/namespaces/${namespace}/resourceclaims`;
}

/** Allocates and reserves the claims one after the other. Throws StepError. */
export async function reserveClaims(
  api: BinderApi,
  pod: LivePod,
  decided: readonly DecidedClaim[],
  { version, deadlineMs }: ClaimSettings,
  undo: UndoStack,
): Promise<void> {
  for (const { name, allocation } of decided) {
    if (!allocation)
      throw new StepError(`rpc error: code = Unknown desc = empty status for claim ${name} in bind request for pod ${podKey(pod)}`);
    const claimName = claimNameOf(pod, name);
    if (claimName === '') {
      throw new StepError(
        `rpc error: code = Unknown desc = failed to get claim ${name} name for pod ${podKey(pod)}: no resource claim name found for claim reference ${name}`,
      );
    }
    const path = `${claimFolder(version, pod.metadata.namespace)}/${claimName}`;
    try {
      if (api.clock.monotonicMs() >= deadlineMs) throw new StepError('context deadline exceeded');
      const before = await api.get<ResourceClaim>(path);
      const isOurs = !before.status?.allocation;
      undo.push(`claim ${claimName}`, () => releaseClaim(api, path, before.metadata.uid, pod, isOurs));
      await reserve(api, path, pod, allocation);
    } catch (error) {
      throw new StepError(
        `rpc error: code = Unknown desc = failed to update claim ${claimName} for pod ${podKey(pod)}: ${textOf(error)}`,
        undefined,
        { cause: error },
      );
    }
  }
}

/** Adds the pod and, where there is none yet, the allocation; one that is there is kept. Throws StepError. */
export async function reserve(api: BinderApi, path: string, pod: LivePod, allocation: unknown): Promise<void> {
  await retryingConflicts(api, async () => {
    let claim = await api.get<ResourceClaim>(path);
    const reservedFor = claim.status?.reservedFor ?? [];
    const isListed = reservedFor.some(({ uid }) => uid === pod.metadata.uid);
    if (isListed && claim.status?.allocation) return;
    // Never an allocation without the finalizer: both are written on the same state of the claim.
    if (!claim.status?.allocation) claim = await protect(api, path, claim);
    const user = { resource: 'pods', name: pod.metadata.name, uid: pod.metadata.uid };
    const status = { allocation: claim.status?.allocation ?? allocation, reservedFor: isListed ? reservedFor : [...reservedFor, user] };
    await api.patch(`${path}/status`, 'merge', { metadata: versionOf(claim), status });
  });
}

/** Gives the claim with its finalizer. */
async function protect(api: BinderApi, path: string, claim: ResourceClaim): Promise<ResourceClaim> {
  const finalizers = claim.metadata.finalizers ?? [];
  if (finalizers.includes(CLAIM_FINALIZER)) return claim;
  return api.patch<ResourceClaim>(path, 'merge', { metadata: { ...versionOf(claim), finalizers: [...finalizers, CLAIM_FINALIZER] } });
}

/** Takes the pod off the claim, and what was made for it, allocation and finalizer, unless somebody else uses it by now. */
async function releaseClaim(api: BinderApi, path: string, claimUid: string | undefined, pod: LivePod, isOurs: boolean): Promise<void> {
  try {
    await updateStatus(api, path, (claim) => {
      if (claim.metadata.uid !== claimUid) return null;
      const reservedFor = claim.status?.reservedFor ?? [];
      const others = reservedFor.filter(({ uid }) => uid !== pod.metadata.uid);
      if (others.length === reservedFor.length) return null;
      if (others.length > 0) return { reservedFor: others };
      return { reservedFor: null, ...(isOurs ? { allocation: null } : {}) };
    });
    if (isOurs) await unprotect(api, path, claimUid);
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
}

/** Takes the finalizer off a claim that nobody has allocated. */
async function unprotect(api: BinderApi, path: string, claimUid: string | undefined): Promise<void> {
  await retryingConflicts(api, async () => {
    const claim = await api.get<ResourceClaim>(path);
    const finalizers = claim.metadata.finalizers ?? [];
    if (claim.metadata.uid !== claimUid || claim.status?.allocation || !finalizers.includes(CLAIM_FINALIZER)) return;
    const others = finalizers.filter((name) => name !== CLAIM_FINALIZER);
    await api.patch(path, 'merge', { metadata: { ...versionOf(claim), finalizers: others } });
  });
}

/** Merges what `change` says into the status of the claim as it is then, again after conflicts; null = nothing to do. */
export async function updateStatus(api: BinderApi, path: string, change: (claim: ResourceClaim) => object | null): Promise<void> {
  await retryingConflicts(api, async () => {
    const claim = await api.get<ResourceClaim>(path);
    const status = change(claim);
    if (status !== null) await api.patch(`${path}/status`, 'merge', { metadata: versionOf(claim), status });
  });
}

async function retryingConflicts(api: BinderApi, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await work();
      return;
    } catch (error) {
      if (!hasStatus(error, 409) || attempt === CONFLICT_TRIES) throw error;
      await api.clock.sleep(CONFLICT_PAUSE_MS * (1 + api.clock.random() / 10));
    }
  }
}

function versionOf({ metadata: { uid, resourceVersion } }: ResourceClaim): object {
  return { uid, resourceVersion };
}

/** '' = the template's claim does not exist yet. */
function claimNameOf(pod: LivePod, name: string): string {
  const direct = pod.spec.resourceClaims?.find((claim) => claim.name === name)?.resourceClaimName;
  return direct || pod.status?.resourceClaimStatuses?.find((claim) => claim.name === name)?.resourceClaimName || '';
}
