import type { ClusterObjects, ListName, Pod } from '../../base/objects.ts';
import type { SnapshotWriter } from '../../base/writerPort.ts';

/** How the modelled kubelets and workload controllers behave. Times in ms of the virtual clock. */
export interface KubeletOptions {
  /** From the binding to phase Running. */
  readonly bindDelayMs: number;
  /** From the deletion to the disappearance of the pod; also in `deletionTimestamp`. */
  readonly terminationGraceMs: number;
  /** How long a pod runs before it becomes Succeeded; Infinity = until somebody deletes it. Asked once, when it starts. */
  runMs(pod: Pod): number;
  /** Whether the owner of an evicted pod makes a new one in its place. */
  isRecreated(pod: Pod): boolean;
}

export interface ClusterOptions {
  /** Tables that are kept up to date with every change; the cluster is their only user. */
  readonly writer: SnapshotWriter;
  /** Where the virtual clock starts, ms since the Unix epoch. */
  readonly startMs: number;
  readonly kubelet?: Partial<KubeletOptions>;
  /** `nodePool` of the scheduling conditions that are written. */
  readonly nodePool?: string;
}

export const DEFAULT_KUBELET: KubeletOptions = Object.freeze({
  bindDelayMs: 2_000,
  terminationGraceMs: 30_000,
  runMs: () => Infinity,
  isRecreated: () => false,
});

/** An object of one list. */
export type ObjectOf<L extends ListName> = ClusterObjects[L][number];

/**
 * Why an object changed: `put` and `remove` come from the caller, `status` from a cycle's report; `bind` and `evict` from
 * decisions; `delete` is a user's deletion; `run`, `finish`, `vanish` and `recreate` happen by themselves as time passes.
 */
export type ChangeCause = 'put' | 'remove' | 'status' | 'bind' | 'evict' | 'delete' | 'run' | 'finish' | 'vanish' | 'recreate';

export interface ClusterChange {
  readonly list: ListName;
  /** "namespace/name", or "name" for objects without a namespace. */
  readonly key: string;
  readonly cause: ChangeCause;
  /** Absent when the object was removed. */
  readonly object?: ObjectOf<ListName>;
  /** Absent when the object is new. */
  readonly previous?: ObjectOf<ListName>;
  /** Virtual time of the change. */
  readonly atMs: number;
}

export type ClusterListener = (change: ClusterChange) => void;
