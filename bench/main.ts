// Benchmarks. Without options: the kernels. See `--help`.
import { parseArgs } from 'node:util';
import { ALL_SHAPES as SHAPES } from './allShapes.ts';
import { checkBudgets } from './budgets.ts';
import { measureCycle } from './cycle.ts';
import { runKernels } from './kernels.ts';
import { runSuite, SUITES } from './suite.ts';
import { figuresText, kernelTable, suiteTable, table } from './tables.ts';
import { compareThreads, threadTable } from './threads.ts';

const HELP = `npm run bench                                  kernels, in alternating rounds
npm run bench -- --kernel TEXT                 those whose group or name contains TEXT
npm run bench -- --shape NAME --nodes N [--jobs N]   cycles of one shape
npm run bench -- --suite allocate              allocate shapes at their sizes and ten times larger, with growth exponents
npm run bench -- --suite victims               shapes of the evicting actions at all their sizes
npm run bench -- --threads [--shape NAME] [--nodes N]   search-bound shapes with 0, 2 and 3 workers in alternating rounds
npm run bench -- --check [--quick]             the budgets of bench/budgets.yaml; exit code 1 when one is not met

  --workers N|auto   0 = the calling thread, 1 = a planner, n = a planner and n − 1 search workers (default auto)
  --runs N           cycles that count (default 15), or rounds of kernels (default 5)
  --json             JSON instead of text

Shapes: ${SHAPES.map((shape) => `${shape.name} (${shape.about})`).join(';\n        ')}
`;

class UsageError extends Error {}

function count(text: string | undefined, name: string, least: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) throw new UsageError(`--${name} ${text}: it must be an integer of at least ${least}`);
  return value;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      shape: { type: 'string' },
      suite: { type: 'string' },
      kernel: { type: 'string' },
      check: { type: 'boolean' },
      threads: { type: 'boolean' },
      quick: { type: 'boolean' },
      nodes: { type: 'string' },
      jobs: { type: 'string' },
      workers: { type: 'string' },
      runs: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const isJson = values.json === true;
  const print = (data: unknown, text: string): void => console.log(isJson ? JSON.stringify(data) : text);
  const workers = values.workers === undefined || values.workers === 'auto' ? 'auto' : (count(values.workers, 'workers', 0) ?? 'auto');
  const runs = count(values.runs, 'runs', 1);
  if (values.help === true) console.log(HELP);
  else if (values.threads === true) {
    const rows = await compareThreads(runs ?? 15, values.shape, count(values.nodes, 'nodes', 1));
    if (rows.length === 0) throw new UsageError(`no search-bound shape contains "${values.shape}"`);
    print(rows, threadTable(rows));
  } else if (values.shape !== undefined) {
    const shape = SHAPES.find((s) => s.name === values.shape);
    if (shape === undefined)
      throw new UsageError(`there is no shape ${values.shape}; the shapes are ${SHAPES.map((s) => s.name).join(', ')}`);
    const nodes = count(values.nodes, 'nodes', 1) ?? shape.sizes.at(-1)![0];
    const listed = shape.sizes.find(([size]) => size === nodes);
    const jobs = count(values.jobs, 'jobs', 1) ?? listed?.[1] ?? shape.jobsFor(nodes);
    const figures = await measureCycle({ shape, nodes, jobs, workers }, runs ?? 15);
    print(figures, figuresText(figures));
  } else if (values.suite !== undefined) {
    const suite = SUITES[values.suite];
    if (suite === undefined) throw new UsageError(`there is no suite ${values.suite}; the suites are ${Object.keys(SUITES).join(', ')}`);
    const rows = runSuite(suite, workers, runs ?? 15, ({ large }) => process.stderr.write(`${large.shape} ${large.nodes} nodes done\n`));
    print(rows, suiteTable(rows));
  } else if (values.check === true) {
    const lines = await checkBudgets(values.quick === true);
    const failed = lines.filter((line) => !line.isMet).length;
    const rows = lines.map((l) => [l.name, l.isMet ? 'met' : 'NOT MET', Number(l.value.toPrecision(4)).toString(), l.bounds]);
    print(lines, `${table(['budget', 'result', 'value', 'bounds'], rows, 2)}\n${lines.length - failed} passed, ${failed} failed`);
    if (failed > 0) process.exitCode = 1;
  } else {
    const results = await runKernels(runs ?? 5, values.kernel);
    if (results.length === 0) throw new UsageError(`no kernel contains "${values.kernel}"`);
    print(results, kernelTable(results));
  }
}

try {
  await main();
} catch (error) {
  const isUsage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
  console.error(isUsage ? `${(error as Error).message}\n\n${HELP}` : error);
  process.exitCode = isUsage ? 2 : 1;
}
