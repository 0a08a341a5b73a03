import { generateNodes, generateQueues, PRIORITY_CLASSES, TEAMS, totalGpus } from './generatedCluster.ts';
import { type JobShape, jobObjects } from './jobShapes.ts';
import { createRandom, type Random } from './random.ts';
import { type Arrival, EPOCH_MS, type Workload } from './workload.ts';

const RUN_MEDIAN_MS = 20 * 60_000;
const RUN_SIGMA = 1;
const RUN_MEAN_MS = RUN_MEDIAN_MS * Math.exp(RUN_SIGMA ** 2 / 2);
/** Mean GPU demand of the arriving jobs as a part of the cluster: a little more than it has, so that queues compete. */
const LOAD = 1.1;
/** GPU demand of the jobs that are there at the beginning, as a part of the cluster: some have to wait from the start. */
const BACKLOG = 1.15;
const MILLI_CPU_PER_GPU = 8000;
const MEMORY_MIB_PER_GPU = 65536;

interface ShapeChoice {
  readonly weight: number;
  readonly pods: number;
  readonly minMember: number;
  readonly gpus: number;
}

const GANGS: readonly ShapeChoice[] = Object.freeze([
  { weight: 30, pods: 2, minMember: 2, gpus: 1 },
  { weight: 25, pods: 4, minMember: 4, gpus: 2 },
  { weight: 20, pods: 2, minMember: 2, gpus: 8 },
  { weight: 15, pods: 8, minMember: 8, gpus: 4 },
  { weight: 10, pods: 8, minMember: 8, gpus: 8 },
]);
const ELASTIC: readonly ShapeChoice[] = Object.freeze([
  { weight: 50, pods: 4, minMember: 1, gpus: 1 },
  { weight: 30, pods: 8, minMember: 2, gpus: 1 },
  { weight: 20, pods: 6, minMember: 2, gpus: 2 },
]);
const FRACTION_PERCENTS: readonly number[] = Object.freeze([20, 25, 50, 50, 75]);
const GPU_MEMORIES_MIB: readonly number[] = Object.freeze([6000, 10000, 16000, 24000]);

/** Kinds of jobs with the part of all jobs that each makes. */
const KIND_WEIGHTS: Readonly<Record<string, number>> = Object.freeze({
  single: 34,
  gang: 14,
  fraction: 16,
  memory: 8,
  elastic: 10,
  cpu: 18,
});
const KINDS: readonly string[] = Object.freeze(Object.keys(KIND_WEIGHTS));
const WEIGHTS: readonly number[] = Object.freeze(Object.values(KIND_WEIGHTS));

export interface GeneratedOptions {
  readonly nodes: number;
  readonly seed: number;
}

/**
 * A cluster and an endless stream of jobs: a backlog at the beginning, then a Poisson process whose GPU demand is 1.1
 * times what the cluster has; run times are log-normal with a median of 20 minutes.
 */
export function generateWorkload(options: GeneratedOptions): Workload {
  const nodes = generateNodes(options.nodes, createRandom(options.seed, 1));
  const random = createRandom(options.seed, 2);
  const gpus = totalGpus(nodes);
  // A gang larger than a quarter of the cluster would block a small one for ever.
  const gangs = fitting(GANGS, gpus);
  const elastic = fitting(ELASTIC, gpus);
  const meanGapMs = (meanGpusPerJob(gangs, elastic) * RUN_MEAN_MS) / (LOAD * gpus);
  let index = 0;
  let backlogGpus = BACKLOG * gpus;
  let nextAtMs = EPOCH_MS;
  let exactMs = EPOCH_MS;

  const next = (): Arrival => {
    const atMs = nextAtMs;
    const isBacklog = backlogGpus > 0;
    const shape = drawShape(random, gangs, elastic);
    const team = TEAMS[random.nextWeighted(TEAMS.map((t) => t.demand))]?.queue ?? '';
    const id = { namespace: team, name: `${shape.kind}-${String(index++).padStart(6, '0')}`, queue: team, createdMs: atMs };
    const runMs = Math.max(1000, Math.round(isBacklog ? drawRemainder(random) : random.nextLogNormal(RUN_MEDIAN_MS, RUN_SIGMA)));
    if (isBacklog) backlogGpus -= shape.pods * (shape.gpus + shape.gpuPercent / 100) + (shape.gpuMemoryMib > 0 ? 0.2 : 0);
    if (backlogGpus <= 0) {
      exactMs += random.nextExponential(meanGapMs);
      nextAtMs = Math.ceil(exactMs / 1000) * 1000;
    }
    return { atMs, runMs, ...jobObjects(shape, id) };
  };
  return {
    description: `${options.nodes} ${options.nodes === 1 ? 'node' : 'nodes'}, ${gpus} GPUs, generated jobs, seed ${options.seed}`,
    nodes,
    objects: { queues: generateQueues(gpus), priorityClasses: PRIORITY_CLASSES },
    nextAtMs: () => nextAtMs,
    next,
  };
}

