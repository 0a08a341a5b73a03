import type { ClusterObjects, Node, Pod, PodGroup } from '../base/objects.ts';
import type { GpuDemand } from './fragmentation.ts';

/** Midnight of 1 January 2026 UTC: the moment every simulated cluster begins. */
export const EPOCH_MS = Date.UTC(2026, 0, 1);

/** One job as it reaches the cluster. */
export interface Arrival {
  /** Virtual time of submission, ms since the Unix epoch; also the creation time of its objects. */
  readonly atMs: number;
  readonly podGroup: PodGroup;
  readonly pods: readonly Pod[];
  /** How long each pod runs once started; Infinity = it never leaves. */
  readonly runMs: number;
  /** What each of the pods asks for. */
  readonly demand: GpuDemand;
}

/** What a simulated cluster consists of and who comes when. Arrivals are ordered by time. */
export interface Workload {
  /** One line for people: "1000 nodes, generated, seed 42". */
  readonly description: string;
  readonly nodes: readonly Node[];
  /** Everything else that stands from the beginning, by list. */
  readonly objects: Partial<ClusterObjects>;
  /** Time of the next arrival, Infinity when there is none. */
  nextAtMs(): number;
  /** The next arrival; only valid while `nextAtMs` is finite. */
  next(): Arrival;
}

/** RFC 3339 with milliseconds. */
export function timestamp(atMs: number): string {
  return new Date(atMs).toISOString();
}
