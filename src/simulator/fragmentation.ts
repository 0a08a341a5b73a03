import type { Ledger } from './ledger.ts';

/** GPU demand of a pod as far as fragmentation looks at it. Constraints other than amounts are left aside. */
export interface GpuDemand {
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly gpuCount: number;
  /** Of each device; 1000 = whole; 0 when `gpuMemoryMib` decides. */
  readonly gpuMilliEach: number;
  readonly gpuMemoryMib: number;
}

/** How often each demand came up so far; CPU-only pods are not counted. */
export class DemandMix {
  readonly #counts = new Map<string, { readonly demand: GpuDemand; count: number }>();

  add(demand: GpuDemand, count = 1): void {
    if (demand.gpuCount === 0 && demand.gpuMemoryMib === 0) return;
    const key = `${demand.gpuCount} ${demand.gpuMilliEach} ${demand.gpuMemoryMib} ${demand.milliCpu} ${demand.memoryBytes}`;
    const entry = this.#counts.get(key);
    if (entry === undefined) this.#counts.set(key, { demand, count });
    else entry.count += count;
  }

  /** The most frequent demands, at most `limit`; ties by content, so that the order is always the same. */
  typical(limit: number): readonly { readonly demand: GpuDemand; readonly count: number }[] {
    const sorted = [...this.#counts.entries()].sort(([keyA, a], [keyB, b]) => b.count - a.count || (keyA < keyB ? -1 : 1));
    return sorted.slice(0, limit).map(([, entry]) => entry);
  }
}

const TYPICAL_SHAPES = 24;

/**
 * Fragmentation: the share of the free GPU capacity that a typical pod cannot use, after "Beware of Fragmentation"
 * (USENIX ATC 2023). For one demand and one node, all free GPU is unusable when the pod does not fit the node (CPU,
 * memory or GPU); otherwise the free parts of those devices that are too small for it are. The result is the mean over
 * the 24 most frequent GPU demands so far, weighted by frequency, divided by all free GPU: 0 = everything usable,
 * 1 = nothing. 0 when nothing is free or nobody asked for a GPU.
 */
export function fragmentationShare(ledger: Ledger, mix: DemandMix): number {
  const typical = mix.typical(TYPICAL_SHAPES);
  const weight = typical.reduce((sum, t) => sum + t.count, 0);
  let freeMilli = 0;
  let unusable = 0;
  for (const node of ledger.nodes) {
    const nodeFreeMilli = freeMilliOf(node);
    if (nodeFreeMilli === 0) continue;
    freeMilli += nodeFreeMilli;
    for (const { demand, count } of typical) unusable += count * unusableMilli(node, nodeFreeMilli, demand);
  }
  return freeMilli === 0 || weight === 0 ? 0 : unusable / weight / freeMilli;
}

type LedgerNode = Ledger['nodes'][number];

function freeMilliOf(node: LedgerNode): number {
  let milli = node.freeDevices * 1000;
  for (const device of node.shared.values()) milli += Math.max(0, 1000 - device.milli);
  return Math.max(0, milli);
}

function unusableMilli(node: LedgerNode, nodeFreeMilli: number, demand: GpuDemand): number {
  const eachMilli = demand.gpuMemoryMib > 0 ? Math.ceil((demand.gpuMemoryMib / node.gpuMemoryMib) * 100) * 10 : demand.gpuMilliEach;
  const devices = Math.max(1, demand.gpuCount);
  if (eachMilli > 1000 || node.freeMilliCpu < demand.milliCpu || node.freeMemoryBytes < demand.memoryBytes) return nodeFreeMilli;
  let usableDevices = node.freeDevices;
  let tooSmallMilli = 0;
  for (const { milli } of node.shared.values()) {
    const freeMilli = Math.max(0, 1000 - milli);
    if (freeMilli >= eachMilli) usableDevices++;
    else tooSmallMilli += freeMilli;
  }
  return usableDevices < devices ? nodeFreeMilli : tooSmallMilli;
}
