// npm run conformance -- DIR… [--filter TEXT] [--json FILE] [--workers N] [--known]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { KaiError } from '../../src/base/errors.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { arguedFailures } from './arguedFailures.ts';
import { findCaseFiles, loadCase } from './caseFormat.ts';
import { formatDifference } from './compareCase.ts';
import { runCases } from './runCases.ts';
import { formatTable, jsonSummary, summarize } from './selectCases.ts';

const USAGE = `Usage: npm run conformance -- DIR... [options]

Runs conformance cases and compares what comes of them with what they state.
DIR is a folder of suites, a suite, or one case file.

  --filter TEXT    only cases whose id contains TEXT
  --json FILE      write the result as JSON
  --workers N|auto threads of the scheduling cycle (default 0: this one)
  --known          exit code 0 when exactly the cases of argued.json fail
  --help           this text

Exit code: 0 all passed, 1 a case failed, 2 wrong use.`;

interface Options {
  readonly paths: readonly string[];
  readonly filter: string;
  readonly json: string | undefined;
  readonly workers: number | 'auto';
  readonly isKnownAccepted: boolean;
}

function readOptions(): Options | 'help' {
  const string = { type: 'string' } as const;
  const options = { filter: string, json: string, workers: string, known: { type: 'boolean' }, help: { type: 'boolean' } } as const;
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  if (values.help === true) return 'help';
  if (positionals.length === 0) throw new KaiError('USAGE', 'no folder of conformance cases is named');
  const workers = values.workers === 'auto' ? 'auto' : Number(values.workers ?? 0);
  if (workers !== 'auto' && !(Number.isInteger(workers) && workers >= 0)) {
    throw new KaiError('USAGE', `--workers is ${values.workers}; it must be auto, 0 or a count`);
  }
  return { paths: positionals, filter: values.filter ?? '', json: values.json, workers, isKnownAccepted: values.known === true };
}

async function main(options: Options): Promise<number> {
  const cases = options.paths
    .flatMap(findCaseFiles)
    .map(loadCase)
    .filter((c) => c.id.includes(options.filter));
  if (cases.length === 0) throw new KaiError('NO_CASES', `no case has "${options.filter}" in its id`);
  const argued = arguedFailures();
  const runner = createCycleRunner({ workers: options.workers });
  try {
    const outcomes = await runCases(cases, runner, (outcome) => {
      if (outcome.agreement !== 'failed') return;
      console.log(`FAILED ${outcome.id}: ${outcome.about}`);
      if (argued.has(outcome.id)) console.log(`  known: ${argued.get(outcome.id)}`);
      for (const difference of outcome.differences) console.log(`  ${formatDifference(difference)}`);
    });
    const suites = summarize(outcomes);
    const passed = suites.reduce((sum, s) => sum + s.passed, 0);
    const failed = suites.reduce((sum, s) => sum + s.failed, 0);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(jsonSummary(outcomes), null, 1)}\n`);
    const known = outcomes.filter((o) => o.agreement === 'failed' && argued.has(o.id)).length;
    console.log(`\n${formatTable(suites)}\n\n${known} of the failed cases are known and argued in argued.json`);
    const unlisted = failed - known;
    const passing = outcomes.filter((o) => o.agreement !== 'failed' && argued.has(o.id)).map((o) => o.id);
    if (passing.length > 0) console.log(`listed in argued.json, but passed: ${passing.join(', ')}`);
    console.log(`${passed} passed, ${failed} failed`);
    return failed === 0 || (options.isKnownAccepted && unlisted === 0 && passing.length === 0) ? 0 : 1;
  } finally {
    await runner.close();
  }
}

try {
  const options = readOptions();
  if (options === 'help') console.log(USAGE);
  else process.exitCode = await main(options);
} catch (error) {
  const isWrongUse = error instanceof KaiError || (error instanceof TypeError && 'code' in error);
  console.error(isWrongUse ? `${(error as Error).message}\n\n${USAGE}` : error);
  process.exitCode = isWrongUse ? 2 : 1;
}
