import type { SchedulerConfig } from '../base/config.ts';
import type { Queue } from '../base/objects.ts';
import type { SnapshotWriter } from '../base/writerPort.ts';
import type { CycleResult, CycleRunner } from '../runner/cycleRunner.ts';
import { OPENB_NAMESPACE, type OpenbPod, type OpenbTrace, openbNodeObject, openbPodObjects } from '../snapshot/import/openb.ts';
import { PRIORITY_CLASSES } from './generatedCluster.ts';
import type { OpenbTimes } from './openbFiles.ts';
import { createRandom, shuffle } from './random.ts';
import { Simulation } from './simulation.ts';
import { type Arrival, EPOCH_MS, timestamp, type Workload } from './workload.ts';

const QUEUE = 'openb';
/** Jobs submitted at once; allocate takes them one by one in order of creation, as if each had a cycle of its own. */
const BATCH_JOBS = 256;
const ARRIVAL_GAP_MS = 1000;

/** Demand of a pod in thousandths of a GPU. */
function demandMilli(pod: OpenbPod): number {
  return pod.gpuCount === 1 ? pod.gpuMilli : pod.gpuCount * 1000;
}

/** Arrived percentages at which the allocated share is read. */
export function readingPoints(arrivePercent: number): number[] {
  return [...[90, 100, 110, 120, 130].filter((p) => p < arrivePercent), arrivePercent];
}

/**
 * The order of submission: all pods shuffled by the seed; then pods drawn with replacement until the GPU demand reaches
 * `arrivePercent` of the capacity; cut where it is reached.
 */
export function submissionOrder(pods: readonly OpenbPod[], capacityMilli: number, arrivePercent: number, seed: number): OpenbPod[] {
  const random = createRandom(seed);
  const order = [...pods];
  shuffle(order, random);
  const goalMilli = (capacityMilli * arrivePercent) / 100;
  const hasDemand = pods.some((p) => demandMilli(p) > 0);
  const submitted: OpenbPod[] = [];
  for (let arrivedMilli = 0; arrivedMilli < goalMilli && (submitted.length < order.length || hasDemand); ) {
    const pod = order[submitted.length] ?? (pods[random.nextInt(pods.length)] as OpenbPod);
    submitted.push(pod);
    arrivedMilli += demandMilli(pod);
  }
  return submitted;
}

/** The trace's cluster and its one queue without limits; jobs are submitted by the caller. */
function openbCluster(trace: OpenbTrace, description: string): Omit<Workload, 'next' | 'nextAtMs'> {
  return {
    description,
    nodes: trace.nodes.map(openbNodeObject),
    objects: { queues: [UNLIMITED_QUEUE], priorityClasses: PRIORITY_CLASSES },
  };
}

const UNLIMITED = Object.freeze({ quota: -1, overQuotaWeight: 1, limit: -1 });
const UNLIMITED_QUEUE: Queue = Object.freeze({
  metadata: { name: QUEUE, uid: `queue-${QUEUE}`, creationTimestamp: timestamp(EPOCH_MS) },
  spec: { resources: { cpu: UNLIMITED, memory: UNLIMITED, gpu: UNLIMITED } },
});

function totalGpuMilli(trace: OpenbTrace): number {
  return trace.nodes.reduce((sum, n) => sum + n.gpuCount * 1000, 0);
}

/** The job of one pod of the trace; `index` makes names unique when a pod is drawn several times. */
function openbArrival(pod: OpenbPod, index: number, atMs: number, runMs: number): Arrival {
  const objects = openbPodObjects(pod, `job-${String(index).padStart(6, '0')}`, atMs, QUEUE);
  const demand = {
    milliCpu: pod.milliCpu,
    memoryBytes: pod.memoryMib * 1048576,
    gpuCount: pod.gpuCount,
    gpuMilliEach: pod.gpuCount === 1 ? pod.gpuMilli : 1000,
    gpuMemoryMib: 0,
  };
  return { atMs, runMs, podGroup: objects.podGroup, pods: [objects.pod], demand };
}

export interface OpenbRunOptions {
  readonly trace: OpenbTrace;
  readonly arrivePercent: number;
  readonly seed: number;
  readonly config: SchedulerConfig;
  readonly runner: CycleRunner;
  readonly writer: SnapshotWriter;
  /** Jobs per cycle, default 256; 1 is the protocol word for word. */
  readonly batchJobs?: number;
  readonly onCycle?: (result: CycleResult, waitedMs: readonly number[]) => void;
  /** Called with the simulation before anything is submitted. */
  readonly onStart?: (simulation: Simulation) => Promise<void> | void;
  /** Called after each batch with the arrived share of the capacity; false = stop. */
  readonly onBatch?: (arrivedShare: number) => boolean;
}

