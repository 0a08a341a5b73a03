// DRA-backed extended resources of a pod: its synthetic claim on a node (spec 03 section 11.9).
import type { ContainersJson, PlainAmounts } from '../../base/jsonColumns.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { addSaturating, type ClaimShape, type ClaimShapes, isGpuName } from './claimShape.ts';

/** Counted through the GPU dimension already. */
const GPU_NAMES: ReadonlySet<string> = new Set(['nvidia.com/gpu', 'amd.com/gpu']);

/** Containers by number: init containers first, then containers. Whoever writes the bind request puts the name there. */
export interface ContainerMapping {
  readonly containerIndex: number;
  readonly resourceName: string;
  readonly requestName: string;
}

/** `extendedResourceClaimAllocation` without its allocation. */
export interface SyntheticClaim {
  readonly shape: ClaimShape;
  /** `resource.k8s.io/v1` DeviceRequests, sorted by name. */
  readonly deviceRequests: readonly unknown[];
  readonly containerMappings: readonly ContainerMapping[];
}

/** One container as the requests are made from it. */
interface Container {
  /** Runs beside the others: a regular container or a sidecar. */
  readonly isLongLived: boolean;
  readonly requests: PlainAmounts;
}

/** What a shape asks of device classes. */
interface ExtendedDemand {
  /** Resource names with a class, sorted. */
  readonly resources: readonly string[];
  readonly containers: readonly Container[];
}

export class ExtendedResources {
  readonly #view: SnapshotView;
  readonly #classOf: ReadonlyMap<string, string>;
  readonly #shapes: ClaimShapes;
  readonly #demands: (ExtendedDemand | null | undefined)[] = [];
  readonly #gpuCounts = new Map<number, ReadonlyMap<string, number>>();
  /** By names of the resources, per shape. */
  readonly #synthetic = new Map<string, SyntheticClaim>();
  /** The same by shape and node: `check` asks for it once per node. */
  readonly #onNode: ((SyntheticClaim | null)[] | undefined)[] = [];
  readonly #nodeNames = new Map<number, ReadonlySet<string>>();

  constructor(view: SnapshotView, classOf: ReadonlyMap<string, string>, shapes: ClaimShapes) {
    this.#view = view;
    this.#classOf = classOf;
    this.#shapes = shapes;
  }

  /** Does a pod of the shape ask for a resource that a device class serves? */
  isDemanded(shapeRow: number): boolean {
    return this.#demand(shapeRow) !== null;
  }

  /**
   * GPUs by class of resources that are served by a GPU class under another name than those of the GPU dimension
   * (deviation of spec 02 section 2.5: they count as GPUs).
   */
  gpuCounts(shapeRow: number): ReadonlyMap<string, number> {
    let counts = this.#gpuCounts.get(shapeRow);
    if (counts === undefined) {
      counts = this.#countGpus(shapeRow);
      this.#gpuCounts.set(shapeRow, counts);
    }
    return counts;
  }

  /** The claim that a pod of the shape needs on a node; null when the node's device plugins offer all of it. */
  syntheticClaim(shapeRow: number, nodeRow: number): SyntheticClaim | null {
    const demand = this.#demand(shapeRow);
    if (demand === null) return null;
    let onNode = this.#onNode[shapeRow];
    if (onNode === undefined) {
      onNode = [];
      this.#onNode[shapeRow] = onNode;
    }
    const known = onNode[nodeRow];
    if (known !== undefined) return known;
    const names = demand.resources.filter((name) => !this.#isOffered(name, nodeRow));
    const claim = names.length === 0 ? null : this.#claimFor(shapeRow, demand, names);
    onNode[nodeRow] = claim;
    return claim;
  }

  #claimFor(shapeRow: number, demand: ExtendedDemand, names: readonly string[]): SyntheticClaim {
    const key = JSON.stringify([shapeRow, names]);
    let claim = this.#synthetic.get(key);
    if (claim === undefined) {
      claim = makeClaim(demand.containers, names, this.#classOf, this.#shapes);
      this.#synthetic.set(key, claim);
    }
    return claim;
  }

  #demand(shapeRow: number): ExtendedDemand | null {
    const known = this.#demands[shapeRow];
    if (known !== undefined) return known;
    const demand = this.#readDemand(shapeRow);
    this.#demands[shapeRow] = demand;
    return demand;
  }

