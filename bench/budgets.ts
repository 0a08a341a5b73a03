// Budgets: ratios, growth and counts within one run. Absolute times are never compared, they depend on the machine.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { ALL_SHAPES as SHAPES } from './allShapes.ts';
import { CycleCase, type CycleFigures } from './cycle.ts';
import { type KernelResult, runKernels } from './kernels.ts';
import { median } from './median.ts';
import type { Shape } from './shapes.ts';

interface Bounds {
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Measured when the budget was set. */
  readonly measured: readonly number[];
}
/** A kernel's time over that of the first of its group. */
interface KernelBudget extends Bounds {
  readonly group: string;
  readonly kernel: string;
}
/** `figure` at the larger size over the smaller one, in alternating cycles. */
interface GrowthBudget extends Bounds {
  readonly shape: string;
  readonly nodes: readonly [small: number, large: number];
  readonly figure: 'medianMs' | 'nsPerBoundPod' | 'msPerNode';
  /** Left out of a quick check. */
  readonly isLong?: boolean;
}
/** A count of one cycle: exact, and the same on every machine. */
interface CountBudget extends Bounds {
  readonly shape: string;
  readonly nodes: number;
  readonly count: 'bound' | 'nodesEvaluated' | 'scans' | 'classes' | 'podRowBytes' | 'nodeRowBytes' | 'bytesPerPod';
}
interface Budgets {
  readonly kernels: readonly KernelBudget[];
  readonly growth: readonly GrowthBudget[];
  readonly counts: readonly CountBudget[];
}

export interface BudgetLine {
  readonly name: string;
  readonly value: number;
  readonly bounds: string;
  readonly isMet: boolean;
}

const FILE = join(import.meta.dirname, 'budgets.yaml');
const KERNEL_ROUNDS = 5;
/** Pairs of cycles, small and large in turn, after the warm-up. */
const GROWTH_ROUNDS = 9;

function line(name: string, value: number, bounds: Bounds): BudgetLine {
  const parts = [
    ...(bounds.atLeast === undefined ? [] : [`≥ ${bounds.atLeast}`]),
    ...(bounds.atMost === undefined ? [] : [`≤ ${bounds.atMost}`]),
  ];
  if (parts.length === 0) throw new Error(`${FILE}: ${name} has neither atLeast nor atMost`);
  const isMet = value >= (bounds.atLeast ?? Number.NEGATIVE_INFINITY) && value <= (bounds.atMost ?? Number.POSITIVE_INFINITY);
  return { name, value, bounds: parts.join(', '), isMet };
}

function shapeOf(name: string): Shape {
  const shape = SHAPES.find((s) => s.name === name);
  if (shape === undefined) throw new Error(`${FILE}: there is no shape ${name}`);
  return shape;
}

async function kernelLines(budgets: readonly KernelBudget[]): Promise<BudgetLine[]> {
  const lines: BudgetLine[] = [];
  for (const group of new Set(budgets.map((b) => b.group))) {
    const results: KernelResult[] = await runKernels(KERNEL_ROUNDS, `${group} `);
    for (const budget of budgets.filter((b) => b.group === group)) {
      const result = results.find((r) => r.group === group && r.name === budget.kernel);
      if (result === undefined) throw new Error(`${FILE}: there is no kernel ${group} ${budget.kernel}`);
      lines.push(line(`kernel ${group}: ${budget.kernel}`, result.ratio, budget));
    }
  }
  return lines;
}

function perUnit(figure: GrowthBudget['figure'], ms: number, figures: CycleFigures): number {
  if (figure === 'medianMs') return ms;
  return figure === 'msPerNode' ? ms / figures.nodes : ms / figures.result.bound;
}

/** Median over the rounds of large ÷ small: foreign load falls on both of a round. */
async function growthLine(budget: GrowthBudget): Promise<BudgetLine> {
  const shape = shapeOf(budget.shape);
  const cases = budget.nodes.map((nodes) => new CycleCase({ shape, nodes, jobs: shape.jobsFor(nodes), workers: 0 }));
  const [small, large] = [cases[0]!, cases[1]!];
  const ratios: number[] = [];
  try {
    for (const one of cases) await one.warmUp();
    for (let round = 0; round < GROWTH_ROUNDS; round++) {
      const smallMs = await small.run();
      const largeMs = await large.run();
      ratios.push(perUnit(budget.figure, largeMs, large.figures()) / perUnit(budget.figure, smallMs, small.figures()));
    }
  } finally {
    for (const one of cases) await one.close();
  }
  return line(`growth ${budget.shape} ${budget.nodes.join(' → ')} nodes: ${budget.figure}`, median(ratios), budget);
}

async function countLines(budgets: readonly CountBudget[]): Promise<BudgetLine[]> {
  const figures = new Map<string, CycleFigures>();
  const lines: BudgetLine[] = [];
  for (const budget of budgets) {
    const key = `${budget.shape} ${budget.nodes} nodes`;
    let found = figures.get(key);
    if (found === undefined) {
      const shape = shapeOf(budget.shape);
      const one = new CycleCase({ shape, nodes: budget.nodes, jobs: shape.jobsFor(budget.nodes), workers: 0 });
      await one.run();
      found = one.figures();
      await one.close();
      figures.set(key, found);
    }
    const values: Readonly<Record<CountBudget['count'], number>> = { ...found.counts, ...found.snapshot };
    lines.push(line(`count ${key}: ${budget.count}`, values[budget.count], budget));
  }
  return lines;
}

/** Measures every budget of bench/budgets.yaml; `isQuick` leaves the long ones out. Throws when the file is not understood. */
export async function checkBudgets(isQuick: boolean): Promise<BudgetLine[]> {
  const budgets = load(readFileSync(FILE, 'utf8')) as Budgets;
  const lines = await countLines(budgets.counts);
  lines.push(...(await kernelLines(budgets.kernels)));
  for (const budget of budgets.growth) if (!isQuick || budget.isLong !== true) lines.push(await growthLine(budget));
  return lines;
}
