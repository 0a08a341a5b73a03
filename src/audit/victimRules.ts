import { parseExtendedDurationMs } from '../base/duration.ts';
import type { Attempt } from './attempts.ts';
import { activePods, countPods } from './gangs.ts';
import { type Counts, isSatisfied, pathTo, podsBelow, titleOf } from './tree.ts';
import {
  type AuditJob,
  type AuditPod,
  type AuditQueue,
  hasPlugin,
  isActive,
  isAllocated,
  isUsed,
  pluginArgument,
  upwards,
  type World,
} from './world.ts';

/** An attempt of reclaim, preempt or consolidation after it was replayed. */
export interface Outcome {
  readonly attempt: Attempt;
  readonly evictor: AuditJob;
  /** In the order of eviction, with the pods whose bind of this cycle is taken back. */
  readonly evicted: readonly AuditPod[];
  readonly placed: readonly AuditPod[];
  /** Active pods of the jobs when the attempt began. */
  readonly before: ReadonlyMap<AuditJob, Counts>;
}

/** Pods that were evicted and got no new place. */
export function takenOf(evicted: readonly AuditPod[]): AuditPod[] {
  return evicted.filter((pod) => !isActive(pod.status));
}

/** Rules that all evicting actions have in common, and those of preempt and consolidation. */
export function checkVictims(world: World, outcome: Outcome): void {
  checkEvictor(world, outcome);
  checkMoves(world, outcome);
  const byJob = new Map<AuditJob, AuditPod[]>();
  for (const pod of outcome.evicted) if (pod.job !== null) byJob.set(pod.job, [...(byJob.get(pod.job) ?? []), pod]);
  for (const [job, pods] of byJob) {
    checkEligible(world, outcome, job);
    checkWhole(world, outcome, job, takenOf(pods), outcome.before.get(job) ?? new Map());
    checkProtection(world, outcome, job, takenOf(pods));
  }
  const max = world.config.params.maxNumberConsolidationPreemptees;
  if (outcome.attempt.action === 'consolidation' && max >= 0 && byJob.size > (max === 0 ? 0 : max + 1)) {
    world.findings.add(
      'consolidation-size',
      `pod group ${outcome.evictor.key}`,
      `${byJob.size} jobs are moved; at most ${max === 0 ? 0 : max + 1} may be`,
    );
  }
}

function checkEvictor(world: World, { attempt, evictor, evicted, placed }: Outcome): void {
  const object = `pod group ${evictor.key}`;
  const { action } = attempt;
  if (evicted.length > 0 && !placed.some((pod) => pod.job === evictor))
    world.findings.add('evictor-unplaced', object, `${action} evicted ${evicted.length} pods for it, but it got no place`);
  const endMs = Math.max(evictor.createdMs, Number.isNaN(evictor.lastEvictionMs) ? 0 : evictor.lastEvictionMs) + evictor.delayMs;
  if (evictor.delayMs > 0 && world.nowMs < endMs)
    world.findings.add('evictor-delayed', object, `${action} serves it before ${new Date(endMs).toISOString()}`);
  if (action === 'consolidation' && !evictor.isPreemptible)
    world.findings.add('evictor-not-preemptible', object, 'consolidation serves it');
}

/** `isMoved` and new places belong together; consolidation only moves (spec 04 section 6.3). */
function checkMoves(world: World, { attempt, evicted }: Outcome): void {
  for (const pod of evicted) {
    const isCalledMoved = attempt.decisions.some((d) => d.kind === 'evict' && d.pod === pod.key && d.details?.isMoved === true);
    const object = `pod ${pod.key}`;
    // What was never bound is never evicted: there is nothing to be called moved.
    if (pod.isEvicted && isCalledMoved !== isActive(pod.status))
      world.findings.add(
        'move-without-place',
        object,
        isCalledMoved ? 'called moved, but it got no new place' : 'it got a new place, but is not called moved',
      );
    if (attempt.action === 'consolidation' && !isActive(pod.status))
      world.findings.add('consolidation-unmoved', object, 'evicted without a new place');
  }
}

function checkEligible(world: World, { attempt, evictor }: Outcome, victim: AuditJob): void {
  const { findings } = world;
  const object = `pod group ${victim.key}`;
  const { action } = attempt;
  if (victim === evictor) findings.add('wrong-evictor', object, 'it evicts itself');
  if (!victim.isPreemptible) findings.add('victim-not-preemptible', object, `victim of ${action} for ${evictor.key}`);
  const isSameQueue = victim.queue === evictor.queue;
  if (action === 'preempt' && !isSameQueue)
    findings.add(
      'victim-queue',
      object,
      `preempted by ${evictor.key} of queue ${evictor.queue?.name ?? ''}, but it is in ${victim.queue?.name ?? ''}`,
    );
  if (action === 'reclaim' && isSameQueue)
    findings.add('victim-queue', object, `reclaimed by ${evictor.key} of the same queue ${victim.queue?.name ?? ''}`);
  if (victim.queue !== null && victim.queue.children.length > 0)
    findings.add('victim-queue', object, `its queue ${victim.queue.name} is no leaf`);
  if (action === 'preempt' && victim.priority >= evictor.priority)
    findings.add('victim-priority', object, `priority ${victim.priority}, preempted by ${evictor.key} of ${evictor.priority}`);
}

