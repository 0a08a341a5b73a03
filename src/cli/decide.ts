import { type Command, Option } from 'commander';
import { formatProblem } from '../base/errors.ts';
import type { SnapshotOptions } from '../base/snapshotView.ts';
import type { SnapshotWriter } from '../base/writerPort.ts';
import type { CycleResult, CycleRunner } from '../runner/cycleRunner.ts';
import type { ClusterInput } from './clusterInput.ts';
import type { DecideDocument } from './output/decisionsDocument.ts';
import { namesOption, type OutputFormat, timeOption, UsageError, workersOption } from './usage.ts';

export interface DecideOptions {
  /** Configuration file instead of the input's own. */
  readonly config?: string;
  readonly actions?: readonly string[];
  /** Clock of the cycle, ms since the epoch, instead of the input's own. */
  readonly now?: number;
  readonly workers: 'auto' | number;
  readonly detailedFitErrors?: boolean;
}

/** What `decide` is made of; tests put their own in. */
export interface DecideParts {
  readonly createWriter: (options: SnapshotOptions) => SnapshotWriter;
  readonly createRunner: (options: { readonly workers: 'auto' | number }) => CycleRunner;
  /** Names of the actions that the engine has. */
  readonly actions: readonly string[];
  /** One line for the person at the terminal. */
  readonly note: (line: string) => void;
}

export function registerDecide(program: Command): void {
  program
    .command('decide')
    .description('run one scheduling cycle on a recorded or written cluster and print its decisions')
    .argument('<file...>', 'Kubernetes YAML or JSON, snapshot zip or snapshot.json, .kais file, directory or pattern')
    .option('--config <file>', 'scheduler configuration, instead of the one in the input')
    .option('--actions <names>', 'actions to run, separated by commas, instead of the configured ones', namesOption)
    .option('--now <time>', 'time of the cycle (RFC 3339), instead of the one in the input or the clock', timeOption)
    .addOption(new Option('--workers <count>', 'threads: auto, 0 (none) or a number').default('auto').argParser(workersOption))
    .option('--detailed-fit-errors', 'name every node in the reasons of waiting pods')
    .addOption(new Option('--output <format>', 'form of the result').choices(['text', 'json']).default('text'))
    .action(async (files: string[], options: DecideOptions & { readonly output: OutputFormat }) => {
      const document = await decide(files, options, await realParts());
      if (options.output === 'json') {
        process.stdout.write(`${JSON.stringify(document)}\n`);
        return;
      }
      const { decisionsText } = await import('./output/decisionsText.ts');
      process.stdout.write(decisionsText(document));
    });
}

async function realParts(): Promise<DecideParts> {
  const [writer, runner, engine] = await Promise.all([
    import('../snapshot/writer.ts'),
    import('../runner/cycleRunner.ts'),
    import('../engine/actions/index.ts'),
  ]);
  return {
    createWriter: writer.createSnapshotWriter,
    createRunner: runner.createCycleRunner,
    actions: engine.EXISTING_ACTIONS,
    note: (line) => console.error(line),
  };
}

/**
 * Reads the files, runs one cycle and gives the result as plain data. Throws UsageError for an action that does not exist and
 * KaiError for an input or configuration that cannot be used. Problems of single objects are in the result and noted.
 */
export async function decide(files: readonly string[], options: DecideOptions, parts: DecideParts): Promise<DecideDocument> {
  const [{ openClusterInput }, { decisionsDocument }] = await Promise.all([
    import('./clusterInput.ts'),
    import('./output/decisionsDocument.ts'),
  ]);
  const missing = options.actions?.find((name) => !parts.actions.includes(name));
  if (missing !== undefined) throw new UsageError(`there is no action "${missing}"; the actions are ${parts.actions.join(', ')}`);
  const flags = options.detailedFitErrors === true ? { detailedFitErrors: true } : undefined;
  const cluster = onlyExistingActions(await openClusterInput(files, { ...options, flags }, parts.createWriter), parts.actions);
  for (const problem of cluster.problems) parts.note(formatProblem(problem));
  for (const note of cluster.notes) parts.note(note);
  const nowMs = options.now ?? cluster.nowMs ?? Date.now();
  const result = await runOneCycle(cluster, nowMs, options.workers, parts);
  return decisionsDocument({ nowMs, config: cluster.config, view: cluster.view, result, problems: cluster.problems });
}

/** A configuration may name actions that the engine does not have: they are left out with a note. */
function onlyExistingActions(cluster: ClusterInput, existing: readonly string[]): ClusterInput {
  const { config } = cluster;
  const missing = config.actions.filter((name) => !existing.includes(name));
  if (missing.length === 0) return cluster;
  return {
    ...cluster,
    config: Object.freeze({ ...config, actions: config.actions.filter((name) => existing.includes(name)) }),
    notes: [...cluster.notes, `configuration: not run, because there is no such action: ${missing.join(', ')}`],
  };
}

async function runOneCycle(cluster: ClusterInput, nowMs: number, workers: 'auto' | number, parts: DecideParts): Promise<CycleResult> {
  const runner = parts.createRunner({ workers });
  try {
    return await runner.run(cluster.view, cluster.config, nowMs);
  } finally {
    await runner.close();
  }
}
