// Cycle after cycle, never two at once: when something changed that can matter, and while something waits, once per period.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { SchedulerConfig } from '../base/config.ts';
import type { CycleReport, Decision } from '../base/decisions.ts';
import { KaiError } from '../base/errors.ts';
import { JobFaultError } from '../base/jobFault.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import { backoffMs, type Clock } from '../kubernetes/clock.ts';
import type { CycleResult, CycleRunner } from '../runner/cycleRunner.ts';
import { Settled } from '../runner/settled.ts';
import type { ClusterState } from './clusterState.ts';
import type { Quarantine } from './quarantine.ts';

/** Pause after a cycle when the flag `schedule-period` is not given: events that come together make one cycle. */
export const DEFAULT_PAUSE_MS = 50;
/** Rules that look at the clock get their turn so often while something waits. */
const HEARTBEAT_MS = 1_000;
const FAILURE_BACKOFF = { firstMs: 1_000, maxMs: 30_000 };

export interface LoopOptions {
  readonly state: ClusterState;
  readonly clock: Clock;
  /** Asked before each cycle; a runner may be another one than before. */
  readonly runner: () => CycleRunner;
  readonly config: () => SchedulerConfig;
  /** Least time between the end of a cycle and the start of the next. */
  readonly pauseMs: () => number;
  readonly take: (batch: readonly Decision[]) => void;
  readonly report: (report: CycleReport, view: SnapshotView) => Promise<void>;
  /** Keeps jobs away that make the engine fail, and looks for those that nobody can name. True: the next cycle is to run at once. */
  readonly quarantine: Pick<Quarantine, 'failed' | 'succeeded' | 'blame' | 'dueMs'>;
  readonly observer: LoopObserver;
}

export interface LoopObserver {
  started(): void;
  finished(result: CycleResult, view: SnapshotView, sealMs: number): void;
  /** The cycle came to nothing but what was committed before; it is tried again after `delayMs`. */
  failed(error: unknown, delayMs: number): void;
}

export interface LoopStatus {
  readonly cycles: number;
  /** Monotonic clock; NaN = none runs. */
  readonly runningSinceMs: number;
  /** End of the last cycle that succeeded, monotonic clock; NaN = none yet. */
  readonly lastSuccessMs: number;
  /** Failed cycles in a row. */
  readonly failures: number;
  readonly isWorkWaiting: boolean;
}

export class SchedulingLoop {
  readonly #options: LoopOptions;
  #isDirty = true;
  #isWorkWaiting = false;
  #wake: (() => void) | null = null;
  #cycles = 0;
  #failures = 0;
  #runningSinceMs = Number.NaN;
  #lastSuccessMs = Number.NaN;
  #lastEndMs = Number.NEGATIVE_INFINITY;
  /** The last snapshot may still be read by debug endpoints; the one before is free. */
  #views: SnapshotView[] = [];
  readonly #settled = new Settled();
  /** Snapshots that somebody reads, with the number of readers. */
  readonly #lent = new Map<SnapshotView, number>();

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  /** Snapshot of the last cycle. */
  get view(): SnapshotView | undefined {
    return this.#views.at(-1);
  }

  /** Works on the snapshot of the last cycle, which is kept as it is so long; undefined before the first cycle. */
  async withView<T>(work: (view: SnapshotView) => Promise<T>): Promise<T | undefined> {
    const { view } = this;
    if (view === undefined) return undefined;
    this.#lent.set(view, (this.#lent.get(view) ?? 0) + 1);
    try {
      return await work(view);
    } finally {
      const readers = this.#lent.get(view)! - 1;
      if (readers > 0) this.#lent.set(view, readers);
      else this.#lent.delete(view);
    }
  }

  status(): LoopStatus {
    return {
      cycles: this.#cycles,
      runningSinceMs: this.#runningSinceMs,
      lastSuccessMs: this.#lastSuccessMs,
      failures: this.#failures,
      isWorkWaiting: this.#isWorkWaiting,
    };
  }

  /** Something changed: a cycle is due as soon as the pause allows. */
  wake(): void {
    this.#isDirty = true;
    this.#wake?.();
  }

