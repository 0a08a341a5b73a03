// An independent auditor: from the objects and the decisions of one cycle it works out, the plainest way, what may not be.
import type { Decision } from '../../src/base/decisions.ts';
import type { ClusterObjects, Node } from '../../src/base/objects.ts';
import { gpuRequestOf, NodeBooks } from './clusterBooks.ts';
import { gangProblem, membersOf } from './gangs.ts';
import { type Placement, type PodState, podStates } from './podStates.ts';
import { type Amounts, addInto, requestOf } from './quantities.ts';
import { QueueBooks } from './queueBooks.ts';

export type AuditedDecision = Pick<Decision, 'kind' | 'pod' | 'node' | 'gpuGroups'>;

function isUsable(node: Node): boolean {
  if (node.spec?.unschedulable === true) return false;
  return (node.status?.conditions ?? []).every((c) => (c.type === 'Ready' ? c.status === 'True' : c.status === 'False'));
}

/** Reads the decisions; those that cannot be are reported and left out. */
function readPlacements(
  decisions: readonly AuditedDecision[],
  states: ReadonlyMap<string, PodState>,
  nodes: ReadonlyMap<string, Node>,
  problems: string[],
): { placements: Map<string, Placement>; evicted: Set<string> } {
  const placements = new Map<string, Placement>();
  const evicted = new Set<string>();
  for (const { kind, pod, node: nodeName, gpuGroups } of decisions) {
    const state = states.get(pod);
    const node = nodes.get(nodeName);
    if (state === undefined) problems.push(`${pod}: no such pod`);
    else if (kind === 'evict') {
      if (state.holding !== 'used' && !placements.delete(pod)) problems.push(`${pod}: evicted, but it holds nothing`);
      evicted.add(pod);
    } else if (placements.has(pod)) problems.push(`${pod}: placed twice`);
    else if (state.holding !== 'pending' && !evicted.has(pod)) problems.push(`${pod}: placed, but it is not pending`);
    else if (node === undefined) problems.push(`${pod}: node ${nodeName} is not in the session`);
    else {
      if (!isUsable(node)) problems.push(`${pod}: node ${nodeName} is cordoned or not ready`);
      placements.set(pod, { state, kind, node, groups: gpuGroups });
    }
  }
  return { placements, evicted };
}

/** Nodes: what is bound fits beside all that is there, what is pipelined fits once the leaving pods have left. */
function auditNodes(
  nodes: readonly Node[],
  states: ReadonlyMap<string, PodState>,
  placements: ReadonlyMap<string, Placement>,
  evicted: ReadonlySet<string>,
  problems: string[],
): void {
  const now = new Map(nodes.map((node) => [node.metadata.name, new NodeBooks(node)]));
  const later = new Map(nodes.map((node) => [node.metadata.name, new NodeBooks(node)]));
  for (const { key, pod, holding, node, groups } of states.values()) {
    if (node === null || (holding !== 'used' && holding !== 'releasing')) continue;
    now.get(node)?.add(pod, groups);
    if (holding === 'used' && !evicted.has(key)) later.get(node)?.add(pod, groups);
  }
  const askedNow = new Map<string, Amounts>();
  const askedLater = new Map<string, Amounts>();
  for (const { state, kind, node, groups } of placements.values()) {
    const { name } = node.metadata;
    const { share, whole } = gpuRequestOf(state.pod);
    if (share !== null && groups.length !== share.devices)
      problems.push(`${state.key}: ${groups.length} GPU groups for ${share.devices} devices`);
    if (new Set(groups).size !== groups.length) problems.push(`${state.key}: a GPU group twice`);
    const asked = { ...requestOf(state.pod), gpu: share?.devices ?? whole };
    later.get(name)?.add(state.pod, groups);
    askedLater.set(name, sum(askedLater.get(name), asked));
    if (kind !== 'bind') continue;
    now.get(name)?.add(state.pod, groups);
    askedNow.set(name, sum(askedNow.get(name), asked));
  }
  for (const [name, asked] of askedNow) problems.push(...(now.get(name)?.excess(asked) ?? []).map((text) => `now, ${text}`));
  for (const [name, asked] of askedLater) problems.push(...(later.get(name)?.excess(asked) ?? []).map((text) => `later, ${text}`));
}

function sum(before: Amounts | undefined, more: Amounts): Amounts {
  const out = { ...before };
  addInto(out, more);
  return out;
}

/**
 * Audits the decisions of one cycle; an empty list when nothing is wrong. Checked: no pod is placed twice or without
 * being pending; no node is over-committed in CPU, memory, GPUs, shared GPU memory, pods or other resources; cordoned and
 * unready nodes get nothing; no gang is bound or promised in part; queue limits and non-preemptible quotas hold.
 */
export function auditDecisions(objects: ClusterObjects, decisions: readonly AuditedDecision[], nowMs: number): string[] {
  const problems: string[] = [];
  const nodes = objects.nodes.filter((node) => node.metadata.labels?.['kai.scheduler/node-pool'] === undefined);
  const byName = new Map(nodes.map((node) => [node.metadata.name, node]));
  const states = podStates(objects, new Set(byName.keys()), nowMs);
  const { placements, evicted } = readPlacements(decisions, states, byName, problems);
  auditNodes(nodes, states, placements, evicted, problems);
  const queues = new QueueBooks(objects, byName);
  for (const group of objects.podGroups) {
    const pods = [...states.values()].filter((state) => isOf(state, group.metadata.namespace ?? '', group.metadata.name));
    const problem = gangProblem(group, pods, placements, evicted);
    if (problem !== null) problems.push(problem);
    queues.addJob(group, membersOf(group, pods), placements, evicted);
  }
  for (const { state } of placements.values()) {
    const owner = state.pod.metadata.annotations?.['pod-group-name'];
    const isKnown = objects.podGroups.some((group) => isOf(state, group.metadata.namespace ?? '', group.metadata.name));
    if (owner === undefined || !isKnown) problems.push(`${state.key}: placed without a pod group`);
  }
  problems.push(...queues.problems());
  return problems;
}

function isOf(state: PodState, namespace: string, group: string): boolean {
  return (state.pod.metadata.namespace ?? '') === namespace && state.pod.metadata.annotations?.['pod-group-name'] === group;
}
