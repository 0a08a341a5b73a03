import type { SchedulerConfig } from '../base/config.ts';
import type { CycleReport, RawDecision } from '../base/decisions.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import type { SearchPort, SearchRequest } from './parallel.ts';

/** Receives decisions while the cycle runs. One call holds all decisions of one committed job: take all or none. */
export interface DecisionSink {
  commit(decisions: readonly RawDecision[]): void;
  /** A named phase ended ("open", "fairShare", "allocate", "report"); the sink owns the clock. */
  phase(name: string): void;
}

/** Bytes of shared state that a cycle on this snapshot needs; an upper bound known before the cycle opens. */
export function stateBytes(_view: SnapshotView, _config: SchedulerConfig): number {
  throw new Error('being written');
}

/**
 * Runs one scheduling cycle: open, fair share, the configured actions in order, reports. Pure: the same arguments give
 * the same decisions for any port. `state` is at least `stateBytes` long and need not be zeroed.
 */
export function runCycle(
  _view: SnapshotView,
  _config: SchedulerConfig,
  _nowMs: number,
  _state: SharedArrayBuffer,
  _sink: DecisionSink,
  _port: SearchPort,
): CycleReport {
  throw new Error('being written');
}

/** What a search worker holds during a cycle. */
export interface SearchContext {
  /** Fills positions [from, to) of the request's slot, exactly as the planner would. */
  run(request: SearchRequest, from: number, to: number): void;
}

/** Opens a running cycle's shared state in a search worker; the planner has initialised it before the first request. */
export function openSearch(_view: SnapshotView, _config: SchedulerConfig, _state: SharedArrayBuffer): SearchContext {
  throw new Error('being written');
}
