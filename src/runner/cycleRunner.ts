import { availableParallelism } from 'node:os';
import type { SchedulerConfig } from '../base/config.ts';
import type { CycleReport, Decision, DecisionDetails, RawDecision } from '../base/decisions.ts';
import { KaiError } from '../base/errors.ts';
import { type JobFault, JobFaultError } from '../base/jobFault.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import { INLINE_PORT } from '../engine/parallel.ts';
import { createTimedSink, type EngineModule } from '../workers/protocol.ts';
import { Delivery } from './delivery.ts';
import { type AttemptResult, EngineThreads, type Repetition } from './threads.ts';

const REAL_ENGINE_URL = new URL('./engine.ts', import.meta.url).href;
const DEFAULT_DEADLINE_MS = 60_000;
const DEFAULT_RING_BYTES = 1 << 20;
/** A failed cycle is repeated this often; the engine is deterministic, so a fault of its own comes again each time. */
const MAX_RESTARTS = 2;
/** So many jobs of one cycle may make the engine throw before the cycle fails as a whole. */
const MAX_FAULTS = 50;

export interface CycleResult {
  /** In the order of their commits. */
  readonly decisions: readonly Decision[];
  readonly report: CycleReport;
  /** Wall time of the whole run, restarts included. */
  readonly cycleMs: number;
  /** Attempts that failed before this one; not those that failed on one job. */
  readonly restarts: number;
  /** Jobs on which the engine threw: they lost their turn, all others got theirs. */
  readonly faults: readonly JobFault[];
  /** Searches that were shared with search workers. */
  readonly searchHandovers: number;
  /** Victim searches whose trials were offered to search workers. */
  readonly sharedSearches: number;
}

export interface CycleRunner {
  /** Threads: 0 = the caller's, 1 = a planner, n = a planner and n − 1 search workers. */
  readonly workers: number;
  /**
   * Runs one cycle on a sealed snapshot, one at a time. `onDecisions` gets the decisions of each committed job while the cycle
   * runs; it is called once per job, also when the cycle has to be repeated. An error on one job costs that job its turn. The
   * snapshot must stay sealed until the promise settles. Rejects with the engine's own KaiError when it refuses its input, with
   * KaiError CYCLE_FAILED (a thread failed and two repetitions did not help, or too many jobs made the engine throw),
   * CYCLE_NOT_DETERMINISTIC (a repetition decided otherwise), RUNNER_BUSY or RUNNER_CLOSED, and with what `onDecisions` throws.
   */
  run(view: SnapshotView, config: SchedulerConfig, nowMs: number, onDecisions?: (batch: readonly Decision[]) => void): Promise<CycleResult>;
  /** Gives up a running cycle, which then rejects with RUNNER_CLOSED, and ends all threads. */
  close(): Promise<void>;
}

export interface CycleRunnerOptions {
  /** Default 'auto': the number of available cores. */
  readonly workers?: 'auto' | number;
  /** Time for one attempt at a cycle in threads, default 60,000; an inline cycle cannot be interrupted. */
  readonly cycleDeadlineMs?: number;
  /** Capacity of the decision ring, a power of two; default 1 MiB. Larger batches pass in pieces. */
  readonly ringCapacityBytes?: number;
  /** Estimated work from which a search is shared, in ms; default: measured and adapted. 0: search workers do all of every search. */
  readonly searchHandoverMs?: number;
  /** Module that the threads run instead of the engine (EngineModule of workers/protocol.ts). */
  readonly engineUrl?: string;
}

/** A runner costs nothing until its first run, which starts the threads. Throws KaiError BAD_WORKERS for a count that is none. */
export function createCycleRunner(options: CycleRunnerOptions = {}): CycleRunner {
  const workers = options.workers === undefined || options.workers === 'auto' ? Math.max(1, availableParallelism()) : options.workers;
  if (!Number.isInteger(workers) || workers < 0) throw new KaiError('BAD_WORKERS', `workers is ${workers}; it must be auto, 0 or a count`);
  return new Runner(workers, options);
}

class Runner implements CycleRunner {
  readonly workers: number;
  readonly #engineUrl: string;
  readonly #threads: EngineThreads | undefined;
  #engine: EngineModule | undefined;
  #inlineState = new SharedArrayBuffer(0);
  #running: Promise<CycleResult> | undefined;
  #isClosed = false;

