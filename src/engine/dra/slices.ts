// Resource slices: pools, their newest generation, and which devices a node reaches (spec 03 sections 4.8, 11.5).

import type { NodeSelectorTerm } from '../../base/constraints.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { type CompiledNodeTerm, compileNodeTerms, matchesAnyTerm } from '../filters/labels.ts';
import { isGpuName } from './claimShape.ts';
import type { DeviceTable } from './devices.ts';
import { asList, asNumber, asRecord, asText, type JsonRecord } from './json.ts';

interface Slice {
  readonly name: string;
  readonly driver: string;
  readonly pool: string;
  readonly generation: number;
  /** Slices of the pool at this generation, as published. */
  readonly declaredSlices: number;
  readonly nodeName: string;
  readonly isAllNodes: boolean;
  readonly nodeSelector: JsonRecord | null;
  readonly terms: readonly CompiledNodeTerm[];
  /** False for slices that need an optional feature (devices with nodes of their own) or name no nodes: they offer nothing. */
  readonly isOffered: boolean;
  readonly devices: readonly JsonRecord[];
  /** Devices that may be allocated or are only blocked; filled when the pool is current. */
  ids: Int32Array;
}

interface Pool {
  /** "driver/pool" */
  readonly text: string;
  readonly isIncomplete: boolean;
  readonly isInvalid: boolean;
  readonly slices: readonly Slice[];
}

/** The devices that a node reaches. */
interface Inventory {
  /** Devices of complete and valid pools, in the order in which the allocator tries them. */
  readonly ids: Int32Array;
  /** '' or the end of the message by which requests for all devices fail. */
  readonly allProblem: string;
  readonly hasInvalidPool: boolean;
}

/** Reads a projected ResourceSlice. */
function readSlice(view: SnapshotView, name: string, object: JsonRecord): Slice {
  const spec = asRecord(object['spec']);
  const pool = asRecord(spec['pool']);
  const nodeName = asText(spec['nodeName']);
  const isAllNodes = spec['allNodes'] === true;
  const selector = spec['nodeSelector'];
  const nodeSelector = typeof selector === 'object' && selector !== null ? asRecord(selector) : null;
  const terms = asList(nodeSelector?.['nodeSelectorTerms']);
  const hasNodes = nodeName !== '' || isAllNodes || terms.length === 1;
  return {
    name,
    driver: asText(spec['driver']),
    pool: asText(pool['name']),
    generation: asNumber(pool['generation'], 0),
    declaredSlices: asNumber(pool['resourceSliceCount'], 1),
    nodeName,
    isAllNodes,
    nodeSelector,
    terms: compileNodeTerms(view.texts, terms as readonly NodeSelectorTerm[]),
    isOffered: hasNodes && spec['perDeviceNodeSelection'] !== true,
    devices: asList(spec['devices']).map(asRecord),
    ids: new Int32Array(0),
  };
}

/**
 * Pools in the order (pool name, driver), slices inside by name, devices as the slice lists them: the order of the
 * allocator's search. (Upstream walks pools in random order; inside a slice the order is the same.)
 */
export class SliceIndex {
  readonly #view: SnapshotView;
  readonly #pools: readonly Pool[];
  /** Pool numbers by text row of a node name. */
  readonly #local = new Map<number, number[]>();
  /** Numbers of the pools with slices for several nodes. */
  readonly #network: number[] = [];
  readonly #inventories: (Inventory | undefined)[] = [];
  readonly #gpuCounts = new Map<number, number>();