  #readDemand(shapeRow: number): ExtendedDemand | null {
    const row = this.#view.shapes.containersJson[shapeRow]!;
    if (row === NO_ROW || this.#classOf.size === 0) return null;
    const containers = readContainers(JSON.parse(this.#view.texts.get(row)) as ContainersJson);
    const names = new Set<string>();
    for (const { requests } of containers) {
      for (const name of Object.keys(requests)) if (this.#classOf.has(name) && isDeviceCount(requests[name])) names.add(name);
    }
    return names.size === 0 ? null : { resources: [...names].sort(), containers };
  }

  #countGpus(shapeRow: number): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    const demand = this.#demand(shapeRow);
    if (demand === null) return counts;
    for (const name of demand.resources) {
      const className = this.#classOf.get(name)!;
      if (GPU_NAMES.has(name) || !isGpuName(className)) continue;
      counts.set(className, addSaturating(counts.get(className) ?? 0, podTotal(demand.containers, name)));
    }
    return counts;
  }

  #isOffered(name: string, nodeRow: number): boolean {
    const { allocGpu, scalarsJson } = this.#view.nodes;
    if (GPU_NAMES.has(name)) return allocGpu[nodeRow]! > 0;
    const row = scalarsJson[nodeRow]!;
    if (row === NO_ROW) return false;
    let names = this.#nodeNames.get(row);
    if (names === undefined) {
      names = new Set(Object.keys(JSON.parse(this.#view.texts.get(row)) as Record<string, number>));
      this.#nodeNames.set(row, names);
    }
    return names.has(name);
  }
}

/** Init containers first, then containers: the numbers of the request names. */
function readContainers({ containers, init = [] }: ContainersJson): Container[] {
  const starting = init.map(({ isSidecar, requests }) => ({ isLongLived: isSidecar === true, requests }));
  return [...starting, ...containers.map((requests) => ({ isLongLived: true, requests }))];
}

function isDeviceCount(amount: number | undefined): amount is number {
  return amount !== undefined && amount > 0 && Number.isInteger(amount);
}

/** Pod total of one resource (spec 03 section 3.1). */
function podTotal(containers: readonly Container[], name: string): number {
  let longLived = 0;
  let peak = 0;
  let sidecars = 0;
  for (const { isLongLived, requests } of containers) {
    const amount = isDeviceCount(requests[name]) ? requests[name] : 0;
    if (isLongLived) {
      longLived = addSaturating(longLived, amount);
      sidecars = longLived;
    } else peak = Math.max(peak, addSaturating(sidecars, amount));
  }
  return Math.max(longLived, peak);
}

interface DraftRequest {
  readonly name: string;
  readonly className: string;
  readonly count: number;
}

interface DraftMapping {
  readonly containerIndex: number;
  requestName: string;
}

function makeClaim(
  containers: readonly Container[],
  names: readonly string[],
  classOf: ReadonlyMap<string, string>,
  shapes: ClaimShapes,
): SyntheticClaim {
  const requests: DraftRequest[] = [];
  const mappings: ContainerMapping[] = [];
  for (const resourceName of names) {
    const draft = requestsOf(containers, resourceName, classOf.get(resourceName)!);
    requests.push(...draft.requests);
    for (const { containerIndex, requestName } of draft.mappings) mappings.push({ containerIndex, resourceName, requestName });
  }
  const deviceRequests = requests
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, className, count }) => ({ name, exactly: { deviceClassName: className, allocationMode: 'ExactCount', count } }));
  return { shape: shapes.of({ requests: deviceRequests }), deviceRequests, containerMappings: mappings };
}

/** Requests and mappings of one resource: steps 1 to 3 of 11.9. */
function requestsOf(
  containers: readonly Container[],
  resourceName: string,
  className: string,
): { requests: DraftRequest[]; mappings: DraftMapping[] } {
  const longLived: (DraftRequest & { readonly index: number })[] = [];
  const mappings: DraftMapping[] = [];
  containers.forEach(({ isLongLived, requests }, index) => {
    const count = requests[resourceName];
    if (!isLongLived || !isDeviceCount(count)) return;
    const request = { name: requestName(index, requests, resourceName), className, count, index };
    longLived.push(request);
    mappings.push({ containerIndex: index, requestName: request.name });
  });
  const own: DraftRequest[] = [];
  const ownMappings: DraftMapping[] = [];
  containers.forEach(({ isLongLived, requests }, index) => {
    const wanted = requests[resourceName];
    if (isLongLived || !isDeviceCount(wanted)) return;
    let sum = 0;
    for (const later of longLived) {
      if (later.index < index || sum >= wanted) continue;
      sum += later.count;
      mappings.push({ containerIndex: index, requestName: later.name });
    }
    if (sum >= wanted) return;
    const request = { name: requestName(index, requests, resourceName), className, count: wanted - sum };
    own.push(request);
    const mapping = { containerIndex: index, requestName: request.name };
    ownMappings.push(mapping);
    mappings.push(mapping);
  });
  const kept = own.reduce<DraftRequest | null>((best, r) => (best === null || r.count > best.count ? r : best), null);
  if (kept === null) return { requests: longLived, mappings };
  // Ordinary init containers run one after the other: the largest request serves them all.
  for (const mapping of ownMappings) mapping.requestName = kept.name;
  return { requests: [...longLived, kept], mappings };
}

/** `container-<i>-request-<j>`; j counts all request names of the container, sorted. */
function requestName(index: number, requests: PlainAmounts, resourceName: string): string {
  return `container-${index}-request-${Object.keys(requests).sort().indexOf(resourceName)}`;
}
