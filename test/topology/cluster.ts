import { expect } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { JobReport, RawDecision } from '../../src/base/decisions.ts';
import type { ListName, TopologyConstraint } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotView } from '../../src/base/snapshotView.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { runCycle, stateBytes } from '../../src/engine/cycle.ts';
import { INLINE_PORT } from '../../src/engine/parallel.ts';
import { openSession } from '../../src/engine/session/open.ts';
import type { Session } from '../../src/engine/session/session.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';

const NOW_MS = Date.parse('2026-01-02T00:00:00Z');

export interface NodeSpec {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly gpus: number;
  readonly milliCpu?: number;
  readonly pods?: number;
  readonly isReady?: boolean;
}

export interface PodSpec {
  readonly name: string;
  readonly subGroup?: string;
  readonly gpus?: number;
  readonly milliCpu?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** Runs there; absent = pending. */
  readonly node?: string;
  readonly gpuGroup?: string;
}

export interface JobSpec {
  readonly name: string;
  readonly minMember?: number;
  readonly minSubGroup?: number;
  readonly constraint?: TopologyConstraint;
  readonly subGroups?: readonly object[];
  readonly pods: readonly PodSpec[];
}

export interface ClusterSpec {
  readonly topologies: Readonly<Record<string, readonly (string | { readonly nodeLabel: string; readonly alias: string })[]>>;
  readonly nodes: readonly NodeSpec[];
  readonly jobs: readonly JobSpec[];
}

/** `labels` are values of the levels zone, spine, rack … in the order of `levels`. */
export function nodes(levels: readonly string[], rows: readonly (readonly [name: string, values: string, gpus: number])[]): NodeSpec[] {
  return rows.map(([name, values, gpus]) => ({
    name,
    gpus,
    labels: Object.fromEntries(values.split(' ').map((value, k) => [levels[k]!, value] as const)),
  }));
}

/** `count` pending pods `prefix-0` … of one GPU. */
export function pods(prefix: string, count: number, rest: Partial<PodSpec> = {}): PodSpec[] {
  return Array.from({ length: count }, (_, k) => ({ name: `${prefix}-${k}`, gpus: 1, ...rest }));
}

export function snapshot(spec: ClusterSpec): SnapshotView {
  const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
  const put = (list: ListName, object: unknown): void => expect(writer.put(list, object)).toEqual([]);
  const open = { quota: -1, limit: -1, overQuotaWeight: 1 };
  put('queues', { metadata: { name: 'q' }, spec: { resources: { cpu: open, memory: open, gpu: open } } });
  for (const [name, levels] of Object.entries(spec.topologies)) {
    put('topologies', {
      metadata: { name },
      spec: { levels: levels.map((level) => (typeof level === 'string' ? { nodeLabel: level } : level)) },
    });
  }
  for (const n of spec.nodes) {
    const allocatable = { cpu: `${n.milliCpu ?? 64_000}m`, memory: '256Gi', pods: String(n.pods ?? 110), 'nvidia.com/gpu': String(n.gpus) };
    put('nodes', {
      metadata: { name: n.name, labels: { 'nvidia.com/gpu.memory': '80000', ...n.labels } },
      status: { allocatable, conditions: [{ type: 'Ready', status: n.isReady === false ? 'False' : 'True' }] },
    });
  }
  spec.jobs.forEach((job, k) => {
    put('podGroups', {
      metadata: { name: job.name, namespace: 'ns', creationTimestamp: new Date(NOW_MS - 3_600_000 + k * 1000).toISOString() },
      spec: {
        queue: 'q',
        ...(job.subGroups === undefined ? { minMember: job.minMember ?? job.pods.length } : { subGroups: job.subGroups }),
        ...(job.minSubGroup === undefined ? {} : { minSubGroup: job.minSubGroup }),
        ...(job.constraint === undefined ? {} : { topologyConstraint: job.constraint }),
      },
    });
    for (const pod of job.pods) put('pods', podObject(job, pod));
  });
  return writer.seal();
}

function podObject(job: JobSpec, pod: PodSpec): object {
  const requests = { cpu: `${pod.milliCpu ?? 10}m`, memory: '1Mi', ...((pod.gpus ?? 0) > 0 ? { 'nvidia.com/gpu': String(pod.gpus) } : {}) };
  return {
    metadata: {
      name: pod.name,
      namespace: 'ns',
      uid: pod.name,
      labels: {
        ...(pod.subGroup === undefined ? {} : { 'kai.scheduler/subgroup-name': pod.subGroup }),
        ...(pod.gpuGroup === undefined ? {} : { 'runai-gpu-group': pod.gpuGroup }),
      },
      annotations: { 'pod-group-name': job.name, ...pod.annotations },
    },
    spec: {
      schedulerName: 'kai-scheduler',
      containers: [{ name: 'c', resources: { requests } }],
      ...(pod.node === undefined ? {} : { nodeName: pod.node }),
      ...(pod.nodeSelector === undefined ? {} : { nodeSelector: pod.nodeSelector }),
    },
    status: { phase: pod.node === undefined ? 'Pending' : 'Running' },
  };
}

function config(): SchedulerConfig {
  const loaded = loadConfig({}).config;
  return { ...loaded, actions: ['allocate'] };
}

export interface Outcome {
  /** Node by pod name, for pods placed in the cycle; `~` in front where it waits there. */
  readonly placed: Readonly<Record<string, string>>;
  /** Message by job name. */
  readonly messages: Readonly<Record<string, string>>;
}

/** Runs one allocate cycle. */
export function allocate(spec: ClusterSpec): Outcome {
  const view = snapshot(spec);
  const decisions: RawDecision[] = [];
  const settings = config();
  const sink = { commit: (batch: readonly RawDecision[]) => void decisions.push(...batch), phase: () => undefined };
  const report = runCycle(view, settings, NOW_MS, new SharedArrayBuffer(stateBytes(view, settings)), sink, INLINE_PORT);
  const short = (row: number): string => view.texts.get(row).replace('ns/', '');
  return {
    placed: Object.fromEntries(
      decisions.flatMap((d) =>
        d.kind === 'bind' || d.kind === 'pipeline'
          ? [
              [
                short(view.pods.keyText[d.podRow]!),
                (d.kind === 'pipeline' ? '~' : '') + view.texts.get(view.nodes.nameText[d.nodeRow]!),
              ] as const,
            ]
          : [],
      ),
    ),
    messages: Object.fromEntries(report.jobs.map((r: JobReport) => [short(view.podGroups.keyText[r.podGroupRow]!), r.message])),
  };
}

export function openCluster(spec: ClusterSpec): Session {
  const view = snapshot(spec);
  const settings = config();
  return openSession(view, settings, NOW_MS, new SharedArrayBuffer(stateBytes(view, settings)), INLINE_PORT);
}

/** Row of a pod in the session. */
export function podRow(s: Session, name: string): number {
  return s.view.pods.keyText.indexOf(s.view.texts.find(`ns/${name}`));
}
