import { loadConfig } from '../../src/config/loadConfig.ts';
import { snapshotOptionsFrom } from '../../src/config/schedulerParams.ts';
import { EXISTING_ACTIONS } from '../../src/engine/actions/index.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';

/** The default configuration with the actions that the engine has. */
export const CONFIG = loadConfig({ actions: EXISTING_ACTIONS }).config;

export const SNAPSHOT_OPTIONS = snapshotOptionsFrom(CONFIG.params, { isDraServed: false, isNodeTopologyServed: false });

export function newWriter(): ReturnType<typeof createSnapshotWriter> {
  return createSnapshotWriter(SNAPSHOT_OPTIONS);
}
