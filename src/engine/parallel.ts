import type { SearchCounts } from '../base/decisions.ts';

/** One search over all nodes: fill the columns of a class slot in the shared state for every node position. */
export interface SearchRequest {
  readonly shapeRow: number;
  readonly signatureRow: number;
  /** Class slot of the shared state whose columns are written. */
  readonly slot: number;
  /** Number of node positions. */
  readonly rows: number;
}

/** What a trial came to: the search goes on, it has its answer, or no later trial can give one. */
export const TrialEnd = { nothing: 0, found: 1, hopeless: 2 } as const;
export type TrialEnd = (typeof TrialEnd)[keyof typeof TrialEnd];

/**
 * The trials of one victim search in their order. A search goes on to the next trial only after one that came to nothing, so
 * the sequence is the same whoever tries which of them.
 */
export interface Course {
  /** Does this thread try the next trial? If not, it is passed over like one that came to nothing. */
  take(): boolean;
  /** What the trial taken last came to. */
  end(result: TrialEnd): void;
  /** No later trial matters. */
  isOver(): boolean;
}

/** A victim search as other threads can join it. */
export interface SharedSearch<T> {
  /** Equal wherever the search is the same on an equal state. */
  readonly fingerprint: number;
  /** False: its trials are no one sequence; whoever repeats it repeats the whole. */
  readonly isDivisible: boolean;
  readonly counts: SearchCounts;
  /** What the last `run` spent: the same on every thread that runs the search to its end. */
  readonly spent: { steps: number; isAll: boolean };
  /** Tries what the course gives it; null = nothing found, with everything as before. */
  run(course: Course): T | null;
  /** Takes back what `run` found. */
  undo(found: T): void;
}

/**
 * How the engine gets work done by other threads. It decides nothing: any split gives the same result.
 *
 * Besides node ranges, threads share victim searches. A thread that helps runs the same cycle on a session of its own,
 * skips what is known to have failed, and so has the planner's state wherever the planner needs help.
 */
export interface SearchPort {
  /** Fills the slot for positions [0, rows). `inline(from, to)` does a part on this thread; the rest may go elsewhere. */
  search(request: SearchRequest, inline: (from: number, to: number) => void): void;
  /** Is it known that the next attempt without victims fails? Then it is not made. */
  isKnownToFail(): boolean;
  /** Tells what an attempt without victims came to. */
  tell(isPlaced: boolean): void;
  /** Makes a victim search, with whoever helps. */
  find<T>(search: SharedSearch<T>): T | null;
}

/** Every trial on the calling thread. */
export const WHOLE_COURSE: Course = Object.freeze({ take: () => true, end: () => {}, isOver: () => false });

/** Everything on the calling thread: `workers: 0`, and the twin that the parallel port is tested against. */
export const INLINE_PORT: SearchPort = Object.freeze({
  search(request: SearchRequest, inline: (from: number, to: number) => void): void {
    inline(0, request.rows);
  },
  isKnownToFail: () => false,
  tell: () => {},
  find: <T>(search: SharedSearch<T>): T | null => search.run(WHOLE_COURSE),
});
