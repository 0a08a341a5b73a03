import type { CycleRunner } from '../../src/runner/cycleRunner.ts';
import type { ConformanceCase } from './caseFormat.ts';
import { agreementOf, compareCase } from './compareCase.ts';
import { runCase } from './runCase.ts';
import type { CaseOutcome } from './selectCases.ts';

/** Runs one case after the other. A case whose cycle fails counts as failed, with the error as its difference. */
export async function runCases(
  cases: readonly ConformanceCase[],
  runner: Pick<CycleRunner, 'run'>,
  onOutcome: (outcome: CaseOutcome & { readonly about: string }) => void = () => {},
): Promise<CaseOutcome[]> {
  const outcomes: CaseOutcome[] = [];
  for (const conformanceCase of cases) {
    const outcome = await outcomeOf(conformanceCase, runner);
    outcomes.push(outcome);
    onOutcome({ ...outcome, about: conformanceCase.about });
  }
  return outcomes;
}

async function outcomeOf(conformanceCase: ConformanceCase, runner: Pick<CycleRunner, 'run'>): Promise<CaseOutcome> {
  const { id, suite } = conformanceCase;
  try {
    const result = await runCase(conformanceCase, runner);
    const differences = compareCase(conformanceCase, result);
    return { id, suite, agreement: agreementOf(conformanceCase, result, differences), differences };
  } catch (error) {
    const got = error instanceof Error ? `${error.name}: ${firstLines(error.message)}` : String(error);
    return { id, suite, agreement: 'failed', differences: [{ path: 'cycle', expected: 'a result', got }] };
  }
}

/** A failed cycle tells its whole stack; what was thrown, and where, is enough here. */
function firstLines(message: string): string {
  return message.split('\n').slice(0, 2).join('\n');
}
