// Quality of the victim actions against the totals that the reference reached on the recorded cases: jobs served and pods
// deleted, per case. `node test/conformance/quality.ts [DIR] [--all]`: prints where we differ, worst first.
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { findCaseFiles, loadCase, maxOf, minOf } from './caseFormat.ts';
import { SHARED_CASES } from './folders.ts';
import { runCase } from './runCase.ts';

interface Row {
  readonly id: string;
  readonly verdict: 'better' | 'worse' | 'serves more' | 'equal';
  readonly text: string;
}

const args = process.argv.slice(2);
const dir = args.find((a) => !a.startsWith('--')) ?? SHARED_CASES;
const runner = createCycleRunner({ workers: 0 });
const rows: Row[] = [];
for (const file of findCaseFiles(dir)) {
  const c = loadCase(file);
  const totals = c.expect.totals;
  if (c.origin !== 'recorded' || totals === undefined || totals.jobsServed === undefined || totals.evicted === undefined) continue;
  const result = await runCase(c, runner);
  const { jobsServed, evicted, moved } = result.totals;
  const served = [minOf(totals.jobsServed), maxOf(totals.jobsServed)] as const;
  const deleted = [minOf(totals.evicted), maxOf(totals.evicted)] as const;
  let verdict: Row['verdict'] = 'equal';
  if (jobsServed < served[0] || (jobsServed <= served[1] && evicted > deleted[1])) verdict = 'worse';
  else if (evicted > deleted[1]) verdict = 'serves more';
  else if (jobsServed > served[1] || evicted < deleted[0]) verdict = 'better';
  rows.push({
    id: c.id,
    verdict,
    text: `served ${jobsServed} of ${JSON.stringify(totals.jobsServed)}, evicted ${evicted} of ${JSON.stringify(totals.evicted)}, moved ${moved} of ${JSON.stringify(totals.moved ?? 0)}`,
  });
}
await runner.close();
const order: readonly Row['verdict'][] = ['worse', 'serves more', 'better', 'equal'];
for (const verdict of order) {
  const group = rows.filter((r) => r.verdict === verdict);
  console.log(`${verdict}: ${group.length}`);
  if (verdict !== 'equal' || args.includes('--all')) for (const r of group) console.log(`  ${r.id}: ${r.text}`);
}
console.log(
  `${rows.length - rows.filter((r) => r.verdict === 'worse').length} passed, ${rows.filter((r) => r.verdict === 'worse').length} failed`,
);
