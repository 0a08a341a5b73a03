import type { Pod, PodGroup } from '../base/objects.ts';
import type { GpuDemand } from './fragmentation.ts';
import { timestamp } from './workload.ts';

/** What one job looks like, before it has a name, a queue and a time. */
export interface JobShape {
  /** Prefix of the job's name. */
  readonly kind: string;
  readonly pods: number;
  /** Pods that must run together; fewer than `pods` makes the job elastic. */
  readonly minMember: number;
  readonly milliCpu: number;
  readonly memoryMib: number;
  /** Whole devices per pod; 0 with a fraction or a memory request, and for CPU-only jobs. */
  readonly gpus: number;
  /** Share of one device in percent; 0 = none. */
  readonly gpuPercent: number;
  /** Memory on one device; 0 = none. */
  readonly gpuMemoryMib: number;
  readonly priorityClass: string;
}

export interface JobIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly queue: string;
  readonly createdMs: number;
}

/** Kubernetes objects of a job: its pod group and its pods, `<name>-0`, `<name>-1`, … */
export function jobObjects(shape: JobShape, id: JobIdentity): { podGroup: PodGroup; pods: Pod[]; demand: GpuDemand } {
  const creationTimestamp = timestamp(id.createdMs);
  const requests: Record<string, string> = { cpu: `${shape.milliCpu}m`, memory: `${shape.memoryMib}Mi` };
  if (shape.gpus > 0) requests['nvidia.com/gpu'] = String(shape.gpus);
  const annotations: Record<string, string> = { 'pod-group-name': id.name };
  if (shape.gpuPercent > 0) annotations['gpu-fraction'] = (shape.gpuPercent / 100).toFixed(2);
  if (shape.gpuMemoryMib > 0) annotations['gpu-memory'] = String(shape.gpuMemoryMib);
  const labels = { 'kai.scheduler/queue': id.queue };
  // One spec for all pods of the job: objects are never changed in place.
  const spec: Pod['spec'] = {
    schedulerName: 'kai-scheduler',
    priorityClassName: shape.priorityClass,
    containers: [{ name: 'main', resources: { requests } }],
  };
  const podGroup: PodGroup = {
    metadata: { namespace: id.namespace, name: id.name, uid: `group-${id.namespace}-${id.name}`, creationTimestamp, labels },
    spec: { queue: id.queue, minMember: shape.minMember, priorityClassName: shape.priorityClass },
  };
  const pods = Array.from({ length: shape.pods }, (_, i): Pod => {
    const name = `${id.name}-${i}`;
    const metadata = { namespace: id.namespace, name, uid: `pod-${id.namespace}-${name}`, creationTimestamp, labels, annotations };
    return { metadata, spec, status: { phase: 'Pending' } };
  });
  return { podGroup, pods, demand: demandOf(shape) };
}

function demandOf(shape: JobShape): GpuDemand {
  const isShared = shape.gpuPercent > 0 || shape.gpuMemoryMib > 0;
  return {
    milliCpu: shape.milliCpu,
    memoryBytes: shape.memoryMib * 1048576,
    gpuCount: isShared ? 1 : shape.gpus,
    gpuMilliEach: isShared ? shape.gpuPercent * 10 : 1000,
    gpuMemoryMib: shape.gpuMemoryMib,
  };
}
