// What a pod asks for (spec 02 sections 2.2–2.4, spec 03 sections 3.1–3.6).
import type { Pod } from '../../src/base/objects.ts';
import { type Amounts, amountOf, largest, MIG_PREFIX, migGpus, plus, readAmounts, sumLists } from './amounts.ts';

export type RequestType = 'regular' | 'fraction' | 'gpuMemory' | 'mig';

export interface Request {
  readonly type: RequestType;
  /** Devices, portion and MiB of each. */
  readonly count: number;
  readonly portion: number;
  readonly gpuMemory: number;
  /** Asks for MIG by annotation, which no node accepts. */
  readonly isLegacyMig: boolean;
  /** All requested amounts; `gpu` is `gpus`, `pods` is 1. */
  readonly amounts: Amounts;
  /** Of the amounts, what the pod's overhead adds. */
  readonly overhead: Amounts;
}

interface GpuRecord {
  type: RequestType;
  count: number;
  portion: number;
  gpuMemory: number;
}

/** Devices and portions in hundredths: round(portion × 100) × count / 100. */
export function extent(portion: number, count: number): number {
  return (Math.round(portion * 100) * count) / 100;
}

export function isShared(request: Request): boolean {
  return request.type === 'fraction' || request.type === 'gpuMemory';
}

/** Needs any kind of GPU (spec 03 section 3.3). */
export function isGpuTask(request: Request): boolean {
  return amountOf(request.amounts, 'gpu') > 0 || request.type === 'gpuMemory' || request.type === 'mig';
}

/** GPUs of the request for queues; 0 for GPU memory, whose portion depends on the node. */
export function gpuQuota(request: Request): number {
  return amountOf(request.amounts, 'gpu') + migGpus(request.amounts);
}

function integerText(text: string | undefined): number | undefined {
  return text !== undefined && /^[+-]?\d+$/.test(text) ? Number(text) : undefined;
}

function floatText(text: string | undefined): number | undefined {
  return text !== undefined && /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : undefined;
}

/** Containers and sidecars summed; each init container maxed with the sidecars before it (spec 02 section 2.2). */
function containerAmounts(pod: Pod): Amounts {
  const main = readAmounts(sumLists((pod.spec.containers ?? []).map((c) => c.resources?.requests)));
  let side: Amounts = {};
  let peak: Amounts = {};
  for (const container of pod.spec.initContainers ?? []) {
    const own = readAmounts(sumLists([container.resources?.requests]));
    if (container.restartPolicy === 'Always') side = plus(side, own);
    else peak = largest(peak, plus(own, side));
  }
  return largest(plus(main, side), peak);
}

/** The annotations' part of the request: memory, then fraction, then the number of devices (spec 02 section 2.3). */
function sharedRecord(annotations: Readonly<Record<string, string>>): GpuRecord | null {
  const memory = integerText(annotations['gpu-memory']);
  const fraction = floatText(annotations['gpu-fraction']);
  const devices = integerText(annotations['gpu-fraction-num-devices']);
  const hasMemory = memory !== undefined && memory > 0;
  const hasFraction = fraction !== undefined && fraction > 0 && fraction <= 1;
  if (!hasMemory && !hasFraction) return null;
  const type = hasFraction ? 'fraction' : 'gpuMemory';
  if (devices !== undefined) return { type, count: devices, portion: hasFraction ? fraction : 0, gpuMemory: hasMemory ? memory : 0 };
  return hasFraction ? { type, count: 1, portion: fraction, gpuMemory: 0 } : { type, count: 1, portion: 0, gpuMemory: memory ?? 0 };
}

function withoutGpus(amounts: Amounts): Amounts {
  return Object.fromEntries(Object.entries(amounts).filter(([name]) => name !== 'gpu' && !name.startsWith(MIG_PREFIX)));
}

export function requestOf(pod: Pod): Request {
  const annotations = pod.metadata.annotations ?? {};
  const containers = containerAmounts(pod);
  const overhead = withoutGpus(readAmounts(sumLists([pod.spec.overhead])));
  const plain = plus(plus(withoutGpus(containers), overhead), { pods: 1 });
  const legacy = Object.keys(annotations)
    .filter((key) => key.startsWith(MIG_PREFIX) && integerText(annotations[key]) !== undefined)
    .sort()
    .at(-1);
  if (legacy !== undefined) {
    const amounts = { ...plain, [legacy]: Number(annotations[legacy]) };
    return { type: 'mig', count: 0, portion: 0, gpuMemory: 0, isLegacyMig: true, amounts, overhead };
  }
  const shared = sharedRecord(annotations);
  if (shared !== null) {
    const gpu = shared.gpuMemory > 0 && shared.type === 'gpuMemory' ? 0 : extent(shared.portion, shared.count);
    return { ...shared, isLegacyMig: false, amounts: { ...plain, gpu }, overhead };
  }
  const mig = Object.fromEntries(Object.entries(containers).filter(([name]) => name.startsWith(MIG_PREFIX)));
  const gpu = amountOf(containers, 'gpu');
  const type = Object.keys(mig).length > 0 ? 'mig' : 'regular';
  const devices = { count: gpu, portion: gpu > 0 ? 1 : 0, gpuMemory: 0 };
  return { type, ...devices, isLegacyMig: false, amounts: { ...plain, ...mig, gpu }, overhead };
}
