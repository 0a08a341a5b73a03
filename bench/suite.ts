import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ALL_SHAPES as SHAPES } from './allShapes.ts';
import type { CycleFigures } from './cycle.ts';
import type { Shape } from './shapes.ts';

type Size = readonly [nodes: number, jobs: number];

/** Shapes of a suite, and the pairs of sizes whose times are compared. */
export interface Suite {
  readonly shapes: readonly Shape[];
  readonly pairsOf: (shape: Shape) => readonly (readonly [small: Size, large: Size])[];
}

const FACTOR = 10;

/** allocate: every size beside ten times it. victims: every size beside the next. */
export const SUITES: Readonly<Record<string, Suite>> = {
  allocate: {
    shapes: SHAPES.filter((shape) => shape.actions.join() === 'allocate'),
    pairsOf: ({ sizes }) =>
      sizes.map(
        ([nodes, jobs]) =>
          [
            [nodes, jobs],
            [FACTOR * nodes, FACTOR * jobs],
          ] as const,
      ),
  },
  victims: {
    shapes: SHAPES.filter((shape) => shape.actions.join() !== 'allocate'),
    pairsOf: ({ sizes }) => (sizes.length === 1 ? [[sizes[0]!, sizes[0]!]] : sizes.slice(1).map((size, i) => [sizes[i]!, size] as const)),
  },
};

export interface SuiteRow {
  readonly small: CycleFigures;
  /** The same shape at a larger size. */
  readonly large: CycleFigures;
  /** Growth exponent of the time over the size: 1 = linear, 0 = does not grow. */
  readonly growth: number;
}

/** A process of its own for each measurement: no compiled code and no memory of the one before. */
function measure(shape: Shape, nodes: number, jobs: number, workers: number | 'auto', runs: number): CycleFigures {
  const size = ['--nodes', String(nodes), '--jobs', String(jobs), '--workers', String(workers), '--runs', String(runs)];
  const args = [join(import.meta.dirname, 'main.ts'), '--json', '--shape', shape.name, ...size];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as CycleFigures;
}

/** Every pair of sizes of every shape. `report` gets each row as soon as it is there. */
export function runSuite(suite: Suite, workers: number | 'auto', runs: number, report: (row: SuiteRow) => void): SuiteRow[] {
  const rows: SuiteRow[] = [];
  for (const shape of suite.shapes) {
    const known = new Map<Size, CycleFigures>();
    const figuresOf = (size: Size): CycleFigures => {
      const figures = known.get(size) ?? measure(shape, size[0], size[1], workers, runs);
      known.set(size, figures);
      return figures;
    };
    for (const [a, b] of suite.pairsOf(shape)) {
      const small = figuresOf(a);
      const large = figuresOf(b);
      const growth = a === b ? Number.NaN : Math.log(large.medianMs / small.medianMs) / Math.log(b[0] / a[0]);
      const row = { small, large, growth };
      report(row);
      rows.push(row);
    }
  }
  return rows;
}
