import { type Command, Option } from 'commander';
import {
  DEFAULT_PORT,
  DEFAULT_SEED,
  parseArrive,
  parseDuration,
  parseHours,
  parseNodes,
  parsePort,
  parseQueues,
  parseSeed,
  parseSeeds,
  planSimulation,
  type SimulateFlags,
} from './simulateOptions.ts';
import { workersOption } from './usage.ts';

const HELP = `
A cluster is generated from the seed, or taken from the openb trace, and the scheduling cycle runs on it in virtual
time. The report at the end tells what was placed, what waits and why, how full and how fragmented the GPUs are, what
each queue got beside its fair share, and how long the cycles took. All but the measured times depends on the seed alone
(with --duration also on how far the machine gets).

Examples:
  kai simulate --preset laptop                       1,000 nodes, live, with a dashboard, one minute
  kai simulate --nodes 500 --hours 6 --seed 7        as fast as it goes, then the report
  kai simulate --trace openb --node-file NODES.csv --pod-file PODS.csv --seeds 42..51
  kai simulate --trace openb --node-file NODES.csv --pod-file PODS.csv --departures --arrive 800 --queues 4 --audit
`;

/** Adds `kai simulate`. Exit codes: 0 done, 1 failed (also: a placement did not fit, the auditor found something), 2 wrong use. */
export function registerSimulate(program: Command): void {
  program
    .command('simulate')
    .description('run the scheduler on a simulated cluster')
    .addOption(new Option('--nodes <count>', 'nodes of the generated cluster (default: 100)').argParser(parseNodes))
    .addOption(new Option('--hours <hours>', 'cluster time to simulate (default: 2)').argParser(parseHours))
    .addOption(
      new Option('--duration <time>', 'real time after which the run ends, such as 90s or 10m; 0 = until Ctrl-C').argParser(parseDuration),
    )
    .addOption(new Option('--trace <name>', 'take nodes and jobs from a trace').choices(['openb']))
    .option('--node-file <file>', 'CSV file of the nodes of the trace')
    .option('--pod-file <file>', 'CSV file of the pods of the trace')
    .addOption(new Option('--arrive <percent>', 'GPU demand to submit, % of the capacity (default: 130)').argParser(parseArrive))
    .option('--departures', 'pods of the trace leave: as recorded, or with --arrive spread over --hours, each for as long as it lived')
    .addOption(
      new Option(
        '--queues <count>',
        'queues that share the cluster of the trace, each with an equal quota (default: 1, no limits)',
      ).argParser(parseQueues),
    )
    .option('--audit', 'check every cycle against the rules, independently of the engine; a finding makes the exit code 1')
    .addOption(new Option('--seed <number>', `seed of everything random (default: ${DEFAULT_SEED})`).argParser(parseSeed))
    .addOption(new Option('--seeds <first..last>', 'one run for each seed').argParser(parseSeeds))
    .addOption(new Option('--workers <count>', 'threads: auto, 0 = none, or a count').argParser(workersOption).default('auto'))
    .option('--config <file>', 'scheduler configuration file')
    .addOption(new Option('--output <form>', 'form of the report').choices(['text', 'json']).default('text'))
    .addOption(
      new Option('--port <port>', `serve the dashboard from this port on, or the next free one (preset: ${DEFAULT_PORT})`).argParser(
        parsePort,
      ),
    )
    .option('--no-dashboard', 'do not serve the dashboard of the preset')
    .addOption(new Option('--preset <name>', '1,000 nodes, live at 60 times real time, dashboard, one minute').choices(['laptop']))
    .addHelpText('after', HELP)
    .action(async (flags: SimulateFlags) => {
      const plan = planSimulation(flags);
      const { runSimulation } = await import('./simulateRun.ts');
      await withInterrupt((signal) => runSimulation(plan, { stdout: process.stdout, stderr: process.stderr, signal }));
    });
}

/** The first Ctrl-C asks for an early end; the second one ends the process as usual. */
async function withInterrupt<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    return await body(abort.signal);
  } finally {
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
  }
}
