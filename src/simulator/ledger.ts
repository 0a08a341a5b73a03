import { NO_ROW } from '../base/rows.ts';
import type { SnapshotView } from '../base/snapshotView.ts';

/** One thousandth of a GPU is the unit of all amounts here; shares are hundredths, so sums are exact. */
const WHOLE_GPU_MILLI = 1000;

/** What a placed pod holds. */
export interface PodUse {
  readonly milliCpu: number;
  readonly memoryBytes: number;
  /** Devices; 0 for CPU-only pods. */
  readonly gpuCount: number;
  /** Of each device; 1000 = whole. */
  readonly gpuMilliEach: number;
  /** Memory taken of each shared device; 0 = that part of the device's memory which `gpuMilliEach` is. */
  readonly gpuMemoryMibEach: number;
  /** Shared devices by group id, as many as `gpuCount`; empty for whole devices. */
  readonly gpuGroups: readonly string[];
}

/**
 * What is used of a shared device. Memory is what counts; the parts are rounded up to hundredths of a device for requests
 * by memory (spec 02 section 2.4), so their sum may exceed the device a little.
 */
interface SharedDevice {
  pods: number;
  milli: number;
  memoryMib: number;
}

interface NodeState {
  readonly name: string;
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly gpuCount: number;
  readonly gpuMemoryMib: number;
  freeMilliCpu: number;
  freeMemoryBytes: number;
  /** Devices nobody uses. */
  freeDevices: number;
  freeGpuMilli: number;
  /** Shared devices by group id. */
  readonly shared: Map<string, SharedDevice>;
}

interface Placement {
  readonly node: NodeState;
  readonly use: PodUse;
}

/**
 * The simulator's own books of who holds what, kept from decisions alone. They feed the report and check the scheduler:
 * a placement that takes more than a node has is counted in `overcommits`.
 */
export class Ledger {
  readonly nodes: NodeState[] = [];
  totalGpuMilli = 0;
  allocatedGpuMilli = 0;
  /** Placements that did not fit, by resource; always 0 for a correct scheduler. */
  overcommits = 0;
  readonly #byName = new Map<string, NodeState>();
  readonly #placements = new Map<string, Placement>();

  /** Takes the nodes of a sealed snapshot, all of them empty. */
  constructor(view: SnapshotView) {
    const { nodes, texts } = view;
    for (let row = 0; row < nodes.rows; row++) {
      if (nodes.used[row] !== 1) continue;
      const milliCpu = nodes.allocMilliCpu[row] ?? 0;
      const memoryBytes = nodes.allocMemoryBytes[row] ?? 0;
      const gpuCount = nodes.allocGpu[row] ?? 0;
      const node: NodeState = {
        name: texts.get(nodes.nameText[row] ?? NO_ROW),
        milliCpu,
        memoryBytes,
        gpuCount,
        gpuMemoryMib: nodes.gpuMemoryMib[row] ?? 0,
        freeMilliCpu: milliCpu,
        freeMemoryBytes: memoryBytes,
        freeDevices: gpuCount,
        freeGpuMilli: gpuCount * WHOLE_GPU_MILLI,
        shared: new Map(),
      };
      this.nodes.push(node);
      this.#byName.set(node.name, node);
      this.totalGpuMilli += node.freeGpuMilli;
    }
    this.nodes.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get placedPods(): number {
    return this.#placements.size;
  }

  /** Books a placement. `pod` is "namespace/name"; a pod that is placed already counts as an overcommit. */
  place(pod: string, nodeName: string, use: PodUse): void {
    const node = this.#byName.get(nodeName);
    if (node === undefined || this.#placements.has(pod)) {
      this.overcommits++;
      return;
    }
    this.#placements.set(pod, { node, use });
    this.allocatedGpuMilli += use.gpuCount * use.gpuMilliEach;
    book(node, use, 1);
    const isShareExceeded = use.gpuGroups.some((g) => (node.shared.get(g)?.memoryMib ?? 0) > node.gpuMemoryMib);
    if (node.freeMilliCpu < 0 || node.freeMemoryBytes < 0 || node.freeDevices < 0 || isShareExceeded) this.overcommits++;
  }

  /** Gives back what the pod held; true when it held something. */
  release(pod: string): boolean {
    const placement = this.#placements.get(pod);
    if (placement === undefined) return false;
    this.#placements.delete(pod);
    this.allocatedGpuMilli -= placement.use.gpuCount * placement.use.gpuMilliEach;
    book(placement.node, placement.use, -1);
    return true;
  }

  isPlaced(pod: string): boolean {
    return this.#placements.has(pod);
  }
}

/** Adds (sign 1) or removes (sign −1) one pod on a node. A shared device is taken with its first pod, freed with its last. */
function book(node: NodeState, use: PodUse, sign: 1 | -1): void {
  node.freeMilliCpu -= sign * use.milliCpu;
  node.freeMemoryBytes -= sign * use.memoryBytes;
  node.freeGpuMilli -= sign * use.gpuCount * use.gpuMilliEach;
  if (use.gpuGroups.length === 0) {
    node.freeDevices -= sign * use.gpuCount;
    return;
  }
  const memoryMib = use.gpuMemoryMibEach > 0 ? use.gpuMemoryMibEach : Math.trunc((use.gpuMilliEach * node.gpuMemoryMib) / WHOLE_GPU_MILLI);
  for (const group of use.gpuGroups) {
    let device = node.shared.get(group);
    if (device === undefined) {
      device = { pods: 0, milli: 0, memoryMib: 0 };
      node.shared.set(group, device);
      node.freeDevices--;
    }
    device.pods += sign;
    device.milli += sign * use.gpuMilliEach;
    device.memoryMib += sign * memoryMib;
    if (device.pods > 0) continue;
    node.shared.delete(group);
    node.freeDevices++;
  }
}
