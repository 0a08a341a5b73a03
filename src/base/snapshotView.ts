import type {
  BindRequestsColumns,
  LabelSetsColumns,
  NodesColumns,
  ObjectsColumns,
  PodGroupsColumns,
  PodsColumns,
  QueuesColumns,
  ShapesColumns,
  SignaturesColumns,
} from './columns.gen.ts';
import type { Texts } from './text.ts';

/** A sealed snapshot as the engine reads it: views on shared memory, nothing copied. Units: schemas/snapshot.fbs. */
export interface SnapshotView {
  /** The bytes behind all columns; may be handed to another thread and viewed there. */
  readonly buffer: SharedArrayBuffer;
  /** Snapshots of one writer with the same number hold the same. */
  readonly generation: number;
  readonly options: SnapshotOptions;
  readonly texts: Texts;
  readonly labelSets: LabelSetsColumns;
  readonly shapes: ShapesColumns;
  readonly signatures: SignaturesColumns;
  readonly nodes: NodesColumns;
  readonly pods: PodsColumns;
  readonly podGroups: PodGroupsColumns;
  readonly queues: QueuesColumns;
  readonly bindRequests: BindRequestsColumns;
  readonly objects: ObjectsColumns;
}

/** What the writer of a snapshot must know to project objects; kept in the snapshot. Names as the scheduler's flags. */
export interface SnapshotOptions {
  readonly schedulerName: string;
  readonly nodePoolLabelKey: string;
  readonly nodePoolLabelValue: string;
  readonly queueLabelKey: string;
  readonly resourceReservationAppLabel: string;
  readonly cpuWorkerNodeLabelKey: string;
  readonly gpuWorkerNodeLabelKey: string;
  readonly migWorkerNodeLabelKey: string;
  /** `resource.k8s.io` is served: claims, slices and classes are read (spec 03 section 11.1). */
  readonly isDraServed: boolean;
  /** `topology.node.k8s.io` is served. */
  readonly isNodeTopologyServed: boolean;
}

export const DEFAULT_SNAPSHOT_OPTIONS: SnapshotOptions = Object.freeze({
  schedulerName: 'kai-scheduler',
  nodePoolLabelKey: 'kai.scheduler/node-pool',
  nodePoolLabelValue: '',
  queueLabelKey: 'kai.scheduler/queue',
  resourceReservationAppLabel: 'kai-resource-reservation',
  cpuWorkerNodeLabelKey: 'node-role.kubernetes.io/cpu-worker',
  gpuWorkerNodeLabelKey: 'node-role.kubernetes.io/gpu-worker',
  migWorkerNodeLabelKey: 'node-role.kubernetes.io/mig-enabled',
  isDraServed: true,
  isNodeTopologyServed: true,
});
