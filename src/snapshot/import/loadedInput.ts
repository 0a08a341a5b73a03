import type { ObjectProblem } from '../../base/errors.ts';
import type { ClusterObjects } from '../../base/objects.ts';

/** What was read from files or from one document, checked and merged. */
export interface LoadedInput {
  /** Types of the named fields are right, namespaced objects have a namespace, pods a UID; lists in the order of reading. */
  readonly objects: ClusterObjects;
  /** `config` of a snapshot document as it stands there (spec 01 section 3.2), null when there is none. */
  readonly config: unknown;
  /** `schedulerParams` of a snapshot document as it stands there (spec 01 section 6.2), null when there is none. */
  readonly schedulerParams: unknown;
  /** Wall-clock time of the recorded cycle (RFC 3339), null when the input does not tell. */
  readonly now: string | null;
  readonly discovery: Discovery;
  readonly case: CaseInput | null;
  readonly problems: readonly ObjectProblem[];
  /** Objects of kinds that the scheduler does not read. */
  readonly ignoredKinds: readonly IgnoredKind[];
  /** The file that an object of `objects` was read from, '' when it is none of them: for problems that are found later. */
  readonly sourceOf: (object: unknown) => string;
}

/** Which optional API groups the cluster serves (spec 01 section 6.3). */
export interface Discovery {
  readonly isDraServed: boolean;
  readonly isNodeTopologyServed: boolean;
  /** The `discovery` of the document, null when absent: then it is judged by the objects. */
  readonly raw: unknown;
}

/** The further keys of a conformance case, as they stand there. */
export interface CaseInput {
  readonly id: string;
  readonly about: string;
  readonly expect: unknown;
  /** Cycles to run, default 1. */
  readonly cycles: number;
  /** Further cycles that must change nothing, default 0. */
  readonly quiet: number;
}

export interface IgnoredKind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly count: number;
}
