// Volumes with delayed binding (spec 07 section 6.7): what the VolumeBinding plugin of kube-scheduler does for one node.
import type { Node } from '../base/objects.ts';
import { type BinderApi, hasStatus, inContext, StepError } from './binderApi.ts';
import { KeyedMutex } from './keyedMutex.ts';
import { type LivePod, podKey } from './livePod.ts';
import {
  bestVolume,
  type ClaimRef,
  canProvision,
  claimsOfPod,
  classNameOf,
  isBound,
  isReachable,
  requestBytes,
  SELECTED_NODE,
  type StorageClass,
  type TargetNode,
  type Volume,
  type VolumeClaim,
} from './storage.ts';
import type { UndoStack } from './undoStack.ts';

const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller';
const POLL_MS = 1000;
const PROVISION = 'provision';

interface PlannedClaim {
  readonly claim: VolumeClaim;
  /** The volume to take, or that one is to be made. */
  readonly from: Volume | typeof PROVISION;
}

export class VolumeBinder {
  readonly #api: BinderApi;
  /** Choosing and taking free volumes, one pod after the other: two pods never want the same. */
  readonly #choosing = new KeyedMutex();

  constructor(api: BinderApi) {
    this.#api = api;
  }

  /** Resolves when all claims of the pod are bound to volumes that the node reaches. Throws StepError. */
  async bind(pod: LivePod, nodeName: string, timeoutMs: number, undo: UndoStack, signal: AbortSignal): Promise<void> {
    const refs = claimsOfPod(pod);
    if (refs.length === 0) return;
    const deadlineMs = this.#api.clock.monotonicMs() + timeoutMs;
    const at = async <T>(phase: string, work: () => Promise<T>): Promise<T> => {
      try {
        return await work();
      } catch (error) {
        const where = phase === 'PreFilter' ? '' : ` and node ${nodeName}`;
        throw inContext(`K8sPlugin VolumeBinding failed ${phase} for pod: ${podKey(pod)}${where}. error`, error);
      }
    };
    const unbound = await at('PreFilter', () => this.#checkClaims(pod, refs));
    const node = await at('Filter', () => this.#node(nodeName));
    await at('Filter', () => this.#checkBound(pod, refs, node));
    if (unbound.length === 0) return;
    await this.#choosing.run('', async () => {
      const planned = await at('Filter', () => this.#plan(unbound, node));
      undo.push('the volumes', () => this.#undo(planned, nodeName));
      await at('Bind', () => this.#write(planned, nodeName));
    });
    await at('Bind', () => this.#awaitBound(unbound, deadlineMs, signal));
  }

  /** Gives the claims that are not bound yet. */
  async #checkClaims(pod: LivePod, refs: readonly ClaimRef[]): Promise<VolumeClaim[]> {
    const unbound: VolumeClaim[] = [];
    for (const { name, isEphemeral } of refs) {
      const claim = await this.#api.find<VolumeClaim>(claimPath(pod, name));
      if (claim === undefined) throw new StepError(`persistentvolumeclaim "${name}" not found`);
      const { metadata, spec, status } = claim;
      if (status?.phase === 'Lost')
        throw new StepError(`persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${spec?.volumeName ?? ''}"`);
      if (metadata.deletionTimestamp) throw new StepError(`persistentvolumeclaim "${name}" is being deleted`);
      if (isEphemeral && !metadata.ownerReferences?.some((o) => o.controller === true && o.uid === pod.metadata.uid)) {
        throw new StepError(`PVC ${metadata.namespace}/${name} was not created for pod ${podKey(pod)} (pod is not owner)`);
      }
      if (!isBound(claim)) unbound.push(claim);
    }
    return unbound.sort((a, b) => requestBytes(a) - requestBytes(b));
  }

  async #checkBound(pod: LivePod, refs: readonly ClaimRef[], node: TargetNode): Promise<void> {
    for (const { name } of refs) {
      const claim = await this.#api.get<VolumeClaim>(claimPath(pod, name));
      if (!isBound(claim)) continue;
      const volume = await this.#api.find<Volume>(`/api/v1/persistentvolumes/${claim.spec!.volumeName!}`);
      if (volume === undefined) throw new StepError('node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)');
      if (!isReachable(volume, node)) throw new StepError("node(s) didn't match PersistentVolume's node affinity");
    }
  }

  async #plan(unbound: readonly VolumeClaim[], node: TargetNode): Promise<PlannedClaim[]> {
    const planned: PlannedClaim[] = [];
    let volumes: readonly Volume[] | undefined;
    for (const claim of unbound) {
      const storageClass = await this.#classOf(claim);
      if (claim.spec?.volumeName || storageClass?.volumeBindingMode !== 'WaitForFirstConsumer') {
        throw new StepError('pod has unbound immediate PersistentVolumeClaims');
      }
      const selected = claim.metadata.annotations?.[SELECTED_NODE];
      if (selected !== undefined && selected !== node.name) {
        throw new StepError(`persistentvolumeclaim "${claim.metadata.name}" is being provisioned for node ${selected}`);
      }
      volumes ??= selected === undefined ? await this.#api.list<Volume>('/api/v1/persistentvolumes') : undefined;
      const taken = new Set(planned.map(({ from }) => from));
      const volume =
        selected === undefined
          ? bestVolume(
              claim,
              (volumes ?? []).filter((v) => !taken.has(v)),
              node,
            )
          : undefined;
      if (volume === undefined && !canProvision(storageClass, node))
        throw new StepError("node(s) didn't find available persistent volumes to bind");
      planned.push({ claim, from: volume ?? PROVISION });
    }
    return planned;
  }

  async #classOf(claim: VolumeClaim): Promise<StorageClass | undefined> {
    const name = classNameOf(claim);
    return name === '' ? undefined : this.#api.find<StorageClass>(`/apis/storage.k8s.io/v1/storageclasses/${name}`);
  }

  async #node(name: string): Promise<TargetNode> {
    const { metadata } = await this.#api.get<Node>(`/api/v1/nodes/${name}`);
    return { name, labels: metadata.labels ?? {} };
  }

