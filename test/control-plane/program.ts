// A child process with a log file that cannot outlive its parent; for servers and for the components under test.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const TIE = '/usr/bin/setpriv';
const POLL_MS = 25;

export interface ProgramSpec {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** stdout and stderr are appended to it. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface ProbeAnswer {
  readonly status: number;
  readonly body: string;
}

/** CPU and memory of a process, from /proc; zeros where there is none. */
export interface ProcessUsage {
  readonly cpuMs: number;
  readonly residentBytes: number;
}

export class Program {
  readonly spec: ProgramSpec;
  #child: ChildProcess | undefined;
  #exited: Promise<number | NodeJS.Signals | null> = Promise.resolve(null);

  constructor(spec: ProgramSpec) {
    this.spec = spec;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves with the exit code or the signal that ended the process. */
  get exited(): Promise<number | NodeJS.Signals | null> {
    return this.#exited;
  }

  start(): this {
    if (this.isRunning) throw new Error(`${this.spec.name} is running already`);
    const log = openSync(this.spec.logFile, 'a');
    // The kernel kills the child when the thread that spawned it ends, even by SIGKILL: start programs on the main thread.
    const wrapper = existsSync(TIE) ? [TIE, '--pdeathsig', 'KILL', '--'] : [];
    const [command, ...args] = [...wrapper, this.spec.command, ...this.spec.args];
    const child = spawn(command!, args, { stdio: ['ignore', log, log], env: { ...process.env, ...this.spec.env } });
    closeSync(log);
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ?? code));
      child.once('error', () => {
        this.#child = undefined;
        resolve(null);
      });
    });
    return this;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child?.kill(signal);
  }

  /** Ends the process; SIGKILL follows after `graceMs`. Returns what it ended with. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 2_000): Promise<number | NodeJS.Signals | null> {
    if (!this.isRunning) return this.#exited;
    this.#child?.kill(signal);
    // A stopped process handles SIGTERM only after SIGCONT.
    if (signal !== 'SIGKILL') this.#child?.kill('SIGCONT');
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), graceMs);
    const result = await this.#exited;
    clearTimeout(timer);
    return result;
  }

  /** Waits until the probe answers 200. Throws, with the end of the log, when the process exits or the time is over. */
  async ready(probe: () => Promise<ProbeAnswer>, timeoutMs = 60_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      if (!this.isRunning) throw new Error(`${this.spec.name} exited; end of ${this.spec.logFile}:\n${this.tail()}`);
      const answer = await probe().catch((error: unknown) => ({ status: 0, body: String(error) }));
      if (answer.status === 200) return;
      if (performance.now() > deadlineMs) {
        throw new Error(`${this.spec.name} is not ready after ${timeoutMs} ms: ${answer.body}\n${this.tail()}`);
      }
      await sleep(POLL_MS);
    }
  }

  log(): string {
    return existsSync(this.spec.logFile) ? readFileSync(this.spec.logFile, 'utf8') : '';
  }

  tail(lines = 25): string {
    return this.log().trimEnd().split('\n').slice(-lines).join('\n');
  }

  usage(): ProcessUsage {
    if (this.pid === undefined || !existsSync(`/proc/${this.pid}/stat`)) return { cpuMs: 0, residentBytes: 0 };
    // Fields 14, 15 and 24 (user and system ticks of 10 ms, resident pages of 4 KiB); the name in field 2 may contain blanks.
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, residentBytes: Number(fields[21]) * 4096 };
  }
}
