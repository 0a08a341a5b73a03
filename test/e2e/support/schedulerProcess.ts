// The component under test as a process of its own, with the token of its own service account and nothing else.
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import type { ControlPlane } from '../../control-plane/controlPlane.ts';
import { Program } from '../../control-plane/program.ts';

const REPOSITORY = resolve(import.meta.dirname, '../../..');

export interface SchedulerOptions {
  readonly plane: ControlPlane;
  /** Of the service account that it runs as. */
  readonly token: string;
  /** Unique in the run; names its files. Default `scheduler`. */
  readonly name?: string;
  /** Flags after the command. */
  readonly args?: readonly string[];
  /** Address of a fault proxy instead of the API server's. */
  readonly url?: string;
  /** Program and its first arguments; default `node src/cli/main.ts scheduler`, with its two listeners on free ports. */
  readonly command?: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface SchedulerProcess {
  readonly program: Program;
  /** `http://127.0.0.1:port` of /metrics, /healthz, /readyz. */
  readonly metricsUrl: string;
  /** `http://127.0.0.1:port` of /get-snapshot and /get-job-order. */
  readonly pluginUrl: string;
  /** Replaces the token in the file that its kubeconfig names, as a kubelet does. */
  rotateToken(token: string): void;
  /** Resolves when `path` of the metrics listener answers 200; throws when the process ends or the time is over. */
  ready(path?: string, timeoutMs?: number): Promise<void>;
  /** SIGTERM, and SIGKILL after the grace; resolves with the exit code or the signal. */
  stop(graceMs?: number): Promise<number | NodeJS.Signals | null>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** Starts it; does not wait until it is ready. */
export async function startScheduler(options: SchedulerOptions): Promise<SchedulerProcess> {
  const { plane, token, name = 'scheduler', url, args = [], env } = options;
  const tokenFile = join(plane.folder, `${name}.token`);
  writeFileSync(tokenFile, token, { mode: 0o600 });
  const kubeconfig = plane.writeKubeconfig(name, { url, tokenFile });
  const [metricsPort, pluginPort] = await Promise.all([freePort(), freePort()]);
  const own = [process.execPath, join(REPOSITORY, 'src/cli/main.ts'), 'scheduler'] as const;
  const listeners = [`--listen-address=127.0.0.1:${metricsPort}`, `--plugin-server-port=${pluginPort}`];
  const [command, ...first] = options.command ?? own;
  const program = new Program({
    name,
    command,
    args: [...first, ...(options.command === undefined ? listeners : []), ...args],
    logFile: join(plane.folder, `${name}.log`),
    env: { KUBECONFIG: kubeconfig, ...env },
  }).start();
  const metricsUrl = `http://127.0.0.1:${metricsPort}`;
  const probe = async (path: string): Promise<{ status: number; body: string }> => {
    const response = await fetch(`${metricsUrl}${path}`);
    return { status: response.status, body: await response.text() };
  };
  return {
    program,
    metricsUrl,
    pluginUrl: `http://127.0.0.1:${pluginPort}`,
    rotateToken: (next) => {
      // As a whole or not at all: the reader may look at any moment.
      writeFileSync(`${tokenFile}.next`, next, { mode: 0o600 });
      renameSync(`${tokenFile}.next`, tokenFile);
    },
    ready: (path = '/readyz', timeoutMs = 60_000) => program.ready(() => probe(path), timeoutMs),
    stop: (graceMs = 15_000) => program.stop('SIGTERM', graceMs),
    kill: async () => {
      await program.stop('SIGKILL');
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((done, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
