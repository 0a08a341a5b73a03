import { stat } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { formatProblem } from '../base/errors.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import type { CycleExplanation } from '../engine/report/explanation.ts';
import { type OutputFormat, timeOption, UsageError } from './usage.ts';

export interface ExplainOptions {
  /** Configuration file instead of the input's own. */
  readonly config?: string;
  /** Clock of the cycle, ms since the epoch, instead of the input's own. */
  readonly now?: number;
}

/** What `kai explain --output json` prints: `now` and the lists of `CycleExplanation`. */
export interface ExplainDocument extends CycleExplanation {
  /** Time of the cycle, RFC 3339. */
  readonly now: string;
}

export function registerExplain(program: Command): void {
  program
    .command('explain')
    .description('run one scheduling cycle and say why each pod group waits, who stands before it and what would help')
    .argument('<file...>', 'as for "decide"; a last argument that is no file names one pod group: NAME or NAMESPACE/NAME')
    .option('--config <file>', 'scheduler configuration, instead of the one in the input')
    .option('--now <time>', 'time of the cycle (RFC 3339), instead of the one in the input or the clock', timeOption)
    .addOption(new Option('--output <format>', 'form of the result').choices(['text', 'json']).default('text'))
    .action(async (args: string[], options: ExplainOptions & { readonly output: OutputFormat }) => {
      const document = await explain(args, options, (line) => console.error(line));
      if (options.output === 'json') {
        process.stdout.write(`${JSON.stringify(document)}\n`);
        return;
      }
      const { explanationText } = await import('./output/explanationText.ts');
      process.stdout.write(explanationText(document));
    });
}

/**
 * Reads the files, runs the cycle and explains it. `note`: one line for the person at the terminal. Throws UsageError for a
 * pod group that is not there and KaiError for an input or configuration that cannot be used.
 */
export async function explain(args: readonly string[], options: ExplainOptions, note: (line: string) => void): Promise<ExplainDocument> {
  const [{ openClusterInput }, { createSnapshotWriter }, { explainCycle }] = await Promise.all([
    import('./clusterInput.ts'),
    import('../snapshot/writer.ts'),
    import('../engine/report/explain.ts'),
  ]);
  const { files, workload } = await splitArguments(args);
  const cluster = await openClusterInput(files, { config: options.config }, createSnapshotWriter);
  for (const problem of cluster.problems) note(formatProblem(problem));
  for (const line of cluster.notes) note(line);
  if (workload !== undefined && !hasPodGroup(cluster.view, workload))
    throw new UsageError(`"${workload}" is neither a file nor a pod group of the input`);
  const nowMs = options.now ?? cluster.nowMs ?? Date.now();
  return { now: new Date(nowMs).toISOString(), ...explainCycle(cluster.view, cluster.config, nowMs, workload) };
}

/** The last of several arguments is a pod group when no file or pattern can be meant. */
async function splitArguments(args: readonly string[]): Promise<{ readonly files: readonly string[]; readonly workload?: string }> {
  const last = args.at(-1) ?? '';
  if (args.length < 2 || /[*?[{]/.test(last) || (await exists(last))) return { files: args };
  return { files: args.slice(0, -1), workload: last };
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function hasPodGroup({ texts, podGroups }: SnapshotView, workload: string): boolean {
  for (let row = 0; row < podGroups.rows; row++) {
    if (podGroups.used[row] !== 1) continue;
    const key = texts.get(podGroups.keyText[row]!);
    if (key === workload || key.endsWith(`/${workload}`)) return true;
  }
  return false;
}
