// The log: one line per record on stderr, JSON or text (spec 08 section 9).
import pino, { type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';

export interface LogOptions {
  /** `--v`: 0 warnings, 1–3 what was done, 4–5 details, 6–7 everything. */
  readonly verbosity: number;
  readonly isJson: boolean;
  readonly flushMs: number;
}

export interface Log {
  readonly logger: Logger;
  /** Writes out what is buffered; to be called before the process ends. */
  flush(): void;
}

/** Each write costs a turn of the thread pool: a full cluster at once is thousands of lines. */
const BUFFER_BYTES = 32 << 10;
const MAX_WRITE_BYTES = 64 << 10;
const NAMES: Readonly<Record<number, string>> = { 10: 'TRACE', 20: 'DEBUG', 30: 'INFO', 40: 'WARN', 50: 'ERROR', 60: 'FATAL' };

export function createLog({ verbosity, isJson, flushMs }: LogOptions): Log {
  const destination = pino.destination({
    dest: 2,
    sync: false,
    minLength: BUFFER_BYTES,
    maxWrite: MAX_WRITE_BYTES,
    periodicFlush: Math.max(100, flushMs),
  });
  const level = verbosity <= 0 ? 'warn' : verbosity <= 3 ? 'info' : verbosity <= 5 ? 'debug' : 'trace';
  const options = {
    level,
    base: undefined,
    formatters: { level: (label: string) => ({ level: label.toUpperCase() }) },
    timestamp: isoTime,
  };
  const logger = isJson ? pino(options, destination) : pino({ level, base: undefined }, textStream(destination));
  return { logger, flush: () => destination.flushSync() };
}

/** So many different reasons are told before the trouble is over. */
const MAX_REASONS = 20;

/** A trouble that comes again and again: each reason is told once, and then that it is over. */
export class TroubleLog {
  readonly #log: Pick<Logger, 'info' | 'warn'>;
  readonly #what: string;
  readonly #told = new Set<string>();

  /** `what`: "lease". */
  constructor(log: Pick<Logger, 'info' | 'warn'>, what: string) {
    this.#log = log;
    this.#what = what;
  }

  tell(message: string): void {
    // Times and ports in a text make no new reason.
    const reason = message.replace(/\d+/g, '#');
    if (this.#told.has(reason) || this.#told.size >= MAX_REASONS) return;
    this.#told.add(reason);
    this.#log.warn(`${this.#what}: ${message}`);
  }

  over(): void {
    if (this.#told.size === 0) return;
    this.#told.clear();
    this.#log.info(`${this.#what}: well again`);
  }
}

/** An API server that is away makes every watched list fail again and again: one line per list, and one when all are well again. */
export class OutageLog {
  readonly #log: Pick<Logger, 'info' | 'warn'>;
  readonly #told = new Set<string>();
  readonly #failing = new Set<string>();

  constructor(log: Pick<Logger, 'info' | 'warn'>) {
    this.#log = log;
  }

  tell(list: string, message: string): void {
    this.#failing.add(list);
    if (this.#told.has(list)) return;
    this.#told.add(list);
    this.#log.warn({ list }, `${message}; tried again until it succeeds`);
  }

  over(list: string): void {
    if (!this.#failing.delete(list) || this.#failing.size > 0) return;
    this.#log.info({ lists: [...this.#told] }, 'the watched lists are well again');
    this.#told.clear();
  }
}

let isoAtMs = Number.NaN;
let isoText = '';

/** Lines of one millisecond share their text. */
function isoTime(): string {
  const nowMs = Date.now();
  if (nowMs !== isoAtMs) {
    isoAtMs = nowMs;
    isoText = `,"ts":"${new Date(nowMs).toISOString()}"`;
  }
  return isoText;
}

/** `2026-01-01T12:00:00.000Z	INFO	message	key=value …` */
function textStream(destination: DestinationStream): DestinationStream {
  return {
    write: (line) => {
      const { time, level, msg, ...rest } = JSON.parse(line) as Readonly<Record<string, unknown>>;
      const fields = Object.entries(rest).map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
      const parts = [new Date(Number(time)).toISOString(), NAMES[Number(level)] ?? '', String(msg), fields.join(' ')];
      destination.write(`${parts.map(onOneLine).join('\t').trimEnd()}\n`);
    },
  };
}

/** Texts of the API server may hold anything; a record is one line that a terminal can show. */
function onOneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f]+/g, ' ');
}
