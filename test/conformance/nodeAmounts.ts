// Whole GPUs and NUMA zones of each node after a cycle, counted from the objects and the pods' places alone: a plain count,
// so that it shares nothing with the ledgers of the engine.
import type { ClusterObjects, Container, OtherObject, Pod, Quantity } from '../../src/base/objects.ts';
import type { Place, PodResult, Role } from './outcomes.ts';

export interface NodeAmounts {
  /** GPUs held by no pod; a shared GPU counts as held when anybody is on it. */
  readonly idleGpu: number;
  /** GPUs held by leaving pods only, minus those promised. */
  readonly releasingGpu: number;
  /** Free amount by zone and resource, as plain numbers. */
  readonly zones: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

const GPU_RESOURCES = ['nvidia.com/gpu', 'amd.com/gpu'];
const SUFFIX_FACTOR: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A quantity as a plain number; 0 when it is none. */
export function quantity(value: Quantity | null | undefined): number {
  const match = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$/.exec(String(value ?? 0));
  return match === null ? 0 : Number(match[1]) * (SUFFIX_FACTOR[match[2] ?? ''] ?? 0);
}

function containerGpus(container: Container): number {
  const { requests, limits } = container.resources ?? {};
  return GPU_RESOURCES.reduce((sum, name) => sum + quantity(requests?.[name] ?? limits?.[name]), 0);
}

/** Whole GPUs of the containers: max of the running phase and of each init container with the sidecars before it. */
function wholeGpus(pod: Pod): number {
  let sidecars = 0;
  let peak = 0;
  for (const container of pod.spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') sidecars += containerGpus(container);
    else peak = Math.max(peak, sidecars + containerGpus(container));
  }
  const running = (pod.spec.containers ?? []).reduce((sum, c) => sum + containerGpus(c), 0);
  return Math.max(peak, running + sidecars);
}

function isShared(pod: Pod): boolean {
  const annotations = pod.metadata.annotations ?? {};
  return annotations['gpu-fraction'] !== undefined || annotations['gpu-memory'] !== undefined;
}

function isReservation(pod: Pod): boolean {
  return pod.metadata.labels?.app === 'kai-resource-reservation';
}

interface ClaimShape {
  readonly spec?: {
    readonly devices?: {
      readonly requests?: readonly {
        readonly exactly?: { readonly deviceClassName?: string; readonly allocationMode?: string; readonly count?: number };
      }[];
    };
  };
  readonly status?: { readonly reservedFor?: readonly { readonly uid?: string }[] | null };
}

/** GPUs that a claim asks for (spec 03 section 11.2). */
function claimGpus(claim: OtherObject): number {
  if (claim.metadata.annotations?.['resource.kubernetes.io/extended-resource-claim'] === 'true') return 0;
  let gpus = 0;
  for (const { exactly } of (claim as ClaimShape).spec?.devices?.requests ?? []) {
    if (exactly === undefined || !/gpu/i.test(exactly.deviceClassName ?? '')) continue;
    if (exactly.allocationMode === 'All') gpus += 1;
    else if ((exactly.allocationMode ?? 'ExactCount') === 'ExactCount') gpus += Math.max(1, exactly.count ?? 1);
  }
  return gpus;
}

/** Claims by the pod that uses them: named by it, made for it, or reserved for it first. */
function claimsByPod(objects: ClusterObjects): Map<string, OtherObject[]> {
  const claims = new Map(objects.resourceClaims.map((c) => [`${c.metadata.namespace ?? ''}/${c.metadata.name}`, c]));
  const byUid = new Map<string, Set<OtherObject>>();
  const add = (uid: string, claim: OtherObject): void => {
    const set = byUid.get(uid) ?? new Set<OtherObject>();
    byUid.set(uid, set.add(claim));
  };
  for (const claim of claims.values()) {
    const owner = claim.metadata.ownerReferences?.find((o) => o.kind === 'Pod')?.uid;
    const user = owner ?? (claim as ClaimShape).status?.reservedFor?.[0]?.uid;
    if (user !== undefined) add(user, claim);
  }
  for (const pod of objects.pods) {
    for (const { resourceClaimName } of pod.spec.resourceClaims ?? []) {
      const claim = claims.get(`${pod.metadata.namespace ?? ''}/${resourceClaimName ?? ''}`);
      if (claim !== undefined) add(pod.metadata.uid ?? '', claim);
    }
  }
  return new Map([...byUid].map(([uid, set]) => [uid, [...set]]));
}

interface SliceShape {
  readonly spec?: {
    readonly driver?: string;
    readonly nodeName?: string;
    readonly pool?: { readonly name?: string; readonly generation?: number };
    readonly devices?: readonly unknown[];
  };
}

/** GPUs in resource slices by node, newest generation of each pool (spec 03 section 4.8). */
function sliceGpus(slices: readonly OtherObject[]): Map<string, number> {
  const newest = new Map<string, number>();
  const gpuSlices = (slices as readonly SliceShape[]).filter((s) => /gpu/i.test(s.spec?.driver ?? '') && s.spec?.nodeName !== undefined);
  const poolOf = (s: SliceShape): string => `${s.spec?.driver ?? ''}\n${s.spec?.pool?.name ?? ''}`;
  for (const s of gpuSlices) newest.set(poolOf(s), Math.max(newest.get(poolOf(s)) ?? 0, s.spec?.pool?.generation ?? 0));
  const gpus = new Map<string, number>();
  for (const s of gpuSlices) {
    if ((s.spec?.pool?.generation ?? 0) !== newest.get(poolOf(s))) continue;
    const node = s.spec?.nodeName ?? '';
    gpus.set(node, (gpus.get(node) ?? 0) + (s.spec?.devices ?? []).length);
  }
  return gpus;
}

/** One GPU, or several together, with everybody who is on it: a whole request, a shared group, a claim. */
class Holding {
  readonly gpus: number;
  readonly roles = new Set<Role>();

