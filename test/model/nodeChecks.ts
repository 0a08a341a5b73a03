// Whether a task may be placed on a node, and if not why (spec 03 sections 7.1, 7.3): the first failure decides.
import { amountOf } from './amounts.ts';
import { capacityProblem, gpusForCheck } from './capacity.ts';
import { fitsEventually, shortages } from './fit.ts';
import { chooseGpus } from './gpuChoice.ts';
import { nonAllocated } from './ledger.ts';
import { isCpuWorker, isGpuWorker, nodeProblems } from './nodeFacts.ts';
import { affinityProblem } from './podAffinity.ts';
import { milliGpu } from './queues.ts';
import { isGpuTask, isShared } from './request.ts';
import { hostPortsOf, matchesNodeAffinity, portsConflict, toleratesTaints } from './selectors.ts';
import type { Job, NodeFacts, NodeLedger, State, Task, World } from './types.ts';

/** Step 1: the queue's bounds with what the task counts on this node. */
function queueProblem(world: World, state: State, job: Job, task: Task, facts: NodeFacts): string | null {
  const { request } = task;
  const requested = {
    cpu: amountOf(request.amounts, 'cpu'),
    memory: amountOf(request.amounts, 'memory'),
    gpu: milliGpu(gpusForCheck(request, facts)),
  };
  const problem = capacityProblem(world, state, job, requested);
  return problem === null ? null : `node does not have enough capacity. Reason: ${problem.reason}, Details: ${problem.message}`;
}

/** Steps 2 and 3: kinds of GPU. */
function kindProblem(world: World, task: Task, facts: NodeFacts, node: NodeLedger): string | null {
  const { request, key } = task;
  if (request.isLegacyMig) return `Legacy MIG jobs cannot be scheduled on node ${facts.name}`;
  if (!isGpuTask(request)) return null;
  const isMigTask = request.type === 'mig';
  if (isMigTask && !facts.isMig) return 'MIG job cannot be scheduled on non-MIG node';
  const legacy = [...node.tasks].filter((k) => world.tasks.get(k)!.request.isLegacyMig).sort();
  if (isMigTask && legacy.length > 0) return `MIG job cannot be scheduled on node with legacy MIG jobs: <[${legacy.join(' ')}]>`;
  if (facts.migStrategy === 'single' && request.type !== 'regular')
    return "only whole gpu jobs can run on a node with MigStrategy='single'";
  if (facts.migStrategy === 'mixed' && !isMigTask) return "non MIG jobs cant run on a node with MigStrategy='mixed'";
  if (request.gpuMemory === 0 || facts.isGpuMemoryKnown) return null;
  return `node is not a gpu node or the gpu memory count on the node was not synced yet, task: <${key}>, node: <${facts.name}>`;
}

/** Step 4: a device of its own needs a second slot for its reservation pod. */
function podSlotProblem(world: World, task: Task, facts: NodeFacts, node: NodeLedger): string | null {
  const free = amountOf(nonAllocated(node), 'pods');
  const choice = isShared(task.request) ? chooseGpus(world, task.request, facts, node) : null;
  const needed = !isShared(task.request) ? 1 : choice === null || choice.entries.includes(null) ? 2 : 0;
  return free < needed ? 'node(s) pod number exceeded' : null;
}

/** Step 6. */
function filterProblem(world: World, state: State, task: Task, facts: NodeFacts, node: NodeLedger): string | null {
  const { pod } = task;
  const taken = [...node.tasks].flatMap((key) => hostPortsOf(world.tasks.get(key)!.pod));
  if (hostPortsOf(pod).some((port) => taken.some((other) => portsConflict(port, other)))) {
    return "node(s) didn't have free ports for the requested pod ports";
  }
  if (!toleratesTaints(pod, facts.node.spec?.taints ?? [])) return 'node(s) had untolerated taint(s)';
  if (!matchesNodeAffinity(pod, facts.name, facts.labels)) return "node(s) didn't match Pod's node affinity/selector";
  return affinityProblem(world, state, pod, facts);
}

/** Step 8. */
function workerProblem(world: World, task: Task, facts: NodeFacts): string | null {
  if (!world.config.params.restrictSchedulingNodes) return null;
  const isGpu = isGpuTask(task.request);
  if (isGpu && !isGpuWorker(facts)) return `gpu task: <${task.key}> can't run on non gpu nodes, node: <${facts.name}>`;
  if (!isGpu && !isCpuWorker(facts)) return `cpu task: <${task.key}> can't run on non cpu nodes, node: <${facts.name}>`;
  return null;
}

/** What speaks against the task on the node besides amounts and queues: kinds of GPU, the node itself, filters. */
export function standingProblem(world: World, state: State, task: Task, facts: NodeFacts): string | null {
  const node = state.nodes.get(facts.name)!;
  return (
    kindProblem(world, task, facts, node) ??
    nodeProblems(facts.node)[0] ??
    filterProblem(world, state, task, facts, node) ??
    workerProblem(world, task, facts)
  );
}

/** Null when the task may go there; else the reasons, which may be none. */
export function refusal(world: World, state: State, job: Job, task: Task, facts: NodeFacts): readonly string[] | null {
  const node = state.nodes.get(facts.name)!;
  if (!fitsEventually(task.request, facts, node)) return shortages(task, facts, node);
  const early =
    queueProblem(world, state, job, task, facts) ?? kindProblem(world, task, facts, node) ?? podSlotProblem(world, task, facts, node);
  if (early !== null) return [early];
  const conditions = nodeProblems(facts.node);
  if (conditions.length > 0) return conditions;
  const late = filterProblem(world, state, task, facts, node) ?? workerProblem(world, task, facts);
  return late === null ? null : [late];
}
