// Kubernetes objects as far as the scheduler reads them, in their JSON form. Importers and adapters produce them already
// checked (types of the named fields are right); unknown fields may be present and are ignored.
import type { NodeSelectorTerm, PodAffinityTerm, Taint, Toleration, WeightedPodAffinityTerm } from './constraints.ts';

export interface OwnerReference {
  readonly apiVersion?: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  /** RFC 3339 */
  readonly creationTimestamp?: string | null;
  /** RFC 3339 */
  readonly deletionTimestamp?: string | null;
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly annotations?: Readonly<Record<string, string>> | null;
  readonly ownerReferences?: readonly OwnerReference[] | null;
  readonly resourceVersion?: string;
}

/** A Kubernetes quantity as written: "500m", "1Gi", 2. */
export type Quantity = string | number;
export type ResourceList = Readonly<Record<string, Quantity>>;

export interface Container {
  readonly name: string;
  readonly resources?: { readonly requests?: ResourceList | null; readonly limits?: ResourceList | null } | null;
  /** `Always` on an init container makes it a sidecar. */
  readonly restartPolicy?: string;
  readonly ports?:
    | readonly { readonly containerPort?: number; readonly hostPort?: number; readonly hostIP?: string; readonly protocol?: string }[]
    | null;
  readonly volumeMounts?: readonly { readonly name: string }[] | null;
  readonly env?:
    | readonly {
        readonly name?: string;
        readonly valueFrom?: { readonly configMapKeyRef?: { readonly name?: string; readonly optional?: boolean } | null } | null;
      }[]
    | null;
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name?: string; readonly optional?: boolean } | null }[] | null;
}

export interface Volume {
  readonly name: string;
  readonly persistentVolumeClaim?: { readonly claimName: string } | null;
  readonly ephemeral?: { readonly volumeClaimTemplate?: unknown } | null;
  readonly configMap?: { readonly name?: string; readonly optional?: boolean } | null;
  readonly projected?: {
    readonly sources?: readonly { readonly configMap?: { readonly name?: string; readonly optional?: boolean } | null }[] | null;
  } | null;
}

export interface Pod {
  readonly metadata: Metadata;
  readonly spec: {
    readonly nodeName?: string;
    readonly schedulerName?: string;
    readonly containers?: readonly Container[] | null;
    readonly initContainers?: readonly Container[] | null;
    readonly ephemeralContainers?: readonly Container[] | null;
    readonly overhead?: ResourceList | null;
    readonly resources?: { readonly requests?: ResourceList | null } | null;
    readonly nodeSelector?: Readonly<Record<string, string>> | null;
    readonly affinity?: {
      readonly nodeAffinity?: {
        readonly requiredDuringSchedulingIgnoredDuringExecution?: {
          readonly nodeSelectorTerms?: readonly NodeSelectorTerm[] | null;
        } | null;
      } | null;
      readonly podAffinity?: {
        readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly PodAffinityTerm[] | null;
        readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly WeightedPodAffinityTerm[] | null;
      } | null;
      readonly podAntiAffinity?: {
        readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly PodAffinityTerm[] | null;
        readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly WeightedPodAffinityTerm[] | null;
      } | null;
    } | null;
    readonly tolerations?: readonly Toleration[] | null;
    readonly topologySpreadConstraints?: readonly unknown[] | null;
    readonly priorityClassName?: string;
    readonly schedulingGates?: readonly { readonly name: string }[] | null;
    readonly volumes?: readonly Volume[] | null;
    readonly resourceClaims?:
      | readonly { readonly name: string; readonly resourceClaimName?: string | null; readonly resourceClaimTemplateName?: string | null }[]
      | null;
  };
  readonly status?: {
    readonly phase?: string;
    readonly nominatedNodeName?: string;
    /** Of these only `Ready` is read. */
    readonly conditions?:
      | readonly { readonly type: string; readonly status: string; readonly reason?: string; readonly message?: string }[]
      | null;
    readonly qosClass?: string;
    readonly resourceClaimStatuses?: readonly { readonly name: string; readonly resourceClaimName?: string | null }[] | null;
    readonly extendedResourceClaimStatus?: { readonly resourceClaimName?: string } | null;
  } | null;
}

export interface Node {
  readonly metadata: Metadata;
  readonly spec?: { readonly unschedulable?: boolean; readonly taints?: readonly Taint[] | null } | null;
  readonly status?: {
    readonly allocatable?: ResourceList | null;
    readonly capacity?: ResourceList | null;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[] | null;
  } | null;
}

export interface QueueResource {
  readonly quota?: number;
  readonly overQuotaWeight?: number;
  readonly limit?: number;
}