/**
 * What is left of a job must be able to run (spec 04 R3, R4): every part that lost pods is empty or has what it needs, unless
 * it is a set that had too little before. `before`: active pods when the attempt began.
 */
function checkWhole(world: World, { placed }: Outcome, job: AuditJob, taken: readonly AuditPod[], before: Counts): void {
  // A promise of an earlier attempt alone keeps no job alive.
  const isLeft = job.pods.some((pod) => isAllocated(pod.status) || placed.includes(pod));
  if (taken.length === 0 || job.tree === null || !isLeft) return;
  const left = countPods(job, activePods);
  for (const name of new Set(taken.map((pod) => pod.leaf))) {
    for (const node of pathTo(job.tree, name)) {
      const isAllowed = podsBelow(node, left) === 0 || isSatisfied(node, left) || (node.members !== null && !isSatisfied(node, before));
      if (isAllowed) continue;
      const rest = node.members === null ? `keeps ${left.get(node.name) ?? 0} of ${node.need} pods` : 'keeps pods, but not what it needs';
      world.findings.add('partial-unit', `pod group ${job.key}`, `${titleOf(node)} ${rest} after ${taken.length} pods are taken`);
    }
  }
}

/** Minimum runtime (spec 02 section 15, 04 section 6.2): judged on the tree, by the pods that are really taken. */
function checkProtection(world: World, { attempt, evictor }: Outcome, job: AuditJob, taken: readonly AuditPod[]): void {
  const { action } = attempt;
  if (action === 'consolidation' || job.queue === null || evictor.queue === null || !hasPlugin(world.config, 'minruntime')) return;
  const runtimeMs = action === 'preempt' ? preemptRuntime(world, job.queue) : reclaimRuntime(world, evictor.queue, job.queue);
  if (Number.isNaN(job.lastStartMs) || world.nowMs >= job.lastStartMs + runtimeMs) return;
  const object = `pod group ${job.key}`;
  const until = new Date(job.lastStartMs + runtimeMs).toISOString();
  if (!isElastic(job)) world.findings.add('victim-protected', object, `victim of ${action} before ${until}`);
  else if (!keepsItsNeed(job, taken))
    world.findings.add('victim-protected', object, `${action} takes more than its surplus before ${until}`);
}

/** Without the pods that this cycle takes, but with those that leave anyway, every part is as it must be or gone. */
function keepsItsNeed(job: AuditJob, taken: readonly AuditPod[]): boolean {
  if (taken.length === 0 || job.tree === null) return true;
  const used = countPods(job, (pod) => isUsed(pod.status) && (!pod.isEvicted || isActive(pod.status)));
  if (!isSatisfied(job.tree, used)) return false;
  return taken.every((pod) => pathTo(job.tree!, pod.leaf).every((node) => podsBelow(node, used) === 0 || isSatisfied(node, used)));
}

/** Some leaf has more pods, or some set more members, than needed (spec 02 section 4.3). */
function isElastic(job: AuditJob): boolean {
  if (job.tree === null) return false;
  const sizes = countPods(job, () => true);
  const check = (node: typeof job.tree): boolean =>
    node.members === null ? (sizes.get(node.name) ?? 0) > node.need : node.members.length > node.need || node.members.some(check);
  return check(job.tree);
}

function defaultRuntime(world: World, name: string): number {
  const value = parseExtendedDurationMs(pluginArgument(world.config, 'minruntime', name) ?? '0s');
  return Number.isNaN(value) ? 0 : Math.max(value, 0);
}

function firstSet(queues: readonly AuditQueue[], field: 'preemptMinRuntimeMs' | 'reclaimMinRuntimeMs', fallback: number): number {
  return queues.map((q) => q[field]).find((ms) => !Number.isNaN(ms)) ?? fallback;
}

function preemptRuntime(world: World, victim: AuditQueue): number {
  return firstSet(upwards(victim), 'preemptMinRuntimeMs', defaultRuntime(world, 'defaultPreemptMinRuntime'));
}

function reclaimRuntime(world: World, reclaimer: AuditQueue, victim: AuditQueue): number {
  const fallback = defaultRuntime(world, 'defaultReclaimMinRuntime');
  const up = upwards(victim);
  if (pluginArgument(world.config, 'minruntime', 'reclaimResolveMethod') === 'queue') return firstSet(up, 'reclaimMinRuntimeMs', fallback);
  const common = upwards(reclaimer);
  if (common.at(-1) !== up.at(-1)) return firstSet(up.slice(-1), 'reclaimMinRuntimeMs', fallback);
  // One step below the lowest common ancestor, or that queue itself.
  const lowest = up.findIndex((q) => common.includes(q));
  return firstSet(up.slice(Math.max(0, lowest - 1)), 'reclaimMinRuntimeMs', fallback);
}