export interface OpenbRun {
  readonly simulation: Simulation;
  /** Allocated ÷ total GPU-milli when each reading point was reached; those not reached are missing at the end. */
  readonly allocatedShares: readonly number[];
  readonly submitted: number;
}

/**
 * One run under the benchmark's protocol: pods one at a time in the seed's order, each a job of its own; nothing departs;
 * a pod that does not fit is dropped.
 */
export async function runOpenb(options: OpenbRunOptions): Promise<OpenbRun> {
  const { trace } = options;
  const capacityMilli = totalGpuMilli(trace);
  const order = submissionOrder(trace.pods, capacityMilli, options.arrivePercent, options.seed);
  const description = `openb, ${trace.nodes.length} nodes, ${capacityMilli / 1000} GPUs, ${order.length} pods, seed ${options.seed}`;
  const workload: Workload = { ...openbCluster(trace, description), nextAtMs: () => Infinity, next: noArrival };
  const simulation = new Simulation({ ...options, workload });
  await options.onStart?.(simulation);
  const reading = new Reading(capacityMilli, readingPoints(options.arrivePercent));
  const batchJobs = options.batchJobs ?? BATCH_JOBS;
  for (let from = 0; from < order.length; from += batchJobs) {
    const batch = order.slice(from, from + batchJobs);
    const arrivals = batch.map((pod, i) => openbArrival(pod, from + i, EPOCH_MS + (from + i) * ARRIVAL_GAP_MS, Infinity));
    simulation.advance(EPOCH_MS + (from + batch.length - 1) * ARRIVAL_GAP_MS);
    for (const arrival of arrivals) simulation.submit(arrival);
    const bound = new Set((await simulation.cycle()).filter((d) => d.kind === 'bind').map((d) => d.podGroup));
    batch.forEach((pod, i) => {
      const key = `${OPENB_NAMESPACE}/${arrivals[i]?.podGroup.metadata.name ?? ''}`;
      if (!bound.has(key)) simulation.drop(key);
      reading.add(demandMilli(pod), bound.has(key));
    });
    if (options.onBatch?.(reading.arrivedShare()) === false) break;
  }
  return { simulation, allocatedShares: reading.shares, submitted: order.length };
}

function noArrival(): never {
  throw new Error('a trace run submits its jobs itself');
}

/** Sums of what arrived and what was placed, in order of submission. */
class Reading {
  readonly shares: number[] = [];
  readonly #capacityMilli: number;
  readonly #points: readonly number[];
  #arrivedMilli = 0;
  #allocatedMilli = 0;

  constructor(capacityMilli: number, points: readonly number[]) {
    this.#capacityMilli = capacityMilli;
    this.#points = points;
  }

  add(milli: number, isBound: boolean): void {
    this.#arrivedMilli += milli;
    if (isBound) this.#allocatedMilli += milli;
    for (let p = this.#points[this.shares.length]; p !== undefined; p = this.#points[this.shares.length]) {
      if (this.#arrivedMilli * 100 < this.#capacityMilli * p) return;
      this.shares.push(this.#allocatedMilli / this.#capacityMilli);
    }
  }

  arrivedShare(): number {
    return this.#arrivedMilli / this.#capacityMilli;
  }
}

/**
 * The trace as it was recorded: pods arrive at their creation time and run for as long as they lived. Pods without both
 * times are left out. `times`: of the pods of the trace, in their order.
 */
export function replayWorkload(trace: OpenbTrace, times: readonly OpenbTimes[]): Workload {
  const lives = trace.pods
    .map((pod, i) => ({ pod, createdS: times[i]?.createdS ?? Number.NaN, deletedS: times[i]?.deletedS ?? Number.NaN }))
    .filter((life) => life.deletedS >= life.createdS)
    .sort((a, b) => a.createdS - b.createdS);
  const firstS = lives[0]?.createdS ?? 0;
  let index = 0;
  const atMs = (): number => {
    const life = lives[index];
    return life === undefined ? Infinity : EPOCH_MS + (life.createdS - firstS) * 1000;
  };
  const next = (): Arrival => {
    const life = lives[index];
    if (life === undefined) return noArrival();
    const arrival = openbArrival(life.pod, index, atMs(), Math.max(1, life.deletedS - life.createdS) * 1000);
    index++;
    return arrival;
  };
  const gpus = totalGpuMilli(trace) / 1000;
  const description = `openb as recorded, ${trace.nodes.length} nodes, ${gpus} GPUs, ${lives.length} pods`;
  return { ...openbCluster(trace, description), nextAtMs: atMs, next };
}
