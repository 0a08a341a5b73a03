// The scheduler as the scenarios see it: its own process, its log, its metrics.
import type { ControlPlane } from '../../test/control-plane/controlPlane.ts';
import { waitFor } from '../../test/e2e/support/install.ts';
import { type SchedulerProcess, startScheduler } from '../../test/e2e/support/schedulerProcess.ts';

/** A timer of this period measures the delay: a loop that is never held up reads this value. */
const DELAY_RESOLUTION_MS = 10;

export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

interface LogRecord {
  /** RFC 3339 with milliseconds. */
  readonly ts: string;
  /** Length of a cycle. */
  readonly ms?: number;
  readonly bound?: number;
}

/** A value of performance.now() for a time of the wall clock of the same machine. */
function monotonic(wallMs: number): number {
  return wallMs - performance.timeOrigin;
}

export class MeasuredScheduler {
  readonly process: SchedulerProcess;
  readonly startedMs: number;

  private constructor(process: SchedulerProcess, startedMs: number) {
    this.process = process;
    this.startedMs = startedMs;
  }

  /** Starts the process; does not wait. */
  static async start(plane: ControlPlane, token: string, name: string, args: readonly string[]): Promise<MeasuredScheduler> {
    const startedMs = performance.now();
    const flags = ['--log-json', '--log-flush-frequency=100ms', ...args];
    return new MeasuredScheduler(await startScheduler({ plane, token, name, args: flags }), startedMs);
  }

  /** When the record was last logged, on the clock of this process. Throws when it was not. */
  logTime(message: string): number {
    const record = this.#records(message).at(-1);
    if (record === undefined) throw new Error(`the log has no "${message}":\n${this.process.program.tail()}`);
    return monotonic(Date.parse(record.ts));
  }

  /** Start of the first cycle that bound something and ended after `fromMs`, sealing left out. Waits for its record. */
  async cycleStart(fromMs: number): Promise<number> {
    const find = (): LogRecord | undefined =>
      this.#records('cycle').find(({ ts, bound = 0 }) => bound > 0 && monotonic(Date.parse(ts)) > fromMs);
    await waitFor('the record of a cycle', () => find() !== undefined);
    const { ts, ms = 0 } = find()!;
    return monotonic(Date.parse(ts)) - ms;
  }

  #records(message: string): LogRecord[] {
    const lines = this.process.program.log().split('\n');
    return lines.filter((line) => line.includes(`"msg":"${message}"`)).map((line) => JSON.parse(line) as LogRecord);
  }

  /** Lines about what should not happen. */
  alarms(): string[] {
    return this.process.program
      .log()
      .split('\n')
      .filter((line) => /"level":"(ERROR|FATAL)"|forbidden/i.test(line));
  }

  /** Samples of /metrics by name and labels as they stand there. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`${this.process.metricsUrl}/metrics`)).text();
    const samples = new Map<string, number>();
    for (const line of text.split('\n')) {
      const at = line.lastIndexOf(' ');
      if (at > 0 && !line.startsWith('#')) samples.set(line.slice(0, at), Number(line.slice(at + 1)));
    }
    return samples;
  }

  /** Delay of the event loop beyond the timer that measures it, since the metrics were last read. */
  async loopDelay(): Promise<LoopDelay> {
    return loopDelayOf(await this.metrics());
  }

  /** Until it knows that many pods. */
  async knowsPods(count: number): Promise<void> {
    await waitFor(
      `the scheduler to know ${count} pods`,
      async () => (await this.metrics()).get('kai_watched_objects{list="pods"}') === count,
      120_000,
    );
  }

  /** Until no write waits or is under way, three times in a row. */
  async isQuiet(): Promise<void> {
    let quiet = 0;
    await waitFor(
      'the writes of the scheduler to end',
      async () => {
        const samples = await this.metrics();
        let open = samples.get('kai_api_writes_under_way') ?? 0;
        for (const [name, value] of samples) if (name.startsWith('kai_api_writes_waiting')) open += value;
        quiet = open === 0 ? quiet + 1 : 0;
        return quiet >= 3;
      },
      120_000,
    );
  }
}

export function loopDelayOf(samples: ReadonlyMap<string, number>): LoopDelay {
  const at = (quantile: string): number => {
    const ms = (samples.get(`kai_event_loop_delay_seconds{quantile="${quantile}"}`) ?? Number.NaN) * 1000;
    return Math.max(0, ms - DELAY_RESOLUTION_MS);
  };
  return { p50Ms: at('0.5'), p99Ms: at('0.99'), maxMs: at('1') };
}
