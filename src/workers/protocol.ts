import type { SchedulerConfig } from '../base/config.ts';
import type { CycleReport, RawDecision } from '../base/decisions.ts';
import type { JobFault } from '../base/jobFault.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import type { DecisionSink, followCycle, openSearch, runCycle, stateBytes } from '../engine/cycle.ts';

/** What the threads run. A task names its module, so that tests can put another engine into the workers. */
export interface EngineModule {
  readonly stateBytes: typeof stateBytes;
  readonly runCycle: typeof runCycle;
  readonly openSearch: typeof openSearch;
  readonly followCycle: typeof followCycle;
  /** The snapshot behind a buffer that another thread sealed. */
  readonly viewSnapshot: (buffer: SharedArrayBuffer) => SnapshotView;
}

/**
 * Words (int32) of the control block of one cycle. Words that different threads write are 64 bytes apart, so that they do
 * not share a cache line.
 */
export const CONTROL = {
  /** Number of the request, 0 = none yet. Search workers sleep on it. */
  epoch: 0,
  /** 1: the cycle is over, search workers return. */
  stop: 16,
  /** 1: the cycle is given up, the planner returns CANCELLED at its next check. */
  cancel: 32,
  /** `parts << PART_BITS | next part` of the current request; taken by compare-and-exchange. */
  claim: 48,
  /** Parts of the current request that are done. The planner sleeps on it. */
  done: 64,
  /** Search workers that sleep now. */
  idle: 80,
  /** Fields of the request, written before `claim` and stable until all its parts are done: to be read after a claim. */
  shapeRow: 96,
  signatureRow: 97,
  slot: 98,
  rows: 99,
  /** First position of part 0. */
  from: 100,
  /** Positions per part; 0 = measure the round trip, nothing to search. */
  partRows: 101,
  /** 1: search workers follow the cycle to share its victim searches. */
  follow: 112,
  /** 1: no longer, the planner goes on alone. */
  solo: 113,
  /** Followers that have come up to the planner at least once. */
  caughtUp: 114,
  /** Attempts of the cycle whose outcome is in the log. */
  known: 128,
  /** Of the search that is offered. */
  fingerprint: 129,
  /** Of that search, for a quick look before the words of workers/board.ts: trials taken, and a number that changes with its end. */
  takenHint: 130,
  ends: 131,
  /** Rings when a search is offered or an outcome is known. Followers sleep on it; the count of sleepers saves the call. */
  followerBell: 144,
  followersAsleep: 160,
  /** Rings when a trial is made. */
  plannerBell: 176,
  plannerAsleep: 192,
} as const;
export const CONTROL_BYTES = 208 * 4;

/** Sizes of the memory of workers/board.ts. */
export const BOARD = {
  headWords: 16,
  /** Trials of one search that are shared; the planner makes those beyond itself. */
  trials: 1 << 13,
  /** Words of what a trial cost. */
  costWords: 24,
  /** Attempts of a cycle that are written down; from there on the planner is alone. */
  logEntries: 1 << 19,
} as const;
/** `threads`: planner and search workers. */
export function boardBytes(threads: number): number {
  return 8 * (BOARD.headWords + BOARD.trials) + 4 * 2 * BOARD.logEntries + 4 * threads * BOARD.trials * BOARD.costWords;
}

export const PART_BITS = 8;
export const MAX_PARTS = (1 << PART_BITS) - 1;

/** A wait never sleeps for ever: a dead partner is noticed. */
export const PLANNER_HEARTBEAT_MS = 100;
export const SEARCHER_HEARTBEAT_MS = 1000;

/** Part of both tasks of a cycle; plain data and shared memory. */
interface CycleTask {
  /** URL of an EngineModule. */
  readonly engineUrl: string;
  readonly snapshot: SharedArrayBuffer;
  readonly config: SchedulerConfig;
  readonly state: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  /** Memory of workers/board.ts; empty without search workers. */
  readonly board: SharedArrayBuffer;
  readonly nowMs: number;
}
export interface SearchTask extends CycleTask {
  /** From 1: the planner is 0. */
  readonly index: number;
}

export interface PlanTask extends CycleTask {
  /** Ring of base/byteRing.ts; one message = one batch of base/decisionCodec.ts. */
  readonly ring: SharedArrayBuffer;
  /** Search workers of this cycle. */
  readonly searchers: number;
  /** A search of at least this much estimated work is shared; NaN = measure first, 0 = all of every search goes to search workers. */
  readonly handoverMs: number;
  /** The threshold is given and not adapted. */
  readonly isHandoverFixed: boolean;
  /** Jobs on which earlier runs of this cycle threw; with any, nothing is shared. */
  readonly faults: readonly JobFault[];
  /** The cycle before was spent searching for victims: search workers follow from the start. */
  readonly isSearchBound: boolean;
  /** What the cycles before made of help with victim searches: see workers/lead.ts. */
  readonly reluctance: number;
}

/** Order of the waiting jobs, worked out by a thread of its own. */
export interface JobOrderTask {
  readonly snapshot: SharedArrayBuffer;
  readonly config: SchedulerConfig;
  readonly nowMs: number;
}

/** Failures are data: class and fields of a thrown error are lost between threads. */
export interface TaskFailure {
  readonly ok: false;
  /** FAILED: something threw. JOB_FAILED: it was about one job. REFUSED: the engine refused its input with a KaiError. CANCELLED: given up because another part failed. */
  readonly code: 'FAILED' | 'JOB_FAILED' | 'REFUSED' | 'CANCELLED';
  readonly message: string;
  /** Code of the KaiError, '' for other failures. */
  readonly kaiCode: string;
  /** With JOB_FAILED. */
  readonly fault?: JobFault;
}
export type PlanResult =
  | {
      readonly ok: true;
      readonly report: CycleReport;
      /** Messages written to the ring. */
      readonly batches: number;
      /** Searches that were handed over. */
      readonly handovers: number;
      /** The threshold as adapted, for the next cycle; NaN = still not measured. */
      readonly handoverMs: number;
      /** Victim searches that were shared. */
      readonly sharedSearches: number;
      readonly isSearchBound: boolean;
      readonly reluctance: number;
    }
  | TaskFailure;
export type SearchResult = { readonly ok: true } | TaskFailure;

/** A sink with the clock of `sink.phase`: milliseconds since the phase before it, summed per name. Empty batches are dropped. */
export function createTimedSink(commit: (batch: readonly RawDecision[]) => void): {
  readonly sink: DecisionSink;
  readonly phaseMs: Record<string, number>;
} {
  const phaseMs: Record<string, number> = {};
  let lastMs = performance.now();
  const sink: DecisionSink = {
    commit(batch) {
      if (batch.length > 0) commit(batch);
    },
    phase(name) {
      const nowMs = performance.now();
      phaseMs[name] = (phaseMs[name] ?? 0) + nowMs - lastMs;
      lastMs = nowMs;
    },
  };
  return { sink, phaseMs };
}
