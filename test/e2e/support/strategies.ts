// Configurations as upstream's operator writes them.
import type { Bed } from './bed.ts';

const ACTIONS = 'allocate, consolidation, reclaim, preempt, stalegangeviction';
const COMMON = ['predicates', 'proportion', 'priority', 'nodeavailability', 'resourcetype', 'podaffinity', 'elastic', 'subgrouporder'];
const REST = ['taskorder', 'nominatednode', 'dynamicresources', 'minruntime', 'topology', 'sg-nodelocalgreedy', 'sg-multinodegang', 'numa'];

/** As upstream's operator writes it for a placement strategy (spec 01 section 3.4.2), with further arguments of plugins by name. */
export function strategyConfig(strategy: 'binpack' | 'spread', more: Readonly<Record<string, object>> = {}): object {
  const gpu = strategy === 'binpack' ? ['gpusharingorder', 'gpupack'] : ['gpuspread'];
  const plugins = [...COMMON, ...gpu, ...REST].map((name): object => ({ name, arguments: more[name] }));
  return { actions: ACTIONS, tiers: [{ plugins: [...plugins, { name: 'nodeplacement', arguments: { cpu: strategy, gpu: strategy } }] }] };
}

/** Starts a scheduler that packs or spreads; also with what is off by default: pod affinity, NUMA zones. */
export function startWithStrategy(bed: Bed, strategy: 'binpack' | 'spread'): Promise<unknown> {
  return bed.startScheduler('scheduler', { args: [`--scheduler-conf=${bed.writeConfig(strategyConfig(strategy))}`] });
}