  constructor(gpus: number) {
    this.gpus = gpus;
  }

  get idleChange(): number {
    return this.roles.has('held') || this.roles.has('leaving') ? -this.gpus : 0;
  }

  get releasingChange(): number {
    if (this.roles.has('held')) return 0;
    return (this.roles.has('leaving') ? this.gpus : 0) - (this.roles.has('promised') ? this.gpus : 0);
  }
}

/** Everything that pods hold or are promised on the nodes, by node. */
function holdings(objects: ClusterObjects, pods: Iterable<PodResult>): Map<string, Map<string, Holding>> {
  const claims = claimsByPod(objects);
  const byNode = new Map<string, Map<string, Holding>>();
  const hold = (place: Place, name: string, gpus: number): void => {
    const node = byNode.get(place.node) ?? new Map<string, Holding>();
    byNode.set(place.node, node);
    const holding = node.get(name) ?? new Holding(gpus);
    node.set(name, holding);
    holding.roles.add(place.role);
  };
  for (const { key, pod, places } of pods) {
    for (const place of places) {
      if (isShared(pod)) for (const group of place.gpuGroups) hold(place, `group ${group}`, 1);
      else if (!isReservation(pod)) hold(place, `pod ${key} ${place.role}`, wholeGpus(pod));
      for (const claim of claims.get(pod.metadata.uid ?? '') ?? []) {
        hold(place, `claim ${claim.metadata.namespace ?? ''}/${claim.metadata.name}`, claimGpus(claim));
      }
    }
  }
  return byNode;
}

interface TopologyShape {
  readonly zones?: readonly {
    readonly name: string;
    readonly type?: string;
    readonly resources?: readonly { readonly name: string; readonly allocatable?: Quantity }[];
  }[];
}

/** Free amounts per zone: allocatable minus the records of all pods that hold or are promised a place. */
function zoneAmounts(topology: OtherObject | undefined, places: readonly Place[]): Map<string, Map<string, number>> {
  const zones = new Map<string, Map<string, number>>();
  for (const zone of (topology as TopologyShape | undefined)?.zones ?? []) {
    if (zone.type === 'Node') zones.set(zone.name, new Map((zone.resources ?? []).map((r) => [r.name, quantity(r.allocatable)])));
  }
  for (const place of places) {
    if (place.role === 'leaving') continue;
    for (const { zone, amount } of place.zones ?? []) {
      const free = zones.get(zone);
      for (const [name, value] of Object.entries(amount)) {
        if (free?.has(name)) free.set(name, (free.get(name) ?? 0) - quantity(value));
      }
    }
  }
  return zones;
}

/** The amounts of every node after the cycle. */
export function nodeAmounts(objects: ClusterObjects, pods: ReadonlyMap<string, PodResult>): Map<string, NodeAmounts> {
  const held = holdings(objects, pods.values());
  const slices = sliceGpus(objects.resourceSlices);
  const topologies = new Map(objects.nodeResourceTopologies.map((t) => [t.metadata.name, t]));
  const placesByNode = Map.groupBy(
    [...pods.values()].flatMap((p) => p.places),
    (place) => place.node,
  );
  const amounts = new Map<string, NodeAmounts>();
  for (const node of objects.nodes) {
    const name = node.metadata.name;
    const listed = GPU_RESOURCES.reduce((sum, r) => sum + quantity(node.status?.allocatable?.[r]), 0);
    const allocatable = listed + (slices.get(name) ?? 0);
    // A resource that the node does not offer is not charged there (spec 03 section 4.1).
    const charged = allocatable === 0 ? [] : [...(held.get(name)?.values() ?? [])];
    amounts.set(name, {
      idleGpu: charged.reduce((sum, h) => sum + h.idleChange, allocatable),
      releasingGpu: charged.reduce((sum, h) => sum + h.releasingChange, 0),
      zones: zoneAmounts(topologies.get(name), placesByNode.get(name) ?? []),
    });
  }
  return amounts;
}
