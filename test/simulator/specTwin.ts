// Scores of the default configuration once more, straight from spec 03 sections 8 and 9, for clusters in which everything
// that runs stays: 10,000 for a shared GPU with room (shared requests only), then packing by idle whole GPUs, or by CPU for
// CPU-only pods; equal scores by name; inside a node the fullest device with room, whichever of equals.
import type { OpenbPod, OpenbTrace } from '../../src/snapshot/import/openb.ts';

interface TwinNode {
  readonly name: string;
  readonly model: string;
  readonly deviceMib: number;
  milliCpu: number;
  memoryMib: number;
  pods: number;
  wholeGpus: number;
  /** MiB in use, by shared device. */
  readonly usedMib: number[];
}

const PODS_PER_NODE = 110;

export class SpecTwin {
  readonly #nodes: TwinNode[];

  /** `deviceMib`: by GPU model, rounded down to hundreds (section 4.2). */
  constructor(trace: OpenbTrace, deviceMib: ReadonlyMap<string, number>) {
    this.#nodes = trace.nodes
      .map((n) => ({
        name: n.name,
        model: n.gpuModel,
        deviceMib: deviceMib.get(n.gpuModel) ?? 0,
        milliCpu: n.milliCpu,
        memoryMib: n.memoryMib,
        pods: PODS_PER_NODE,
        wholeGpus: n.gpuCount,
        usedMib: [],
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Places the pod; "node", or "node/MiB in use before on its shared device". Null when no node has room. */
  place(pod: OpenbPod): string | null {
    let best: { node: TwinNode; device: number; score: number } | null = null;
    for (const node of this.#nodes) {
      const device = this.#deviceFor(node, pod);
      if (device === null) continue;
      // Packing is monotonous in what is free: more negative, emptier.
      const score = (device >= 0 ? 1e9 : 0) - (pod.gpuCount > 0 ? node.wholeGpus : node.milliCpu);
      if (best === null || score > best.score) best = { node, device, score };
    }
    if (best === null) return null;
    const { node } = best;
    node.milliCpu -= pod.milliCpu;
    node.memoryMib -= pod.memoryMib;
    node.pods--;
    if (!isShared(pod)) {
      node.wholeGpus -= pod.gpuCount;
      return node.name;
    }
    const mib = Math.trunc((pod.gpuMilli / 1000) * node.deviceMib);
    const used = node.usedMib[best.device] ?? 0;
    if (best.device >= 0) node.usedMib[best.device] = used + mib;
    else {
      node.wholeGpus--;
      node.usedMib.push(mib);
    }
    return `${node.name}/${used}`;
  }

  /** Shared device for the pod, −1 = none is needed or a whole one is taken; null = no room. */
  #deviceFor(node: TwinNode, pod: OpenbPod): number | null {
    if (node.milliCpu < pod.milliCpu || node.memoryMib < pod.memoryMib || node.pods < 1) return null;
    if (pod.gpuCount > 0 && pod.gpuModels.length > 0 && !pod.gpuModels.includes(node.model)) return null;
    if (!isShared(pod)) return node.wholeGpus >= pod.gpuCount ? -1 : null;
    const mib = Math.trunc((pod.gpuMilli / 1000) * node.deviceMib);
    let fullest = -1;
    for (const [i, used] of node.usedMib.entries()) {
      if (used + mib <= node.deviceMib && (fullest < 0 || used > node.usedMib[fullest]!)) fullest = i;
    }
    return fullest < 0 && node.wholeGpus < 1 ? null : fullest;
  }
}

function isShared(pod: OpenbPod): boolean {
  return pod.gpuCount === 1 && pod.gpuMilli < 1000;
}