  /** Runs cycles until `signal` is aborted; a cycle under way is finished, but its further decisions are for `take` to drop. */
  async run(signal: AbortSignal): Promise<void> {
    await nextTurn();
    while (!signal.aborted) {
      await this.#untilDue(signal);
      if (signal.aborted) return;
      try {
        await this.#cycle();
        this.#failures = 0;
        if (this.#options.quarantine.succeeded()) this.#isDirty = true;
      } catch (error) {
        if (signal.aborted) return;
        const isNarrowed = isOfCycle(error) && this.#options.quarantine.failed(error);
        if (!isNarrowed) this.#failures++;
        const delayMs = isNarrowed ? 0 : backoffMs(this.#failures, FAILURE_BACKOFF, this.#options.clock.random());
        this.#options.observer.failed(error, delayMs);
        await this.#options.clock.sleep(delayMs, signal);
        this.#isDirty = true;
      } finally {
        this.#runningSinceMs = Number.NaN;
        this.#lastEndMs = this.#options.clock.monotonicMs();
      }
    }
  }

  async #untilDue(signal: AbortSignal): Promise<void> {
    const { clock, state, pauseMs, quarantine } = this.#options;
    while (!signal.aborted) {
      const expiryMs = state.expire();
      const nowMs = clock.monotonicMs();
      const soonestMs = this.#lastEndMs + pauseMs();
      const heartbeatMs = this.#isWorkWaiting ? this.#lastEndMs + Math.max(HEARTBEAT_MS, pauseMs()) : Number.POSITIVE_INFINITY;
      const dueMs = this.#isDirty ? soonestMs : Math.min(heartbeatMs, Math.max(soonestMs, quarantine.dueMs()));
      if (dueMs <= nowMs) return;
      await this.#sleep(Math.min(dueMs, expiryMs) - nowMs, signal);
    }
  }

  /** Until the time is over or `wake` is called. */
  async #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const stop = (): void => woken.abort();
    signal.addEventListener('abort', stop);
    // A first change starts the clock of the pause; further ones must not start it anew.
    if (!this.#isDirty) this.#wake = stop;
    await this.#options.clock.sleep(Math.min(delayMs, 60_000), woken.signal);
    this.#wake = null;
    signal.removeEventListener('abort', stop);
    await nextTurn();
  }

  #seal(): SnapshotView {
    const oldest = this.#views.length > 1 ? this.#views.shift() : undefined;
    const view = this.#options.state.seal(oldest === undefined || this.#lent.has(oldest) ? undefined : oldest);
    this.#views.push(view);
    return view;
  }

  async #cycle(): Promise<void> {
    const { state, clock, observer, take, report } = this.#options;
    this.#runningSinceMs = clock.monotonicMs();
    observer.started();
    this.#isDirty = false;
    const config = this.#options.config();
    const nowMs = clock.nowMs();
    const settled = this.#settled.recall(state.isChanged(), config, nowMs);
    const view = settled?.view ?? this.#seal();
    const sealMs = clock.monotonicMs() - this.#runningSinceMs;
    // The copy of a large cluster takes its time, starting threads too. What comes in between is seen by the late checks.
    if (settled === null) await nextTurn();
    const result = settled?.result ?? (await this.#options.runner().run(view, config, nowMs, take));
    if (settled === null) this.#settled.keep(view, config, result);
    this.#isWorkWaiting = result.report.jobs.some(isWaiting) || result.decisions.length > 0;
    observer.finished(result, view, sealMs);
    await report(result.report, view);
    for (const fault of result.faults) {
      const group = view.texts.get(view.podGroups.keyText[fault.podGroupRow]!);
      if (this.#options.quarantine.blame(group, new JobFaultError(fault))) this.#isDirty = true;
    }
    this.#cycles++;
    this.#lastSuccessMs = clock.monotonicMs();
  }
}

/** The engine itself failed, on any thread and each time. */
function isOfCycle(error: unknown): boolean {
  return error instanceof KaiError && error.code === 'CYCLE_FAILED';
}

function isWaiting({ state, staleMessage, staleSinceMs }: CycleReport['jobs'][number]): boolean {
  return state !== 'scheduled' || staleMessage !== undefined || (staleSinceMs !== undefined && !Number.isNaN(staleSinceMs));
}
