// What stands in the `*_json` columns of a snapshot (schemas/snapshot.fbs). Absent parts are left out; keys are sorted.
import type { SubGroup } from './objects.ts';

/**
 * Amounts by resource name in the units of the tables (spec 02 section 2.1): milli-units, plain values for MIG profiles,
 * `ephemeral-storage` and `storage`. No zeros. `scalars_json` of shapes and nodes; `overhead_json` also has "cpu" and "memory".
 */
export type AmountsJson = Readonly<Record<string, number>>;

/** Amounts by resource name in the units of NUMA zones (spec 03 section 11A): "cpu" in milli-CPU, all others as plain values. */
export type PlainAmounts = Readonly<Record<string, number>>;

/**
 * `shapes.containers_json`: the requests as written, zeros and unknown names included, for NUMA (spec 03 section 11A.3) and
 * for extended resources (11.9). Containers go by position: init containers first, then containers. Names are left out,
 * they would make pods that are alike differ.
 */
export interface ContainersJson {
  readonly containers: readonly PlainAmounts[];
  readonly init?: readonly { readonly isSidecar?: true; readonly requests: PlainAmounts }[];
  readonly overhead?: PlainAmounts;
  /** Pod-level `spec.resources.requests`. */
  readonly pod?: PlainAmounts;
}

/** One entry of `pods.claims_json`, in the order of `spec.resourceClaims`. */
export interface PodClaimJson {
  /** Name of the entry in the pod. */
  readonly name: string;
  /** Name of the ResourceClaim; null while the claim of a template does not exist. */
  readonly claim: string | null;
  readonly template: boolean;
}

export interface NumaZoneJson {
  readonly zone: string;
  readonly amount: PlainAmounts;
}

/** `pods.numa_json`: the annotations that are there and readable; a live bind request comes between the two (11A.6). */
export interface PodNumaJson {
  readonly observed?: readonly NumaZoneJson[];
  readonly predicted?: readonly NumaZoneJson[];
}

/** `bind_requests.numa_json`. */
export type BindRequestNumaJson = readonly NumaZoneJson[];

/** `pod_groups.sub_groups_json`: as in the object, without topology constraints that name no topology. */
export type SubGroupsJson = readonly SubGroup[];
