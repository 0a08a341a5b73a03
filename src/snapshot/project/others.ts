import { ObjectKind } from '../../base/codes.ts';
import type { ListName, OtherObject } from '../../base/objects.ts';
import { canonicalJson } from './canonicalJson.ts';

export type OtherList = Exclude<ListName, 'pods' | 'nodes' | 'queues' | 'podGroups' | 'bindRequests'>;

/** How objects of a list are kept: their kind and the fields that scheduling reads; null = presence alone. */
interface Projection {
  readonly kind: ObjectKind;
  readonly fields: readonly (readonly string[])[] | null;
}

const UID = ['metadata', 'uid'];
const LABELS = ['metadata', 'labels'];
const OWNERS = ['metadata', 'ownerReferences'];
const CREATED = ['metadata', 'creationTimestamp'];
const DELETED = ['metadata', 'deletionTimestamp'];
const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class';
const annotation = (name: string): readonly string[] => ['metadata', 'annotations', name];

/** Objects keep the structure of their kind in Kubernetes; `status.capacity` and the like that nobody reads are cut. */
const PROJECTIONS: Readonly<Record<OtherList, Projection>> = {
  priorityClasses: { kind: ObjectKind.priorityClass, fields: [['value'], ['globalDefault']] },
  configMaps: { kind: ObjectKind.configMap, fields: null },
  persistentVolumeClaims: {
    kind: ObjectKind.persistentVolumeClaim,
    fields: [
      UID,
      OWNERS,
      DELETED,
      annotation(BETA_CLASS),
      annotation('pv.kubernetes.io/bind-completed'),
      annotation('volume.kubernetes.io/selected-node'),
      ['spec', 'accessModes'],
      ['spec', 'resources', 'requests'],
      ['spec', 'selector'],
      ['spec', 'storageClassName'],
      ['spec', 'volumeAttributesClassName'],
      ['spec', 'volumeMode'],
      ['spec', 'volumeName'],
      ['status', 'phase'],
    ],
  },
  persistentVolumes: {
    kind: ObjectKind.persistentVolume,
    fields: [
      LABELS,
      DELETED,
      annotation(BETA_CLASS),
      ['spec', 'accessModes'],
      ['spec', 'capacity'],
      ['spec', 'claimRef', 'name'],
      ['spec', 'claimRef', 'namespace'],
      ['spec', 'claimRef', 'uid'],
      ['spec', 'nodeAffinity'],
      ['spec', 'storageClassName'],
      ['spec', 'volumeAttributesClassName'],
      ['spec', 'volumeMode'],
      ['status', 'phase'],
    ],
  },
  csiStorageCapacities: {
    kind: ObjectKind.csiStorageCapacity,
    fields: [['capacity'], ['maximumVolumeSize'], ['nodeTopology'], ['storageClassName']],
  },
  storageClasses: { kind: ObjectKind.storageClass, fields: [['provisioner'], ['volumeBindingMode'], ['allowedTopologies']] },
  csiDrivers: { kind: ObjectKind.csiDriver, fields: [['spec', 'storageCapacity']] },
  resourceClaims: {
    kind: ObjectKind.resourceClaim,
    fields: [
      UID,
      LABELS,
      OWNERS,
      CREATED,
      DELETED,
      annotation('resource.kubernetes.io/extended-resource-claim'),
      ['spec'],
      ['status', 'allocation'],
      ['status', 'reservedFor'],
    ],
  },
  resourceSlices: { kind: ObjectKind.resourceSlice, fields: [['spec']] },
  deviceClasses: { kind: ObjectKind.deviceClass, fields: [CREATED, ['spec']] },
  topologies: { kind: ObjectKind.topology, fields: [['spec', 'levels']] },
  nodeResourceTopologies: { kind: ObjectKind.nodeResourceTopology, fields: [['attributes'], ['topologyPolicies'], ['zones']] },
  namespaces: { kind: ObjectKind.namespace, fields: [LABELS] },
  podDisruptionBudgets: {
    kind: ObjectKind.podDisruptionBudget,
    fields: [
      ['metadata', 'generation'],
      ['spec', 'selector'],
      ['spec', 'unhealthyPodEvictionPolicy'],
      ['status', 'observedGeneration'],
      ['status', 'disruptionsAllowed'],
      ['status', 'currentHealthy'],
      ['status', 'desiredHealthy'],
      ['status', 'disruptedPods'],
    ],
  },
};

export const DRA_LISTS: ReadonlySet<ListName> = new Set<ListName>(['resourceClaims', 'resourceSlices', 'deviceClasses']);

export function kindCodeOf(list: OtherList): ObjectKind {
  return PROJECTIONS[list].kind;
}

/** Canonical JSON of what is kept of an object; null where its presence is all. */
export function projectOther(list: OtherList, object: OtherObject): string | null {
  const { fields } = PROJECTIONS[list];
  if (fields === null) return null;
  const kept: Record<string, unknown> = {};
  for (const path of fields) copyField(object, path, kept);
  return canonicalJson(kept);
}

function copyField(from: Readonly<Record<string, unknown>>, path: readonly string[], into: Record<string, unknown>): void {
  const last = path.length - 1;
  let source: unknown = from;
  for (const name of path) {
    if (typeof source !== 'object' || source === null) return;
    source = (source as Readonly<Record<string, unknown>>)[name];
  }
  if (source === undefined || source === null) return;
  let target = into;
  for (const name of path.slice(0, last)) {
    target[name] ??= {};
    target = target[name] as Record<string, unknown>;
  }
  target[path[last]!] = source;
}