export interface Queue {
  readonly metadata: Metadata;
  readonly spec?: {
    readonly displayName?: string;
    readonly parentQueue?: string;
    readonly priority?: number | null;
    readonly resources?: {
      readonly cpu?: QueueResource | null;
      readonly memory?: QueueResource | null;
      readonly gpu?: QueueResource | null;
    } | null;
    readonly preemptMinRuntime?: string | null;
    readonly reclaimMinRuntime?: string | null;
  } | null;
}

export interface TopologyConstraint {
  readonly topology?: string;
  readonly requiredTopologyLevel?: string;
  readonly preferredTopologyLevel?: string;
}

export interface SubGroup {
  readonly name: string;
  readonly minMember?: number | null;
  readonly minSubGroup?: number | null;
  readonly parent?: string | null;
  readonly topologyConstraint?: TopologyConstraint | null;
}

export interface SchedulingCondition {
  readonly type: string;
  readonly nodePool?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly transitionID?: string;
  readonly lastTransitionTime?: string;
  readonly reasons?: readonly { readonly reason?: string; readonly message?: string; readonly details?: unknown }[] | null;
}

export interface PodGroup {
  readonly metadata: Metadata;
  readonly spec?: {
    readonly queue?: string;
    readonly minMember?: number | null;
    readonly minSubGroup?: number | null;
    readonly priorityClassName?: string;
    readonly preemptibility?: string;
    readonly markUnschedulable?: boolean | null;
    readonly schedulingBackoff?: number | null;
    readonly preemptionDelay?: string | null;
    readonly stalenessGracePeriod?: string | null;
    readonly topologyConstraint?: TopologyConstraint | null;
    readonly subGroups?: readonly SubGroup[] | null;
  } | null;
  readonly status?: { readonly schedulingConditions?: readonly SchedulingCondition[] | null } | null;
}

export interface BindRequest {
  readonly metadata: Metadata;
  readonly spec?: {
    readonly podName?: string;
    readonly selectedNode?: string;
    readonly receivedResourceType?: string;
    readonly receivedGPU?: { readonly count?: number; readonly portion?: string } | null;
    readonly selectedGPUGroups?: readonly string[] | null;
    readonly resourceClaimAllocations?: readonly { readonly name: string; readonly allocation?: unknown }[] | null;
    readonly extendedResourceClaimAllocation?: unknown;
    readonly predictedNUMAZones?: readonly unknown[] | null;
    readonly backoffLimit?: number | null;
  } | null;
  readonly status?: { readonly phase?: string; readonly failedAttempts?: number } | null;
}

export interface PriorityClass {
  readonly metadata: Metadata;
  readonly value?: number;
  readonly globalDefault?: boolean;
}

/** Any other kind: only its metadata is typed here, the reader of the kind looks into the rest. */
export interface OtherObject {
  readonly metadata: Metadata;
  readonly [field: string]: unknown;
}

/** Object lists by kind; keys as `rawObjects` of the snapshot file (spec 01 section 6.2), plus `namespaces` and `podDisruptionBudgets`. */
export interface ClusterObjects {
  readonly pods: readonly Pod[];
  readonly nodes: readonly Node[];
  readonly queues: readonly Queue[];
  readonly podGroups: readonly PodGroup[];
  readonly bindRequests: readonly BindRequest[];
  readonly priorityClasses: readonly PriorityClass[];
  readonly configMaps: readonly OtherObject[];
  readonly persistentVolumeClaims: readonly OtherObject[];
  readonly persistentVolumes: readonly OtherObject[];
  readonly csiStorageCapacities: readonly OtherObject[];
  readonly storageClasses: readonly OtherObject[];
  readonly csiDrivers: readonly OtherObject[];
  readonly resourceClaims: readonly OtherObject[];
  readonly resourceSlices: readonly OtherObject[];
  readonly deviceClasses: readonly OtherObject[];
  readonly topologies: readonly OtherObject[];
  readonly nodeResourceTopologies: readonly OtherObject[];
  readonly namespaces: readonly OtherObject[];
  readonly podDisruptionBudgets: readonly OtherObject[];
}

export const LIST_NAMES = [
  'pods',
  'nodes',
  'queues',
  'podGroups',
  'bindRequests',
  'priorityClasses',
  'configMaps',
  'persistentVolumeClaims',
  'persistentVolumes',
  'csiStorageCapacities',
  'storageClasses',
  'csiDrivers',
  'resourceClaims',
  'resourceSlices',
  'deviceClasses',
  'topologies',
  'nodeResourceTopologies',
  'namespaces',
  'podDisruptionBudgets',
] as const satisfies readonly (keyof ClusterObjects)[];
export type ListName = (typeof LIST_NAMES)[number];
