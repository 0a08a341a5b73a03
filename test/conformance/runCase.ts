// Runs a case on the embedded cluster: its cycles, the quiet ones after them, and the minimal kubelet between them.
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { CycleReport, Decision } from '../../src/base/decisions.ts';
import { type ClusterObjects, LIST_NAMES } from '../../src/base/objects.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import type { CycleRunner } from '../../src/runner/cycleRunner.ts';
import { EmbeddedCluster } from '../../src/simulator/cluster.ts';
import type { ConformanceCase } from './caseFormat.ts';
import { type CaseResult, resultOfCycle } from './compareCase.ts';
import { configOf, createWriter } from './wiring.ts';

/** Time between two cycles when the case's parameters say nothing, ms. */
const DEFAULT_PERIOD_MS = 1_000;

/** All objects as they are now: the lists are new, the objects shared and never changed. */
function objectsOf(cluster: EmbeddedCluster): ClusterObjects {
  return Object.fromEntries(LIST_NAMES.map((list) => [list, cluster.list(list)])) as unknown as ClusterObjects;
}

/** Texts of the conditions that the cycle wants written, by pod group. */
function fitErrorsOf(report: CycleReport, view: SnapshotView): Map<string, string> {
  const texts = new Map<string, string>();
  for (const job of report.jobs) {
    if (job.state !== 'unschedulable' || !job.isConditionWanted) continue;
    texts.set(view.texts.get(view.podGroups.keyText[job.podGroupRow] ?? -1), job.message);
  }
  return texts;
}

/** Bindings and evictions of a cycle that must change nothing, and pipelines that were not there in the cycle before. */
function changesOf(decisions: readonly Decision[], before: readonly Decision[], cycle: number): string[] {
  const known = new Set(before.filter((d) => d.kind === 'pipeline').map((d) => `${d.pod} ${d.node}`));
  return decisions
    .filter((d) => d.kind !== 'pipeline' || !known.has(`${d.pod} ${d.node}`))
    .map((d) => `cycle ${cycle}: ${d.action} ${d.kind} ${d.pod} ${d.node}`);
}

/** A cycle of a case: what it saw and what it decided. */
export interface CaseCycle {
  readonly objects: ClusterObjects;
  readonly config: SchedulerConfig;
  readonly nowMs: number;
  readonly decisions: readonly Decision[];
  readonly report: CycleReport;
}

/** Runs the case and returns its result; rejects when the cycle runner does. `onCycle`: called before decisions are carried out. */
export async function runCase(
  conformanceCase: ConformanceCase,
  runner: Pick<CycleRunner, 'run'>,
  onCycle: (cycle: CaseCycle) => void = () => {},
): Promise<CaseResult> {
  const { input, nowMs, cycles, quiet } = conformanceCase;
  const config = configOf(input);
  const cluster = new EmbeddedCluster({
    writer: createWriter(config, input),
    startMs: nowMs,
    kubelet: { bindDelayMs: 0, terminationGraceMs: 0, isRecreated: () => true },
  });
  cluster.load(input.objects);
  const leaving = input.objects.pods.filter((p) => (p.metadata.deletionTimestamp ?? '') !== '');
  const periodMs = config.params.schedulePeriodMs > 0 ? config.params.schedulePeriodMs : DEFAULT_PERIOD_MS;

  let before: readonly Decision[] = [];
  let result: CaseResult | undefined;
  const quietChanges: string[] = [];
  for (let cycle = 1; cycle <= cycles + quiet; cycle++) {
    if (cycle > 1) cluster.advance(cluster.nowMs + periodMs);
    const objects = objectsOf(cluster);
    const view = cluster.seal();
    const { decisions, report } = await runner.run(view, config, cluster.nowMs);
    onCycle({ objects, config, nowMs: cluster.nowMs, decisions, report });
    if (cycle === cycles) {
      const { stuckInReleasingThresholdMs } = config.params;
      const cycleInput = { objects, decisions, nowMs: cluster.nowMs, stuckInReleasingThresholdMs };
      result = resultOfCycle(cycleInput, fitErrorsOf(report, view), quietChanges);
    } else if (cycle > cycles) {
      quietChanges.push(...changesOf(decisions, before, cycle));
    }
    before = decisions;
    cluster.applyDecisions(decisions);
    cluster.applyReport(report, view);
    // The minimal kubelet lets go of what was leaving from the start; it does not come back.
    if (cycle === 1) for (const pod of leaving) cluster.remove('pods', `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`);
  }
  if (result === undefined) throw new Error(`${conformanceCase.id}: no cycle was run`);
  return result;
}
