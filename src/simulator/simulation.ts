import { setImmediate as nextTurn } from 'node:timers/promises';
import type { SchedulerConfig } from '../base/config.ts';
import type { Decision } from '../base/decisions.ts';
import { formatProblem, KaiError, type ObjectProblem } from '../base/errors.ts';
import type { Pod } from '../base/objects.ts';
import type { SnapshotOptions, SnapshotView } from '../base/snapshotView.ts';
import type { SnapshotWriter } from '../base/writerPort.ts';
import type { CycleResult, CycleRunner } from '../runner/cycleRunner.ts';
import { Settled } from '../runner/settled.ts';
import { type ClusterChange, EmbeddedCluster } from './cluster.ts';
import { CycleAudit } from './cycleAudit.ts';
import { Recorder } from './recorder.ts';
import { type Arrival, EPOCH_MS, type Workload } from './workload.ts';

/** Longest time without a cycle while pods wait: rules that look at the clock (minimum run times, grace) get their turn. */
const HEARTBEAT_MS = 60_000;

export interface SimulationOptions {
  readonly workload: Workload;
  readonly config: SchedulerConfig;
  readonly runner: CycleRunner;
  readonly writer: SnapshotWriter;
  /** Audits every cycle: the options with which `writer` makes snapshots. Absent = no audit. */
  readonly audit?: SnapshotOptions;
  /** Called after each cycle; `waitedMs` of each bound pod. */
  readonly onCycle?: (result: CycleResult, waitedMs: readonly number[]) => void;
}

interface JobState {
  readonly runMs: number;
  readonly pods: readonly string[];
  unfinished: number;
}

/**
 * The scheduling cycle in a loop on a cluster in memory. All times but those that are measured are virtual; apart from
 * measured times everything is a function of workload and configuration.
 */
export class Simulation {
  readonly cluster: EmbeddedCluster;
  readonly recorder: Recorder;
  readonly workload: Workload;
  /** Null without an audit. */
  readonly audit: CycleAudit | null;
  readonly #options: SimulationOptions;
  readonly #jobs = new Map<string, JobState>();
  /** Jobs whose last pod finished; removed once the clock stands still. */
  readonly #finishedJobs: string[] = [];
  #views: SnapshotView[] = [];
  readonly #settled = new Settled();
  /** Something happened that may let a cycle decide otherwise than the last. */
  #isDirty = true;
  #lastCycleMs = -Infinity;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.audit = options.audit === undefined ? null : new CycleAudit(options.config, options.audit, EPOCH_MS);
    this.workload = options.workload;
    const runMs = (pod: Pod): number => this.#jobs.get(groupKeyOf(pod))?.runMs ?? Infinity;
    this.cluster = new EmbeddedCluster({ writer: options.writer, startMs: EPOCH_MS, kubelet: { runMs, isRecreated: () => true } });
    const { nodes, objects } = options.workload;
    refuseProblems(this.cluster.load({ ...objects, nodes }));
    const view = this.cluster.seal();
    this.#views.push(view);
    this.recorder = new Recorder(view, EPOCH_MS);
    this.cluster.on((change) => this.#onChange(change));
  }

  /** Puts a job into the cluster. */
  submit(arrival: Arrival): void {
    const { podGroup, pods, runMs, demand } = arrival;
    const key = `${podGroup.metadata.namespace ?? ''}/${podGroup.metadata.name}`;
    this.#jobs.set(key, { runMs, pods: pods.map(podKeyOf), unfinished: pods.length });
    const problems = [...this.cluster.put('podGroups', podGroup)];
    for (const pod of pods) problems.push(...this.cluster.put('pods', pod));
    refuseProblems(problems);
    this.recorder.submit(pods.length, demand);
    this.#isDirty = true;
  }

  /** Takes a job out of the cluster whatever its pods do; those that never ran are counted as dropped. */
  drop(podGroupKey: string): void {
    const job = this.#jobs.get(podGroupKey);
    if (job === undefined) return;
    for (const pod of job.pods) {
      if (this.cluster.get('pods', pod)?.spec.nodeName !== undefined) continue;
      this.recorder.pods.dropped++;
      this.recorder.pods.waiting--;
    }
    this.#remove(podGroupKey, job);
  }

  /** Lets time pass: pods start, finish, leave; finished jobs are removed. */
  advance(nowMs: number): void {
    this.cluster.advance(nowMs);
    this.recorder.passTo(nowMs);
    for (const key of this.#finishedJobs.splice(0)) {
      const job = this.#jobs.get(key);
      if (job !== undefined) this.#remove(key, job);
    }
  }

