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
  return (searchByAction) => {
    for (const [action, counts] of Object.entries(searchByAction)) {
      const { attempts, solved, unsearched, simulations, rejected, narrowSimulations, narrowRejected } = counts;
      actedOn.inc({ action }, attempts);
      simulated.inc({ action }, simulations);
      filtered.inc({ action }, counts.filtered);
      const results = { solved, no_generator: unsearched, generators_exhausted: attempts - solved - unsearched };
      for (const [result, count] of Object.entries(results)) if (count > 0) jobs.inc({ action, result, reduced_budget: 'false' }, count);
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
