// The order in which a task tries the nodes (spec 03 section 8).
import { amountOf } from './amounts.ts';
import { fitsNow } from './fit.ts';
import { fittingGroups, nonAllocated } from './ledger.ts';
import { affinityScore } from './podAffinity.ts';
import { isGpuTask, isShared } from './request.ts';
import type { NodeFacts, State, Task, World } from './types.ts';

interface Range {
  readonly min: number;
  readonly max: number;
}

/** What placement packs or spreads: GPUs for GPU tasks, CPU for all others. */
function placedResource(task: Task): 'gpu' | 'cpu' {
  return isGpuTask(task.request) ? 'gpu' : 'cpu';
}

/** Smallest and largest unallocated amount over the nodes that offer the resource. */
function freeRange(world: World, state: State, resource: 'gpu' | 'cpu'): Range {
  const free = [...world.nodes.values()]
    .filter((facts) => amountOf(facts.allocatable, resource) !== 0)
    .map((facts) => amountOf(nonAllocated(state.nodes.get(facts.name)!), resource));
  return { min: Math.min(...free), max: Math.max(0, ...free) };
}

function packScore(free: number, { min, max }: Range): number {
  if (max === 0) return 0;
  return min === max ? 9 : 9 * (1 - (free - min) / (max - min));
}

function placementScore(world: World, state: State, task: Task, facts: NodeFacts, range: Range): number {
  const resource = placedResource(task);
  const free = amountOf(nonAllocated(state.nodes.get(facts.name)!), resource);
  const { arguments: strategies = {} } = world.config.plugins.find((p) => p.name === 'nodeplacement') ?? {};
  if ((strategies as Record<string, string>)[resource] !== 'spread') {
    return amountOf(facts.allocatable, resource) === 0 ? 0 : packScore(free, range);
  }
  const divisor = resource === 'gpu' ? facts.labelledGpus : amountOf(facts.allocatable, 'cpu');
  return divisor === 0 ? 0 : free / divisor;
}

function pluginScore(plugin: string, world: World, state: State, task: Task, facts: NodeFacts, range: Range): number {
  const { request, pod } = task;
  const node = state.nodes.get(facts.name)!;
  switch (plugin) {
    case 'nominatednode':
      return pod.status?.nominatedNodeName === facts.name ? 10_000_000 : 0;
    case 'podaffinity':
      return 1_000_000 * affinityScore(world, state, pod, facts);
    case 'gpusharingorder':
      return isShared(request) && fittingGroups(node, facts, request).length > 0 ? 10_000 : 0;
    case 'nodeavailability':
      return fitsNow(request, facts, node) ? 1_000 : 0;
    case 'resourcetype':
      return !isGpuTask(request) && facts.isCpuOnly ? 10 : 0;
    case 'nodeplacement':
      return placementScore(world, state, task, facts, range);
    default:
      return 0;
  }
}

/** All nodes, best first; equal scores by name. */
export function nodesByScore(world: World, state: State, task: Task): NodeFacts[] {
  const range = freeRange(world, state, placedResource(task));
  const scored = [...world.nodes.values()].map((facts) => ({
    facts,
    score: world.config.plugins.reduce((sum, { name }) => sum + pluginScore(name, world, state, task, facts, range), 0),
  }));
  return scored.sort((a, b) => b.score - a.score || (a.facts.name < b.facts.name ? -1 : 1)).map(({ facts }) => facts);
}
