// Everything that is checked without running the project: `node .ci/check.ts [--root DIR] [--only NAME,NAME]`.
// Prints the output of what failed, a table, and as last line "N passed, N failed"; exit code 1 when anything failed.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

interface Outcome {
  readonly isPassed: boolean;
  readonly output: string;
}
interface Step {
  readonly name: string;
  readonly about: string;
  run(root: string): Outcome;
}

/** Tools are run from the root's own node_modules by this very Node: a bare name would take the Node of the PATH. */
function runNode(root: string, script: string, args: readonly string[]): Outcome {
  const result = spawnSync(process.execPath, [join(root, script), ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
    maxBuffer: 64 << 20,
  });
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error === undefined ? '' : String(result.error)}`.trim();
  return { isPassed: result.status === 0, output };
}

/** The lock file must not name the registry that happened to be used. */
function checkLockFile(root: string): Outcome {
  const lines = readFileSync(join(root, 'package-lock.json'), 'utf8').split('\n');
  const bad = lines.flatMap((line, i) => (line.includes('"resolved"') ? [`package-lock.json:${i + 1}: ${line.trim()}`] : []));
  if (bad.length > 0) bad.push('Take the "resolved" lines out; .npmrc sets omit-lockfile-registry-resolved for new ones.');
  return { isPassed: bad.length === 0, output: bad.join('\n') };
}

const STEPS: readonly Step[] = [
  {
    name: 'lint',
    about: 'lint, format, import order',
    run: (root) => runNode(root, 'node_modules/.bin/biome', ['ci', '--colors=off', '--diagnostic-level=warn', '--error-on-warnings', '.']),
  },
  { name: 'types', about: 'TypeScript, strict', run: (root) => runNode(root, 'node_modules/.bin/tsc', ['--noEmit', '--pretty', 'false']) },
  {
    name: 'imports',
    about: 'import direction of the layers',
    run: (root) => runNode(join(import.meta.dirname, '..'), '.ci/imports.ts', [root]),
  },
  {
    name: 'unused',
    about: 'unused exports, files, dependencies',
    run: (root) => runNode(root, 'node_modules/.bin/knip', ['--no-progress', '--no-config-hints']),
  },
  { name: 'generated', about: 'generated files are current', run: (root) => runNode(root, 'schemas/generate.ts', ['--check']) },
  { name: 'lock', about: 'lock file without registry addresses', run: checkLockFile },
];

function main(): number {
  const { values } = parseArgs({ options: { root: { type: 'string' }, only: { type: 'string' } } });
  const root = resolve(values.root ?? join(import.meta.dirname, '..'));
  const names = values.only?.split(',') ?? STEPS.map((step) => step.name);
  const unknown = names.filter((name) => !STEPS.some((step) => step.name === name));
  if (unknown.length > 0) {
    console.error(`Unknown check ${unknown.join(', ')}; there are: ${STEPS.map((step) => step.name).join(', ')}`);
    return 2;
  }
  const rows: string[] = [];
  let failed = 0;
  for (const step of STEPS.filter((s) => names.includes(s.name))) {
    const start = performance.now();
    const { isPassed, output } = step.run(root);
    if (!isPassed) {
      failed++;
      console.log(`── ${step.name}: ${step.about}\n${output}\n`);
    }
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    rows.push(`${step.name.padEnd(10)} ${step.about.padEnd(38)} ${isPassed ? 'passed' : 'FAILED'} ${seconds.padStart(6)} s`);
  }
  console.log(rows.join('\n'));
  console.log(`${rows.length - failed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

process.exitCode = main();
