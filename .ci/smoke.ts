// Starts `npm start` as a stranger would, watches it for 20 seconds and asks it to stop: it must still run or have ended
// well, must have printed that pods were bound, and must stop on SIGINT. Last line: "N passed, N failed".
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const WATCH_MS = 20_000;
const STOP_MS = 15_000;

interface Run {
  readonly output: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly endedEarly: boolean;
  readonly wasKilled: boolean;
}

function watch(): Promise<Run> {
  return new Promise((resolve) => {
    // A group of its own, so that the signal reaches npm and what it started, as Ctrl-C in a terminal does.
    const child = spawn('npm', ['start', '--silent'], {
      cwd: join(import.meta.dirname, '..'),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let isStopping = false;
    let wasKilled = false;
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const signal = (name: NodeJS.Signals): void => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, name);
    };
    let killer: NodeJS.Timeout | undefined;
    const stopper = setTimeout(() => {
      isStopping = true;
      signal('SIGINT');
      killer = setTimeout(() => {
        wasKilled = true;
        signal('SIGKILL');
      }, STOP_MS);
    }, WATCH_MS);
    child.on('close', (code, by) => {
      clearTimeout(stopper);
      clearTimeout(killer);
      resolve({ output, code, signal: by, endedEarly: !isStopping, wasKilled });
    });
  });
}

const run = await watch();
/** Most pods that a line of the output says are bound: "1,234 bound", "bound 1234", "pods bound: 1234". */
const counts = [...run.output.matchAll(/([\d,]+) (?:pods )?bound|bound:? +([\d,]+)/gi)].map((m) =>
  Number((m[1] ?? m[2] ?? '').replaceAll(',', '')),
);
const bound = Math.max(0, ...counts);
const checks: [string, boolean][] = [
  ['keeps running, or ends with code 0', !run.endedEarly || run.code === 0],
  [`binds pods (${bound} bound)`, bound > 0],
  ['stops on SIGINT', !run.wasKilled],
];
const failed = checks.filter(([, isPassed]) => !isPassed);
if (failed.length > 0) console.log(run.output.slice(-4000));
for (const [name, isPassed] of checks) console.log(`${isPassed ? 'passed' : 'FAILED'}  npm start ${name}`);
console.log(`${checks.length - failed.length} passed, ${failed.length} failed`);
if (failed.length > 0) process.exitCode = 1;
