import { acceptedGpuMilli, requestOf } from './occupy.ts';
import type { Session } from './session.ts';

/** Total GPUs of a pending task in thousandths: whole, shared, MIG, claims (spec 02 sections 2.6, 2.10). */
export function demandGpuMilli(s: Session, podRow: number, divisorMib: number, round: boolean): number {
  const r = requestOf(s, podRow);
  const fixed = r.migGpus * 1000 + s.dra.gpuCountOf(podRow) * 1000;
  if (r.gpuMemoryMib === 0) return r.gpuHundredths * 10 + fixed;
  if (Number.isNaN(divisorMib)) return fixed;
  const milli = (1000 * r.deviceCount * r.gpuMemoryMib) / divisorMib;
  return fixed + (round ? Math.round(milli) : milli);
}

/** Adds a task to the demand of its queue and all ancestors: accepted amounts on a node, the request while pending (−1). */
export function demandOfQueue(s: Session, podRow: number, job: number, node: number): void {
  const r = requestOf(s, podRow);
  const gpuMilli = node >= 0 ? acceptedGpuMilli(s, podRow, r, node) : demandGpuMilli(s, podRow, s.minGpuMib, true);
  const { request, parent } = s.queues;
  for (let q = s.jobs.queue[job]!; q >= 0; q = parent[q]!) {
    request[3 * q] = request[3 * q]! + r.milliCpu;
    request[3 * q + 1] = request[3 * q + 1]! + r.memoryBytes;
    request[3 * q + 2] = request[3 * q + 2]! + gpuMilli;
  }
}
