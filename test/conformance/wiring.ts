// How a case's document becomes what the scheduler takes: configuration and snapshot writer.
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { SnapshotWriter } from '../../src/base/writerPort.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { snapshotOptionsFrom } from '../../src/config/schedulerParams.ts';
import type { LoadedInput } from '../../src/snapshot/import/loadedInput.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';

/** The configuration of the document, or the built-in one. Throws KaiError as `loadConfig` does. */
export function configOf(input: LoadedInput): SchedulerConfig {
  return loadConfig({ file: input.config, params: input.schedulerParams }).config;
}

export function createWriter(config: SchedulerConfig, input: LoadedInput): SnapshotWriter {
  return createSnapshotWriter(snapshotOptionsFrom(config.params, input.discovery));
}
