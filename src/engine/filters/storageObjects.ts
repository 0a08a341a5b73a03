import { ObjectKind } from '../../base/codes.ts';
import type { LabelSelector, NodeSelectorTerm } from '../../base/constraints.ts';
import { valueCeil } from '../../base/quantity.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { ObjectIndex } from './objectIndex.ts';

// Storage objects as the filters read them. The importer checks only metadata, so every other field is read with its type
// in doubt: a field of a wrong type counts as absent.

export interface StorageClaim {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly isDeleting: boolean;
  /** Annotation before `spec.storageClassName`; '' = none. */
  readonly className: string;
  /** `spec.storageClassName` alone; '' = none. */
  readonly specClassName: string;
  readonly volumeName: string;
  readonly isBindCompleted: boolean;
  /** Value of `volume.kubernetes.io/selected-node`, `null` without one. */
  readonly selectedNode: string | null;
  readonly phase: string;
  /** Requested bytes, 0 when none are named. */
  readonly requestBytes: number;
  readonly hasRequest: boolean;
  readonly accessModes: readonly string[];
  readonly volumeMode: string;
  readonly attributesClass: string;
  readonly selector: LabelSelector | null;
  /** UID of the controlling owner, '' without one. */
  readonly controllerUid: string;
  /** UID of the owning pod when exactly one owner is a pod, else ''. */
  readonly podOwnerUid: string;
}

export interface StorageVolume {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isDeleting: boolean;
  readonly className: string;
  readonly capacityBytes: number;
  readonly accessModes: readonly string[];
  readonly volumeMode: string;
  readonly attributesClass: string;
  readonly phase: string;
  readonly claimRef: { readonly namespace: string; readonly name: string; readonly uid: string } | null;
  /** Required node affinity; `null` without one. */
  readonly nodeTerms: readonly NodeSelectorTerm[] | null;
}

export interface StorageClass {
  readonly provisioner: string;
  readonly isDelayed: boolean;
  /** Alternatives; each a list of `key in values`. */
  readonly allowedTopologies: readonly (readonly { readonly key: string; readonly values: readonly string[] }[])[];
}

export interface StorageCapacity {
  readonly className: string;
  /** Absent without the field. */
  readonly capacityBytes: number | null;
  readonly maximumVolumeBytes: number | null;
  /** `null` when the capacity names no nodes. */
  readonly nodeTopology: LabelSelector | null;
}

const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class';
const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed';
const SELECTED_NODE = 'volume.kubernetes.io/selected-node';

/** Storage objects of a snapshot by name. The table is read at the first question, objects are parsed one by one. */
export class StorageObjects {
  private readonly view: SnapshotView;
  private readonly claims = new Map<string, StorageClaim | null>();
  private readonly classes = new Map<string, StorageClass | null>();
  private index: ObjectIndex | null = null;
  private volumesByClass: Map<string, StorageVolume[]> | null = null;
  private capacitiesByClass: Map<string, StorageCapacity[]> | null = null;

  constructor(view: SnapshotView) {
    this.view = view;
  }

  claim(namespace: string, name: string): StorageClaim | null {
    const key = `${namespace}/${name}`;
    let claim = this.claims.get(key);
    if (claim === undefined) {
      const object = this.objects().get(ObjectKind.persistentVolumeClaim, key);
      claim = object === undefined ? null : readClaim(object, namespace, name);
      this.claims.set(key, claim);
    }
    return claim;
  }

  volume(name: string): StorageVolume | null {
    const object = this.objects().get(ObjectKind.persistentVolume, name);
    return object === undefined ? null : readVolume(object, name);
  }

  /** All volumes of a storage class ('' = of none), by name. */
  volumesOf(className: string): readonly StorageVolume[] {
    this.volumesByClass ??= Map.groupBy(
      this.objects()
        .all(ObjectKind.persistentVolume)
        .map(({ key, object }) => readVolume(object, key)),
      (volume) => volume.className,
    );
    return this.volumesByClass.get(className) ?? [];
  }

  storageClass(name: string): StorageClass | null {
    let found = this.classes.get(name);
    if (found === undefined) {
      const object = this.objects().get(ObjectKind.storageClass, name);
      found = object === undefined ? null : readClass(object);
      this.classes.set(name, found);
    }
    return found;
  }

  hasDriver(name: string): boolean {
    return this.objects().has(ObjectKind.csiDriver, name);
  }

  /** The driver publishes capacities and wants them looked at (`spec.storageCapacity: true`). */
  isCapacityTracked(driver: string): boolean {
    return field(field(this.objects().get(ObjectKind.csiDriver, driver), 'spec'), 'storageCapacity') === true;
  }

  /** Capacities of a storage class, in key order. */
  capacitiesOf(className: string): readonly StorageCapacity[] {
    return this.allCapacities().get(className) ?? [];
  }

  /** All capacities by storage class, in key order. */
  allCapacities(): ReadonlyMap<string, readonly StorageCapacity[]> {
    this.capacitiesByClass ??= Map.groupBy(
      this.objects()
        .all(ObjectKind.csiStorageCapacity)
        .map(({ object }) => readCapacity(object)),
      (capacity) => capacity.className,
    );
    return this.capacitiesByClass;
  }

