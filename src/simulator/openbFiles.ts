// Files that lie beside or behind the openb trace: times of its pods, and published results.
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { KaiError } from '../base/errors.ts';

/** When a pod of the trace lived, in seconds of the trace's clock (NaN where the file has none), and how urgent it was. */
export interface OpenbLife {
  readonly createdS: number;
  readonly deletedS: number;
  /** Service class BE; others are latency-sensitive or have what they ask for guaranteed. */
  readonly isBestEffort: boolean;
}

/**
 * Lives of the pods of a trace file, one per pod in its order.
 * @throws KaiError `TRACE_WITHOUT_TIMES` when the file has no `creation_time` and `deletion_time`.
 */
export function readOpenbLives(podFile: string): OpenbLife[] {
  const [header = '', ...lines] = readFileSync(podFile, 'utf8').split(/\r?\n/);
  const columns = header.split(',');
  const created = columns.indexOf('creation_time');
  const deleted = columns.indexOf('deletion_time');
  const qos = columns.indexOf('qos');
  if (created < 0 || deleted < 0) {
    throw new KaiError('TRACE_WITHOUT_TIMES', `${podFile}: has no creation_time and deletion_time; --departures needs them`);
  }
  const seconds = (cell: string | undefined): number => (cell === undefined || cell === '' ? Number.NaN : Number(cell));
  return lines
    .filter((line) => line !== '')
    .map((line) => line.split(','))
    .map((cells) => ({
      createdS: seconds(cells[created]),
      deletedS: seconds(cells[deleted]),
      isBestEffort: cells[qos] === 'BE',
    }));
}

/** Published shares in percent by policy and arrived percentage, for the workload of one pod file. */
export type PublishedAllocation = Readonly<Record<string, Readonly<Record<string, number>>>>;

/**
 * What `published-allocation.json` beside the pod file says of it; undefined when there is no such file or entry.
 * @throws KaiError `TRACE_INVALID` when the file is not JSON.
 */
export function readPublished(podFile: string): PublishedAllocation | undefined {
  const path = join(dirname(podFile), 'published-allocation.json');
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  try {
    return (JSON.parse(content) as Readonly<Record<string, PublishedAllocation>>)[basename(podFile, '.csv')];
  } catch (error) {
    throw new KaiError('TRACE_INVALID', `${path}: not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}
