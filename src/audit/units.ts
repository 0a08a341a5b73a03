import { timeOf } from './queues.ts';
import { type Counts, countOf, type GangNode, isSatisfied, podsBelow } from './tree.ts';
import { type AuditJob, type AuditPod, hasPlugin, isAllocated, type World } from './world.ts';

/**
 * The units in which a job's pods are evicted, first to last (spec 04 section 4.1, with its deviations): surplus pods, then
 * members that are not needed, then all the rest at once. Pods that were decided upon in this cycle are no part of it.
 */
export function evictionUnits(world: World, job: AuditJob): AuditPod[][] {
  const { tree } = job;
  const left = job.pods.filter((pod) => isAllocated(pod.status) && !pod.isPlaced).sort((a, b) => -compareTasks(world, a, b));
  if (tree === null) return left.length > 0 ? [left] : [];
  const counts = new Map<string, number>();
  for (const pod of left) counts.set(pod.leaf, (counts.get(pod.leaf) ?? 0) + 1);
  const units: AuditPod[][] = [];
  while (left.length > 0) {
    const surplus = surplusOf(world, tree, counts);
    const isTaken = (pod: AuditPod): boolean => surplus === null || surplus.leaves.has(pod.leaf);
    const unit = surplus === null || surplus.isWhole ? left.filter(isTaken) : [left.find(isTaken)!];
    units.push(unit);
    for (const pod of unit) {
      left.splice(left.indexOf(pod), 1);
      counts.set(pod.leaf, counts.get(pod.leaf)! - 1);
    }
  }
  return units;
}

interface Surplus {
  readonly leaves: ReadonlySet<string>;
  /** All pods of the leaves, or one. */
  readonly isWhole: boolean;
}

function surplusOf(world: World, set: GangNode, counts: Counts): Surplus | null {
  const members = orderMembers(world, set.members ?? [], counts).reverse();
  const holding = members.filter((m) => podsBelow(m, counts) > 0);
  const complete = holding.filter((m) => isComplete(m, counts)).length;
  if (complete === 0) return null;
  const idle = members.filter((m) => m.need === 0 && podsBelow(m, counts) === 0).length;
  const spare = complete + Math.min(idle, Math.max(0, set.need - complete)) - set.need;
  const broken = holding.find((m) => !isComplete(m, counts));
  if (spare >= 0 && broken !== undefined) return { leaves: leafNames(broken), isWhole: true };
  for (const m of members) {
    const inner =
      m.members !== null ? surplusOf(world, m, counts) : countOf(m, counts) > m.need ? { leaves: new Set([m.name]), isWhole: false } : null;
    if (inner !== null) return inner;
  }
  return spare > 0 && holding.length > 0 ? { leaves: leafNames(holding[0]!), isWhole: true } : null;
}

/** Holds pods and has what it needs; members that need nothing help only where they are needed. */
function isComplete(node: GangNode, counts: Counts): boolean {
  return podsBelow(node, counts) > 0 && isSatisfied(node, counts);
}

function leafNames(node: GangNode): Set<string> {
  return new Set(node.members === null ? [node.name] : node.members.flatMap((m) => [...leafNames(m)]));
}

/** Order of the members of a set (spec 06 section 3.2). */
function orderMembers(world: World, members: readonly GangNode[], counts: Counts): GangNode[] {
  const sorted = [...members];
  if (!hasPlugin(world.config, 'subgrouporder')) return sorted;
  const rank = (m: GangNode): readonly [number, number] => {
    const count = countOf(m, counts);
    if (count < m.need) return [0, 0];
    return m.need > 0 ? [1, count / m.need] : [2, count];
  };
  return sorted.sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1]);
}

/** Task order: role, priority label, creation time, UID (spec 02 section 9.2). */
function compareTasks(world: World, a: AuditPod, b: AuditPod): number {
  return rolesOf(world, a) - rolesOf(world, b) || priorityRank(world, a) - priorityRank(world, b) || compareAge(a, b);
}

function rolesOf(world: World, { pod }: AuditPod): number {
  const labels = pod.metadata.labels ?? {};
  const role = labels['training.kubeflow.org/job-role'];
  const isMaster = hasPlugin(world.config, 'kubeflow') && (role === 'master' || role === 'launcher');
  const isHead = hasPlugin(world.config, 'ray') && labels['ray.io/node-type'] === 'head';
  return (isMaster ? 0 : 2) + (isHead ? 0 : 1);
}

function priorityRank(world: World, { pod }: AuditPod): number {
  const label = pod.metadata.labels?.['kai.scheduler/task-priority'];
  if (!hasPlugin(world.config, 'taskorder')) return 0;
  if (label === undefined) return 2 ** 41;
  return /^[+-]?\d{1,15}$/.test(label) ? -Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Number(label))) : 2 ** 40;
}

function compareAge(a: AuditPod, b: AuditPod): number {
  const [ta, tb] = [timeOf(a.pod.metadata.creationTimestamp), timeOf(b.pod.metadata.creationTimestamp)];
  if (ta !== tb && !Number.isNaN(ta - tb)) return ta - tb;
  const [ua, ub] = [a.pod.metadata.uid ?? '', b.pod.metadata.uid ?? ''];
  return ua < ub ? -1 : ua > ub ? 1 : 0;
}
