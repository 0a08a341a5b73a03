// node test/model/main.ts [--clusters 1000] [--from 0] [--actions allocate | all | A,B…] [--open]
// The engine against the model twin on random clusters; the cluster's number is its seed. `allocate` (default): all decisions
// and texts of the action alone. Other actions, `all` being all five or some of them as each cluster draws it: crowded
// clusters, the decisions of the victim actions against their rules. `--open` also prints other victims than those of the
// reference's search. Prints every difference and as last line "N passed, N failed".
import { parseArgs } from 'node:util';
import { type CycleRunner, createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { randomTestCluster } from './clusters.ts';
import { compareWithTwin } from './compare.ts';
import { compareVictims, emptyTotals, type Totals } from './compareVictims.ts';
import { randomVictimCluster } from './victimClusters.ts';

function integer(text: string, name: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  console.error(`--${name} ${text}: it must be an integer of at least ${least}`);
  process.exit(2);
}

const string = { type: 'string' } as const;
const { values } = parseArgs({ options: { clusters: string, from: string, actions: string, open: { type: 'boolean' } } });
const clusters = integer(values.clusters ?? '1000', 'clusters', 1);
const from = integer(values.from ?? '0', 'from', 0);
const actions = values.actions ?? 'allocate';

async function allocateDifferences(runner: CycleRunner, seed: number): Promise<readonly string[]> {
  return (await compareWithTwin(runner, randomTestCluster(seed))) ?? ['the twin does not model it'];
}

async function victimDifferences(runner: CycleRunner, seed: number, totals: Totals): Promise<readonly string[]> {
  const cluster = randomVictimCluster(seed, actions === 'all' ? null : actions.split(','));
  const followed = await compareVictims(runner, cluster, totals);
  if (followed === null) return ['the twin does not model it'];
  if (values.open === true) for (const text of followed.open) console.log(`cluster ${seed}: open: ${text}`);
  return [...followed.findings, ...followed.shortfalls];
}

const runner = createCycleRunner({ workers: 0 });
const totals = emptyTotals();
let failed = 0;
for (let seed = from; seed < from + clusters; seed++) {
  const differences = actions === 'allocate' ? await allocateDifferences(runner, seed) : await victimDifferences(runner, seed, totals);
  if (differences.length > 0) failed++;
  for (const difference of differences) console.log(`cluster ${seed}: ${difference}`);
}
await runner.close();
if (actions !== 'allocate')
  console.log(
    Object.entries(totals)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
  );
console.log(`${clusters - failed} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;
