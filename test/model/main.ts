// node test/model/main.ts [--clusters 1000] [--from 0]
// The engine against the model twin on random clusters. Prints every difference (the cluster's number is its seed) and as
// last line "N passed, N failed".
import { parseArgs } from 'node:util';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { randomTestCluster } from './clusters.ts';
import { compareWithTwin } from './compare.ts';

function integer(text: string, name: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  console.error(`--${name} ${text}: it must be an integer of at least ${least}`);
  process.exit(2);
}

const { values } = parseArgs({ options: { clusters: { type: 'string', default: '1000' }, from: { type: 'string', default: '0' } } });
const clusters = integer(values.clusters, 'clusters', 1);
const from = integer(values.from, 'from', 0);

const runner = createCycleRunner({ workers: 0 });
let failed = 0;
for (let seed = from; seed < from + clusters; seed++) {
  const differences = await compareWithTwin(runner, randomTestCluster(seed));
  if (differences === null || differences.length > 0) failed++;
  for (const difference of differences ?? ['the twin does not model it']) console.log(`cluster ${seed}: ${difference}`);
}
await runner.close();
console.log(`${clusters - failed} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;
