// Objects that end-to-end tests create: nodes with GPUs, queues, pod groups, pods. Everything unsaid is what a small cluster has.
import type { KubeMetadata } from './apiClient.ts';

export type ResourceAmounts = Readonly<Record<string, string>>;

export interface NodeShape {
  readonly gpus?: number;
  readonly cpu?: string;
  readonly memory?: string;
  readonly pods?: number;
  /** Memory of one GPU, as the label that the device plugin's discovery writes. */
  readonly gpuMemoryMib?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  readonly resources?: ResourceAmounts;
}

/** A ready node. The API server takes the status of a new node as it comes, so one request makes it usable. */
export function nodeObject(name: string, shape: NodeShape = {}): object {
  const { gpus = 8, cpu = '64', memory = '512Gi', pods = 110, gpuMemoryMib = 81920 } = shape;
  const gpuLabels = gpus === 0 ? {} : { 'nvidia.com/gpu.count': String(gpus), 'nvidia.com/gpu.memory': String(gpuMemoryMib) };
  const amounts = { cpu, memory, pods: String(pods), ...(gpus === 0 ? {} : { 'nvidia.com/gpu': String(gpus) }), ...shape.resources };
  const heartbeat = { lastHeartbeatTime: new Date().toISOString(), lastTransitionTime: new Date().toISOString() };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', ...gpuLabels, ...shape.labels } },
    spec: { taints: shape.taints },
    status: {
      capacity: amounts,
      allocatable: amounts,
      conditions: [
        { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'test kubelet', ...heartbeat },
        { type: 'MemoryPressure', status: 'False', reason: 'KubeletHasSufficientMemory', message: '', ...heartbeat },
        { type: 'DiskPressure', status: 'False', reason: 'KubeletHasNoDiskPressure', message: '', ...heartbeat },
        { type: 'PIDPressure', status: 'False', reason: 'KubeletHasSufficientPID', message: '', ...heartbeat },
      ],
      nodeInfo: { kubeletVersion: 'v1.37.0', operatingSystem: 'linux', architecture: 'amd64' },
      addresses: [{ type: 'Hostname', address: name }],
    },
  };
}

export interface QueueAmount {
  readonly quota?: number;
  readonly limit?: number;
  readonly overQuotaWeight?: number;
}

export interface QueueShape {
  readonly parent?: string;
  readonly gpu?: QueueAmount;
  readonly cpu?: QueueAmount;
  readonly memory?: QueueAmount;
  readonly priority?: number;
  readonly preemptMinRuntime?: string;
  readonly reclaimMinRuntime?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A queue; what is not given has no quota, no limit and weight 1. */
export function queueObject(name: string, shape: QueueShape = {}): object {
  const filled = (amount: QueueAmount | undefined): QueueAmount => ({ quota: 0, limit: -1, overQuotaWeight: 1, ...amount });
  const { parent, priority, preemptMinRuntime, reclaimMinRuntime, labels } = shape;
  return {
    apiVersion: 'scheduling.run.ai/v2',
    kind: 'Queue',
    metadata: { name, labels },
    spec: {
      parentQueue: parent,
      priority,
      preemptMinRuntime,
      reclaimMinRuntime,
      resources: { gpu: filled(shape.gpu), cpu: filled(shape.cpu), memory: filled(shape.memory) },
    },
  };
}

/** A pod group; `spec` is any further field of its spec. */
export function podGroupObject(namespace: string, name: string, queue: string, spec: object = {}, labels?: KubeMetadata['labels']): object {
  return { apiVersion: 'scheduling.run.ai/v2alpha2', kind: 'PodGroup', metadata: { namespace, name, labels }, spec: { queue, ...spec } };
}

export interface PodShape {
  /** Pod group in the same namespace. */
  readonly group?: string;
  readonly subGroup?: string;
  readonly gpus?: number;
  /** Share of one GPU, as the annotation. */
  readonly gpuFraction?: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly schedulerName?: string;
  readonly priorityClassName?: string;
  readonly gracePeriodSeconds?: number;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Further fields of the pod's spec. */
  readonly spec?: object;
}

/** A pod of one container; a service account token is not mounted, which makes it a third smaller. */
export function podObject(namespace: string, name: string, shape: PodShape = {}): object {
  const { group, subGroup, gpus = 0, gpuFraction, cpu = '100m', memory = '64Mi' } = shape;
  const requests = { cpu, memory };
  const devices = gpus === 0 ? {} : { 'nvidia.com/gpu': String(gpus) };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace,
      name,
      labels: { ...(subGroup === undefined ? {} : { 'kai.scheduler/subgroup-name': subGroup }), ...shape.labels },
      annotations: {
        ...(group === undefined ? {} : { 'pod-group-name': group }),
        // What the admission role adds to a pod that shares a GPU.
        ...(gpuFraction === undefined ? {} : { 'gpu-fraction': gpuFraction, 'runai/shared-gpu-configmap': `${name}-shared-gpu` }),
        ...shape.annotations,
      },
    },
    spec: {
      schedulerName: shape.schedulerName ?? 'kai-scheduler',
      priorityClassName: shape.priorityClassName,
      terminationGracePeriodSeconds: shape.gracePeriodSeconds ?? 1,
      nodeSelector: shape.nodeSelector,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      containers: [{ name: 'main', image: 'none', resources: { requests: { ...requests, ...devices }, limits: devices } }],
      ...shape.spec,
    },
  };
}
