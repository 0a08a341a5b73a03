import type { SchedulerConfig } from '../base/config.ts';
import type { Queue } from '../base/objects.ts';
import type { SnapshotOptions } from '../base/snapshotView.ts';
import type { SnapshotWriter } from '../base/writerPort.ts';
import type { CycleResult, CycleRunner } from '../runner/cycleRunner.ts';
import { OPENB_NAMESPACE, type OpenbPod, type OpenbTrace, openbNodeObject, openbPodObjects } from '../snapshot/import/openb.ts';
import { PRIORITY_CLASSES } from './generatedCluster.ts';
import type { OpenbLife } from './openbFiles.ts';
import { createRandom, shuffle } from './random.ts';
import { Simulation } from './simulation.ts';
import { type Arrival, EPOCH_MS, timestamp, type Workload } from './workload.ts';

const QUEUE = 'openb';
/** Stream of the seed that queues are drawn from. */
const QUEUE_STREAM = 3;
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

/** The trace's cluster with its queues; jobs are submitted by the caller. */
function openbCluster(trace: OpenbTrace, queues: number, description: string): Omit<Workload, 'next' | 'nextAtMs'> {
  return {
    description: queues === 1 ? description : `${description}, ${queues} queues`,
    nodes: trace.nodes.map(openbNodeObject),
    objects: { queues: openbQueues(trace, queues), priorityClasses: PRIORITY_CLASSES },
  };
}

/** One queue without limits, or several with an equal quota of GPUs each and no limit. */
function openbQueues(trace: OpenbTrace, count: number): Queue[] {
  const open = { quota: -1, overQuotaWeight: 1, limit: -1 };
  const gpu = count === 1 ? open : { ...open, quota: Math.floor(totalGpuMilli(trace) / 1000 / count) };
  return Array.from({ length: count }, (_, i) => {
    const name = queueName(i, count);
    return {
      metadata: { name, uid: `queue-${name}`, creationTimestamp: timestamp(EPOCH_MS) },
      spec: { resources: { cpu: open, memory: open, gpu } },
    };
  });
}

function queueName(index: number, count: number): string {
  return count === 1 ? QUEUE : `${QUEUE}-${index + 1}`;
}

/** Draws a queue for each job: the first gets `count` parts of them, the next one less, the last one part. */
function drawQueues(count: number, seed: number): () => string {
  const random = createRandom(seed, QUEUE_STREAM);
  const parts = Array.from({ length: count }, (_, i) => count - i);
  return () => queueName(random.nextWeighted(parts), count);
}

function totalGpuMilli(trace: OpenbTrace): number {
  return trace.nodes.reduce((sum, n) => sum + n.gpuCount * 1000, 0);
}