  constructor(workers: number, options: CycleRunnerOptions) {
    this.workers = workers;
    this.#engineUrl = options.engineUrl ?? REAL_ENGINE_URL;
    if (workers === 0) return;
    this.#threads = new EngineThreads({
      workers,
      engineUrl: this.#engineUrl,
      cycleDeadlineMs: options.cycleDeadlineMs ?? DEFAULT_DEADLINE_MS,
      ringCapacityBytes: options.ringCapacityBytes ?? DEFAULT_RING_BYTES,
      searchHandoverMs: options.searchHandoverMs ?? Number.NaN,
    });
  }

  async run(
    view: SnapshotView,
    config: SchedulerConfig,
    nowMs: number,
    onDecisions?: (batch: readonly Decision[]) => void,
  ): Promise<CycleResult> {
    this.#throwIfClosed();
    if (this.#running !== undefined) throw new KaiError('RUNNER_BUSY', 'the cycle before is still running');
    const cycle = this.#runCycle(view, config, nowMs, new Delivery(view, onDecisions));
    this.#running = cycle;
    try {
      return await cycle;
    } finally {
      this.#running = undefined;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#threads?.cancel();
    await Promise.allSettled([this.#running]);
    await this.#threads?.close();
  }

  #throwIfClosed(): void {
    if (this.#isClosed) throw new KaiError('RUNNER_CLOSED', 'the cycle runner was closed');
  }

  async #runCycle(view: SnapshotView, config: SchedulerConfig, nowMs: number, delivery: Delivery): Promise<CycleResult> {
    const startMs = performance.now();
    const faults: JobFault[] = [];
    for (let restarts = 0, isAlone = false; ; isAlone = true) {
      delivery.startAttempt();
      const attempt = await this.#attempt(view, config, nowMs, delivery, { isAlone, faults });
      this.#throwIfClosed();
      if (attempt.ok) {
        delivery.endAttempt(attempt.batches);
        const { report, handovers: searchHandovers, sharedSearches } = attempt;
        const cycleMs = performance.now() - startMs;
        return { decisions: delivery.decisions, report, cycleMs, restarts, faults, searchHandovers, sharedSearches };
      }
      if (attempt.refusal !== undefined) throw attempt.refusal;
      const { fault } = attempt;
      if (fault !== undefined) {
        // The same on every thread: only another job set aside can help.
        const isNew = faults.length < MAX_FAULTS && faults.every(({ podGroupRow }) => podGroupRow !== fault.podGroupRow);
        if (!attempt.isShared && !isNew) throw cycleFailed(`on ${faults.length + 1} jobs`, attempt.cause);
        if (!attempt.isShared) faults.push(fault);
        continue;
      }
      if (restarts === MAX_RESTARTS || this.#threads === undefined) throw cycleFailed(`${restarts + 1} time(s)`, attempt.cause);
      restarts++;
    }
  }

  async #attempt(
    view: SnapshotView,
    config: SchedulerConfig,
    nowMs: number,
    delivery: Delivery,
    repetition: Repetition,
  ): Promise<AttemptResult> {
    let engine: EngineModule;
    let stateBytes: number;
    try {
      engine = this.#engine ??= await loadEngine(this.#engineUrl);
      stateBytes = engine.stateBytes(view, config);
    } catch (error) {
      return failureOf(error);
    }
    this.#throwIfClosed();
    if (this.#threads !== undefined) return this.#threads.run(view, config, nowMs, stateBytes, delivery, repetition);
    if (this.#inlineState.byteLength < stateBytes) this.#inlineState = new SharedArrayBuffer(stateBytes);
    return runInline(engine, view, config, nowMs, this.#inlineState, delivery, repetition.faults);
  }
}

function loadEngine(url: string): Promise<EngineModule> {
  return url === REAL_ENGINE_URL ? import('./engine.ts') : (import(url) as Promise<EngineModule>);
}

function cycleFailed(howOften: string, cause: string): KaiError {
  return new KaiError('CYCLE_FAILED', `the scheduling cycle failed ${howOften}, at last: ${cause}`);
}

/** The cycle on this thread. No restart: a pure function that threw once throws again. */
function runInline(
  engine: EngineModule,
  view: SnapshotView,
  config: SchedulerConfig,
  nowMs: number,
  state: SharedArrayBuffer,
  delivery: Delivery,
  faults: readonly JobFault[],
): AttemptResult {
  let batches = 0;
  let refusal: { readonly error: unknown } | undefined;
  const { sink, phaseMs } = createTimedSink((batch) => {
    batches++;
    try {
      delivery.take(batch.map(asFromRing));
    } catch (error) {
      refusal = { error };
      throw error;
    }
  });
  try {
    const report = engine.runCycle(view, config, nowMs, state, sink, INLINE_PORT, faults);
    return { ok: true, report: { ...report, phaseMs }, batches, handovers: 0, sharedSearches: 0 };
  } catch (error) {
    if (refusal !== undefined) throw refusal.error;
    return failureOf(error);
  }
}

function failureOf(error: unknown): AttemptResult {
  if (error instanceof JobFaultError) return { ok: false, cause: error.fault.stack, fault: error.fault, isShared: false };
  if (error instanceof KaiError) return { ok: false, cause: error.message, refusal: error, isShared: false };
  return { ok: false, isShared: false, cause: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** Details cross the ring as JSON; the same here, so that one consumer sees one form. */
function asFromRing(decision: RawDecision): RawDecision {
  if (decision.details === undefined) return decision;
  return { ...decision, details: JSON.parse(JSON.stringify(decision.details)) as DecisionDetails };
}
