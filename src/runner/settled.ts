import type { SchedulerConfig } from '../base/config.ts';
import { emptySearchCounts } from '../base/decisions.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import type { CycleResult } from './cycleRunner.ts';

const NO_WORK = { bound: 0, pipelined: 0, evicted: 0, jobsAttempted: 0, jobsFailed: 0, nodesEvaluated: 0, scans: 0, classes: 0 };

/** A cycle that decided nothing, and the snapshot that it was about. */
export interface SettledCycle {
  readonly view: SnapshotView;
  readonly result: CycleResult;
}

/**
 * Remembers a cycle that decided nothing. While its objects and configuration stay as they are, and no rule that looks at
 * the clock changes its mind, the next cycle would only come to the same: no search that failed is made again.
 */
export class Settled {
  #kept: (SettledCycle & { readonly config: SchedulerConfig }) | null = null;

  /** `isChanged`: the objects are not those of the last snapshot any more. Null: the cycle must be run. */
  recall(isChanged: boolean, config: SchedulerConfig, nowMs: number): SettledCycle | null {
    const kept = this.#kept;
    if (kept === null || isChanged || config !== kept.config || nowMs >= kept.result.report.sameUntilMs) {
      // Should that cycle fail, the one kept is not about its snapshot.
      this.#kept = null;
      return null;
    }
    const { view, result } = kept;
    const report = { ...result.report, phaseMs: {}, counts: NO_WORK, search: emptySearchCounts(), searchByAction: {} };
    return { view, result: { ...result, report, cycleMs: 0, restarts: 0, searchHandovers: 0, sharedSearches: 0 } };
  }

  /** The cycle that was run last. */
  keep(view: SnapshotView, config: SchedulerConfig, result: CycleResult): void {
    this.#kept = result.report.sameUntilMs === Number.NEGATIVE_INFINITY ? null : { view, config, result };
  }
}
