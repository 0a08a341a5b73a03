import type { FakeObject } from './fakeView.ts';

// Storage objects for tests, with the defaults of a claim that waits for its first consumer.

export interface ClaimOptions {
  readonly className?: string;
  readonly size?: string;
  readonly uid?: string;
  readonly volumeName?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly phase?: string;
  readonly isDeleting?: boolean;
  /** Owners, all of kind Pod and controlling. */
  readonly podUids?: readonly string[];
  readonly spec?: Readonly<Record<string, unknown>>;
}

export const BOUND = { 'pv.kubernetes.io/bind-completed': 'yes' };

export function claim(name: string, o: ClaimOptions = {}): FakeObject {
  const metadata = {
    name,
    namespace: 'ns',
    uid: o.uid ?? `claim-${name}`,
    annotations: o.annotations ?? {},
    ...(o.isDeleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    ownerReferences: (o.podUids ?? []).map((uid) => ({ kind: 'Pod', name: 'owner', uid, controller: true })),
  };
  const spec = {
    accessModes: ['ReadWriteOnce'],
    storageClassName: o.className ?? 'wait',
    resources: { requests: { storage: o.size ?? '10Gi' } },
    ...(o.volumeName === undefined ? {} : { volumeName: o.volumeName }),
    ...o.spec,
  };
  return { kind: 'persistentVolumeClaim', key: `ns/${name}`, object: { metadata, spec, status: { phase: o.phase ?? 'Pending' } } };
}

export interface VolumeOptions {
  readonly size?: string;
  /** Value of the node label `zone` that reaches the volume; absent = all nodes. */
  readonly zone?: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly phase?: string;
  readonly isDeleting?: boolean;
}

export function volume(name: string, o: VolumeOptions = {}): FakeObject {
  const terms = [{ matchExpressions: [{ key: 'zone', operator: 'In', values: [o.zone] }] }];
  const spec = {
    capacity: { storage: o.size ?? '10Gi' },
    accessModes: ['ReadWriteOnce'],
    storageClassName: 'wait',
    ...(o.zone === undefined ? {} : { nodeAffinity: { required: { nodeSelectorTerms: terms } } }),
    ...o.spec,
  };
  const metadata = { name, labels: o.labels ?? {}, ...(o.isDeleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) };
  return { kind: 'persistentVolume', key: name, object: { metadata, spec, status: { phase: o.phase ?? 'Available' } } };
}

export function storageClass(name: string, fields: Readonly<Record<string, unknown>> = {}): FakeObject {
  const defaults = { provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'WaitForFirstConsumer' };
  return { kind: 'storageClass', key: name, object: { metadata: { name }, ...defaults, ...fields } };
}

export function csiDriver(name: string, storageCapacity: boolean): FakeObject {
  return { kind: 'csiDriver', key: name, object: { metadata: { name }, spec: { storageCapacity } } };
}

export function csiCapacity(name: string, className: string, fields: Readonly<Record<string, unknown>>): FakeObject {
  return { kind: 'csiStorageCapacity', key: `kube-system/${name}`, object: { metadata: { name }, storageClassName: className, ...fields } };
}

export const inZone = (zone: string): unknown => ({ matchLabels: { zone } });
