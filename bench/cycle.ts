// One shape at one size: builds the objects and the snapshot once, then times cycles on the ready snapshot.
import type { SchedulerConfig } from '../src/base/config.ts';
import type { CycleCounts, SearchCounts } from '../src/base/decisions.ts';
import { LIST_NAMES, type Pod, type PodGroup } from '../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotView } from '../src/base/snapshotView.ts';
import type { SnapshotWriter } from '../src/base/writerPort.ts';
import { loadConfig } from '../src/config/loadConfig.ts';
import { stateBytes } from '../src/engine/cycle.ts';
import { type CycleResult, type CycleRunner, createCycleRunner } from '../src/runner/cycleRunner.ts';
import { createSnapshotWriter } from '../src/snapshot/writer.ts';
import { median } from './median.ts';
import { cycleTimeMs, residentSuccessor, type Shape } from './shapes.ts';

export interface CycleOptions {
  readonly shape: Shape;
  readonly nodes: number;
  readonly jobs: number;
  readonly workers: number | 'auto';
}

/** One line of the benchmark's output. Times in milliseconds of wall time. */
export interface CycleFigures {
  readonly shape: string;
  readonly nodes: number;
  readonly jobs: number;
  readonly pods: number;
  readonly workers: number;
  readonly runs: number;
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** Milliseconds by phase of the last cycle. */
  readonly phaseMs: Readonly<Record<string, number>>;
  readonly counts: CycleCounts & SearchCounts;
  readonly result: { readonly bound: number; readonly pipelined: number; readonly evicted: number; readonly nsPerBoundPod: number };
  /** Resident memory of the process in 10^6 bytes. */
  readonly rssMb: number;
  /** Objects to sealed snapshot, once. */
  readonly sealMs: number;
  /** Edits and sealing before each cycle, where the shape changes; else 0. */
  readonly changeMs: number;
  /** `bytesPerPod` is everything (nodes, jobs, texts, spare capacity) divided by the pods; the others are one row's columns. */
  readonly snapshot: { readonly bytes: number; readonly bytesPerPod: number; readonly nodeRowBytes: number; readonly podRowBytes: number };
  readonly stateBytes: number;
}

/** Cycles that are not counted, as the first ones are compiled while they run: so many, and at least for this time. */
const WARM_UP_RUNS = 3;
const WARM_UP_MS = 300;

function keyOf(object: { readonly metadata: { readonly name: string; readonly namespace?: string } }): string {
  return `${object.metadata.namespace}/${object.metadata.name}`;
}

interface JobObjects {
  readonly group: PodGroup;
  readonly pods: readonly Pod[];
}

function putJob(writer: SnapshotWriter, job: JobObjects): void {
  writer.put('podGroups', job.group);
  for (const pod of job.pods) writer.put('pods', pod);
}

function removeJob(writer: SnapshotWriter, job: JobObjects): void {
  writer.remove('podGroups', keyOf(job.group));
  for (const pod of job.pods) writer.remove('pods', keyOf(pod));
}

/** Bytes of one row of a table: what a further row costs, texts aside. */
function rowBytes(table: object): number {
  let bytes = 0;
  for (const column of Object.values(table)) if (ArrayBuffer.isView(column)) bytes += (column as Uint8Array).BYTES_PER_ELEMENT;
  return bytes;
}

/** A shape ready to be measured. Close it: it holds threads. */
export class CycleCase {
  readonly options: CycleOptions;
  readonly times: number[] = [];
  readonly #changeTimes: number[] = [];
  readonly #writer: SnapshotWriter;
  readonly #runner: CycleRunner;
  readonly #config: SchedulerConfig;
  readonly #nowMs: number;
  readonly #sealMs: number;
  readonly #pods: number;
  readonly #leaving: readonly JobObjects[];
  readonly #coming: readonly JobObjects[];
  #view: SnapshotView;
  #spare: SnapshotView | undefined;
  #last: CycleResult | undefined;

