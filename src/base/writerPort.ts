import type { ObjectProblem } from './errors.ts';
import type { ListName } from './objects.ts';
import type { SnapshotView } from './snapshotView.ts';

/** Keeps the tables of a cluster up to date, object by object, and seals them into snapshots. */
export interface SnapshotWriter {
  /** Adds the object or replaces the one of the same kind and namespace/name. Returns what was wrong with it, if anything. */
  put(list: ListName, object: unknown): readonly ObjectProblem[];
  /** Removes by "namespace/name" (cluster-scoped: "name"); unknown keys are ignored. */
  remove(list: ListName, key: string): void;
  /** Historical usage of a queue as shares of the cluster (spec 02 section 8); 0 removes it. */
  setUsage(queue: string, cpu: number, memory: number, gpu: number): void;
  /** Did anything that a snapshot tells change since the last one was sealed? Objects put again as they were change nothing. */
  isChanged(): boolean;
  /** Copies the tables into a snapshot of their own. `reuse`: a snapshot nobody reads any more, for its memory. */
  seal(reuse?: SnapshotView): SnapshotView;
}
