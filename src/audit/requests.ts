import type { Container, Pod, ResourceList } from '../base/objects.ts';
import { addExact, type ExactAmount, exactToMilliCeil, exactToValueCeil, parseExact } from '../base/quantity.ts';

/** Amounts by resource name: "cpu" in milli-CPU, "memory" in bytes, "gpu" in devices, profiles and storage as counts, all else in thousandths. */
export type Amounts = ReadonlyMap<string, number>;

/** What a pod asks for (spec 02 sections 2.2, 2.3; 03 sections 3.1 to 3.3). */
export interface PodRequest {
  readonly kind: 'regular' | 'shared' | 'mig';
  readonly milliCpu: number;
  readonly memoryBytes: number;
  /** Whole devices of a regular request, else 0. */
  readonly wholeGpus: number;
  /** Of a shared request: devices, portion of each as asked for, MiB of each (0 = by portion). */
  readonly devices: number;
  readonly portion: number;
  readonly memoryMib: number;
  /** Σ g × count over MIG profiles. */
  readonly migGpus: number;
  readonly isLegacyMig: boolean;
  /** All names other than CPU, memory and GPUs. */
  readonly others: Amounts;
}

const MIG_PREFIX = 'nvidia.com/mig-';
const DEVICE_NAMES: ReadonlySet<string> = new Set(['nvidia.com/gpu', 'amd.com/gpu']);
const DOMAIN_NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** Key under which a resource name is counted; null when it does not count at all. */
function keyOf(name: string): string | null {
  if (DEVICE_NAMES.has(name)) return 'gpu';
  if (name === 'cpu' || name === 'memory' || name === 'storage' || name === 'ephemeral-storage' || name === 'pods') return name;
  if (name.startsWith('hugepages-') || name.startsWith('attachable-volumes-') || name.includes('kubernetes.io/')) return name;
  return DOMAIN_NAME.test(name) && !name.startsWith('requests.') ? name : null;
}

function isCounted(key: string): boolean {
  return ['gpu', 'memory', 'pods', 'storage', 'ephemeral-storage'].includes(key) || key.startsWith(MIG_PREFIX);
}

type ExactAmounts = Map<string, ExactAmount>;

function addList(target: ExactAmounts, list: ResourceList | null | undefined): void {
  for (const [name, quantity] of Object.entries(list ?? {})) {
    const key = keyOf(name);
    const amount = typeof quantity === 'string' || typeof quantity === 'number' ? parseExact(quantity) : undefined;
    if (key === null || amount === undefined || amount <= 0) continue;
    target.set(key, addExact(target.get(key) ?? 0, amount));
  }
}

function rounded(exact: ExactAmounts): Map<string, number> {
  return new Map([...exact].map(([key, amount]) => [key, isCounted(key) ? exactToValueCeil(amount) : exactToMilliCeil(amount)]));
}

/** Allocatable amounts of a node. */
export function allocatableOf(list: ResourceList | null | undefined): Map<string, number> {
  const exact: ExactAmounts = new Map();
  addList(exact, list);
  return rounded(exact);
}

/** Containers and sidecars together, or the largest moment of the start-up; overhead on top (spec 02 section 2.2). */
function totalOf(pod: Pod): Map<string, number> {
  const requests = (c: Container): ResourceList | null | undefined => c.resources?.requests;
  const running: ExactAmounts = new Map();
  const sidecars: ResourceList[] = [];
  const peak = new Map<string, number>();
  for (const container of pod.spec.containers ?? []) addList(running, requests(container));
  for (const container of pod.spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') sidecars.push(requests(container) ?? {});
    else {
      const moment: ExactAmounts = new Map();
      for (const list of [...sidecars, requests(container)]) addList(moment, list);
      for (const [key, amount] of rounded(moment)) peak.set(key, Math.max(peak.get(key) ?? 0, amount));
    }
  }
  for (const list of sidecars) addList(running, list);
  const total = rounded(running);
  for (const [key, amount] of peak) total.set(key, Math.max(total.get(key) ?? 0, amount));
  for (const [key, amount] of allocatableOf(pod.spec.overhead)) {
    if (key !== 'gpu' && !key.startsWith(MIG_PREFIX)) total.set(key, (total.get(key) ?? 0) + amount);
  }
  total.delete('pods');
  return total;
}