  /** Each write only if the object is as it was when it was chosen. */
  async #write(planned: readonly PlannedClaim[], nodeName: string): Promise<void> {
    for (const { claim, from } of planned) {
      const { name, namespace, uid, resourceVersion } = claim.metadata;
      if (from === PROVISION) {
        if (claim.metadata.annotations?.[SELECTED_NODE] === nodeName) continue;
        const metadata = { uid, resourceVersion, annotations: { [SELECTED_NODE]: nodeName } };
        await this.#unlessDone(claimPathOf(claim), { metadata }, () => this.#isSelected(claim, nodeName));
      } else if (from.spec?.claimRef?.uid !== uid) {
        const path = `/api/v1/persistentvolumes/${from.metadata.name}`;
        const metadata = {
          uid: from.metadata.uid,
          resourceVersion: from.metadata.resourceVersion,
          annotations: { [BOUND_BY_CONTROLLER]: 'yes' },
        };
        const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid, resourceVersion };
        await this.#unlessDone(
          path,
          { metadata, spec: { claimRef } },
          async () => (await this.#api.get<Volume>(path)).spec?.claimRef?.uid === uid,
        );
      }
    }
  }

  /** A conflict may be the answer to a repetition of a write that had arrived. */
  async #unlessDone(path: string, patch: object, isDone: () => Promise<boolean>): Promise<void> {
    try {
      await this.#api.patch(path, 'merge', patch);
    } catch (error) {
      if (!hasStatus(error, 409) || !(await isDone())) throw error;
    }
  }

  async #isSelected(claim: VolumeClaim, nodeName: string): Promise<boolean> {
    const now = await this.#api.get<VolumeClaim>(claimPathOf(claim));
    return now.metadata.uid === claim.metadata.uid && now.metadata.annotations?.[SELECTED_NODE] === nodeName;
  }

  async #awaitBound(unbound: readonly VolumeClaim[], deadlineMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#api;
    let waiting = unbound;
    for (;;) {
      const left: VolumeClaim[] = [];
      for (const claim of waiting) {
        const now = await this.#api.find<VolumeClaim>(claimPathOf(claim));
        if (now === undefined || now.metadata.uid !== claim.metadata.uid)
          throw new StepError(`binding volumes: persistentvolumeclaim "${claim.metadata.name}" not found`);
        if (!isBound(now)) left.push(now);
      }
      waiting = left;
      if (waiting.length === 0) return;
      if (clock.monotonicMs() >= deadlineMs) throw new StepError('binding volumes: context deadline exceeded');
      if (signal.aborted) throw new StepError('binding volumes: context canceled');
      await clock.sleep(POLL_MS, signal);
    }
  }

  /** Takes back what is not in use yet: the choice of a node, the reservation of a volume. */
  async #undo(planned: readonly PlannedClaim[], nodeName: string): Promise<void> {
    for (const { claim, from } of [...planned].reverse()) {
      const now = await this.#api.find<VolumeClaim>(claimPathOf(claim));
      const isSame = now !== undefined && now.metadata.uid === claim.metadata.uid;
      if (isSame && now.spec?.volumeName) continue;
      if (from !== PROVISION) await this.#freeVolume(from, claim);
      else if (isSame) await this.#freeChoice(claim, now, nodeName);
    }
  }

  async #freeChoice(before: VolumeClaim, now: VolumeClaim, nodeName: string): Promise<void> {
    const isOurs = before.metadata.annotations?.[SELECTED_NODE] === undefined && now.metadata.annotations?.[SELECTED_NODE] === nodeName;
    if (!isOurs) return;
    const { uid, resourceVersion } = now.metadata;
    await this.#api.patch(claimPathOf(now), 'merge', { metadata: { uid, resourceVersion, annotations: { [SELECTED_NODE]: null } } });
  }

  async #freeVolume(volume: Volume, claim: VolumeClaim): Promise<void> {
    if (volume.spec?.claimRef) return;
    const path = `/api/v1/persistentvolumes/${volume.metadata.name}`;
    const now = await this.#api.find<Volume>(path);
    if (now?.status?.phase !== 'Available' || now.spec?.claimRef?.uid !== claim.metadata.uid) return;
    const { uid, resourceVersion } = now.metadata;
    await this.#api.patch(path, 'merge', {
      metadata: { uid, resourceVersion, annotations: { [BOUND_BY_CONTROLLER]: null } },
      spec: { claimRef: null },
    });
  }
}

function claimPath({ metadata }: LivePod, name: string): string {
  return `/api/v1/namespaces/${metadata.namespace}/persistentvolumeclaims/${name}`;
}

function claimPathOf({ metadata }: VolumeClaim): string {
  return `/api/v1/namespaces/${metadata.namespace}/persistentvolumeclaims/${metadata.name}`;
}
