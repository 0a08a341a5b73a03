import type { Node, Pod } from '../../src/base/objects.ts';
import { type Amounts, addInto, amountsOf, requestOf } from './quantities.ts';

/** A share of GPUs: `memoryMib` or `portion` on each of `devices` devices. */
export interface ShareRequest {
  readonly devices: number;
  readonly portion: number;
  /** 0 = by portion. */
  readonly memoryMib: number;
}

/** GPU request of a pod: whole devices, or a share of some, which may be all of it (spec 02 section 2.3, steps 1 to 4). */
export function gpuRequestOf(pod: Pod): { readonly whole: number; readonly share: ShareRequest | null } {
  const annotations = pod.metadata.annotations ?? {};
  const fraction = Number(annotations['gpu-fraction'] ?? Number.NaN);
  const memory = Number(annotations['gpu-memory'] ?? Number.NaN);
  const hasFraction = fraction > 0 && fraction <= 1;
  const hasMemory = memory > 0;
  if (!hasFraction && !hasMemory) return { whole: requestOf(pod).gpu ?? 0, share: null };
  const count = annotations['gpu-fraction-num-devices'];
  const devices = Number(count ?? 1);
  const memoryMib = hasMemory && (!hasFraction || count !== undefined) ? memory : 0;
  return { whole: 0, share: { devices, portion: hasFraction ? fraction : 0, memoryMib } };
}

/** GPU memory of a node in MiB (spec 03 section 4.2); 100 when it is not known. */
export function gpuMemoryMib(node: Node): number {
  const label = node.metadata.labels?.['nvidia.com/gpu.memory'] ?? '';
  if (!/^\d+$/.test(label)) return 100;
  const value = Number(label) >= 1_048_576 ? Math.trunc(Number(label) / 1_048_576) : Number(label);
  return Math.floor(value / 100) * 100;
}

/** Memory of a shared request on one device of a node (spec 03 section 3.5). */
export function deviceMib(share: ShareRequest, nodeGpuMib: number): number {
  return share.memoryMib > 0 ? share.memoryMib : Math.trunc(share.portion * nodeGpuMib);
}

/** What runs on one node, kept the plainest way. */
export class NodeBooks {
  readonly node: Node;
  readonly gpuMib: number;
  readonly allocatable: Amounts;
  readonly used: Amounts = {};
  /** Used MiB by GPU group. */
  readonly groupMib = new Map<string, number>();

  constructor(node: Node) {
    this.node = node;
    this.gpuMib = gpuMemoryMib(node);
    this.allocatable = { pods: 0, ...amountsOf(node.status?.allocatable) };
  }

  /** Devices that are taken: whole ones and groups with somebody in them. */
  usedGpus(): number {
    let groups = 0;
    for (const mib of this.groupMib.values()) if (mib > 0) groups++;
    return (this.used.gpu ?? 0) + groups;
  }

  /** Books a pod; `groups` are those of a shared request. */
  add(pod: Pod, groups: readonly string[]): void {
    const request = requestOf(pod);
    const { whole, share } = gpuRequestOf(pod);
    request.gpu = isReservation(pod) ? 0 : whole;
    addInto(this.used, request);
    if (share === null) return;
    const mib = deviceMib(share, this.gpuMib);
    for (const group of groups) this.groupMib.set(group, (this.groupMib.get(group) ?? 0) + mib);
  }

  /** What is over-committed among the resources that `asked` has (`gpu` also for shares); empty when all is well. */
  excess(asked: Amounts): string[] {
    const name = this.node.metadata.name;
    const out: string[] = [];
    for (const [key, amount] of Object.entries(asked)) {
      const [used, limit] = [this.used[key] ?? 0, this.allocatable[key] ?? 0];
      if (key !== 'gpu' && amount > 0 && used > limit) out.push(`node ${name}: ${key} ${used} of ${limit}`);
    }
    if ((asked.gpu ?? 0) === 0) return out;
    if (this.usedGpus() > (this.allocatable.gpu ?? 0)) out.push(`node ${name}: gpu ${this.usedGpus()} of ${this.allocatable.gpu ?? 0}`);
    for (const [group, mib] of this.groupMib) {
      if (mib > this.gpuMib) out.push(`node ${name}: gpu group ${group} ${mib} of ${this.gpuMib} MiB`);
    }
    return out;
  }
}

function isReservation(pod: Pod): boolean {
  return pod.metadata.labels?.app === 'kai-resource-reservation';
}