/** The job of one pod of the trace; `index` makes names unique when a pod is drawn several times. */
function openbArrival(pod: OpenbPod, index: number, queue: string, atMs: number, runMs: number): Arrival {
  const objects = openbPodObjects(pod, `job-${String(index).padStart(6, '0')}`, atMs, queue);
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
  /** Queues that share the cluster; default 1, as in the protocol. */
  readonly queues?: number;
  readonly config: SchedulerConfig;
  readonly runner: CycleRunner;
  readonly writer: SnapshotWriter;
  /** As of `Simulation`. */
  readonly audit?: SnapshotOptions;
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
 * a pod that does not fit is dropped. Only allocate runs: nobody is moved or evicted for another.
 */
export async function runOpenb(options: OpenbRunOptions): Promise<OpenbRun> {
  const { trace, queues = 1 } = options;
  const capacityMilli = totalGpuMilli(trace);
  const order = submissionOrder(trace.pods, capacityMilli, options.arrivePercent, options.seed);
  const description = `openb, ${trace.nodes.length} nodes, ${capacityMilli / 1000} GPUs, ${order.length} pods, seed ${options.seed}`;
  const workload: Workload = { ...openbCluster(trace, queues, description), nextAtMs: () => Infinity, next: noArrival };
  const config = { ...options.config, actions: options.config.actions.filter((name) => name === 'allocate') };
  const simulation = new Simulation({ ...options, config, workload });
  await options.onStart?.(simulation);
  const reading = new Reading(capacityMilli, readingPoints(options.arrivePercent));
  const batchJobs = options.batchJobs ?? BATCH_JOBS;
  const nextQueue = drawQueues(queues, options.seed);
  for (let from = 0; from < order.length; from += batchJobs) {
    const batch = order.slice(from, from + batchJobs);
    const arrivals = batch.map((pod, i) => openbArrival(pod, from + i, nextQueue(), EPOCH_MS + (from + i) * ARRIVAL_GAP_MS, Infinity));
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

export interface FlowOptions {
  readonly trace: OpenbTrace;
  /** Of the pods of the trace, in their order. */
  readonly lives: readonly OpenbLife[];
  readonly queues: number;
  readonly seed: number;
}

/** A pod of the trace and its life; those without both times have none. */
interface Life {
  readonly pod: OpenbPod;
  readonly isBestEffort: boolean;
  readonly createdS: number;
  readonly livedS: number;
}

function livesOf({ trace, lives }: Pick<FlowOptions, 'trace' | 'lives'>): Life[] {
  return trace.pods.flatMap((pod, i) => {
    const { createdS = Number.NaN, deletedS = Number.NaN, isBestEffort = false } = lives[i] ?? {};
    return deletedS >= createdS ? [{ pod, isBestEffort, createdS, livedS: Math.max(1, deletedS - createdS) }] : [];
  });
}

/** The trace as it was recorded: pods arrive at their creation time and run for as long as they lived. */
export function replayWorkload(options: FlowOptions): Workload {
  const lives = livesOf(options).sort((a, b) => a.createdS - b.createdS);
  const firstS = lives[0]?.createdS ?? 0;
  return flowOf(options, lives, (i) => EPOCH_MS + (lives[i]!.createdS - firstS) * 1000, 'openb as recorded');
}

/**
 * Pods in the order of the benchmark's protocol, until their demand reaches `arrivePercent` of the capacity, spread evenly
 * over `overMs`; each runs for as long as it lived. That is how the trace's pods contend in less than its five months.
 */
export function flowWorkload(options: FlowOptions & { readonly arrivePercent: number; readonly overMs: number }): Workload {
  const { trace, arrivePercent, seed, overMs } = options;
  const lifeOf = new Map(livesOf(options).map((life) => [life.pod, life]));
  const order = submissionOrder([...lifeOf.keys()], totalGpuMilli(trace), arrivePercent, seed);
  const lives = order.map((pod) => lifeOf.get(pod)!);
  const gapMs = overMs / Math.max(1, lives.length);
  return flowOf(options, lives, (i) => EPOCH_MS + Math.floor(i * gapMs), `openb at ${arrivePercent} % demand, seed ${seed}`);
}

/** Best-effort pods are of class `train`, all others of `build-preemptible`. */
function flowOf({ trace, queues, seed }: FlowOptions, lives: readonly Life[], atMsOf: (index: number) => number, title: string): Workload {
  const nextQueue = drawQueues(queues, seed);
  let index = 0;
  const nextAtMs = (): number => (index < lives.length ? atMsOf(index) : Infinity);
  const next = (): Arrival => {
    const life = lives[index];
    if (life === undefined) return noArrival();
    const arrival = openbArrival(life.pod, index, nextQueue(), atMsOf(index), life.livedS * 1000);
    index++;
    const { podGroup } = arrival;
    const priorityClassName = life.isBestEffort ? 'train' : 'build-preemptible';
    return { ...arrival, podGroup: { ...podGroup, spec: { ...podGroup.spec, priorityClassName } } };
  };
  const gpus = totalGpuMilli(trace) / 1000;
  const description = `${title}, ${trace.nodes.length} nodes, ${gpus} GPUs, ${lives.length} pods`;
  return { ...openbCluster(trace, queues, description), nextAtMs, next };
}
