// Config maps that tell a pod which GPUs it shares (spec 07 sections 6.9, 6.14).
import type { Metadata, Node, Pod } from '../base/objects.ts';
import { type BinderApi, hasStatus, inContext } from './binderApi.ts';
import { type LivePod, podKey, sharedGpuTarget } from './livePod.ts';
import type { UndoStack } from './undoStack.ts';

const VISIBLE_DEVICES = 'NVIDIA_VISIBLE_DEVICES';
/** Key of pods that were created by versions before 0.7.4. */
const LEGACY_VISIBLE_DEVICES = 'RUNAI-VISIBLE-DEVICES';
const MEMORY_LIMIT = 'CUDA_DEVICE_MEMORY_LIMIT';
const CDI_PREFIX = 'k8s.device-plugin.nvidia.com/gpu=';
const MEMORY_LABEL = 'nvidia.com/gpu.memory';

export interface SharedGpus {
  /** UUIDs in the order of the groups. */
  readonly devices: readonly string[];
  /** Share of each, "0.50". */
  readonly portion: string;
  readonly isCdi: boolean;
}

interface ConfigMap {
  readonly metadata: Metadata;
  readonly data?: Readonly<Record<string, string>> | null;
}

/** Creates or fills both config maps of the pod. Throws StepError. */
export async function writeSharedGpuConfigMaps(api: BinderApi, pod: LivePod, gpus: SharedGpus, undo: UndoStack): Promise<void> {
  const { container, configMap: capabilities } = sharedGpuTarget(pod);
  const direct = `${capabilities}-evar`;
  undo.push('the config maps', async () => {
    for (const name of [direct, capabilities]) await deleteOwned(api, pod, name);
  });
  const visible = gpus.devices.map((uuid) => (gpus.isCdi ? CDI_PREFIX + uuid : uuid)).join(',');
  const isInCapabilities = (container.env ?? []).some((e) => e.name === VISIBLE_DEVICES && e.valueFrom?.configMapKeyRef);
  await ensure(api, pod, capabilities, {
    ...(isInCapabilities ? { [VISIBLE_DEVICES]: visible } : {}),
    RUNAI_NUM_OF_GPUS: gpus.portion,
    GPU_PORTION: gpus.portion,
  });
  await ensure(api, pod, direct, isInCapabilities ? {} : { [VISIBLE_DEVICES]: visible });
}

/**
 * HAMi-core's limit per device, "8192m" MiB, in the map that `writeSharedGpuConfigMaps` has made; nothing when the node's memory or
 * the portion is unknown (spec 07 section 6.14). Throws StepError.
 */
export async function writeMemoryLimit(api: BinderApi, pod: LivePod, node: string, portion: string): Promise<void> {
  const { configMap } = sharedGpuTarget(pod);
  try {
    const memoryMib = (await api.get<Node>(`/api/v1/nodes/${node}`)).metadata.labels?.[MEMORY_LABEL] ?? '';
    const limit = /^\d+$/.test(memoryMib) ? Math.floor(Number(memoryMib) * Number(portion)) : 0;
    const path = `/api/v1/namespaces/${pod.metadata.namespace}/configmaps/${configMap}`;
    if (limit > 0) await api.patch(path, 'merge', { data: { [MEMORY_LIMIT]: `${limit}m` } });
  } catch (error) {
    throw inContext(`failed to update ${MEMORY_LIMIT} value in gpu sharing configmap for pod <${podKey(pod)}>`, error);
  }
}

async function ensure(api: BinderApi, pod: LivePod, name: string, data: Readonly<Record<string, string>>): Promise<void> {
  const folder = `/api/v1/namespaces/${pod.metadata.namespace}/configmaps`;
  const { uid } = pod.metadata;
  const manifest = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name,
      namespace: pod.metadata.namespace,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid }],
    },
    data,
  };
  try {
    try {
      await api.create(folder, manifest);
      return;
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
    }
    const existing = await api.get<ConfigMap>(`${folder}/${name}`);
    if (!isOwnedBy(existing, pod)) {
      await api.replace(`${folder}/${name}`, manifest);
      return;
    }
    const visible = data[VISIBLE_DEVICES];
    const legacy =
      visible !== undefined && existing.data?.[LEGACY_VISIBLE_DEVICES] !== undefined ? { [LEGACY_VISIBLE_DEVICES]: visible } : {};
    await api.patch(`${folder}/${name}`, 'merge', { data: { ...data, ...legacy } });
  } catch (error) {
    throw inContext(`failed to write the gpu sharing configmap ${name} of pod <${podKey(pod)}>`, error);
  }
}

async function deleteOwned(api: BinderApi, pod: LivePod, name: string): Promise<void> {
  const path = `/api/v1/namespaces/${pod.metadata.namespace}/configmaps/${name}`;
  const existing = await api.find<ConfigMap>(path);
  if (existing !== undefined && isOwnedBy(existing, pod)) await api.delete(path, existing.metadata.uid);
}

/** Its only owner. */
function isOwnedBy({ metadata }: ConfigMap, pod: Pod): boolean {
  const owners = metadata.ownerReferences ?? [];
  return owners.length === 1 && owners[0]!.uid === pod.metadata.uid;
}