function integerOf(text: string | undefined): number {
  return text !== undefined && /^[+-]?\d{1,19}$/.test(text) ? Number(text) : Number.NaN;
}

function fractionOf(text: string | undefined): number {
  const value = text !== undefined && /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
  return value > 0 && value <= 1 ? value : 0;
}

/** GPUs that one instance of a MIG profile counts for. */
function migWeight(name: string): number {
  return Number(/^nvidia\.com\/mig-(\d+)g\.\d+gb$/.exec(name)?.[1] ?? 0);
}

export function migGpusOf(amounts: Amounts): number {
  let gpus = 0;
  for (const [name, amount] of amounts) gpus += migWeight(name) * amount;
  return gpus;
}

export function readRequest(pod: Pod): PodRequest {
  const total = totalOf(pod);
  const annotations = pod.metadata.annotations ?? {};
  const milliCpu = total.get('cpu') ?? 0;
  const memoryBytes = total.get('memory') ?? 0;
  const gpus = total.get('gpu') ?? 0;
  for (const key of ['cpu', 'memory', 'gpu']) total.delete(key);
  const plain = new Map([...total].filter(([name]) => !name.startsWith(MIG_PREFIX)));
  const none = { wholeGpus: 0, devices: 0, portion: 0, memoryMib: 0, migGpus: 0, isLegacyMig: false };
  const legacy = Object.keys(annotations)
    .filter((key) => key.startsWith(MIG_PREFIX) && !Number.isNaN(integerOf(annotations[key])))
    .sort()
    .at(-1);
  if (legacy !== undefined) {
    const others = new Map(plain).set(legacy, integerOf(annotations[legacy]));
    return { ...none, kind: 'mig', milliCpu, memoryBytes, others, migGpus: migGpusOf(others), isLegacyMig: true };
  }
  const memoryMib = Math.max(0, integerOf(annotations['gpu-memory']) || 0);
  const portion = fractionOf(annotations['gpu-fraction']);
  if (memoryMib > 0 || portion > 0) {
    const count = integerOf(annotations['gpu-fraction-num-devices']);
    const usesMemory = portion === 0 || count >= 1;
    return {
      ...none,
      kind: 'shared',
      milliCpu,
      memoryBytes,
      others: plain,
      devices: Number.isNaN(count) ? 1 : Math.max(1, count),
      portion,
      memoryMib: usesMemory ? memoryMib : 0,
    };
  }
  const isMig = plain.size < total.size;
  return {
    ...none,
    kind: isMig ? 'mig' : 'regular',
    milliCpu,
    memoryBytes,
    others: total,
    wholeGpus: isMig ? 0 : gpus,
    migGpus: migGpusOf(total),
  };
}

/** MiB of one device that a shared request takes on a node (spec 03 section 3.5). */
export function deviceMib(r: PodRequest, nodeMib: number): number {
  return r.memoryMib > 0 ? r.memoryMib : Math.trunc(r.portion * nodeMib);
}

/** Portion of one device on a node, in the double arithmetic of spec 03 section 3.5. */
export function devicePortion(r: PodRequest, nodeMib: number): number {
  return r.memoryMib > 0 ? Math.ceil((r.memoryMib / nodeMib) * 100) / 100 : r.portion;
}

function sharedMilli(portion: number, devices: number): number {
  return Math.floor(portion * 100 + 0.5) * devices * 10;
}

/** Thousandths of a GPU that a placed pod counts for its queues (spec 02 section 2.4). `claimGpus`: through claims. */
export function acceptedGpuMilli(r: PodRequest, claimGpus: number, nodeMib: number): number {
  if (r.kind === 'mig') return r.migGpus * 1000;
  if (r.kind === 'shared') return sharedMilli(devicePortion(r, nodeMib), r.devices);
  return (r.wholeGpus + claimGpus) * 1000;
}

/** Thousandths of a GPU that a waiting pod asks for; a memory request by `divisorMib`, NaN = none known (spec 02 section 2.6). */
export function demandGpuMilli(r: PodRequest, claimGpus: number, divisorMib: number): number {
  const fixed = (r.migGpus + claimGpus) * 1000;
  if (r.kind !== 'shared') return fixed + r.wholeGpus * 1000;
  if (r.memoryMib === 0) return fixed + sharedMilli(r.portion, r.devices);
  return fixed + (Number.isNaN(divisorMib) ? 0 : Math.round((1000 * r.devices * r.memoryMib) / divisorMib));
}
