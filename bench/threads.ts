// What search workers gain: the same cycles with and without them, one after the other in every round.
import { ALL_SHAPES } from './allShapes.ts';
import { CycleCase } from './cycle.ts';
import { median } from './median.ts';
import { table } from './tables.ts';

/** Shapes whose cycles are spent on trials, at the size that is compared. */
const SEARCH_BOUND: readonly (readonly [name: string, nodes: number])[] = [
  ['consolidation-hopeless', 500],
  ['reclaim-hopeless', 1000],
  ['reclaim-singles', 200],
];
const WORKERS = [0, 2, 3] as const;
const WARM_UPS = 5;

export interface ThreadRow {
  readonly shape: string;
  readonly nodes: number;
  readonly workers: number;
  readonly medianMs: number;
  /** Median of the rounds' ratios: time without workers over time with them. */
  readonly speedup: number;
  readonly sharedSearches: number;
  readonly trials: number;
}

/** Every shape whose name contains `part`, with every number of workers. */
export async function compareThreads(rounds: number, part = '', size?: number): Promise<ThreadRow[]> {
  const rows: ThreadRow[] = [];
  for (const [name, usual] of SEARCH_BOUND) {
    if (!name.includes(part)) continue;
    const shape = ALL_SHAPES.find((s) => s.name === name)!;
    const nodes = size ?? usual;
    const cases = WORKERS.map((workers) => new CycleCase({ shape, nodes, jobs: shape.jobsFor(nodes), workers }));
    try {
      // Every thread compiles the engine for itself, and followers begin only after a cycle that was worth it.
      for (const one of cases) for (let i = 0; i < WARM_UPS; i++) await one.warmUp();
      for (let round = 0; round < rounds; round++) for (const one of cases) await one.run();
      for (const one of cases) {
        const { medianMs, counts } = one.figures();
        rows.push({
          shape: name,
          nodes,
          workers: one.options.workers as number,
          medianMs,
          speedup: median(one.times.map((ms, round) => cases[0]!.times[round]! / ms)),
          sharedSearches: one.sharedSearches,
          trials: counts.simulations,
        });
      }
    } finally {
      await Promise.all(cases.map((one) => one.close()));
    }
  }
  return rows;
}

export function threadTable(rows: readonly ThreadRow[]): string {
  const cells = rows.map((r) => [
    r.shape,
    String(r.nodes),
    String(r.workers),
    r.medianMs.toFixed(1),
    r.speedup.toFixed(2),
    String(r.sharedSearches),
    String(r.trials),
  ]);
  return table(['shape', 'nodes', 'workers', 'median ms', 'speed-up', 'shared searches', 'trials'], cells, 1);
}