/**
 * What is left of a job that is met while it runs: long jobs are met more often (their run times are log-normal with the
 * median times e^(sigma²)), each at any point of its life. So the cluster begins in its steady state.
 */
function drawRemainder(random: Random): number {
  return random.nextLogNormal(RUN_MEDIAN_MS * Math.exp(RUN_SIGMA ** 2), RUN_SIGMA) * random.nextFloat();
}

function fitting(choices: readonly ShapeChoice[], gpus: number): readonly ShapeChoice[] {
  const small = choices.filter((c) => c.pods * c.gpus <= gpus / 4);
  return small.length > 0 ? small : choices.slice(0, 1);
}

function meanGpusPerJob(gangs: readonly ShapeChoice[], elastic: readonly ShapeChoice[]): number {
  const of = (choices: readonly ShapeChoice[]): number =>
    choices.reduce((sum, c) => sum + c.weight * c.pods * c.gpus, 0) / choices.reduce((sum, c) => sum + c.weight, 0);
  const fraction = FRACTION_PERCENTS.reduce((sum, p) => sum + p / 100, 0) / FRACTION_PERCENTS.length;
  const means: Readonly<Record<string, number>> = { single: 1, gang: of(gangs), fraction, memory: 0.2, elastic: of(elastic), cpu: 0 };
  const total = WEIGHTS.reduce((sum, w) => sum + w, 0);
  return KINDS.reduce((sum, kind, i) => sum + (means[kind] ?? 0) * (WEIGHTS[i] ?? 0), 0) / total;
}

function drawShape(random: Random, gangs: readonly ShapeChoice[], elastic: readonly ShapeChoice[]): JobShape {
  const kind = KINDS[random.nextWeighted(WEIGHTS)] ?? '';
  const one = {
    kind,
    pods: 1,
    minMember: 1,
    milliCpu: MILLI_CPU_PER_GPU,
    memoryMib: MEMORY_MIB_PER_GPU,
    gpus: 0,
    gpuPercent: 0,
    gpuMemoryMib: 0,
  };
  const priorityClass = drawPriority(random, kind);
  if (kind === 'gang' || kind === 'elastic') {
    const choices = kind === 'gang' ? gangs : elastic;
    const { pods, minMember, gpus } = choices[random.nextWeighted(choices.map((c) => c.weight))] as ShapeChoice;
    return { ...one, pods, minMember, gpus, milliCpu: gpus * MILLI_CPU_PER_GPU, memoryMib: gpus * MEMORY_MIB_PER_GPU, priorityClass };
  }
  if (kind === 'single') return { ...one, gpus: 1, priorityClass };
  if (kind === 'cpu') return { ...one, milliCpu: 1000 * (1 + random.nextInt(8)), memoryMib: 4096 * (1 + random.nextInt(4)), priorityClass };
  const small = { ...one, milliCpu: 2000, memoryMib: 8192, priorityClass };
  if (kind === 'fraction') return { ...small, gpuPercent: FRACTION_PERCENTS[random.nextInt(FRACTION_PERCENTS.length)] ?? 50 };
  return { ...small, gpuMemoryMib: GPU_MEMORIES_MIB[random.nextInt(GPU_MEMORIES_MIB.length)] ?? 10000 };
}

/** Small shared jobs are often inference, the rest mostly training; one in ten is interactive or a build. */
function drawPriority(random: Random, kind: string): string {
  const isShared = kind === 'fraction' || kind === 'memory';
  return ['train', 'build-preemptible', 'build', 'inference'][random.nextWeighted([85, 5, 5, isShared ? 60 : 0])] ?? 'train';
}