  constructor(view: SnapshotView, objects: readonly (readonly [name: string, object: JsonRecord])[], devices: DeviceTable) {
    this.#view = view;
    const slices = objects.map(([name, object]) => readSlice(view, name, object));
    this.#pools = currentPools(slices);
    const nodeRowOf = nodeRowsByName(view);
    const matchClasses = new Map<string, number>();
    this.#pools.forEach((pool, number) => {
      for (const slice of pool.slices) {
        const nameRow = slice.nodeName === '' ? NO_ROW : view.texts.find(slice.nodeName);
        publishDevices(slice, devices, nodeRowOf.get(nameRow) ?? -1, matchClasses);
        this.#enter(slice, number, nameRow);
      }
    });
  }

  /** Some device can be reached from more than one node: what is free on a node may change elsewhere. */
  get hasNetworkDevices(): boolean {
    return this.#network.length > 0;
  }

  /** Devices in the slices of a node whose driver tells of GPUs (spec 03 section 4.8; newest generation only). */
  gpuCount(nodeRow: number): number {
    return this.#gpuCounts.get(this.#view.nodes.nameText[nodeRow]!) ?? 0;
  }

  inventory(nodeRow: number): Inventory {
    const known = this.#inventories[nodeRow];
    if (known !== undefined) return known;
    const inventory = this.#takeInventory(nodeRow);
    this.#inventories[nodeRow] = inventory;
    return inventory;
  }

  #enter(slice: Slice, pool: number, nameRow: number): void {
    if (slice.nodeName !== '' && isGpuName(slice.driver)) {
      this.#gpuCounts.set(nameRow, (this.#gpuCounts.get(nameRow) ?? 0) + slice.devices.length);
    }
    if (!slice.isOffered) return;
    if (slice.nodeName === '') {
      if (this.#network.at(-1) !== pool) this.#network.push(pool);
      return;
    }
    const local = this.#local.get(nameRow);
    if (local === undefined) this.#local.set(nameRow, [pool]);
    else if (local.at(-1) !== pool) local.push(pool);
  }

  #takeInventory(nodeRow: number): Inventory {
    const nameRow = this.#view.nodes.nameText[nodeRow]!;
    const reachable = new Set([...(this.#local.get(nameRow) ?? []), ...this.#network]);
    const ids: number[] = [];
    let allProblem = '';
    let hasInvalidPool = false;
    for (const number of [...reachable].sort((a, b) => a - b)) {
      const pool = this.#pools[number]!;
      const slices = pool.slices.filter((slice) => this.#targets(slice, nodeRow));
      if (slices.length === 0) continue;
      if (pool.isInvalid) hasInvalidPool = true;
      if (pool.isIncomplete || pool.isInvalid) {
        const state = pool.isIncomplete ? 'being updated' : 'invalid';
        if (allProblem === '') allProblem = `: asks for all devices, but resource pool ${pool.text} is currently ${state}`;
        continue;
      }
      for (const slice of slices) ids.push(...slice.ids);
    }
    return { ids: Int32Array.from(ids), allProblem, hasInvalidPool };
  }

  #targets(slice: Slice, nodeRow: number): boolean {
    if (!slice.isOffered) return false;
    const { nodes, texts } = this.#view;
    if (slice.nodeName !== '') return texts.find(slice.nodeName) === nodes.nameText[nodeRow];
    return slice.isAllNodes || matchesAnyTerm(this.#view, slice.terms, nodes.labelSetRow[nodeRow]!, nodes.nameText[nodeRow]!);
  }
}

/** Newest generation of every pool, sorted. */
function currentPools(slices: readonly Slice[]): Pool[] {
  const byPool = new Map<string, Slice[]>();
  for (const slice of slices) {
    const key = JSON.stringify([slice.pool, slice.driver]);
    const current = byPool.get(key);
    if (current === undefined || slice.generation > current[0]!.generation) byPool.set(key, [slice]);
    else if (slice.generation === current[0]!.generation) current.push(slice);
  }
  return [...byPool.values()].sort(comparePools).map((members) => {
    const sorted = members.sort((a, b) => (a.name < b.name ? -1 : 1));
    const names = sorted.flatMap((slice) => slice.devices.map((device) => asText(device['name'])));
    return {
      text: `${sorted[0]!.driver}/${sorted[0]!.pool}`,
      isIncomplete: sorted.length !== sorted[0]!.declaredSlices,
      isInvalid: new Set(names).size !== names.length,
      slices: sorted,
    };
  });
}

/** Criteria: 1. pool name, 2. driver; no two pools share both. */
function comparePools([a]: readonly Slice[], [b]: readonly Slice[]): number {
  if (a!.pool !== b!.pool) return a!.pool < b!.pool ? -1 : 1;
  return a!.driver < b!.driver ? -1 : 1;
}

function publishDevices(slice: Slice, devices: DeviceTable, homeNodeRow: number, matchClasses: Map<string, number>): void {
  const ids: number[] = [];
  for (const device of slice.devices) {
    const id = devices.idOf(slice.driver, slice.pool, asText(device['name']));
    const attributes = asRecord(device['attributes']);
    const capacity = asRecord(device['capacity']);
    const look = JSON.stringify([slice.driver, attributes, capacity]);
    const matchClass = matchClasses.get(look) ?? matchClasses.size;
    matchClasses.set(look, matchClass);
    const facts = { driver: slice.driver, attributes, capacity, matchClass, nodeName: slice.nodeName, nodeSelector: slice.nodeSelector };
    devices.publish(id, facts, homeNodeRow, isBlocked(device));
    if (slice.isOffered && !isHidden(device)) ids.push(id);
  }
  slice.ids = Int32Array.from(ids);
}

/** Devices that only optional features can select: no request sees them. */
function isHidden(device: JsonRecord): boolean {
  return asList(device['bindingConditions']).length > 0 || device['allowMultipleAllocations'] === true;
}

/** Devices that requests see but nobody may have: partitions, and tainted ones (spec 03 section 11.7). */
function isBlocked(device: JsonRecord): boolean {
  if (asList(device['consumesCounters']).length > 0) return true;
  return asList(device['taints']).some((taint) => {
    const effect = asText(asRecord(taint)['effect']);
    return effect === 'NoSchedule' || effect === 'NoExecute';
  });
}

function nodeRowsByName(view: SnapshotView): ReadonlyMap<number, number> {
  const { rows, used, nameText } = view.nodes;
  const out = new Map<number, number>();
  for (let row = 0; row < rows; row++) if (used[row] === 1) out.set(nameText[row]!, row);
  return out;
}
