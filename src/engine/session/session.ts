import type { SchedulerConfig } from '../../base/config.ts';
import type { CycleCounts, RawDecision, SearchCounts } from '../../base/decisions.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { DraSession } from '../dra/session.ts';
import type { ConfigMapIndex } from '../filters/configMaps.ts';
import type { CsiStorageLedger } from '../filters/csiStorage.ts';
import type { HostPortIndex } from '../filters/hostPorts.ts';
import type { PodAffinityIndex } from '../filters/podAffinity.ts';
import type { VolumeFilter } from '../filters/volumes.ts';
import type { NumaSession } from '../numa/session.ts';
import type { SearchPort } from '../parallel.ts';
import type { ClassIndex } from '../placement/classIndex.ts';
import type { Evaluator, Policies } from '../placement/evaluate.ts';
import type { NodeMaxima } from '../placement/prepredicates.ts';
import type { Request } from '../placement/requests.ts';
import type { Journal } from '../state/journal.ts';
import type { State } from '../state/layout.ts';
import type { GroupConstraint } from '../topology/levels.ts';
import type { TopologySession } from '../topology/session.ts';
import type { Safety } from '../victims/safety.ts';
import type { MinRuntime, PluginSet } from './plugins.ts';
import type { Status } from './status.ts';
import type { Turns } from './turns.ts';

/** Queues of the shard, numbered in name order; three amounts each (milli-CPU, bytes, thousandths of a GPU). */
export interface QueueTable {
  readonly count: number;
  /** Row in view.queues, NO_ROW for the synthetic top queue. */
  readonly row: Int32Array;
  readonly name: readonly string[];
  readonly displayName: readonly string[];
  /** −1 for top-level queues. */
  readonly parent: Int32Array;
  readonly isLeaf: Uint8Array;
  /** Children and top-level queues, each list by (creation time, name): the order of every tie. */
  readonly children: readonly (readonly number[])[];
  readonly top: readonly number[];
  readonly priority: Int32Array;
  readonly createdMs: Float64Array;
  /** −1 = unlimited. Index 3 × queue + resource. */
  readonly quota: Float64Array;
  readonly limit: Float64Array;
  readonly weight: Float64Array;
  readonly usage: Float64Array;
  readonly request: Float64Array;
  readonly fairShare: Float64Array;
  /** Resources of the cluster in the same three amounts. */
  readonly total: Float64Array;
}

/** An inner node of a job's sub-group tree (spec 02 section 4.2). The root has an empty name. */
export interface SubGroupSet {
  readonly name: string;
  /** Members required. */
  readonly need: number;
  /** Constraint of an inner sub-group; the root's is in `rootConstraint` of the job table. */
  readonly constraint?: GroupConstraint;
  /** Child sets and pod sets, by name. */
  readonly members: readonly SubGroupMember[];
}
export type SubGroupMember =
  | { readonly name: string; readonly set: SubGroupSet; readonly podSet: -1 }
  | { readonly name: string; readonly set: null; readonly podSet: number };

/** Pod groups of the shard. */
export interface JobTable {
  readonly count: number;
  readonly row: Int32Array;
  /** −1 = the queue does not exist. */
  readonly queue: Int32Array;
  readonly priority: Int32Array;
  readonly isPreemptible: Uint8Array;
  readonly createdMs: Float64Array;
  readonly firstSet: Int32Array;
  readonly setCount: Int32Array;
  /** Trees of the jobs that have sub-groups; all others are one pod set under a root that needs `rootNeed` members. */
  readonly tree: ReadonlyMap<number, SubGroupSet>;
  readonly rootNeed: Int32Array;
  /** Topology constraints of whole jobs, and of pod sets by pod set. */
  readonly rootConstraint: ReadonlyMap<number, GroupConstraint>;
  readonly setConstraint: ReadonlyMap<number, GroupConstraint>;
  /** Message of a malformed sub-group tree: the job is not scheduled. */
  readonly invalid: ReadonlyMap<number, string>;
}

/** Pod sets: leaves of the sub-group trees. */
export interface PodSetTable {
  readonly count: number;
  readonly job: Int32Array;
  readonly min: Int32Array;
  readonly name: readonly string[];
  /** Pods of set s are `pods[first[s]] …`, in no order until sorted. */
  readonly first: Int32Array;
  readonly size: Int32Array;
  readonly pods: Int32Array;
  readonly gated: Int32Array;
  readonly succeeded: Int32Array;
  /** 1 once the pods of the set are in task order. */
  readonly isSorted: Uint8Array;
}