  constructor(options: CycleOptions) {
    const { shape, nodes, jobs, workers } = options;
    this.options = options;
    const objects = shape.build(nodes, jobs);
    const changed = Math.ceil(jobs * shape.changedShare);
    const podsOf = Map.groupBy(changed === 0 ? [] : objects.pods, (pod) => pod.metadata.annotations?.['pod-group-name'] ?? '');
    const every = Math.max(1, Math.floor(jobs / Math.max(1, changed)));
    this.#leaving = objects.podGroups
      .filter((_, i) => i % every === 0)
      .slice(0, changed)
      .map((group) => ({ group, pods: podsOf.get(group.metadata.name) ?? [] }));
    this.#coming = Array.from({ length: changed }, (_, i) => residentSuccessor(jobs + i));
    this.#pods = objects.pods.length;
    this.#nowMs = cycleTimeMs(jobs + changed);
    this.#config = loadConfig({ actions: shape.actions, ...(shape.flags === undefined ? {} : { flags: shape.flags }) }).config;
    this.#runner = createCycleRunner({ workers });
    const startMs = performance.now();
    this.#writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
    for (const list of LIST_NAMES) {
      for (const object of objects[list]) {
        const problems = this.#writer.put(list, object);
        if (problems.length > 0) throw new Error(`shape ${shape.name} is not accepted: ${JSON.stringify(problems[0])}`);
      }
    }
    this.#view = this.#writer.seal();
    this.#sealMs = performance.now() - startMs;
  }

  /** Runs the warm-up cycles. */
  async warmUp(): Promise<void> {
    const startMs = performance.now();
    for (let run = 0; run < WARM_UP_RUNS || performance.now() - startMs < WARM_UP_MS; run++) await this.#cycle();
  }

  /** One timed cycle; returns and keeps its time. */
  async run(): Promise<number> {
    const { cycleMs, changeMs } = await this.#cycle();
    this.times.push(cycleMs);
    this.#changeTimes.push(changeMs);
    return cycleMs;
  }

  /** Jobs leave and come before the cycle and are put back after it, so that every cycle has the same work. */
  async #cycle(): Promise<{ cycleMs: number; changeMs: number }> {
    const startMs = performance.now();
    if (this.#leaving.length > 0) this.#exchange(this.#leaving, this.#coming);
    const changeMs = performance.now() - startMs;
    const result = await this.#runner.run(this.#view, this.#config, this.#nowMs);
    this.#last = result;
    if (this.#leaving.length > 0) this.#exchange(this.#coming, this.#leaving);
    return { cycleMs: result.cycleMs, changeMs };
  }

  #exchange(out: readonly JobObjects[], into: readonly JobObjects[]): void {
    for (const job of out) removeJob(this.#writer, job);
    for (const job of into) putJob(this.#writer, job);
    const before = this.#view;
    this.#view = this.#writer.seal(this.#spare);
    this.#spare = before;
  }

  /** Victim searches of the last cycle that were offered to search workers. */
  get sharedSearches(): number {
    return this.#last?.sharedSearches ?? 0;
  }

  figures(): CycleFigures {
    if (this.#last === undefined || this.times.length === 0) throw new Error('no cycle was run');
    const { report } = this.#last;
    const { bound, pipelined, evicted } = report.counts;
    const { shape, nodes, jobs } = this.options;
    const medianMs = median(this.times);
    return {
      shape: shape.name,
      nodes,
      jobs,
      pods: this.#pods,
      workers: this.#runner.workers,
      runs: this.times.length,
      medianMs,
      minMs: Math.min(...this.times),
      maxMs: Math.max(...this.times),
      phaseMs: report.phaseMs,
      counts: { ...report.counts, ...report.search },
      result: { bound, pipelined, evicted, nsPerBoundPod: bound === 0 ? 0 : (medianMs * 1e6) / bound },
      rssMb: process.memoryUsage().rss / 1e6,
      sealMs: this.#sealMs,
      changeMs: median(this.#changeTimes),
      snapshot: {
        bytes: this.#view.buffer.byteLength,
        bytesPerPod: this.#view.buffer.byteLength / this.#pods,
        nodeRowBytes: rowBytes(this.#view.nodes),
        podRowBytes: rowBytes(this.#view.pods),
      },
      stateBytes: stateBytes(this.#view, this.#config),
    };
  }

  close(): Promise<void> {
    return this.#runner.close();
  }
}

/** Measures one shape at one size. */
export async function measureCycle(options: CycleOptions, runs: number): Promise<CycleFigures> {
  const cycle = new CycleCase(options);
  try {
    await cycle.warmUp();
    for (let run = 0; run < runs; run++) await cycle.run();
    return cycle.figures();
  } finally {
    await cycle.close();
  }
}
