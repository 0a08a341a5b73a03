import { RequestType } from '../../base/codes.ts';
import type { ContainersJson } from '../../base/jsonColumns.ts';
import type { Container, Pod, ResourceList } from '../../base/objects.ts';
import type { ShapeRecord } from '../tables/recordTable.ts';
import { canonicalJson } from './canonicalJson.ts';
import { type GpuRequest, readGpuRequest } from './gpuRequest.ts';
import { toInt32 } from './numbers.ts';
import type { Report } from './report.ts';
import { type Amounts, amountsJson, ExactAmounts, MIG_PREFIX, raiseTo, readPlain, readResources, toAmounts, unitOf } from './resources.ts';

/** Request shape of a pod: spec 02 sections 2.2, 2.3 and 2.10; 03 sections 3.1 to 3.3. */
export function projectShape(pod: Pod, annotations: Readonly<Record<string, string>>, report: Report): ShapeRecord {
  const { spec } = pod;
  const total = podTotal(spec.containers ?? [], spec.initContainers ?? [], report);
  const overhead = readOverhead(spec.overhead, report);
  const gpu = readGpuRequest(total, annotations, report);
  if (gpu.mig !== 'containers') dropMig(total);
  if (gpu.mig !== 'containers' && gpu.mig !== 'none') addLegacyMig(total, gpu.mig);
  const isGuaranteed = pod.status?.qosClass === 'Guaranteed';
  addOverhead(total, overhead);
  return {
    milliCpu: total.milliCpu,
    memoryBytes: total.memoryBytes,
    gpuCount: toInt32(gpu.count),
    gpuPortion: gpu.portion,
    gpuMemoryMib: gpu.memoryMib,
    typeCode: gpu.type,
    isLegacyMig: gpu.isLegacyMig ? 1 : 0,
    isGuaranteed: isGuaranteed ? 1 : 0,
    scalarsJson: amountsJson(total.others),
    overheadJson: overheadJson(overhead),
    containersJson: containersJson(pod, isGuaranteed, report),
  };
}

/** The shape of a pod whose requests do not count: finished pods. */
export const EMPTY_SHAPE: ShapeRecord = Object.freeze({
  milliCpu: 0,
  memoryBytes: 0,
  gpuCount: 0,
  gpuPortion: 0,
  gpuMemoryMib: 0,
  typeCode: RequestType.regular,
  isLegacyMig: 0,
  isGuaranteed: 0,
  scalarsJson: null,
  overheadJson: null,
  containersJson: null,
});

/** Key that is equal for equal shapes only. */
export function shapeKey(s: ShapeRecord): string {
  const numbers = `${s.milliCpu} ${s.memoryBytes} ${s.gpuCount} ${s.gpuPortion} ${s.gpuMemoryMib} ${s.typeCode}${s.isLegacyMig}${s.isGuaranteed}`;
  if (s.scalarsJson === null && s.overheadJson === null && s.containersJson === null) return numbers;
  return `${numbers} ${s.scalarsJson ?? ''} ${s.overheadJson ?? ''} ${s.containersJson ?? ''}`;
}

/** Containers beside all sidecars, or the largest moment of the start-up; without overhead (02 section 2.2). */
function podTotal(containers: readonly Container[], init: readonly Container[], report: Report): Amounts {
  const running = new ExactAmounts();
  for (let i = 0; i < containers.length; i++) running.addAll(readRequests(containers[i]!, `spec.containers[${i}]`, report));
  if (init.length === 0) return toAmounts(running);
  const sidecars = new ExactAmounts();
  const peaks: Amounts[] = [];
  for (let i = 0; i < init.length; i++) {
    const own = readRequests(init[i]!, `spec.initContainers[${i}]`, report);
    if (isSidecar(init[i]!)) sidecars.addAll(own);
    else {
      own.addAll(sidecars);
      peaks.push(toAmounts(own));
    }
  }
  running.addAll(sidecars);
  const total = toAmounts(running);
  for (const peak of peaks) raiseTo(total, peak);
  return total;
}

function readRequests(container: Container, path: string, report: Report): ExactAmounts {
  return readResources(container.resources?.requests, `${path}.resources.requests`, report);
}

function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

/** Overhead in table units; GPUs and MIG profiles in it do not count. */
function readOverhead(list: ResourceList | null | undefined, report: Report): Amounts | null {
  if (list === null || list === undefined) return null;
  const overhead = toAmounts(readResources(list, 'spec.overhead', report));
  overhead.gpus = 0;
  dropMig(overhead);
  return overhead;
}

function addOverhead(total: Amounts, overhead: Amounts | null): void {
  if (overhead === null) return;
  total.milliCpu += overhead.milliCpu;
  total.memoryBytes += overhead.memoryBytes;
  if (overhead.others === null) return;
  total.others ??= new Map();
  for (const [name, amount] of overhead.others) total.others.set(name, (total.others.get(name) ?? 0) + amount);
}

function overheadJson(overhead: Amounts | null): string | null {
  if (overhead === null) return null;
  const amounts = new Map(overhead.others);
  if (overhead.milliCpu > 0) amounts.set('cpu', overhead.milliCpu);
  if (overhead.memoryBytes > 0) amounts.set('memory', overhead.memoryBytes);
  return amountsJson(amounts);
}

function dropMig(amounts: Amounts): void {
  for (const name of amounts.others?.keys() ?? []) if (name.startsWith(MIG_PREFIX)) amounts.others?.delete(name);
}

function addLegacyMig(total: Amounts, mig: Exclude<GpuRequest['mig'], string>): void {
  if (mig.amount <= 0) return;
  total.others ??= new Map();
  total.others.set(mig.profile, mig.amount);
}

/** Requests container by container, only where NUMA or extended resources can need them (03 sections 11A.2 and 11.9). */
function containersJson(pod: Pod, isGuaranteed: boolean, report: Report): string | null {
  const { spec } = pod;
  const containers = spec.containers ?? [];
  const init = spec.initContainers ?? [];
  const podLevel = spec.resources?.requests;
  if (podLevel !== null && podLevel !== undefined) readResources(podLevel, 'spec.resources.requests', report);
  if (!isGuaranteed && !containers.some(asksDevices) && !init.some(asksDevices) && !hasDevices(podLevel)) return null;
  return canonicalJson({
    containers: containers.map((c) => readPlain(c.resources?.requests ?? {})),
    init:
      init.length === 0
        ? undefined
        : init.map((c) => ({ isSidecar: isSidecar(c) ? true : undefined, requests: readPlain(c.resources?.requests ?? {}) })),
    overhead: spec.overhead === null || spec.overhead === undefined ? undefined : readPlain(spec.overhead),
    pod: podLevel === null || podLevel === undefined ? undefined : readPlain(podLevel),
  } satisfies { [K in keyof Required<ContainersJson>]: unknown });
}

function asksDevices(container: Container): boolean {
  return hasDevices(container.resources?.requests);
}

/** GPUs, MIG profiles, extended resources, huge pages: anything besides CPU, memory and plain storage. */
function hasDevices(list: ResourceList | null | undefined): boolean {
  for (const name in list) {
    if (name === 'cpu' || name === 'memory') continue;
    const unit = unitOf(name);
    if (unit === 'gpu' || unit === 'milli' || name.startsWith(MIG_PREFIX)) return true;
  }
  return false;
}
