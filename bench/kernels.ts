// Kernels: small pieces of the engine and the snapshot, each against another way to do the same. tinybench runs a task
// for a tenth of a second; rounds alternate over the tasks, because a burst of foreign load would falsify one of them.
import { Bench } from 'tinybench';
import { fairShareKernels } from './kernels/fairShare.ts';
import type { Kernel } from './kernels/kernel.ts';
import { snapshotKernels } from './kernels/snapshot.ts';
import { winnerTreeKernels } from './kernels/winnerTree.ts';
import { median } from './median.ts';

export interface KernelResult {
  readonly group: string;
  readonly name: string;
  readonly per: string;
  readonly medianNs: number;
  readonly minNs: number;
  readonly maxNs: number;
  /** Median over the rounds of (this ÷ first of its group, same round). */
  readonly ratio: number;
}

const KERNELS: readonly Kernel[] = [...winnerTreeKernels(), ...fairShareKernels(), ...snapshotKernels()];
const TASK_TIME_MS = 100;
/** Whatever the tasks return ends here, so that nothing is optimised away. */
let consumed = 0;

/** Nanoseconds per operation in one short run, the median of its samples. */
async function measure(kernel: Kernel): Promise<number> {
  const call = kernel.prepare();
  const bench = new Bench({ time: TASK_TIME_MS, warmupTime: TASK_TIME_MS / 5 });
  bench.add(kernel.name, () => {
    consumed += call();
  });
  const [task] = await bench.run();
  const result = task?.result;
  if (result === undefined || !('latency' in result))
    throw new Error(`kernel ${kernel.group} ${kernel.name} failed: ${JSON.stringify(result)}`);
  return (result.latency.p50 * 1e6) / kernel.operations;
}

/** Runs the kernels whose group or name contains `filter`. */
export async function runKernels(rounds: number, filter = ''): Promise<KernelResult[]> {
  const chosen = KERNELS.filter((k) => `${k.group} ${k.name}`.includes(filter));
  const times = chosen.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, kernel] of chosen.entries()) times[i]!.push(await measure(kernel));
  }
  if (Number.isNaN(consumed)) throw new Error('a kernel returned NaN');
  return chosen.map((kernel, i) => {
    const base = times[chosen.findIndex((k) => k.group === kernel.group)]!;
    const own = times[i]!;
    return {
      group: kernel.group,
      name: kernel.name,
      per: kernel.per,
      medianNs: median(own),
      minNs: Math.min(...own),
      maxNs: Math.max(...own),
      ratio: median(own.map((time, round) => time / base[round]!)),
    };
  });
}
