import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import { formatProblem, KaiError } from '../base/errors.ts';
import type { ClusterInput } from './clusterInput.ts';
import { type OutputFormat, UsageError } from './usage.ts';

type Form = 'zip' | 'json' | 'kais';

interface ConvertOptions {
  readonly to: Form;
  readonly out?: string;
  readonly config?: string;
  readonly includeSensitive?: boolean;
}

const FILES = 'Kubernetes YAML or JSON, snapshot zip or snapshot.json, .kais file, directory or pattern';

export function registerSnapshot(program: Command): void {
  const snapshot = program.command('snapshot').description('look into recorded clusters and convert them');
  snapshot
    .command('info')
    .description('counts, sizes and problems')
    .argument('<file...>', FILES)
    .addOption(new Option('--output <format>', 'form of the result').choices(['text', 'json']).default('text'))
    .action(async (files: string[], options: { readonly output: OutputFormat }) => {
      const cluster = await open(files, {});
      const { infoDocument, infoText } = await import('./output/snapshotInfo.ts');
      const document = infoDocument(files, cluster);
      process.stdout.write(options.output === 'json' ? `${JSON.stringify(document)}\n` : infoText(document));
    });
  snapshot
    .command('convert')
    .description('write the cluster as upstream snapshot (zip, json) or as saved tables (kais)')
    .argument('<file...>', FILES)
    .addOption(new Option('--to <form>', 'what to write').choices(['zip', 'json', 'kais']).makeOptionMandatory())
    .option('--out <file>', 'where to; json goes to the standard output when absent')
    .option('--config <file>', 'scheduler configuration to put in, instead of the one in the input')
    .option('--include-sensitive', 'keep config map data, literal environment values and applied manifests')
    .action(convert);
}

async function convert(files: string[], options: ConvertOptions): Promise<void> {
  const { to, out } = options;
  if (out === undefined && to !== 'json') throw new UsageError(`--to ${to} needs --out FILE`);
  const cluster = await open(files, options);
  if (to === 'kais') {
    const { saveSnapshot } = await import('../snapshot/codec.ts');
    await writeOut(out!, () => writeFile(out!, saveSnapshot(cluster.view)));
    return;
  }
  if (cluster.input === null) {
    throw new KaiError(
      'BAD_INPUT',
      `${files.join(', ')}: a saved snapshot holds tables, not the Kubernetes objects; it cannot become ${to}`,
    );
  }
  const { objects, discovery, now } = cluster.input;
  const { isDraServed, isNodeTopologyServed, raw } = discovery;
  const { config } = cluster;
  const content = { objects, config, discovery: raw, isDraServed, isNodeTopologyServed, now, includeSensitive: options.includeSensitive };
  if (to === 'zip') {
    const { writeSnapshotZip } = await import('../snapshot/export/snapshotZip.ts');
    await writeOut(out!, () => writeSnapshotZip(content, createWriteStream(out!)));
    return;
  }
  const { snapshotChunks } = await import('../snapshot/export/snapshotDocument.ts');
  const target: Writable = out === undefined ? process.stdout : createWriteStream(out);
  await writeOut(out ?? 'standard output', () => pipeline(Readable.from(snapshotChunks(content)), target, { end: out !== undefined }));
}

async function open(files: readonly string[], options: { readonly config?: string }): Promise<ClusterInput> {
  const [{ openClusterInput }, { createSnapshotWriter }] = await Promise.all([
    import('./clusterInput.ts'),
    import('../snapshot/writer.ts'),
  ]);
  const cluster = await openClusterInput(files, options, createSnapshotWriter);
  for (const problem of cluster.problems) console.error(formatProblem(problem));
  for (const note of cluster.notes) console.error(note);
  return cluster;
}

async function writeOut(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    throw new KaiError('UNWRITABLE', `${path}: cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  }
}
