// The victim searches of the cycles under upstream's names (spec 08 section 7.1). The narrow search counts as NodeLocalGreedy, the wide
// one as MultiNodeGang; no scenario is made twice, so none is a duplicate.
import { Counter, type Registry } from 'prom-client';
import type { CycleReport } from '../base/decisions.ts';

const NARROW = 'NodeLocalGreedy';
const WIDE = 'MultiNodeGang';

/** Gives what books the searches of one cycle. */
export function createSearchMetrics(prefix: string, registry: Registry): (searchByAction: CycleReport['searchByAction']) => void {
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
    new Counter({ name: prefix + name, help, labelNames: [...labelNames], registers: [registry] });
  const actedOn = counter('podgroups_acted_on_by_action', 'Pod groups that victims were looked for', ['action']);
  const simulated = counter('scenarios_simulation_by_action', 'Sets of victims that were tried', ['action']);
  const filtered = counter('scenarios_filtered_by_action', 'Sets of victims that were not worth a trial', ['action']);
  const jobs = counter('scenario_search_jobs_total', 'Victim searches by how they ended', ['action', 'result', 'reduced_budget']);
  const scenarios = counter('scenario_search_scenarios_total', 'Sets of victims by what became of them', ['action', 'generator', 'state']);
  const ended = counter('scenario_search_action_budget_exhausted_total', 'Actions that ended because nothing was left to search with', [
    'action',
  ]);
  const bookJobs = (
    action: string,
    reduced: string,
    { solved, exhausted, other }: Record<'solved' | 'exhausted' | 'other', number>,
  ): void => {
    const results = { solved, deadline_exhausted: exhausted, generators_exhausted: other - solved - exhausted };
    for (const [result, count] of Object.entries(results)) if (count > 0) jobs.inc({ action, result, reduced_budget: reduced }, count);
  };
  return (searchByAction) => {
    for (const [action, counts] of Object.entries(searchByAction)) {
      const { attempts, solved, exhausted, unsearched, notAttempted, simulations, rejected, narrowSimulations, narrowRejected } = counts;
      actedOn.inc({ action }, attempts);
      simulated.inc({ action }, simulations);
      filtered.inc({ action }, counts.filtered);
      const { reducedAttempts, reducedSolved, reducedExhausted } = counts;
      bookJobs(action, 'true', { solved: reducedSolved, exhausted: reducedExhausted, other: reducedAttempts });
      bookJobs(action, 'false', {
        solved: solved - reducedSolved,
        exhausted: exhausted - reducedExhausted,
        other: attempts - unsearched - reducedAttempts,
      });
      if (unsearched > 0) jobs.inc({ action, result: 'no_generator', reduced_budget: 'false' }, unsearched);
      if (notAttempted > 0) jobs.inc({ action, result: 'not_attempted', reduced_budget: 'true' }, notAttempted);
      if (notAttempted > 0) ended.inc({ action });
      const book = (generator: string, tried: number, refused: number): void => {
        scenarios.inc({ action, generator, state: 'emitted' }, tried);
        scenarios.inc({ action, generator, state: 'simulated' }, tried);
        scenarios.inc({ action, generator, state: 'validator_rejected' }, refused);
      };
      book(NARROW, narrowSimulations, narrowRejected);
      book(WIDE, simulations - narrowSimulations, rejected - narrowRejected);
    }
  };
}
