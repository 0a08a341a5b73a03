// Keeps the historical use of queues fresh in the scheduler's state: fetched at once and then every interval.
import type { UsageSettings } from '../../config/usageDb.ts';
import type { Clock } from '../../kubernetes/clock.ts';
import { type Logger, TroubleLog } from '../logging.ts';
import { fetchUsage, type UsageByQueue } from './prometheus.ts';

export interface UsageFeedOptions {
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Complete: queues that are not in it have no usage. */
  readonly apply: (usage: UsageByQueue) => void;
  readonly onFetched: (tookMs: number) => void;
  readonly onFailed: () => void;
}

export class UsageFeed {
  readonly #options: UsageFeedOptions;
  #settings: UsageSettings | null = null;
  #running = new AbortController();
  #first = Promise.withResolvers<void>();
  #fetchedMs = Number.NaN;
  readonly #trouble: TroubleLog;
  #isStaleTold = false;

  constructor(options: UsageFeedOptions) {
    this.#options = options;
    this.#trouble = new TroubleLog(options.log, 'usage of queues');
  }

  /** Begins, changes or ends the reading; what was read stays until there is something newer, or nothing is to be read. */
  configure(settings: UsageSettings | null): void {
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    const hadUsage = this.#settings !== null;
    this.#settings = settings;
    this.stop();
    this.#running = new AbortController();
    if (settings !== null) void this.#run(settings, this.#running.signal);
    else if (hadUsage) this.#options.apply(new Map());
  }

  /** Until the first data, at most for the configured time. */
  async ready(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    if (this.#settings === null || !Number.isNaN(this.#fetchedMs)) return;
    const done = new AbortController();
    await Promise.race([this.#first.promise, clock.sleep(this.#settings.waitTimeoutMs, AbortSignal.any([signal, done.signal]))]);
    done.abort();
    if (Number.isNaN(this.#fetchedMs) && !signal.aborted) log.warn('no usage of queues yet: fair shares do not look back');
  }

  stop(): void {
    this.#running.abort();
  }

  async #run(settings: UsageSettings, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      await this.#fetch(settings, signal);
      await clock.sleep(Math.max(0, startedMs + settings.fetchIntervalMs - clock.monotonicMs()), signal);
    }
  }

  /** A failure leaves what is there: also old data is used on. */
  async #fetch(settings: UsageSettings, signal: AbortSignal): Promise<void> {
    const { clock, log, apply, onFetched, onFailed } = this.#options;
    const startedMs = clock.monotonicMs();
    try {
      const usage = await fetchUsage(settings, clock.nowMs(), signal);
      if (signal.aborted) return;
      this.#fetchedMs = clock.monotonicMs();
      onFetched(this.#fetchedMs - startedMs);
      apply(usage);
      this.#trouble.over();
      this.#isStaleTold = false;
      this.#first.resolve();
    } catch (error) {
      if (signal.aborted) return;
      onFailed();
      this.#trouble.tell(error instanceof Error ? error.message : String(error));
      const ageMs = clock.monotonicMs() - this.#fetchedMs;
      if (!(ageMs > settings.stalenessMs) || this.#isStaleTold) return;
      this.#isStaleTold = true;
      log.warn(`usage of queues is ${Math.round(ageMs / 1000)} s old; it is still used`);
    }
  }
}