  /** One cycle at the present moment; its decisions are carried out. */
  async cycle(): Promise<readonly Decision[]> {
    const { runner, config, onCycle } = this.#options;
    const nowMs = this.cluster.nowMs;
    const settled = this.#settled.recall(this.cluster.isChanged(), config, nowMs);
    const view = settled?.view ?? this.#seal();
    this.#isDirty = false;
    this.#lastCycleMs = nowMs;
    const result = settled?.result ?? (await runner.run(view, config, nowMs));
    if (settled === null) this.#settled.keep(view, config, result);
    this.audit?.check(this.cluster, result);
    const refused = new Set(this.cluster.applyDecisions(result.decisions));
    this.cluster.applyReport(result.report, view);
    const decisions = refused.size === 0 ? result.decisions : result.decisions.filter((d) => !refused.has(d));
    const waitedMs = this.recorder.observe(view, { ...result, decisions }, nowMs);
    // Placed pods change what the next cycle sees; a cycle without decisions would only be repeated.
    if (decisions.length > 0) this.#isDirty = true;
    this.recorder.sample(nowMs);
    onCycle?.(result, waitedMs);
    await nextTurn();
    return decisions;
  }

  /**
   * Runs the workload in virtual time until `endMs`, until nothing can happen any more, or until `beforeStep` says stop.
   * Cycles start at multiples of the configured period, and only when something changed.
   * @param beforeStep called with the time of each step before it is taken; false = stop. May wait, to pace the run.
   */
  async run(endMs: number, beforeStep: (nowMs: number) => Promise<boolean>): Promise<void> {
    const { workload } = this;
    const periodMs = Math.max(1, this.#options.config.params.schedulePeriodMs);
    let nowMs = this.cluster.nowMs;
    while (nowMs <= endMs) {
      if (!(await beforeStep(nowMs))) return;
      this.advance(nowMs);
      while (workload.nextAtMs() <= nowMs) this.submit(workload.next());
      if (this.#isCycleDue(nowMs)) await this.cycle();
      const nextMs = this.#nextStepMs(nowMs + periodMs);
      if (nextMs === Infinity) break;
      nowMs = Math.max(nowMs + periodMs, EPOCH_MS + Math.ceil((nextMs - EPOCH_MS) / periodMs) * periodMs);
    }
    if (endMs !== Infinity) this.advance(endMs);
  }

  /** The snapshot before last is read by nobody any more; the last one still names the waiting pods. */
  #seal(): SnapshotView {
    const view = this.cluster.seal(this.#views.length > 1 ? this.#views.shift() : undefined);
    this.#views.push(view);
    return view;
  }

  #isCycleDue(nowMs: number): boolean {
    return this.recorder.pods.waiting > 0 && (this.#isDirty || nowMs - this.#lastCycleMs >= HEARTBEAT_MS);
  }

  #nextStepMs(soonestMs: number): number {
    if (this.#isDirty && this.recorder.pods.waiting > 0) return soonestMs;
    const eventMs = Math.min(this.workload.nextAtMs(), this.cluster.nextEventMs);
    // With nothing left to come, waiting pods wait for ever: the heartbeat alone does not keep a run going.
    return this.recorder.pods.waiting > 0 && eventMs !== Infinity ? Math.min(eventMs, this.#lastCycleMs + HEARTBEAT_MS) : eventMs;
  }

  #onChange({ list, key, cause, atMs, object }: ClusterChange): void {
    if (list !== 'pods') return;
    if (cause === 'finish' || cause === 'vanish' || cause === 'remove') {
      this.recorder.release(key, atMs);
      this.#isDirty = true;
    }
    if (cause === 'recreate') {
      this.recorder.pods.waiting++;
      this.#isDirty = true;
    }
    if (cause !== 'finish') return;
    this.recorder.pods.finished++;
    const groupKey = object === undefined ? '' : groupKeyOf(object as Pod);
    const job = this.#jobs.get(groupKey);
    if (job !== undefined && --job.unfinished === 0) this.#finishedJobs.push(groupKey);
  }

  #remove(podGroupKey: string, job: JobState): void {
    this.#jobs.delete(podGroupKey);
    for (const pod of job.pods) this.cluster.remove('pods', pod);
    this.cluster.remove('podGroups', podGroupKey);
  }
}

function podKeyOf(pod: Pod): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
}

function groupKeyOf(pod: Pod): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.annotations?.['pod-group-name'] ?? ''}`;
}

/** Objects of a workload are ours: a problem with one is a defect, not bad input. */
function refuseProblems(problems: readonly ObjectProblem[]): void {
  const first = problems[0];
  if (first !== undefined)
    throw new KaiError('BAD_WORKLOAD', `the workload has ${problems.length} faulty object(s): ${formatProblem(first)}`);
}
