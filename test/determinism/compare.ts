// Runs one cycle on objects and writes down everything that was decided and said, so that two runs can be compared as text.
import { createAuditor, formatFinding } from '../../src/audit/audit.ts';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { Decision } from '../../src/base/decisions.ts';
import { type ClusterObjects, LIST_NAMES } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotView } from '../../src/base/snapshotView.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { type CycleResult, type CycleRunner, createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { seededRandom, shuffled } from '../support/draw.ts';
import { CLUSTER_NOW_MS } from '../support/randomCluster.ts';

/** All actions, as without a configuration file. */
const CONFIG: SchedulerConfig = loadConfig({}).config;

export function snapshotOf(objects: ClusterObjects): SnapshotView {
  const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
  for (const list of LIST_NAMES) for (const object of objects[list]) writer.put(list, object);
  return writer.seal();
}

/** All lists in another order, drawn from the seed. */
function permuted(objects: ClusterObjects, seed: number): ClusterObjects {
  const random = seededRandom(seed);
  return Object.fromEntries(LIST_NAMES.map((list) => [list, shuffled<unknown>(objects[list], random)])) as unknown as ClusterObjects;
}

/** The whole result with its row numbers, times left out: must be the same byte for byte for any number of workers. */
export function exactText(result: CycleResult): string {
  const { phaseMs: _, counts, ...rest } = result.report;
  // What the planner itself evaluated depends on what others did for it.
  const { nodesEvaluated: _n, scans: _s, classes: _c, ...decided } = counts;
  const report = { ...rest, counts: decided };
  return JSON.stringify({ decisions: result.decisions, report }, null, 1);
}

/** The result by names: must be the same for any order of the objects. Decisions in their order, reports sorted by name. */
function namedText(result: CycleResult, view: SnapshotView): string {
  const { podGroups, pods, texts } = view;
  const decisions = result.decisions.map(({ podRow: _p, podGroupRow: _g, nodeRow: _n, ...named }: Decision) => named);
  const jobs = result.report.jobs
    .map(({ podGroupRow, pods: podReports, ...job }) => ({
      podGroup: texts.get(podGroups.keyText[podGroupRow]!),
      ...job,
      pods: podReports.map(({ podRow, message }) => `${texts.get(pods.keyText[podRow]!)}: ${message}`).sort(),
    }))
    .sort((a, b) => (a.podGroup < b.podGroup ? -1 : 1));
  const queues = [...result.report.queues].sort((a, b) => (a.queue < b.queue ? -1 : 1));
  return JSON.stringify({ decisions, jobs, queues, counts: result.report.counts }, null, 1);
}

/** First line in which two texts differ, for a short message. */
function firstDifference(a: string, b: string): string {
  const [left, right] = [a.split('\n'), b.split('\n')];
  const at = left.findIndex((line, i) => line !== right[i]);
  const i = at < 0 ? left.length : at;
  return `line ${i + 1}: ${left[i]?.trim() ?? 'end'} | ${right[i]?.trim() ?? 'end'}`;
}

/** Runners for the given numbers of workers, shared by many clusters. Every search is handed over, however small. */
export class Comparison {
  readonly #runners: readonly CycleRunner[];
  readonly #audit = createAuditor();

  constructor(workers: readonly number[]) {
    this.#runners = workers.map((count) => createCycleRunner({ workers: count, searchHandoverMs: 0 }));
  }

  /** The first runner's result. */
  run(view: SnapshotView, nowMs: number): Promise<CycleResult> {
    return this.#runners[0]!.run(view, CONFIG, nowMs);
  }

  /** What differs between the runners, or is wrong with the decisions, and how many there were. */
  async compareWorkers(objects: ClusterObjects, nowMs = CLUSTER_NOW_MS): Promise<{ problems: string[]; decisions: number }> {
    const view = snapshotOf(objects);
    const problems: string[] = [];
    let expected: string | undefined;
    let decisions = 0;
    for (const runner of this.#runners) {
      const result = await runner.run(view, CONFIG, nowMs);
      const text = exactText(result);
      if (expected === undefined) {
        expected = text;
        decisions = result.decisions.length;
        const findings = this.#audit({ objects, config: CONFIG, nowMs, decisions: result.decisions, report: result.report });
        problems.push(...findings.map(formatFinding));
      } else if (text !== expected) {
        problems.push(`${runner.workers} workers decide otherwise than ${this.#runners[0]!.workers}: ${firstDifference(expected, text)}`);
      }
    }
    return { problems, decisions };
  }

  /** What differs between the runners on a snapshot. */
  async differencesAmong(view: SnapshotView, config: SchedulerConfig, nowMs: number): Promise<string[]> {
    const texts: string[] = [];
    for (const runner of this.#runners) texts.push(exactText(await runner.run(view, config, nowMs)));
    return this.#runners.flatMap((runner, i) =>
      texts[i] === texts[0] ? [] : [`${runner.workers} workers decide otherwise: ${firstDifference(texts[0]!, texts[i]!)}`],
    );
  }

  /** What differs when the objects come in other orders. */
  async orderProblems(objects: ClusterObjects, seeds: readonly number[], nowMs = CLUSTER_NOW_MS): Promise<string[]> {
    const view = snapshotOf(objects);
    const expected = namedText(await this.run(view, nowMs), view);
    const problems: string[] = [];
    for (const seed of seeds) {
      const other = snapshotOf(permuted(objects, seed));
      const text = namedText(await this.run(other, nowMs), other);
      if (text !== expected) problems.push(`order ${seed} decides otherwise: ${firstDifference(expected, text)}`);
    }
    return problems;
  }

  async close(): Promise<void> {
    for (const runner of this.#runners) await runner.close();
  }
}
