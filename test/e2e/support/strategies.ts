// Configurations as upstream's operator writes them.
import type { Bed } from './bed.ts';

const ACTIONS = 'allocate, consolidation, reclaim, preempt, stalegangeviction';
const COMMON = ['predicates', 'proportion', 'priority', 'nodeavailability', 'resourcetype', 'podaffinity', 'elastic', 'subgrouporder'];
const REST = ['taskorder', 'nominatednode', 'dynamicresources', 'minruntime', 'topology', 'sg-nodelocalgreedy', 'sg-multinodegang', 'numa'];

/** As upstream's operator writes it for a placement strategy (spec 01 section 3.4.2). */
function config(strategy: 'binpack' | 'spread'): object {
  const gpu = strategy === 'binpack' ? ['gpusharingorder', 'gpupack'] : ['gpuspread'];
  const plugins = [...COMMON, ...gpu, ...REST].map((name): object => ({ name }));
  return { actions: ACTIONS, tiers: [{ plugins: [...plugins, { name: 'nodeplacement', arguments: { cpu: strategy, gpu: strategy } }] }] };
}

/** Starts a scheduler that packs or spreads; also with what is off by default: pod affinity, NUMA zones. */
export function startWithStrategy(bed: Bed, strategy: 'binpack' | 'spread'): Promise<unknown> {
  return bed.startScheduler('scheduler', { args: [`--scheduler-conf=${bed.writeConfig(config(strategy))}`] });
}
