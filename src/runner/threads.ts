import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { resetRing, ringBytes } from '../base/byteRing.ts';
import type { SchedulerConfig } from '../base/config.ts';
import type { CycleReport } from '../base/decisions.ts';
import { KaiError } from '../base/errors.ts';
import type { JobFault } from '../base/jobFault.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import {
  boardBytes,
  CONTROL,
  CONTROL_BYTES,
  type PlanResult,
  type PlanTask,
  type SearchResult,
  type SearchTask,
} from '../workers/protocol.ts';
import { DecisionReader } from './decisionRing.ts';
import type { Delivery } from './delivery.ts';

const WORKER_FILE = fileURLToPath(new URL('../workers/engineWorker.ts', import.meta.url));
/** How long the threads of a failed attempt get to notice `cancel` before they are ended. */
const GRACE_MS = 500;

/** What an attempt at a cycle came to. `cause` is a sentence for people; with `refusal` a repetition is useless. */
export type AttemptResult =
  | {
      readonly ok: true;
      readonly report: CycleReport;
      readonly batches: number;
      readonly handovers: number;
      readonly sharedSearches: number;
    }
  | {
      readonly ok: false;
      readonly cause: string;
      readonly refusal?: KaiError | undefined;
      /** The job that it was about. */
      readonly fault?: JobFault | undefined;
      /** Work was shared: another run, on one thread, may never come to what failed. */
      readonly isShared: boolean;
    };

/** What earlier attempts at a cycle mean for the next. */
export interface Repetition {
  /** Nothing is shared: what failed may have been another thread's, or of a trial that did not matter. */
  readonly isAlone: boolean;
  /** Jobs that are set aside, each from its turn on; only with `isAlone`. */
  readonly faults: readonly JobFault[];
}

export interface ThreadOptions {
  readonly workers: number;
  readonly engineUrl: string;
  readonly cycleDeadlineMs: number;
  readonly ringCapacityBytes: number;
  /** NaN = measured and adapted. */
  readonly searchHandoverMs: number;
}

/** The threads of a runner and the memory they share. Both are reused from cycle to cycle and replaced after a failure. */
export class EngineThreads {
  readonly #options: ThreadOptions;
  #pool: Piscina | undefined;
  #poolError = '';
  #control = new SharedArrayBuffer(CONTROL_BYTES);
  #ring: SharedArrayBuffer;
  #state = new SharedArrayBuffer(0);
  #board: SharedArrayBuffer;
  #isSearchBound = false;
  #reluctance = 1;
  #handoverMs: number;
  #attempt: Attempt | undefined;

  constructor(options: ThreadOptions) {
    this.#options = options;
    this.#ring = new SharedArrayBuffer(ringBytes(options.ringCapacityBytes));
    this.#board = createBoard(options.workers);
    this.#handoverMs = options.searchHandoverMs;
  }

  /**
   * One attempt at a cycle. A failed one leaves no thread and no memory of it behind, unless it was about a job and all
   * threads have ended their work. Rejects with what `delivery.take` throws.
   */
  async run(
    view: SnapshotView,
    config: SchedulerConfig,
    nowMs: number,
    stateBytes: number,
    delivery: Delivery,
    repetition: Repetition,
  ): Promise<AttemptResult> {
    this.#prepare(stateBytes);
    const attempt = new Attempt(this.#control, new DecisionReader(this.#ring, config.actions));
    this.#attempt = attempt;
    let isClean = false;
    try {
      this.#start(attempt, view, config, nowMs, repetition);
      const plan = await attempt.finish(this.#options.cycleDeadlineMs, delivery);
      isClean = plan !== undefined || attempt.isFaultOnly;
      if (plan === undefined) {
        const cause = [attempt.cause, this.#poolError].filter((text) => text !== '').join('; ');
        const isShared = !repetition.isAlone && this.#options.workers > 1;
        return { ok: false, cause, refusal: attempt.refusal, fault: attempt.fault, isShared };
      }
      this.#handoverMs = plan.handoverMs;
      this.#isSearchBound = plan.isSearchBound;
      this.#reluctance = plan.reluctance;
      const { report, batches, handovers, sharedSearches } = plan;
      return { ok: true, report, batches, handovers, sharedSearches };
    } finally {
      this.#attempt = undefined;
      if (!isClean) await this.#replace();
    }
  }

  /** Makes the attempt that is running fail. */
  cancel(): void {
    this.#attempt?.fail('the runner was closed');
  }

  /** Ends the threads; no attempt may be running. */
  async close(): Promise<void> {
    await this.#destroyPool();
  }

  #prepare(stateBytes: number): void {
    const isTooLarge = this.#state.byteLength > 4 * stateBytes + (1 << 20);
    if (this.#state.byteLength < stateBytes || isTooLarge) this.#state = new SharedArrayBuffer(stateBytes);
    new Int32Array(this.#control).fill(0);
    resetRing(this.#ring);
    this.#pool ??= this.#createPool();
  }

  #createPool(): Piscina {
    const threads = this.#options.workers;
    this.#poolError = '';
    const pool = new Piscina({ filename: WORKER_FILE, minThreads: threads, maxThreads: threads, maxQueue: threads, atomics: 'disabled' });
    // Without a listener a thread that dies outside of a task would be an uncaught exception here. The pool replaces it.
    pool.on('error', (error: Error) => {
      this.#poolError = `a worker failed outside of a task: ${error.message}`;
    });
    return pool;
  }

  #start(attempt: Attempt, view: SnapshotView, config: SchedulerConfig, nowMs: number, repetition: Repetition): void {
    const pool = this.#pool!;
    const searchers = repetition.isAlone ? 0 : this.#options.workers - 1;
    const task = {
      engineUrl: this.#options.engineUrl,
      snapshot: view.buffer,
      config,
      state: this.#state,
      control: this.#control,
      board: this.#board,
      nowMs,
    };
    const planTask: PlanTask = {
      ...task,
      ring: this.#ring,
      searchers,
      handoverMs: this.#handoverMs,
      isHandoverFixed: !Number.isNaN(this.#options.searchHandoverMs),
      faults: repetition.faults,
      isSearchBound: this.#isSearchBound,
      reluctance: this.#reluctance,
    };
    attempt.watchPlan(pool.run(planTask, { name: 'plan' }) as Promise<PlanResult>);
    for (let i = 1; i <= searchers; i++) {
      attempt.watchSearch(i, pool.run({ ...task, index: i } satisfies SearchTask, { name: 'searchLoop' }) as Promise<SearchResult>);
    }
  }

  /** A thread may still write into the old memory until it is ended: nothing of it is used again. */
  async #replace(): Promise<void> {
    this.#control = new SharedArrayBuffer(CONTROL_BYTES);
    this.#ring = new SharedArrayBuffer(ringBytes(this.#options.ringCapacityBytes));
    this.#state = new SharedArrayBuffer(0);
    this.#board = createBoard(this.#options.workers);
    await this.#destroyPool();
  }

  /** Never twice for one pool: the second call would let the pool replace the threads that the first is ending. */
  async #destroyPool(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.destroy();
  }
}

function createBoard(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers > 1 ? boardBytes(workers) : 0);
}

type Plan = Extract<PlanResult, { ok: true }>;

/** The tasks of one attempt. The first failure cancels the others; the cause told is the first that is not a mere echo of it. */
class Attempt {
  cause = '';
  refusal: KaiError | undefined;
  fault: JobFault | undefined;
  readonly #control: Int32Array;
  readonly #reader: DecisionReader;
  readonly #tasks: Promise<void>[] = [];
  #plan: Plan | undefined;
  #isFailed = false;
  /** Something else than an error about a job. */
  #isBroken = false;
  #areAllFree = false;

