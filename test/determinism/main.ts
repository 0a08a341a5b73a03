// npm run determinism -- [--clusters 1000] [--workers 0,1,2,3] [--first 0] [--orders 2] [--cases DIR]
// Random clusters: the same decisions for every number of workers and every order of the objects, and an auditor that finds
// nothing. With --cases the first cycle of each conformance case of the folder instead, for every number of workers.
// Prints each failing cluster (its number is the seed) and as last line "N passed, N failed".
import { parseArgs } from 'node:util';
import { LIST_NAMES } from '../../src/base/objects.ts';
import { findCaseFiles, loadCase } from '../conformance/caseFormat.ts';
import { configOf, createWriter } from '../conformance/wiring.ts';
import { randomCluster } from '../support/randomCluster.ts';
import { Comparison } from './compare.ts';

function integer(text: string, name: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  console.error(`--${name} ${text}: it must be an integer of at least ${least}`);
  process.exit(2);
}

const { values } = parseArgs({
  options: {
    clusters: { type: 'string', default: '1000' },
    workers: { type: 'string', default: '0,1,2,3' },
    first: { type: 'string', default: '0' },
    orders: { type: 'string', default: '2' },
    cases: { type: 'string' },
  },
});
const clusters = integer(values.clusters, 'clusters', 1);
const first = integer(values.first, 'first', 0);
const workers = values.workers.split(',').map((text) => integer(text, 'workers', 0));
const orders = Array.from({ length: integer(values.orders, 'orders', 0) }, (_, i) => i + 1);

const comparison = new Comparison(workers);
const startMs = performance.now();
let failed = 0;
let compared = 0;
for (const c of values.cases === undefined ? [] : findCaseFiles(values.cases).map(loadCase)) {
  const config = configOf(c.input);
  const writer = createWriter(config, c.input);
  for (const list of LIST_NAMES) for (const object of c.input.objects[list]) writer.put(list, object);
  const problems = await comparison.differencesAmong(writer.seal(), config, c.nowMs);
  compared++;
  if (problems.length > 0) failed++;
  for (const problem of problems) console.log(`case ${c.id}: ${problem}`);
}
for (let seed = first; values.cases === undefined && seed < first + clusters; seed++) {
  compared++;
  const objects = randomCluster(seed);
  const problems = [...(await comparison.compareWorkers(objects)).problems, ...(await comparison.orderProblems(objects, orders))];
  if (problems.length > 0) failed++;
  for (const problem of problems) console.log(`cluster ${seed}: ${problem}`);
}
await comparison.close();
console.log(
  `${compared} ${values.cases === undefined ? `clusters, ${orders.length + 1} orders` : 'cases'}, workers ${workers.join(', ')}, ${((performance.now() - startMs) / 1000).toFixed(1)} s`,
);
console.log(`${compared - failed} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;
