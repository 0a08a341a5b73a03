// Values of the *_code and flags columns. Codes are stored in files: never renumber, only append.

/** `status.phase` of a pod. */
export const PodPhase = { pending: 0, running: 1, succeeded: 2, failed: 3, unknown: 4 } as const;
export type PodPhase = (typeof PodPhase)[keyof typeof PodPhase];

/** What a pod asks a GPU for (spec 02 section 2.3, 03 section 3.3). */
export const RequestType = { regular: 0, fraction: 1, gpuMemory: 2, migInstance: 3 } as const;
export type RequestType = (typeof RequestType)[keyof typeof RequestType];

/** What a pod got (annotation `received-resource-type`, BindRequest `receivedResourceType`). */
export const ReceivedType = { none: 0, regular: 1, fraction: 2, migInstance: 3 } as const;
export type ReceivedType = (typeof ReceivedType)[keyof typeof ReceivedType];

/** `nvidia.com/mig.strategy` of a MIG-enabled node. */
export const MigStrategy = { none: 0, single: 1, mixed: 2 } as const;
export type MigStrategy = (typeof MigStrategy)[keyof typeof MigStrategy];

/** `spec.preemptibility` of a pod group. */
export const Preemptibility = { derived: 0, preemptible: 1, nonPreemptible: 2 } as const;
export type Preemptibility = (typeof Preemptibility)[keyof typeof Preemptibility];

/** Bits of `nodes.flags`. Condition bits are set when the condition speaks against the node (spec 03 section 7.3 step 5). */
export const NodeFlag = {
  unschedulable: 1,
  notReady: 2,
  memoryPressure: 4,
  diskPressure: 8,
  pidPressure: 16,
  networkUnavailable: 32,
  /** Label `nvidia.com/gpu.memory` was present and readable. */
  gpuMemoryKnown: 64,
  migEnabled: 128,
  gpuWorker: 256,
  cpuWorker: 512,
} as const;
/** All bits that make a node not ready for the fairness total (spec 02 section 2.9). */
export const NODE_NOT_USABLE = 1 | 2 | 4 | 8 | 16 | 32;

/** Bits of `pods.flags`. */
export const PodFlag = {
  deleting: 1,
  gated: 2,
  /** Label `app` = the resource-reservation app label. */
  reservation: 4,
  /** Label `app` = `scaling-pod`. */
  scaling: 8,
  /** Label `training.kubeflow.org/job-role` is `master` or `launcher`. */
  kubeflowMaster: 16,
  /** Label `ray.io/node-type` = `head`. */
  rayHead: 32,
  hasTaskPriority: 64,
  /** Label `kai.scheduler/task-priority` is there but not an integer. */
  badTaskPriority: 128,
  /** Condition `Ready` is there and not `True`. */
  notReady: 256,
} as const;

/** Bits of `podGroups.flags`. */
export const PodGroupFlag = { markUnschedulable: 1, invalidTree: 2 } as const;

/** Bits of `signatures.flags`: which checks a pod of this signature needs beyond amounts. */
export const SignatureFlag = {
  /** Node selector or required node affinity. */
  nodeAffinity: 1,
  tolerations: 2,
  hostPorts: 4,
  /** Required pod affinity or anti-affinity. */
  podAffinity: 8,
  /** Preferred pod affinity or anti-affinity. */
  preferredPodAffinity: 16,
  volumes: 32,
  configMaps: 64,
} as const;

/** Kinds of `objects` rows. */
export const ObjectKind = {
  priorityClass: 0,
  configMap: 1,
  persistentVolumeClaim: 2,
  persistentVolume: 3,
  storageClass: 4,
  csiDriver: 5,
  csiStorageCapacity: 6,
  resourceClaim: 7,
  resourceSlice: 8,
  deviceClass: 9,
  topology: 10,
  nodeResourceTopology: 11,
  namespace: 12,
  podDisruptionBudget: 13,
} as const;
export type ObjectKind = (typeof ObjectKind)[keyof typeof ObjectKind];
