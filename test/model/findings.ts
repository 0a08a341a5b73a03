// Small clusters on which the engine and the twin once differed, or still do: see the `about` of each.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { ClusterObjects } from '../../src/base/objects.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { emptyObjects } from '../support/randomCluster.ts';
import type { TestCluster } from './clusters.ts';

export interface Finding extends TestCluster {
  readonly name: string;
  /** What is right. */
  readonly about: string;
  /** Where the specification says so. */
  readonly section: string;
}

interface FindingFile {
  readonly about: string;
  readonly section: string;
  readonly objects: Partial<ClusterObjects>;
  readonly config?: Partial<SchedulerConfig>;
}

function readFinding(file: string): Finding {
  const { about, section, objects, config } = JSON.parse(readFileSync(file, 'utf8')) as FindingFile;
  return {
    name: basename(file, '.json'),
    about,
    section,
    objects: { ...emptyObjects(), ...objects },
    config: { ...loadConfig({ actions: ['allocate'] }).config, ...config },
  };
}

/** Of the allocate action. */
export function findings(): Finding[] {
  return readFindings('findings');
}

/** Of the victim actions. */
export function victimFindings(): Finding[] {
  return readFindings('victimFindings');
}

function readFindings(name: string): Finding[] {
  const folder = join(import.meta.dirname, name);
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return files.sort().map((file) => readFinding(join(folder, file)));
}
