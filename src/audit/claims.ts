import type { ClusterObjects, OtherObject, Pod } from '../base/objects.ts';

// Dynamic resource allocation as far as counting goes (spec 02 section 2.5, 03 sections 4.8, 11.2): GPUs by claims, devices in use.

type Fields = Readonly<Record<string, unknown>>;
const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const isGpuName = (name: string): boolean => name.toLowerCase().includes('gpu');

const EXTENDED = 'resource.kubernetes.io/extended-resource-claim';
const IMPLICIT_PREFIX = 'deviceclass.resource.kubernetes.io/';

/** One device of a driver's pool, as text. */
export type Device = string;

export interface Claims {
  /** GPUs that a pod asks for through claims and through extended resources of other names than the GPU names. */
  gpusOf(pod: Pod, others: ReadonlyMap<string, number>): number;
  /** Key of the claim behind an entry of `spec.resourceClaims`, '' when it does not exist. */
  claimKey(pod: Pod, entry: string): string;
  /** Devices that claims hold when the cycle begins. */
  readonly devices: ReadonlyMap<Device, string>;
  /** Resource names that a device class serves. */
  readonly classOf: ReadonlyMap<string, string>;
  /** GPU devices in resource slices by node. */
  readonly sliceGpus: ReadonlyMap<string, number>;
}

/** Devices of an `AllocationResult`; shares of one device do not count. */
export function devicesOf(allocation: unknown): Device[] {
  return list(fields(fields(allocation).devices).results)
    .map(fields)
    .filter((r) => r.adminAccess !== true && text(r.shareID) === '')
    .map((r) => `${text(r.driver)}/${text(r.pool)}/${text(r.device)}`);
}

function gpuCount(claim: OtherObject): number {
  let sum = 0;
  for (const request of list(fields(fields(claim.spec).devices).requests).map(fields)) {
    const exactly = request.exactly;
    if (typeof exactly !== 'object' || exactly === null || !isGpuName(text(fields(exactly).deviceClassName))) continue;
    const mode = text(fields(exactly).allocationMode) || 'ExactCount';
    const count = fields(exactly).count;
    if (mode === 'All') sum += 1;
    else if (mode === 'ExactCount') sum += typeof count === 'number' && count > 0 ? count : 1;
  }
  return Math.min(sum, Number(2n ** 63n - 1n));
}

/** Resource name → device class; of two classes with the same name the younger one (spec 03 section 11.9). */
function classNames(objects: ClusterObjects): Map<string, string> {
  const out = new Map<string, string>();
  const age = (c: OtherObject): string => c.metadata.creationTimestamp ?? '';
  const classes = [...objects.deviceClasses].sort((a, b) =>
    age(a) < age(b) ? -1 : age(a) > age(b) ? 1 : a.metadata.name > b.metadata.name ? -1 : 1,
  );
  for (const c of classes) {
    out.set(`${IMPLICIT_PREFIX}${c.metadata.name}`, c.metadata.name);
    const explicit = text(fields(c.spec).extendedResourceName);
    if (explicit !== '') out.set(explicit, c.metadata.name);
  }
  return out;
}

function sliceGpus(objects: ClusterObjects): Map<string, number> {
  const newest = new Map<string, number>();
  const slices = objects.resourceSlices.map((s) => fields(s.spec)).filter((s) => isGpuName(text(s.driver)) && text(s.nodeName) !== '');
  const poolOf = (s: Fields): string => `${text(s.nodeName)}/${text(s.driver)}/${text(fields(s.pool).name)}`;
  const generationOf = (s: Fields): number => Number(fields(s.pool).generation ?? 0);
  for (const s of slices) newest.set(poolOf(s), Math.max(newest.get(poolOf(s)) ?? 0, generationOf(s)));
  const out = new Map<string, number>();
  for (const s of slices) {
    if (generationOf(s) < newest.get(poolOf(s))!) continue;
    out.set(text(s.nodeName), (out.get(text(s.nodeName)) ?? 0) + list(s.devices).length);
  }
  return out;
}

const NOTHING: Claims = Object.freeze({
  gpusOf: () => 0,
  claimKey: () => '',
  devices: new Map<Device, string>(),
  classOf: new Map<string, string>(),
  sliceGpus: new Map<string, number>(),
});

/** Reads claims, slices and classes; nothing when the cluster does not serve them. */
export function readClaims(objects: ClusterObjects, isDraServed: boolean): Claims {
  if (!isDraServed || (objects.resourceClaims.length === 0 && objects.deviceClasses.length === 0 && objects.resourceSlices.length === 0))
    return NOTHING;
  const byKey = new Map(objects.resourceClaims.map((c): [string, OtherObject] => [`${c.metadata.namespace ?? ''}/${c.metadata.name}`, c]));
  const byPod = new Map<string, string[]>();
  const devices = new Map<Device, string>();
  for (const [key, claim] of byKey) {
    const owner = claim.metadata.ownerReferences?.find((o) => o.kind === 'Pod')?.uid;
    const consumer = list(fields(claim.status).reservedFor)
      .map(fields)
      .find((c) => c.resource === 'pods');
    const uid = owner ?? text(consumer?.uid);
    if (uid !== '') byPod.set(uid, [...(byPod.get(uid) ?? []), key]);
    for (const device of devicesOf(fields(claim.status).allocation)) devices.set(device, key);
  }
  const classOf = classNames(objects);
  const claimKey = (pod: Pod, entry: string): string => {
    const reference = pod.spec.resourceClaims?.find((c) => c.name === entry);
    const status = pod.status?.resourceClaimStatuses?.find((s) => s.name === entry);
    const name = reference?.resourceClaimName || status?.resourceClaimName || '';
    return name === '' ? '' : `${pod.metadata.namespace ?? ''}/${name}`;
  };
  const gpusOf = (pod: Pod, others: ReadonlyMap<string, number>): number => {
    const named = (pod.spec.resourceClaims ?? [])
      .filter((c) => Boolean(c.resourceClaimName))
      .map((c) => `${pod.metadata.namespace ?? ''}/${c.resourceClaimName}`);
    let gpus = 0;
    for (const key of new Set([...named, ...(byPod.get(pod.metadata.uid ?? '') ?? [])])) {
      const claim = byKey.get(key);
      if (claim !== undefined && claim.metadata.annotations?.[EXTENDED] !== 'true') gpus += gpuCount(claim);
    }
    for (const [name, milli] of others) if (isGpuName(classOf.get(name) ?? '')) gpus += Math.trunc(milli / 1000);
    return gpus;
  };
  return { gpusOf, claimKey, devices, classOf, sliceGpus: sliceGpus(objects) };
}