/** Pods by row of view.pods. */
export interface TaskTable {
  /** −1 = no job of this shard, or of an unknown sub-group. */
  readonly podSet: Int32Array;
  /** Live bind request of the pod, −1 = none. */
  readonly bindRequest: Int32Array;
  /** GPU groups of tasks on nodes of the session, in device order. */
  readonly groups: Map<number, readonly number[]>;
  /** Pods naming a sub-group that does not exist: pod row → name. */
  readonly unknownSubGroup: ReadonlyMap<number, string>;
}

/** Errors gathered for the reports (spec 03 section 6.9). */
export interface FitErrors {
  /** Pod row → text. */
  readonly task: Map<number, string>;
  readonly job: Map<number, JobErrorEntry[]>;
}

export interface JobErrorEntry {
  readonly reason: string;
  readonly message: string;
  readonly detail: string;
  readonly subGroup: string;
  readonly queueDetails?: unknown;
}

/** Everything of one cycle. Cells change through the journal only. */
export interface Session {
  readonly view: SnapshotView;
  readonly config: SchedulerConfig;
  readonly nowMs: number;
  readonly plugins: PluginSet;
  readonly policies: Policies;
  readonly state: State;
  readonly journal: Journal;
  readonly nodeName: readonly string[];
  /** Node number by name text row, −1 = not in the session. */
  readonly nodeOfText: Int32Array;
  readonly dimNames: readonly string[];
  /** GPUs per instance where the dimension is a MIG profile, else 0. */
  readonly migGpusOfDim: Int32Array;
  /** Job by pod group key text row, −1 = none. */
  readonly jobOfText: Int32Array;
  readonly queues: QueueTable;
  readonly jobs: JobTable;
  readonly podSets: PodSetTable;
  readonly tasks: TaskTable;
  readonly groupNames: string[];
  /** Number of the latest group of a name; holds only while the group exists and bears that name (see `isGroupName`). */
  readonly groupOfName: Map<string, number>;
  /** Node of the pods with a legacy MIG annotation that are on a node. */
  readonly legacyMigNode: Map<number, number>;
  /** Arguments of plugin `minruntime` (spec 02 section 15.1). */
  readonly minRuntime: MinRuntime;
  /** Smallest and largest GPU memory of the nodes in MiB, NaN when no node tells (spec 03 section 2.7). */
  readonly minGpuMib: number;
  readonly maxGpuMib: number;
  readonly maxima: NodeMaxima;
  request(shapeRow: number): Request;
  readonly evaluator: Evaluator;
  readonly classes: ClassIndex;
  readonly port: SearchPort;
  readonly dra: DraSession;
  /** Some pod of the snapshot has pod affinity or anti-affinity terms; else the index is never fed. */
  readonly hasPodAffinity: boolean;
  readonly affinity: PodAffinityIndex;
  readonly ports: HostPortIndex;
  readonly volumes: VolumeFilter;
  /** Only with `scheduleCsiStorage` (spec 03 section 4.9). */
  readonly csi: CsiStorageLedger | null;
  readonly configMaps: ConfigMapIndex;
  readonly topology: TopologySession;
  /** Plugin `numa`; null when it is off or no node has zones. */
  readonly numa: NumaSession | null;
  readonly errors: FitErrors;
  readonly counts: CycleCounts;
  /** Jobs that got their first pods in this cycle. */
  readonly started: Set<number>;
  /** Tasks evicted in mind and not committed: pod row → status before. */
  readonly evicted: Map<number, Status>;
  /** Bind decisions of this cycle that a later action may still take back: pod row → decision. */
  readonly held: Map<number, RawDecision>;
  /** Pod group rows of jobs with held binds of which some were moved and wait now. */
  readonly postponed: Set<number>;
  /** Promises about evictions beyond upstream's rules; null = none. */
  readonly safety: Safety | null;
  /** Jobs that lost pods to an action of this cycle. */
  readonly robbed: Set<number>;
  /** Changed "stale since" times: job → ms, NaN = no longer stale. */
  readonly staleSince: Map<number, number>;
  /** Jobs whose messages say that they are stale. */
  readonly stale: Set<number>;
  /** Elementary counts of the victim searches. */
  readonly search: SearchCounts;
  /** Jobs that were tried in this cycle. */
  readonly attempted: Set<number>;
  readonly turns: Turns;
}
