// The form in which pods and nodes leave this adapter, whether they came as protobuf or as JSON: the parts that the scheduler
// reads, in a fixed order of fields; what is empty or false in Kubernetes' sense is absent.
import type { ObjectProblem } from '../base/errors.ts';
import type { Metadata, Node, Pod } from '../base/objects.ts';

/** An object as it arrives, with what identifies it. */
export interface Observed {
  readonly name: string;
  /** '' for cluster-scoped kinds. */
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly object: unknown;
  /** Fields of the wrong type, which were left out. */
  readonly problems: readonly ObjectProblem[];
}

/** A pod condition; of others than `PodScheduled` only type and status are kept. */
export interface ObservedCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string | undefined;
  readonly message: string | undefined;
}

/** Written by the scheduler itself, which must know what is written already. */
export const OBSERVED_CONDITION = 'PodScheduled';
/** Read by the snapshot. */
export const READY_CONDITION = 'Ready';

export interface ObservedPod extends Pod {
  readonly metadata: ObservedMetadata;
  readonly status: NonNullable<Pod['status']> & { readonly conditions: readonly ObservedCondition[] | undefined };
}

export interface ObservedMetadata extends Metadata {
  readonly namespace: string | undefined;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationTimestamp: string | undefined;
  readonly deletionTimestamp: string | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

export interface ObservedNode extends Node {
  readonly metadata: ObservedMetadata;
}

/** Whole manifests that kubectl leaves in annotations: large, and nothing reads them. */
export const IGNORED_ANNOTATION = 'kubectl.kubernetes.io/last-applied-configuration';

export const NO_PROBLEMS: readonly ObjectProblem[] = Object.freeze([]);