  private objects(): ObjectIndex {
    this.index ??= new ObjectIndex(this.view, [
      ObjectKind.persistentVolumeClaim,
      ObjectKind.persistentVolume,
      ObjectKind.storageClass,
      ObjectKind.csiDriver,
      ObjectKind.csiStorageCapacity,
    ]);
    return this.index;
  }
}

function readClaim(object: unknown, namespace: string, name: string): StorageClaim {
  const metadata = field(object, 'metadata');
  const spec = field(object, 'spec');
  const annotations = field(metadata, 'annotations');
  const owners = list(field(metadata, 'ownerReferences'));
  const podOwners = owners.filter((owner) => field(owner, 'kind') === 'Pod');
  const request = wholeUnits(field(field(field(spec, 'resources'), 'requests'), 'storage'));
  const specClassName = text(field(spec, 'storageClassName'));
  return {
    namespace,
    name,
    uid: text(field(metadata, 'uid')),
    isDeleting: text(field(metadata, 'deletionTimestamp')) !== '',
    className: textOrNull(field(annotations, BETA_CLASS)) ?? specClassName,
    specClassName,
    volumeName: text(field(spec, 'volumeName')),
    isBindCompleted: textOrNull(field(annotations, BIND_COMPLETED)) !== null,
    selectedNode: textOrNull(field(annotations, SELECTED_NODE)),
    phase: text(field(field(object, 'status'), 'phase')),
    requestBytes: request ?? 0,
    hasRequest: request !== null,
    accessModes: texts(field(spec, 'accessModes')),
    volumeMode: text(field(spec, 'volumeMode')) || 'Filesystem',
    attributesClass: text(field(spec, 'volumeAttributesClassName')),
    selector: readSelector(field(spec, 'selector')),
    controllerUid: text(
      field(
        owners.find((owner) => field(owner, 'controller') === true),
        'uid',
      ),
    ),
    podOwnerUid: podOwners.length === 1 ? text(field(podOwners[0], 'uid')) : '',
  };
}

function readVolume(object: unknown, name: string): StorageVolume {
  const metadata = field(object, 'metadata');
  const spec = field(object, 'spec');
  const claimRef = field(spec, 'claimRef');
  const required = field(field(spec, 'nodeAffinity'), 'required');
  return {
    name,
    labels: textRecord(field(metadata, 'labels')),
    isDeleting: text(field(metadata, 'deletionTimestamp')) !== '',
    className: textOrNull(field(field(metadata, 'annotations'), BETA_CLASS)) ?? text(field(spec, 'storageClassName')),
    capacityBytes: wholeUnits(field(field(spec, 'capacity'), 'storage')) ?? 0,
    accessModes: texts(field(spec, 'accessModes')),
    volumeMode: text(field(spec, 'volumeMode')) || 'Filesystem',
    attributesClass: text(field(spec, 'volumeAttributesClassName')),
    phase: text(field(field(object, 'status'), 'phase')),
    claimRef: isRecord(claimRef)
      ? { namespace: text(field(claimRef, 'namespace')), name: text(field(claimRef, 'name')), uid: text(field(claimRef, 'uid')) }
      : null,
    nodeTerms: isRecord(required) ? list(field(required, 'nodeSelectorTerms')).map(readNodeTerm) : null,
  };
}

function readClass(object: unknown): StorageClass {
  return {
    provisioner: text(field(object, 'provisioner')),
    isDelayed: field(object, 'volumeBindingMode') === 'WaitForFirstConsumer',
    allowedTopologies: list(field(object, 'allowedTopologies')).map((term) =>
      list(field(term, 'matchLabelExpressions')).map((e) => ({ key: text(field(e, 'key')), values: texts(field(e, 'values')) })),
    ),
  };
}

function readCapacity(object: unknown): StorageCapacity {
  return {
    className: text(field(object, 'storageClassName')),
    capacityBytes: wholeUnits(field(object, 'capacity')),
    maximumVolumeBytes: wholeUnits(field(object, 'maximumVolumeSize')),
    nodeTopology: readSelector(field(object, 'nodeTopology')),
  };
}

function readSelector(value: unknown): LabelSelector | null {
  if (!isRecord(value)) return null;
  return {
    matchLabels: textRecord(value.matchLabels),
    matchExpressions: list(value.matchExpressions).map(readRequirement),
  };
}

function readNodeTerm(value: unknown): NodeSelectorTerm {
  return {
    matchExpressions: list(field(value, 'matchExpressions')).map(readRequirement),
    matchFields: list(field(value, 'matchFields')).map(readRequirement),
  };
}

function readRequirement(value: unknown): { key: string; operator: string; values: readonly string[] } {
  return { key: text(field(value, 'key')), operator: text(field(value, 'operator')), values: texts(field(value, 'values')) };
}

/** A quantity in whole units, rounded up; `null` when it is absent or not one. */
function wholeUnits(value: unknown): number | null {
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const units = valueCeil(value);
  return Number.isNaN(units) ? null : units;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function field(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return textOrNull(value) ?? '';
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function texts(value: unknown): readonly string[] {
  return list(value).filter((item) => typeof item === 'string');
}

function textRecord(value: unknown): Readonly<Record<string, string>> {
  if (!isRecord(value)) return {};
  return Object.fromEntries(Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string'));
}
