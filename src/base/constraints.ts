// What a constraint signature holds (texts in `signatures.spec_json`) and the Kubernetes selector types in it.
// Parts that are absent on the pod are absent here; lists keep the pod's order.

export interface LabelRequirement {
  readonly key: string;
  /** In, NotIn, Exists, DoesNotExist; for nodes also Gt, Lt. */
  readonly operator: string;
  readonly values?: readonly string[];
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly LabelRequirement[];
}

export interface NodeSelectorTerm {
  readonly matchExpressions?: readonly LabelRequirement[];
  readonly matchFields?: readonly LabelRequirement[];
}

export interface PodAffinityTerm {
  readonly labelSelector?: LabelSelector;
  readonly topologyKey: string;
  readonly namespaces?: readonly string[];
  readonly namespaceSelector?: LabelSelector;
}

export interface WeightedPodAffinityTerm {
  readonly weight: number;
  readonly podAffinityTerm: PodAffinityTerm;
}

export interface Toleration {
  readonly key?: string;
  /** Exists or Equal (default). */
  readonly operator?: string;
  readonly value?: string;
  /** Empty = all effects. */
  readonly effect?: string;
}

export interface Taint {
  readonly key: string;
  readonly value?: string;
  /** NoSchedule, PreferNoSchedule, NoExecute. */
  readonly effect: string;
}

export interface HostPort {
  readonly hostIP: string;
  readonly protocol: string;
  readonly hostPort: number;
}

/** One claim-backed volume of a pod: by claim name, or `<pod>-<volume>` for a generic ephemeral volume. */
export interface VolumeClaimRef {
  readonly claimName: string;
  readonly isEphemeral: boolean;
}

export interface PodConstraints {
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** Required node affinity: terms are alternatives. An empty list matches no node. */
  readonly nodeAffinityTerms?: readonly NodeSelectorTerm[];
  readonly tolerations?: readonly Toleration[];
  readonly hostPorts?: readonly HostPort[];
  /** Namespace of the pod; present whenever affinity, volumes or config maps are. */
  readonly namespace?: string;
  readonly podAffinity?: readonly PodAffinityTerm[];
  readonly podAntiAffinity?: readonly PodAffinityTerm[];
  readonly preferredPodAffinity?: readonly WeightedPodAffinityTerm[];
  readonly preferredPodAntiAffinity?: readonly WeightedPodAffinityTerm[];
  readonly volumeClaims?: readonly VolumeClaimRef[];
  /** Names of required config maps, sorted (spec 03 section 7.2). */
  readonly configMaps?: readonly string[];
  /** Only for the constraint signature of spec 03 section 6.12; no check reads them. */
  readonly priorityClassName?: string;
  readonly topologySpread?: readonly unknown[];
}
