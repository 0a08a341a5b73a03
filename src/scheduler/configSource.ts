// The configuration file, read again when it changes; one that cannot be used is refused and the previous one stays.
import { readFile, stat } from 'node:fs/promises';
import { load } from 'js-yaml';
import type { SchedulerConfig, SchedulerParams } from '../base/config.ts';
import { KaiError } from '../base/errors.ts';
import { loadConfig } from '../config/loadConfig.ts';
import { readUsageDb, type UsageSettings } from '../config/usageDb.ts';
import type { Clock } from '../kubernetes/clock.ts';

/** ConfigMaps are swapped by symbolic links, which file watchers miss: the file is looked at instead. */
const POLL_MS = 1_000;

export type Workers = 'auto' | number;

export interface Configuration {
  readonly config: SchedulerConfig;
  /** Key `workers` of the file, or the flag. */
  readonly workers: Workers;
  /** null = no usage is read. */
  readonly usage: UsageSettings | null;
}

export interface ConfigSourceOptions {
  /** '' = the built-in configuration. */
  readonly path: string;
  readonly flags: Partial<SchedulerParams>;
  /** The flag `--workers`; undefined = the file's, or auto. */
  readonly workers: Workers | undefined;
  readonly clock: Clock;
  readonly onChange: (configuration: Configuration) => void;
  readonly onRefused: (error: KaiError) => void;
  readonly onWarning: (warning: string) => void;
}

export class ConfigSource {
  readonly #options: ConfigSourceOptions;
  #current: Configuration | null = null;
  #text: string | null = null;
  #stamp = '';

  constructor(options: ConfigSourceOptions) {
    this.#options = options;
  }

  /** Only after `load`. */
  get current(): Configuration {
    if (this.#current === null) throw new KaiError('NOT_LOADED', 'the configuration has not been loaded');
    return this.#current;
  }

  /** The first reading: throws KaiError UNREADABLE, BAD_CONFIG or UNKNOWN_ACTION (spec 01 section 3.3). */
  async load(): Promise<Configuration> {
    const { path } = this.#options;
    if (path !== '') {
      this.#stamp = await this.#readStamp();
      this.#text = await readText(path);
    }
    this.#current = this.#parse(this.#text);
    return this.#current;
  }

  /** Looks at the file until `signal` is aborted. */
  async watch(signal: AbortSignal): Promise<void> {
    if (this.#options.path === '') return;
    while (!signal.aborted) {
      await this.#options.clock.sleep(POLL_MS, signal);
      if (!signal.aborted) await this.look();
    }
  }

  /** Reads the file if it was touched, and takes it over if its text is another one. */
  async look(): Promise<void> {
    const { path, onChange, onRefused } = this.#options;
    try {
      const stamp = await this.#readStamp();
      if (stamp === this.#stamp) return;
      const text = await readText(path);
      this.#stamp = stamp;
      if (text === this.#text) return;
      this.#text = text;
      this.#current = this.#parse(text);
      onChange(this.#current);
    } catch (error) {
      if (!(error instanceof KaiError)) throw error;
      // While a ConfigMap is swapped the file may be away for a moment; told once.
      if (error.code === 'UNREADABLE' && this.#stamp === 'unreadable') return;
      if (error.code === 'UNREADABLE') this.#stamp = 'unreadable';
      onRefused(error);
    }
  }

  #parse(text: string | null): Configuration {
    const { flags, workers, onWarning } = this.#options;
    const { config, warnings } = loadConfig({ file: text, flags });
    for (const warning of warnings) onWarning(warning);
    return { config, workers: workers ?? workersOf(text), usage: readUsageDb(config.usageDBConfig, process.env) };
  }

  async #readStamp(): Promise<string> {
    try {
      const { ino, size, mtimeMs } = await stat(this.#options.path);
      return `${ino} ${size} ${mtimeMs}`;
    } catch (error) {
      throw unreadable(this.#options.path, error);
    }
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): KaiError {
  return new KaiError('UNREADABLE', `${path}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
}

/** A key of ours; upstream passes over it. The file is known to be valid YAML here. */
function workersOf(text: string | null): Workers {
  const value: unknown =
    text === null || !/^[ \t]*[^\s#]/m.test(text) ? undefined : (load(text) as { readonly workers?: unknown } | null)?.workers;
  if (value === undefined || value === null || value === 'auto') return 'auto';
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 1024) return value;
  throw new KaiError('BAD_CONFIG', `configuration: workers: expected auto or a count, found ${JSON.stringify(value)}`);
}
