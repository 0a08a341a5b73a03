import { expect } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { CycleReport, RawDecision } from '../../src/base/decisions.ts';
import type { ListName } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotView } from '../../src/base/snapshotView.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { runCycle, stateBytes } from '../../src/engine/cycle.ts';
import type { ZonePlacement } from '../../src/engine/numa/align.ts';
import type { NumaSession } from '../../src/engine/numa/session.ts';
import type { ZoneKind } from '../../src/engine/numa/verdicts.ts';
import { INLINE_PORT } from '../../src/engine/parallel.ts';
import { requestOf } from '../../src/engine/session/occupy.ts';
import { openSession } from '../../src/engine/session/open.ts';
import type { Session } from '../../src/engine/session/session.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';

export const NOW_MS = Date.parse('2026-01-02T00:00:00Z');

export type Amounts = Readonly<Record<string, string>>;

export interface ZoneSpec {
  readonly name: string;
  readonly allocatable: Amounts;
  /** Absent = the allocatable amounts. */
  readonly available?: Amounts;
}

export interface NodeSpec {
  readonly name: string;
  readonly allocatable: Amounts;
  /** Absent = no topology object. */
  readonly topology?: { readonly policy: string; readonly scope?: 'pod' | 'container'; readonly zones: readonly ZoneSpec[] };
}

export interface PodSpec {
  readonly name: string;
  readonly qos?: 'Guaranteed' | 'Burstable' | 'BestEffort';
  /** Requests of the containers. */
  readonly containers: readonly Amounts[];
  readonly init?: readonly { readonly requests: Amounts; readonly isSidecar?: boolean }[];
  readonly overhead?: Amounts;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly nodeSelector?: Amounts;
  /** Runs there; absent = pending. */
  readonly node?: string;
  /** Leaves since this time. */
  readonly deletion?: string;
}

export interface JobSpec {
  readonly name: string;
  readonly priority?: number;
  readonly minMember?: number;
  readonly pods: readonly PodSpec[];
}

export interface ClusterSpec {
  readonly nodes: readonly NodeSpec[];
  readonly jobs: readonly JobSpec[];
  readonly bindRequests?: readonly object[];
  readonly arguments?: Readonly<Record<string, string>>;
  readonly actions?: readonly string[];
  /** Arguments of plugin `nodeplacement`. */
  readonly placement?: Readonly<Record<string, string>>;
}

/** A job of one pod for each spec. */
export function single(pod: PodSpec, priority = 50): JobSpec {
  return { name: pod.name, priority, pods: [pod] };
}

/** Zones `node-0`, `node-1`, … of equal allocatable amounts. */
export function zones(count: number, allocatable: Amounts, available?: Amounts): ZoneSpec[] {
  return Array.from({ length: count }, (_, z) => ({ name: `node-${z}`, allocatable, ...(available === undefined ? {} : { available }) }));
}

export function record(...entries: readonly (readonly [zone: string, amount: Amounts])[]): string {
  return JSON.stringify(entries.map(([zone, amount]) => ({ zone, amount })));
}

export function snapshot(spec: ClusterSpec): SnapshotView {
  const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
  const put = (list: ListName, object: unknown): void => expect(writer.put(list, object)).toEqual([]);
  const open = { quota: -1, limit: -1, overQuotaWeight: 1 };
  put('queues', { metadata: { name: 'q' }, spec: { resources: { cpu: open, memory: open, gpu: open } } });
  for (const n of spec.nodes) {
    const status = { allocatable: n.allocatable, conditions: [{ type: 'Ready', status: 'True' }] };
    put('nodes', { metadata: { name: n.name, labels: { 'nvidia.com/gpu.memory': '80000', host: n.name } }, status });
    if (n.topology !== undefined) put('nodeResourceTopologies', topologyObject(n.name, n.topology));
  }
  spec.jobs.forEach((job, k) => {
    const priority = job.priority ?? 50;
    put('priorityClasses', { metadata: { name: `p${priority}` }, value: priority });
    put('podGroups', {
      metadata: { name: job.name, namespace: 'ns', creationTimestamp: new Date(NOW_MS - 3_600_000 + k * 1000).toISOString() },
      spec: { queue: 'q', minMember: job.minMember ?? job.pods.length, priorityClassName: `p${priority}` },
    });
    for (const pod of job.pods) put('pods', podObject(job, pod));
  });
  for (const request of spec.bindRequests ?? []) put('bindRequests', request);
  return writer.seal();
}

function topologyObject(name: string, t: NonNullable<NodeSpec['topology']>): object {
  return {
    metadata: { name },
    attributes: [
      { name: 'topologyManagerPolicy', value: t.policy },
      { name: 'topologyManagerScope', value: t.scope ?? 'container' },
    ],
    zones: t.zones.map((zone) => ({
      name: zone.name,
      type: 'Node',
      resources: Object.keys(zone.allocatable).map((resource) => ({
        name: resource,
        capacity: zone.allocatable[resource],
        allocatable: zone.allocatable[resource],
        available: (zone.available ?? zone.allocatable)[resource] ?? '0',
      })),
    })),
  };
}

