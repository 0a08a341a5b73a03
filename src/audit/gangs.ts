import { type GangNode, isSatisfied, leavesOf, pathTo, titleOf } from './tree.ts';
import { type AuditJob, type AuditPod, isActive, isUsed } from './world.ts';

/** A pod of the job that got a place, in the order of the decisions. */
export interface Step {
  readonly leaf: string;
  readonly isBound: boolean;
}

/** Pods per leaf that satisfy a test. */
export function countPods(job: AuditJob, test: (pod: AuditPod) => boolean): Map<string, number> {
  const counts = new Map<string, number>();
  for (const pod of job.pods) if (test(pod)) counts.set(pod.leaf, (counts.get(pod.leaf) ?? 0) + 1);
  return counts;
}

export const activePods = (pod: AuditPod): boolean => isActive(pod.status);
export const usedPods = (pod: AuditPod): boolean => isUsed(pod.status);

interface Progress {
  /** Active pods per leaf, and of these the ones that wait. */
  readonly active: Map<string, number>;
  readonly waiting: Map<string, number>;
}

export interface GangProblem {
  readonly rule: 'partial-gang' | 'bound-while-waiting';
  readonly message: string;
}

/**
 * What is wrong with the places that a job got, or null (06 T1, 03 section 6.8). `before`: counts without them. One attempt
 * may hold several steps of a growing job: each must be whole by itself.
 */
export function gangProblem(tree: GangNode, before: Progress, steps: readonly Step[]): GangProblem | null {
  const last = problemOfStep(tree, before, steps);
  if (last === null) return null;
  const progress: Progress = { active: new Map(before.active), waiting: new Map(before.waiting) };
  let from = 0;
  for (let to = 1; to <= steps.length; to++) {
    const step = steps.slice(from, to);
    if (problemOfStep(tree, progress, step) !== null) continue;
    apply(progress, step);
    from = to;
  }
  return from === steps.length ? null : last;
}

function apply(progress: Progress, steps: readonly Step[]): void {
  for (const { leaf, isBound } of steps) {
    progress.active.set(leaf, (progress.active.get(leaf) ?? 0) + 1);
    if (!isBound) progress.waiting.set(leaf, (progress.waiting.get(leaf) ?? 0) + 1);
  }
}

/** The steps taken at once: every set and leaf on the way to a pod must be satisfied afterwards. */
function problemOfStep(tree: GangNode, before: Progress, steps: readonly Step[]): GangProblem | null {
  const after: Progress = { active: new Map(before.active), waiting: new Map(before.waiting) };
  apply(after, steps);
  for (const leaf of new Set(steps.map((step) => step.leaf))) {
    const short = pathTo(tree, leaf)
      .reverse()
      .find((node) => !isSatisfied(node, after.active));
    if (short === undefined) continue;
    const what = short.members === null ? `${after.active.get(short.name) ?? 0} of ${short.need} pods` : `not ${short.need} of its members`;
    return { rule: 'partial-gang', message: `got ${steps.length} places, but ${titleOf(short)} has ${what}` };
  }
  if (!steps.some((step) => step.isBound)) return null;
  for (const leaf of leavesOf(tree)) {
    const waiting = after.waiting.get(leaf.name) ?? 0;
    const firm = (after.active.get(leaf.name) ?? 0) - waiting;
    if (waiting > 0 && firm < leaf.need) {
      return {
        rule: 'bound-while-waiting',
        message: `pods are bound while ${titleOf(leaf)} has ${waiting} waiting pods and ${firm} of ${leaf.need} others`,
      };
    }
  }
  return null;
}
