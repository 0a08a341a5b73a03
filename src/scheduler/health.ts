// Health that means something: live = the process makes progress, ready = it does its work or could take over at once.
import type { Clock } from '../kubernetes/clock.ts';
import type { KubeConnection } from '../kubernetes/connection.ts';
import type { LoopStatus } from './loop.ts';

/** A cycle of this length is stuck: its threads are replaced long before. */
const STUCK_CYCLE_MS = 300_000;
/** So many failed cycles in a row, and a new process may do better. */
const HOPELESS_FAILURES = 10;
/** How fresh the API server's last answer must be; older, and it is asked. */
const FRESH_ANSWER_MS = 10_000;
const ASK_TIMEOUT_MS = 2_000;

export interface HealthState {
  /** Undefined until the process decides. */
  readonly loop: LoopStatus | undefined;
  readonly isSynced: boolean;
  /** Of the lease; without leader election this process leads. */
  readonly rank: 'leader' | 'standby' | 'nobody leads';
  readonly isStopping: boolean;
}

export class Health {
  readonly #clock: Clock;
  readonly #state: () => HealthState;
  readonly #connection: () => Pick<KubeConnection, 'request'> | undefined;
  #answeredMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, state: () => HealthState, connection: () => Pick<KubeConnection, 'request'> | undefined) {
    this.#clock = clock;
    this.#state = state;
    this.#connection = connection;
  }

  /** The API server said something, whatever it was. */
  readonly answered = (): void => {
    this.#answeredMs = this.#clock.monotonicMs();
  };

  readonly live = (): string | undefined => {
    const { loop } = this.#state();
    if (loop === undefined) return undefined;
    const runningMs = this.#clock.monotonicMs() - loop.runningSinceMs;
    if (runningMs > STUCK_CYCLE_MS) return `the scheduling cycle has been running for ${Math.round(runningMs / 1000)} s`;
    return loop.failures >= HOPELESS_FAILURES ? `${loop.failures} scheduling cycles in a row have failed` : undefined;
  };

  readonly ready = async (): Promise<string | undefined> => {
    const { loop, isSynced, rank, isStopping } = this.#state();
    if (isStopping) return 'stopping';
    if (!isSynced) return 'the watched objects are not complete yet';
    if (rank === 'nobody leads') return 'nobody holds the lease yet';
    if (rank === 'leader' && (loop === undefined || Number.isNaN(loop.lastSuccessMs))) return 'no scheduling cycle has finished yet';
    if (loop !== undefined && loop.failures > 0) return `the last ${loop.failures} scheduling cycle(s) failed`;
    return this.#askIfSilent();
  };

  async #askIfSilent(): Promise<string | undefined> {
    if (this.#clock.monotonicMs() - this.#answeredMs < FRESH_ANSWER_MS) return undefined;
    try {
      await this.#connection()?.request({ method: 'GET', path: '/version', timeoutMs: ASK_TIMEOUT_MS });
      this.answered();
      return undefined;
    } catch (error) {
      return `the API server does not answer: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
}
