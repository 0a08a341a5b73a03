// The twin's picture of a cluster: facts that a cycle never changes, and the state that it changes.
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { Node, OtherObject, Pod, PodGroup, Queue } from '../../src/base/objects.ts';
import type { Amounts } from './amounts.ts';
import type { Request } from './request.ts';

export type Status =
  | 'pending'
  | 'gated'
  | 'allocated'
  | 'pipelined'
  | 'binding'
  | 'bound'
  | 'running'
  | 'releasing'
  | 'stuck'
  | 'succeeded'
  | 'unknown';

/** Groups of statuses (spec 03 section 0.3). */
export const ALLOCATED: readonly Status[] = ['allocated', 'binding', 'bound', 'running'];
export const ACTIVE: readonly Status[] = [...ALLOCATED, 'pipelined'];
export const USED: readonly Status[] = [...ACTIVE, 'releasing', 'stuck'];
export const ALIVE: readonly Status[] = [...ACTIVE, 'pending', 'gated'];

export interface NodeFacts {
  readonly name: string;
  readonly node: Node;
  readonly labels: Readonly<Record<string, string>>;
  readonly allocatable: Amounts;
  /** GPU memory of one device, MiB. */
  readonly gpuMib: number;
  readonly isGpuMemoryKnown: boolean;
  /** Devices by label, else allocatable: for spread scoring only. */
  readonly labelledGpus: number;
  readonly isMig: boolean;
  readonly migStrategy: 'none' | 'single' | 'mixed';
  readonly isCpuOnly: boolean;
}

export interface Task {
  /** "namespace/name" */
  readonly key: string;
  readonly pod: Pod;
  readonly request: Request;
  readonly createdMs: number;
  /** Holds the device of a GPU group (spec 03 section 4.6). */
  readonly isReservation: boolean;
}

export interface PodSet {
  readonly kind: 'podSet';
  readonly name: string;
  readonly need: number;
  readonly tasks: readonly Task[];
}

export interface SubGroupSet {
  readonly kind: 'set';
  /** '' for the root. */
  readonly name: string;
  readonly need: number;
  readonly members: readonly Member[];
}

export type Member = PodSet | SubGroupSet;

export interface Job {
  readonly key: string;
  readonly group: PodGroup;
  readonly queue: string;
  readonly priority: number;
  readonly isPreemptible: boolean;
  readonly createdMs: number;
  readonly root: SubGroupSet;
  /** The sub-groups form no tree: the job is not scheduled and none of its pods counts. */
  readonly isMalformed: boolean;
}

/** Amounts that queues are about: milli-CPU, bytes, milli-GPU. */
export const RESOURCES = ['cpu', 'memory', 'gpu'] as const;
export type Resource = (typeof RESOURCES)[number];
export type Triple = Record<Resource, number>;
export const UNLIMITED = -1;

export interface QueueFacts {
  readonly name: string;
  readonly displayName: string;
  readonly queue: Queue | null;
  readonly parent: string | null;
  readonly children: readonly string[];
  readonly priority: number;
  readonly createdMs: number;
  readonly quota: Triple;
  readonly limit: Triple;
  readonly weight: Triple;
}

export interface TaskState {
  status: Status;
  node: string | null;
  groups: readonly string[];
}

/** Memory of a shared GPU group on its node (spec 03 section 4.4). */
export interface GroupLedger {
  usedMib: number;
  allocatedMib: number;
  releasingMib: number;
  /** A pod that does not only wait has memory of it: the device is not idle. */
  isCharged: boolean;
  /** All its memory is being released: it counts as one releasing device. */
  isReleasing: boolean;
  /** Only waiting pods are on it: it takes a device of those that are being released. */
  isAwaited: boolean;
}

export interface NodeLedger {
  used: Amounts;
  idle: Amounts;
  releasing: Amounts;
  groups: Map<string, GroupLedger>;
  /** Keys of the tasks on the node, whatever their status. */
  tasks: Set<string>;
}

export interface QueueLedger {
  allocated: Triple;
  allocatedNonPreemptible: Triple;
}

/** Everything that an attempt changes; an attempt that fails puts a copy back. */
export interface State {
  tasks: Map<string, TaskState>;
  nodes: Map<string, NodeLedger>;
  queues: Map<string, QueueLedger>;
}

export interface World {
  readonly config: SchedulerConfig;
  readonly nowMs: number;
  /** Nodes of the shard by name. */
  readonly nodes: ReadonlyMap<string, NodeFacts>;
  readonly tasks: ReadonlyMap<string, Task>;
  readonly jobs: readonly Job[];
  /** Job of a task that belongs to a pod set. */
  readonly jobOf: ReadonlyMap<string, Job>;
  readonly queues: ReadonlyMap<string, QueueFacts>;
  /** Smallest and largest known GPU memory, MiB; undefined when no node tells. */
  readonly minGpuMib: number | undefined;
  readonly maxGpuMib: number | undefined;
  readonly total: Triple;
  readonly fairShare: ReadonlyMap<string, Triple>;
  /** "namespace/name" of the config maps. */
  readonly configMaps: ReadonlySet<string>;
  readonly namespaces: readonly OtherObject[];
  readonly poolName: string;
}

export function hasPlugin(config: SchedulerConfig, name: string): boolean {
  return config.plugins.some((plugin) => plugin.name === name);
}
