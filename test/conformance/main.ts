// npm run conformance -- DIR… [--filter TEXT] [--json FILE] [--workers N] [--actions existing|all]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { KaiError } from '../../src/base/errors.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { arguedFailures } from './arguedFailures.ts';
import { findCaseFiles, loadCase } from './caseFormat.ts';
import { formatDifference } from './compareCase.ts';
import type { ActionMode } from './runCase.ts';
import { runCases } from './runCases.ts';
import { formatTable, jsonSummary, summarize } from './selectCases.ts';

const USAGE = `Usage: npm run conformance -- DIR... [options]

Runs conformance cases and compares what comes of them with what they state.
DIR is a folder of suites, a suite, or one case file.

  --filter TEXT            only cases whose id contains TEXT
  --json FILE              write the result as JSON
  --workers N|auto         threads of the scheduling cycle (default 0: this one)
  --actions existing|all   existing (default): run the configured actions that the engine has; cases that need others
                           are counted as not run. all: run the configured actions as they are
  --help                   this text

Exit code: 0 all passed, 1 a case failed, 2 wrong use.`;

interface Options {
  readonly paths: readonly string[];
  readonly filter: string;
  readonly json: string | undefined;
  readonly workers: number | 'auto';
  readonly mode: ActionMode;
}

function readOptions(): Options | 'help' {
  const string = { type: 'string' } as const;
  const options = { filter: string, json: string, workers: string, actions: string, help: { type: 'boolean' } } as const;
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  if (values.help === true) return 'help';
  if (positionals.length === 0) throw new KaiError('USAGE', 'no folder of conformance cases is named');
  const mode = values.actions ?? 'existing';
  if (mode !== 'existing' && mode !== 'all') throw new KaiError('USAGE', `--actions is ${mode}; it must be existing or all`);
  const workers = values.workers === 'auto' ? 'auto' : Number(values.workers ?? 0);
  if (workers !== 'auto' && !(Number.isInteger(workers) && workers >= 0)) {
    throw new KaiError('USAGE', `--workers is ${values.workers}; it must be auto, 0 or a count`);
  }
  return { paths: positionals, filter: values.filter ?? '', json: values.json, workers, mode };
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
    const outcomes = await runCases(cases, runner, options.mode, (outcome) => {
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
    console.log(`${passed} passed, ${failed} failed`);
    return failed === 0 ? 0 : 1;
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
