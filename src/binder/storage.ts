// Volumes and their claims as binding reads them, and which volume serves a claim (upstream's FindMatchingVolume).
import type { LabelSelector, NodeSelectorTerm } from '../base/constraints.ts';
import type { Metadata, Pod, Quantity } from '../base/objects.ts';
import { valueCeil } from '../base/quantity.ts';
import { selectsLabels } from '../engine/filters/labels.ts';
import { type Labels, selectsNode } from './nodeTerms.ts';

export interface VolumeClaim {
  readonly apiVersion?: string;
  readonly metadata: Metadata;
  readonly spec?: {
    readonly storageClassName?: string | null;
    readonly volumeName?: string;
    readonly volumeMode?: string;
    readonly volumeAttributesClassName?: string | null;
    readonly accessModes?: readonly string[] | null;
    readonly selector?: LabelSelector | null;
    readonly resources?: { readonly requests?: Readonly<Record<string, Quantity>> | null } | null;
  };
  readonly status?: { readonly phase?: string };
}

export interface Volume {
  readonly metadata: Metadata;
  readonly spec?: {
    readonly storageClassName?: string;
    readonly volumeMode?: string;
    readonly volumeAttributesClassName?: string | null;
    readonly accessModes?: readonly string[] | null;
    readonly capacity?: Readonly<Record<string, Quantity>> | null;
    readonly claimRef?: { readonly namespace?: string; readonly name?: string; readonly uid?: string } | null;
    readonly nodeAffinity?: { readonly required?: { readonly nodeSelectorTerms?: readonly NodeSelectorTerm[] | null } | null } | null;
  };
  readonly status?: { readonly phase?: string };
}

export interface StorageClass {
  readonly metadata: Metadata;
  readonly provisioner?: string;
  readonly volumeBindingMode?: string;
  readonly allowedTopologies?:
    | readonly { readonly matchLabelExpressions?: readonly { readonly key: string; readonly values: readonly string[] }[] | null }[]
    | null;
}

export interface ClaimRef {
  readonly name: string;
  readonly isEphemeral: boolean;
}

export interface TargetNode {
  readonly name: string;
  readonly labels: Labels;
}

export const SELECTED_NODE = 'volume.kubernetes.io/selected-node';
const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed';
const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';
const NO_PROVISIONER = 'kubernetes.io/no-provisioner';

/** Names of the claims behind a pod's volumes; generic ephemeral ones are named after pod and volume. */
export function claimsOfPod(pod: Pod): ClaimRef[] {
  const refs: ClaimRef[] = [];
  for (const { name, persistentVolumeClaim, ephemeral } of pod.spec.volumes ?? []) {
    if (persistentVolumeClaim) refs.push({ name: persistentVolumeClaim.claimName, isEphemeral: false });
    else if (ephemeral) refs.push({ name: `${pod.metadata.name}-${name}`, isEphemeral: true });
  }
  return refs;
}

export function isBound({ metadata, spec }: VolumeClaim): boolean {
  return !!spec?.volumeName && metadata.annotations?.[BIND_COMPLETED] !== undefined;
}

export function classNameOf({ metadata, spec }: VolumeClaim): string {
  return metadata.annotations?.[CLASS_ANNOTATION] ?? spec?.storageClassName ?? '';
}

export function requestBytes({ spec }: VolumeClaim): number {
  return bytesOf(spec?.resources?.requests?.storage);
}

export function isReachable(volume: Volume, node: TargetNode): boolean {
  const terms = volume.spec?.nodeAffinity?.required?.nodeSelectorTerms;
  return !terms || selectsNode(terms, node.labels, node.name);
}

/** Can the class make a volume for the node? */
export function canProvision({ provisioner, allowedTopologies }: StorageClass, node: TargetNode): boolean {
  if (!provisioner || provisioner === NO_PROVISIONER) return false;
  if (!allowedTopologies?.length) return true;
  return allowedTopologies.some(({ matchLabelExpressions }) =>
    (matchLabelExpressions ?? []).every(({ key, values }) => Object.hasOwn(node.labels, key) && values.includes(node.labels[key]!)),
  );
}

/** A volume that is reserved for the claim, else the smallest free one that fits, then by name. */
export function bestVolume(claim: VolumeClaim, volumes: readonly Volume[], node: TargetNode): Volume | undefined {
  const possible = volumes.filter((volume) => isPossible(claim, volume));
  const reserved = possible.find((volume) => volume.spec?.claimRef);
  if (reserved !== undefined) return isReachable(reserved, node) ? reserved : undefined;
  return possible
    .filter((volume) => isFree(claim, volume) && isReachable(volume, node))
    .sort((a, b) => capacityBytes(a) - capacityBytes(b) || (a.metadata.name < b.metadata.name ? -1 : 1))[0];
}

function isPossible(claim: VolumeClaim, { metadata, spec }: Volume): boolean {
  const ref = spec?.claimRef;
  if (ref && (ref.namespace !== claim.metadata.namespace || ref.name !== claim.metadata.name)) return false;
  if (ref?.uid && ref.uid !== claim.metadata.uid) return false;
  if (metadata.deletionTimestamp || bytesOf(spec?.capacity?.storage) < requestBytes(claim)) return false;
  if ((spec?.volumeMode || 'Filesystem') !== (claim.spec?.volumeMode || 'Filesystem')) return false;
  return (spec?.volumeAttributesClassName ?? '') === (claim.spec?.volumeAttributesClassName ?? '');
}

function isFree(claim: VolumeClaim, { metadata, spec, status }: Volume): boolean {
  if (status?.phase !== 'Available' || (spec?.storageClassName ?? '') !== classNameOf(claim)) return false;
  const selector = claim.spec?.selector;
  if (selector && !selectsLabels(selector, metadata.labels ?? {})) return false;
  return (claim.spec?.accessModes ?? []).every((mode) => spec?.accessModes?.includes(mode));
}

function capacityBytes({ spec }: Volume): number {
  return bytesOf(spec?.capacity?.storage);
}

function bytesOf(quantity: Quantity | undefined): number {
  const bytes = quantity === undefined ? 0 : valueCeil(quantity);
  return Number.isFinite(bytes) ? bytes : 0;
}