function podObject(job: JobSpec, pod: PodSpec): object {
  return {
    metadata: {
      name: pod.name,
      namespace: 'ns',
      uid: pod.name,
      annotations: { 'pod-group-name': job.name, ...pod.annotations },
      ...(pod.deletion === undefined ? {} : { deletionTimestamp: pod.deletion }),
    },
    spec: {
      schedulerName: 'kai-scheduler',
      containers: pod.containers.map((requests, k) => ({ name: `c${k}`, resources: { requests } })),
      initContainers: (pod.init ?? []).map(({ requests, isSidecar }, k) => ({
        name: `i${k}`,
        resources: { requests },
        ...(isSidecar === true ? { restartPolicy: 'Always' } : {}),
      })),
      ...(pod.overhead === undefined ? {} : { overhead: pod.overhead }),
      ...(pod.nodeSelector === undefined ? {} : { nodeSelector: pod.nodeSelector }),
      ...(pod.node === undefined ? {} : { nodeName: pod.node }),
    },
    status: { phase: pod.node === undefined ? 'Pending' : 'Running', qosClass: pod.qos ?? 'Guaranteed' },
  };
}

export function configOf(spec: ClusterSpec): SchedulerConfig {
  const { config } = loadConfig({});
  const plugins = config.plugins.map((p) => (p.name === 'nodeplacement' ? { ...p, arguments: { ...p.arguments, ...spec.placement } } : p));
  return { ...config, actions: spec.actions ?? ['allocate'], plugins: [...plugins, { name: 'numa', arguments: spec.arguments ?? {} }] };
}

export interface Outcome {
  /** Per pod what was decided: `node` bound, `~node` waiting, `-` evicted; zones behind. */
  readonly placed: Readonly<Record<string, string>>;
  readonly decisions: readonly RawDecision[];
  readonly report: CycleReport;
  /** Message by job name. */
  readonly messages: Readonly<Record<string, string>>;
}

/** Runs one cycle. `ns/` is left out of names. */
export function cycle(spec: ClusterSpec): Outcome {
  const view = snapshot(spec);
  const config = configOf(spec);
  const decisions: RawDecision[] = [];
  const sink = { commit: (batch: readonly RawDecision[]) => void decisions.push(...batch), phase: () => undefined };
  const report = runCycle(view, config, NOW_MS, new SharedArrayBuffer(stateBytes(view, config)), sink, INLINE_PORT);
  const short = (row: number): string => view.texts.get(row).replace('ns/', '');
  const placed: Record<string, string> = {};
  for (const d of decisions) {
    const name = short(view.pods.keyText[d.podRow]!);
    const node = view.texts.get(view.nodes.nameText[d.nodeRow]!);
    const at = ((d.details?.predictedNUMAZones ?? []) as readonly { zone: string }[]).map((z) => ` ${z.zone}`).join('');
    const text = d.kind === 'evict' ? '-' : `${d.kind === 'pipeline' ? '~' : ''}${node}${at}`;
    placed[name] = `${placed[name] ?? ''}${text}`;
  }
  const messages = Object.fromEntries(report.jobs.map((r) => [short(view.podGroups.keyText[r.podGroupRow]!), r.message]));
  return { placed, decisions, report, messages };
}

export interface OpenCluster {
  readonly s: Session;
  readonly numa: NumaSession;
  node(name: string): number;
  pod(name: string): number;
  kind(pod: string): ZoneKind;
  /** Where a pod would be on a node when everything has left: zone → resource → amount as plain numbers; null = refused. */
  wouldBe(pod: string, node: string): Readonly<Record<string, Readonly<Record<string, number>>>> | null;
  /** NUMA score of a node for a pod that is bound. */
  score(pod: string, node: string): number;
  /** Amounts of a node's ledger as zone → resource → amount. */
  ledger(node: string, when: 'later' | 'bindable'): Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export function open(spec: ClusterSpec): OpenCluster {
  const view = snapshot(spec);
  const config = configOf(spec);
  const s = openSession(view, config, NOW_MS, new SharedArrayBuffer(stateBytes(view, config)), INLINE_PORT);
  const numa = s.numa!;
  const node = (name: string): number => s.nodeName.indexOf(name);
  const pod = (name: string): number => view.pods.keyText.indexOf(view.texts.find(`ns/${name}`));
  const kind = (name: string): ZoneKind => numa.kindOf(requestOf(s, pod(name)), false)!;
  const table = (n: number, cells: Iterable<readonly [number, number]>): Record<string, Record<string, number>> => {
    const { names, profile } = numa.table.nodes[n]!;
    const out: Record<string, Record<string, number>> = {};
    for (const [cell, amount] of cells) {
      const zone = names[Math.floor(cell / profile.resources.length)]!;
      const row = out[zone] ?? {};
      out[zone] = row;
      row[profile.resources[cell % profile.resources.length]!] = amount;
    }
    return out;
  };
  const cellsOf = (p: ZonePlacement | null) => (p === null ? [] : [...p.cell].map((cell, i) => [cell, p.amount[i]!] as const));
  return {
    s,
    numa,
    node,
    pod,
    kind,
    wouldBe: (name, at) => {
      const n = node(at);
      const isRefused = numa.verdictsOf(kind(name)).isRefused[n] === 1;
      return isRefused ? null : table(n, cellsOf(numa.placementOn(kind(name), n, false)));
    },
    score: (name, at) => numa.verdictsOf(kind(name)).scoreNow[node(at)]!,
    ledger: (at, when) => {
      const zonesOfNode = numa.table.nodes[node(at)]!;
      const amounts = new Float64Array(zonesOfNode.allocatable.length);
      if (when === 'later') numa.ledger.laterInto(zonesOfNode, amounts);
      else numa.ledger.bindableInto(zonesOfNode, amounts);
      return table(node(at), amounts.entries());
    },
  };
}
