import type { SchedulerConfig } from '../base/config.ts';
import type { Pod, PodGroup } from '../base/objects.ts';
import type { SnapshotOptions } from '../base/snapshotView.ts';
import type { Claims } from './claims.ts';
import type { Findings } from './findings.ts';
import type { AuditNode } from './nodes.ts';
import type { PodRequest } from './requests.ts';
import type { GangNode } from './tree.ts';

/** Statuses of spec 02 section 3.1; `assigned` and `pipelined` come from decisions. */
export type PodStatus =
  | 'pending'
  | 'gated'
  | 'binding'
  | 'bound'
  | 'running'
  | 'releasing'
  | 'stuck'
  | 'succeeded'
  | 'other'
  | 'assigned'
  | 'pipelined';

const ALLOCATED: ReadonlySet<PodStatus> = new Set<PodStatus>(['binding', 'bound', 'running', 'assigned']);

/** Holds its place: binding, bound, running or bound by this cycle. */
export function isAllocated(status: PodStatus): boolean {
  return ALLOCATED.has(status);
}

/** Active-allocated: also with a promised place. */
export function isActive(status: PodStatus): boolean {
  return ALLOCATED.has(status) || status === 'pipelined';
}

/** Active-used: also while it leaves. */
export function isUsed(status: PodStatus): boolean {
  return isActive(status) || status === 'releasing' || status === 'stuck';
}

/** A pod; status and place change as decisions are replayed. */
export interface AuditPod {
  readonly key: string;
  readonly pod: Pod;
  readonly request: PodRequest;
  /** GPUs asked for through claims. */
  readonly claimGpus: number;
  readonly job: AuditJob | null;
  /** Leaf of the job's tree, '' when it belongs to none. */
  readonly leaf: string;
  status: PodStatus;
  /** Where it is, or is to be. */
  node: AuditNode | null;
  /** GPU groups of a shared request, where it is or is to be. */
  groups: readonly string[];
  /** Decisions of this cycle. */
  isPlaced: boolean;
  isEvicted: boolean;
  /** Node that it left in this cycle. */
  leftNode: AuditNode | null;
}

export interface AuditJob {
  readonly key: string;
  readonly group: PodGroup;
  /** Null when the queue does not exist. */
  readonly queue: AuditQueue | null;
  readonly priority: number;
  readonly isPreemptible: boolean;
  /** Null when the tree is malformed. */
  readonly tree: GangNode | null;
  readonly createdMs: number;
  /** NaN = none. */
  readonly lastStartMs: number;
  readonly staleSinceMs: number;
  readonly graceMs: number;
  readonly delayMs: number;
  lastEvictionMs: number;
  /** Members of the tree's leaves. */
  readonly pods: AuditPod[];
}

/** CPU in milli-CPU, memory in bytes, GPUs in thousandths. −1 = unlimited. */
export type Triple = readonly [milliCpu: number, memoryBytes: number, gpuMilli: number];

export interface AuditQueue {
  readonly name: string;
  readonly parent: AuditQueue | null;
  readonly children: AuditQueue[];
  readonly priority: number;
  readonly createdMs: number;
  readonly quota: Triple;
  readonly limit: Triple;
  readonly weight: Triple;
  readonly usage: Triple;
  /** NaN = not set. */
  readonly preemptMinRuntimeMs: number;
  readonly reclaimMinRuntimeMs: number;
  /** Sums, changed as decisions are replayed. */
  allocated: Triple;
  nonPreemptible: Triple;
  request: Triple;
  fairShare: Triple;
}

/** Everything that the rules look at. */
export interface World {
  readonly config: SchedulerConfig;
  readonly options: SnapshotOptions;
  readonly nowMs: number;
  readonly nodes: ReadonlyMap<string, AuditNode>;
  readonly pods: ReadonlyMap<string, AuditPod>;
  readonly jobs: ReadonlyMap<string, AuditJob>;
  readonly queues: ReadonlyMap<string, AuditQueue>;
  readonly topQueues: readonly AuditQueue[];
  readonly claims: Claims;
  /** Labels of namespaces. */
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly minGpuMib: number;
  readonly maxGpuMib: number;
  /** Pods that got a place, in the order of their decisions. */
  readonly placements: AuditPod[];
  readonly findings: Findings;
}

export function hasPlugin(config: SchedulerConfig, name: string): boolean {
  return config.plugins.some((p) => p.name === name);
}

/** Argument of a plugin, under the first of the names that is set. */
export function pluginArgument(config: SchedulerConfig, plugin: string, ...names: readonly string[]): string | undefined {
  const values = config.plugins.find((p) => p.name === plugin)?.arguments ?? {};
  return names.map((name) => values[name]).find((value) => value !== undefined);
}

export function add(a: Triple, b: Triple, sign: 1 | -1 = 1): Triple {
  return [a[0] + sign * b[0], a[1] + sign * b[1], a[2] + sign * b[2]];
}

/** a ≤ bound in all three resources; −1 is no bound. */
export function fitsIn(a: Triple, bound: Triple): boolean {
  return a.every((amount, r) => bound[r] === -1 || amount <= bound[r]!);
}

/** The queue and its ancestors, leaf first. */
export function upwards(queue: AuditQueue): AuditQueue[] {
  const out: AuditQueue[] = [];
  for (let q: AuditQueue | null = queue; q !== null; q = q.parent) out.push(q);
  return out;
}

export function isLeafQueue(queue: AuditQueue): boolean {
  return queue.children.length === 0;
}
