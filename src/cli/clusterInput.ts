import { open, readFile } from 'node:fs/promises';
import type { SchedulerConfig, SchedulerParams } from '../base/config.ts';
import { KaiError, type ObjectProblem } from '../base/errors.ts';
import { LIST_NAMES } from '../base/objects.ts';
import type { SnapshotOptions, SnapshotView } from '../base/snapshotView.ts';
import { parseRfc3339Ms } from '../base/time.ts';
import type { SnapshotWriter } from '../base/writerPort.ts';
import { loadConfig } from '../config/loadConfig.ts';
import { snapshotOptionsFrom } from '../config/schedulerParams.ts';
import { isSavedSnapshot, loadSnapshot } from '../snapshot/codec.ts';
import type { LoadedInput } from '../snapshot/import/loadedInput.ts';
import { loadInputs } from '../snapshot/import/loadInputs.ts';

export interface ClusterInputOptions {
  /** Configuration file instead of the input's own. */
  readonly config?: string;
  readonly actions?: readonly string[];
  readonly flags?: Partial<SchedulerParams>;
}

/** A cluster ready to be scheduled, from objects or from a saved snapshot. */
export interface ClusterInput {
  readonly view: SnapshotView;
  readonly config: SchedulerConfig;
  /** Time of the recorded cycle, ms since the epoch; undefined when the input does not tell. */
  readonly nowMs: number | undefined;
  readonly problems: readonly ObjectProblem[];
  /** One line each: what of the configuration was passed over, kinds that are not read. */
  readonly notes: readonly string[];
  /** The objects; null for a saved snapshot, which holds tables only. */
  readonly input: LoadedInput | null;
}

/**
 * Reads the files and seals them into a snapshot. One saved snapshot (.kais) is opened as it is. Throws KaiError for a file or
 * configuration that cannot be used.
 */
export async function openClusterInput(
  files: readonly string[],
  options: ClusterInputOptions,
  createWriter: (options: SnapshotOptions) => SnapshotWriter,
): Promise<ClusterInput> {
  const saved = await savedSnapshotAmong(files);
  const configText = options.config === undefined ? undefined : await readText(options.config);
  if (saved !== undefined) return fromSavedSnapshot(saved, configText, options);
  const input = await loadInputs(files);
  const { config, warnings } = loadConfig({
    file: configText ?? input.config,
    params: input.schedulerParams,
    flags: options.flags,
    actions: options.actions,
  });
  const writer = createWriter(snapshotOptionsFrom(config.params, input.discovery));
  const problems = [...input.problems, ...putAll(writer, input)];
  const nowMs = input.now === null ? undefined : parseRfc3339Ms(input.now);
  return { view: writer.seal(), config, nowMs, problems, notes: [...warnings.map(configNote), ...ignoredNotes(input)], input };
}

/** The saved snapshot, if the files are one; it cannot be merged with others. */
async function savedSnapshotAmong(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    if (!(await beginsLikeSavedSnapshot(file))) continue;
    if (files.length === 1) return file;
    throw new KaiError('BAD_INPUT', `${file}: a saved snapshot cannot be read together with other files`);
  }
  return undefined;
}

async function beginsLikeSavedSnapshot(file: string): Promise<boolean> {
  const handle = await open(file).catch(() => undefined);
  if (handle === undefined) return false;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(16), 0, 16, 0);
    return isSavedSnapshot(buffer.subarray(0, bytesRead));
  } catch {
    // A directory, a device: not this kind of file.
    return false;
  } finally {
    await handle.close();
  }
}

async function fromSavedSnapshot(file: string, configText: string | undefined, options: ClusterInputOptions): Promise<ClusterInput> {
  const view = loadSnapshot(await readFile(file));
  const { schedulerName, nodePoolLabelKey, nodePoolLabelValue, queueLabelKey } = view.options;
  const flags = { schedulerName, nodePoolLabelKey, nodePoolLabelValue, queueLabelKey, ...options.flags };
  const { config, warnings } = loadConfig({ file: configText, flags, actions: options.actions });
  return { view, config, nowMs: undefined, problems: [], notes: warnings.map(configNote), input: null };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new KaiError('UNREADABLE', `${path}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Problems that only the projection into tables finds, such as bad quantities, with the file they come from. */
function putAll(writer: SnapshotWriter, input: LoadedInput): readonly ObjectProblem[] {
  const problems: ObjectProblem[] = [];
  for (const list of LIST_NAMES) {
    for (const object of input.objects[list]) {
      for (const problem of writer.put(list, object)) problems.push({ ...problem, source: input.sourceOf(object) });
    }
  }
  return problems;
}

function configNote(warning: string): string {
  return `configuration: ${warning}`;
}

function ignoredNotes(input: LoadedInput): readonly string[] {
  return input.ignoredKinds.map(
    ({ apiVersion, kind, count }) => `${apiVersion} ${kind}: ${count} not used, the scheduler does not read this kind`,
  );
}
