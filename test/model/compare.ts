// The engine's cycle against the twin's, by names.
import type { CycleReport, Decision } from '../../src/base/decisions.ts';
import { LIST_NAMES } from '../../src/base/objects.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { snapshotOptionsFrom } from '../../src/config/schedulerParams.ts';
import type { CycleRunner } from '../../src/runner/cycleRunner.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { CLUSTER_NOW_MS } from '../support/randomCluster.ts';
import type { TestCluster } from './clusters.ts';
import { outOfScope } from './scope.ts';
import { decide, type TwinJobReport, type TwinResult } from './twin.ts';

type ComparedDecision = Pick<Decision, 'kind' | 'pod' | 'node' | 'gpuCount' | 'gpuPortion' | 'gpuGroups'>;

export function sealed({ objects, config }: TestCluster): SnapshotView {
  const writer = createSnapshotWriter(snapshotOptionsFrom(config.params, { isDraServed: true, isNodeTopologyServed: true }));
  for (const list of LIST_NAMES) for (const object of objects[list]) writer.put(list, object);
  return writer.seal();
}

/** GPU groups that pods of the cluster are on. */
function knownGroups({ objects }: TestCluster): Set<string> {
  const labels = objects.pods.flatMap((pod) => Object.entries(pod.metadata.labels ?? {}));
  const labelled = labels.filter(([key]) => key.startsWith('runai-gpu-group')).map(([, group]) => group);
  return new Set([...labelled, ...objects.bindRequests.flatMap((request) => request.spec?.selectedGPUGroups ?? [])]);
}

/** One line per decision, in their order; new GPU groups are numbered as they appear. */
function lines(decisions: readonly ComparedDecision[], known: ReadonlySet<string>): string[] {
  const numbers = new Map<string, number>();
  const nameOf = (group: string): string => {
    if (known.has(group)) return group;
    numbers.set(group, numbers.get(group) ?? numbers.size);
    return `new#${numbers.get(group)}`;
  };
  return decisions.map(
    ({ kind, pod, node, gpuCount, gpuPortion, gpuGroups }) =>
      `${kind} ${pod} on ${node}, ${gpuCount} × ${gpuPortion} [${gpuGroups.map(nameOf).join(' ')}]`,
  );
}

function differences(what: string, twin: readonly string[], engine: readonly string[]): string[] {
  const only = (a: readonly string[], b: readonly string[]): string[] => a.filter((line) => !b.includes(line));
  const found = [
    ...only(twin, engine).map((line) => `${what}: twin only: ${line}`),
    ...only(engine, twin).map((line) => `${what}: engine only: ${line}`),
  ];
  const isSameOrder = twin.every((line, i) => line === engine[i]);
  return found.length > 0 || isSameOrder ? found : [`${what}: order ${twin.join('; ')} | ${engine.join('; ')}`];
}

type ReportTexts = Pick<TwinJobReport, 'state' | 'message' | 'isConditionWanted' | 'pods'>;

/** Without what the specification leaves open: which reasons nodes have, and amounts of GPU memory as GPUs. */
function closedPart(text: string): string {
  return text.replace(/no nodes with enough resources were found.*$/s, 'no nodes').replace(/requested [\d.]+ GPUs/g, 'requested … GPUs');
}

/** Quantities of pod overhead may be spelled in more than one way: 64Mi, 67108864. */
function anyQuantities(text: string): string {
  return text.replace(/(The overhead resources are)(?: \S+: \d+\w*)+/g, '$1 …');
}

function jobLines(key: string, report: ReportTexts, open: TwinJobReport['open'] = 'nothing'): string[] {
  if (open === 'all') return [`${key} ${report.state}`];
  const close = (text: string): string => anyQuantities(open === 'reasons' ? closedPart(text) : text);
  const isWanted = report.state === 'unschedulable' && report.isConditionWanted;
  const pods = Object.entries(report.pods).map(([pod, text]) => `${pod}: ${close(text)}`);
  return [`${key} ${report.state}${isWanted ? ' (condition)' : ''}: ${close(report.message)}`, ...pods];
}

function engineJobLines(report: CycleReport, view: SnapshotView, twin: TwinResult): string[] {
  const { podGroups, pods, texts } = view;
  return report.jobs.flatMap(({ podGroupRow, pods: podReports, state, ...job }) => {
    const key = texts.get(podGroups.keyText[podGroupRow]!);
    if (state !== 'unschedulable' && state !== 'notReady') return [];
    const podTexts = podReports.map((pod) => [texts.get(pods.keyText[pod.podRow]!), pod.message] as const);
    return jobLines(key, { ...job, state, pods: Object.fromEntries(podTexts) }, twin.jobs.get(key)?.open);
  });
}

function startedJobs({ jobs }: CycleReport, view: SnapshotView): string[] {
  const started = jobs.filter((job) => job.lastStartMs !== undefined);
  return started.map((job) => view.texts.get(view.podGroups.keyText[job.podGroupRow]!));
}

function queueDifferences(twin: TwinResult, report: CycleReport): string[] {
  return report.queues.flatMap((queue) => {
    const share = twin.fairShares.get(queue.queue);
    const allocated = twin.allocated.get(queue.queue);
    const own = [
      share?.cpu,
      share?.memory,
      (share?.gpu ?? Number.NaN) / 1000,
      allocated?.cpu,
      allocated?.memory,
      (allocated?.gpu ?? Number.NaN) / 1000,
    ];
    const { fairShareMilliCpu, fairShareMemoryBytes, fairShareGpu, allocatedMilliCpu, allocatedMemoryBytes, allocatedGpu } = queue;
    const engine = [fairShareMilliCpu, fairShareMemoryBytes, fairShareGpu, allocatedMilliCpu, allocatedMemoryBytes, allocatedGpu];
    return own.join() === engine.join() ? [] : [`queue ${queue.queue}: twin ${own.join(', ')}; engine ${engine.join(', ')}`];
  });
}

/** Where the engine decides or says otherwise than the twin; null for a cluster that the twin does not model. */
export async function compareWithTwin(runner: CycleRunner, cluster: TestCluster, nowMs = CLUSTER_NOW_MS): Promise<string[] | null> {
  const { objects, config } = cluster;
  if (outOfScope(objects, config) !== null) return null;
  const twin = decide(objects, config, nowMs);
  const view = sealed(cluster);
  const { decisions, report } = await runner.run(view, config, nowMs);
  const known = knownGroups(cluster);
  const sorted = (list: Iterable<string>): string[] => [...list].sort();
  const twinJobs = [...twin.jobs].flatMap(([key, job]) => jobLines(key, job, job.open));
  return [
    ...differences('decision', lines(twin.decisions, known), lines(decisions, known)),
    ...differences('job', sorted(twinJobs), sorted(engineJobLines(report, view, twin))),
    ...differences('started', sorted(twin.started), sorted(startedJobs(report, view))),
    ...queueDifferences(twin, report),
  ];
}
