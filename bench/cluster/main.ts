// Benchmarks of the scheduler as a process on a real control plane. See `--help`.
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { missingControlPlane } from '../../test/control-plane/build.ts';
import { table } from '../tables.ts';
import { CHURN } from './churn.ts';
import { FILL } from './fill.ts';
import { GANG } from './gang.ts';
import type { Row, Scenario } from './scenario.ts';
import { median } from './statistics.ts';
import { SYNC } from './sync.ts';
import { HOPELESS, RECLAIM, RECLAIM_GANG } from './victims.ts';

const SCENARIOS: readonly Scenario[] = [FILL, GANG, HOPELESS, RECLAIM, RECLAIM_GANG, SYNC, CHURN];

const HELP = `npm run bench:cluster -- [--nodes N] [--scenario NAME[,NAME]] [--json]

Starts kube-apiserver, etcd and kube-controller-manager on loopback, and the scheduler as a process under its own service account.
Times are those of an independent watch. Figures are medians over the rounds, the range of the first one beside it.

  --nodes N            nodes of 8 GPUs (default 100)
  --scenario NAME,…    some scenarios (default: all)
  --rounds N           rounds that count (default 3)
  --pods N             standing pods of sync and churn (default 10 per node)
  --minutes N          length of churn (default 30)
  --scheduler-arg X    flag for the scheduler, repeatable
  --json               one JSON document with every round instead of tables

${SCENARIOS.map(({ name, about }) => `  ${name.padEnd(14)} ${about}`).join('\n')}
`;

class UsageError extends Error {}

function count(text: string | undefined, name: string, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`--${name} ${text}: it must be an integer of at least 1`);
  return value;
}

interface Outcome {
  readonly scenario: string;
  readonly nodes: number;
  readonly loadBefore: number;
  readonly tookMs: number;
  readonly rows: readonly Row[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string' },
      scenario: { type: 'string' },
      rounds: { type: 'string' },
      pods: { type: 'string' },
      minutes: { type: 'string' },
      'scheduler-arg': { type: 'string', multiple: true },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    console.log(HELP);
    return;
  }
  const chosen = (values.scenario?.split(',') ?? SCENARIOS.map(({ name }) => name)).map((name) => {
    const scenario = SCENARIOS.find((known) => known.name === name);
    if (scenario !== undefined) return scenario;
    throw new UsageError(`there is no scenario ${name}; the scenarios are ${SCENARIOS.map((known) => known.name).join(', ')}`);
  });
  const nodes = count(values.nodes, 'nodes', 100);
  const options = {
    nodes,
    rounds: count(values.rounds, 'rounds', 3),
    pods: count(values.pods, 'pods', 10 * nodes),
    minutes: count(values.minutes, 'minutes', 30),
    schedulerArgs: values['scheduler-arg'] ?? [],
  };
  const missing = missingControlPlane();
  if (missing !== null) {
    console.error(missing);
    process.exitCode = 1;
    return;
  }
  const outcomes: Outcome[] = [];
  for (const { name, run } of chosen) {
    const loadBefore = loadavg()[0]!;
    const startedMs = performance.now();
    const progress = (line: string): void => void process.stderr.write(`${name}: ${line}\n`);
    // What the other scenarios found is worth having.
    const rows = await run({ ...options, progress }).catch((error: unknown) => {
      progress(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
      return [];
    });
    const outcome = { scenario: name, nodes, loadBefore, tookMs: Math.round(performance.now() - startedMs), rows };
    outcomes.push(outcome);
    if (values.json !== true) console.log(outcomeText(outcome));
  }
  if (values.json === true) {
    const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version };
    console.log(JSON.stringify({ machine, options, outcomes }, null, 1));
  }
}

/** Figures down, cases across: scenarios have few cases and many figures. */
function outcomeText({ scenario, nodes, loadBefore, rows }: Outcome): string {
  const cases = [...new Set(rows.map((row) => row.case))];
  const names = [...new Set(rows.flatMap(({ figures }) => Object.keys(figures)))];
  const cell = (name: string, of: string): string => {
    const values = rows
      .flatMap((row) => (row.case === of ? [row.figures[name] ?? Number.NaN] : []))
      .filter((value) => !Number.isNaN(value));
    if (values.length === 0) return '';
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return most === least ? short(least) : `${short(median(values))} (${short(least)}–${short(most)})`;
  };
  const lines = names
    .map((name) => [name, ...cases.map((of) => cell(name, of))])
    .filter((cells) => cells.slice(1).some((text) => text !== ''));
  return `\n${scenario}, ${nodes} nodes; load before ${loadBefore.toFixed(1)}\n${table(['', ...cases], lines, 1)}`;
}

function short(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
