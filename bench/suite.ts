import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { CycleFigures } from './cycle.ts';
import type { Shape } from './shapes.ts';
import { ALL_SHAPES as SHAPES } from './allShapes.ts';

/** Names of suites: all shapes whose actions are those of the suite. */
export const SUITES: Readonly<Record<string, readonly Shape[]>> = {
  allocate: SHAPES.filter((shape) => shape.actions.join() === 'allocate'),
};

export interface SuiteRow {
  readonly small: CycleFigures;
  /** The same shape with ten times the nodes and jobs. */
  readonly large: CycleFigures;
  /** Growth exponent of the time over the size: 1 = linear, 0 = does not grow. */
  readonly growth: number;
}

const FACTOR = 10;

/** A process of its own for each measurement: no compiled code and no memory of the one before. */
function measure(shape: Shape, nodes: number, jobs: number, workers: number | 'auto', runs: number): CycleFigures {
  const size = ['--nodes', String(nodes), '--jobs', String(jobs), '--workers', String(workers), '--runs', String(runs)];
  const args = [join(import.meta.dirname, 'main.ts'), '--json', '--shape', shape.name, ...size];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as CycleFigures;
}

/** Every shape at its sizes and at ten times each. `report` gets each row as soon as it is there. */
export function runSuite(shapes: readonly Shape[], workers: number | 'auto', runs: number, report: (row: SuiteRow) => void): SuiteRow[] {
  const rows: SuiteRow[] = [];
  for (const shape of shapes) {
    for (const [nodes, jobs] of shape.sizes) {
      const small = measure(shape, nodes, jobs, workers, runs);
      const large = measure(shape, FACTOR * nodes, FACTOR * jobs, workers, runs);
      const row = { small, large, growth: Math.log(large.medianMs / small.medianMs) / Math.log(FACTOR) };
      report(row);
      rows.push(row);
    }
  }
  return rows;
}