  constructor(control: SharedArrayBuffer, reader: DecisionReader) {
    this.#control = new Int32Array(control);
    this.#reader = reader;
  }

  /** Nothing else went wrong, and nobody works on it any more. */
  get isFaultOnly(): boolean {
    return this.fault !== undefined && !this.#isBroken && this.#areAllFree;
  }

  watchPlan(task: Promise<PlanResult>): void {
    this.#watch('the planner', task, (plan) => {
      this.#plan = plan;
      this.#reader.wake();
    });
  }

  watchSearch(index: number, task: Promise<SearchResult>): void {
    this.#watch(`search worker ${index}`, task, () => {});
  }

  /** Drains decisions until the plan is there and all threads are free again; undefined when the attempt failed. */
  async finish(deadlineMs: number, delivery: Delivery): Promise<Plan | undefined> {
    const timer = setTimeout(() => {
      this.#isBroken = true;
      this.fail(`no result within ${deadlineMs} ms`);
    }, deadlineMs);
    try {
      await this.#reader.drain(
        () => this.#plan !== undefined,
        () => this.#isFailed,
        (batch) => delivery.take(batch),
      );
      if (!this.#isFailed) await Promise.all(this.#tasks);
    } catch (error) {
      this.fail('its decisions were refused');
      throw error;
    } finally {
      clearTimeout(timer);
      if (this.#isFailed) await this.settled();
    }
    return this.#isFailed ? undefined : this.#plan;
  }

  /** Cancels the attempt and wakes every thread that sleeps. An empty cause is an echo: the cause is still to come. */
  fail(cause: string): void {
    if (this.cause === '') this.cause = cause;
    this.#isFailed = true;
    Atomics.store(this.#control, CONTROL.cancel, 1);
    Atomics.store(this.#control, CONTROL.stop, 1);
    for (const bell of [CONTROL.epoch, CONTROL.followerBell, CONTROL.plannerBell]) {
      Atomics.add(this.#control, bell, 1);
      Atomics.notify(this.#control, bell);
    }
    Atomics.notify(this.#control, CONTROL.done);
    this.#reader.wake();
  }

  /** Resolves when all threads are free, or after a short time of grace. */
  async settled(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GRACE_MS);
    });
    const allFree = Promise.all(this.#tasks).then(() => {
      this.#areAllFree = true;
    });
    await Promise.race([allFree, grace]);
    clearTimeout(timer);
  }

  #watch<R extends PlanResult | SearchResult>(who: string, task: Promise<R>, onSuccess: (result: Extract<R, { ok: true }>) => void): void {
    const watched = task.then(
      (result) => {
        if (result.ok) onSuccess(result as Extract<R, { ok: true }>);
        else {
          if (result.code === 'REFUSED') this.refusal ??= new KaiError(result.kaiCode, result.message);
          this.fault ??= result.fault;
          this.#isBroken ||= result.code === 'FAILED';
          this.fail(result.code === 'CANCELLED' ? '' : `${who} failed: ${result.message}`);
        }
      },
      (error: unknown) => {
        this.#isBroken = true;
        this.fail(`${who} was lost: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
    this.#tasks.push(watched);
  }
}
