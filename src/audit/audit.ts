import type { SchedulerConfig } from '../base/config.ts';
import type { QueueReport } from '../base/decisions.ts';
import type { ClusterObjects, Pod } from '../base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS, type SnapshotOptions } from '../base/snapshotView.ts';
import { applyDecision, type Books, checkBounds, holdTakenBack, openBooks, takeBack } from './apply.ts';
import { type Attempt, type AuditDecision, EVICTING_ACTIONS, splitAttempts, type TakenBack, unseenPlaces } from './attempts.ts';
import type { Finding } from './findings.ts';
import { activePods, countPods, gangProblem, type Step } from './gangs.ts';
import { openWorld } from './open.ts';
import type { QueueUsage } from './queues.ts';
import { checkReclaim, copySums } from './reclaimRules.ts';
import { type PodRequest, readRequest } from './requests.ts';
import { checkStale } from './staleRules.ts';
import { evictionUnits } from './units.ts';
import { checkVictims, type Outcome } from './victimRules.ts';
import { type AuditJob, type AuditPod, hasPlugin, type World } from './world.ts';

export type { AuditDecision } from './attempts.ts';
export { type Finding, formatFinding, RULES, type RuleId } from './findings.ts';

/** One cycle as it can be seen from outside. */
export interface AuditInput {
  /** The cluster that the cycle saw, before its decisions were carried out. */
  readonly objects: ClusterObjects;
  readonly config: SchedulerConfig;
  readonly nowMs: number;
  /** In the order of their commits. */
  readonly decisions: readonly AuditDecision[];
  /** With the report its queue sums are checked too. */
  readonly report?: { readonly queues: readonly QueueReport[] };
  /** Label keys and what the cluster serves; default as the scheduler's. */
  readonly options?: SnapshotOptions;
  /** Historical usage by queue name; absent = none. */
  readonly usage?: ReadonlyMap<string, QueueUsage>;
}

/**
 * Checks a cycle's decisions against the rules in `RULES`; empty when nothing is wrong. Own reading of objects, own books,
 * no code of the engine. Objects that are malformed are read as far as they can be, as the scheduler does.
 */
export function auditCycle(input: AuditInput): Finding[] {
  return createAuditor()(input);
}

/** The same for many cycles of one cluster: what a pod asks for is read once per object. */
export function createAuditor(): (input: AuditInput) => Finding[] {
  const requests = new WeakMap<Pod, PodRequest>();
  const requestOf = (pod: Pod): PodRequest => {
    let request = requests.get(pod);
    if (request === undefined) {
      request = readRequest(pod);
      requests.set(pod, request);
    }
    return request;
  };
  return ({ objects, config, nowMs, decisions, report, options = DEFAULT_SNAPSHOT_OPTIONS, usage = new Map() }) => {
    const world = openWorld({ objects, config, options, nowMs, usage, requestOf });
    const books = openBooks(world);
    const activeAtOpen = new Map([...world.jobs.values()].map((job) => [job, countPods(job, activePods)]));
    let isHeld = false;
    const all = splitAttempts(decisions, config.actions);
    for (const attempts of byAction(all)) {
      // What will be taken back is there from the end of allocate on.
      if (!isHeld && attempts[0]!.action !== 'allocate') {
        holdTakenBack(world, unseenPlaces(all));
        isHeld = true;
      }
      const placed = attempts.flatMap((attempt) => replay(world, books, attempt));
      checkAfterAction(world, books, placed);
    }
    checkGangs(world, activeAtOpen);
    if (report !== undefined) checkReport(world, report.queues);
    return [...world.findings.list];
  };
}

function byAction(attempts: readonly Attempt[]): Attempt[][] {
  const out: Attempt[][] = [];
  for (const attempt of attempts) {
    if (out.at(-1)?.[0]?.action === attempt.action) out.at(-1)!.push(attempt);
    else out.push([attempt]);
  }
  return out;
}

/** Gives the pods that got a place. */
function replay(world: World, books: Books, attempt: Attempt): AuditPod[] {
  const isEvicting = EVICTING_ACTIONS.has(attempt.action);
  const start = isEvicting ? copySums(world) : null;
  const losers = losersOf(world, attempt);
  const units = attempt.action === 'reclaim' ? unitNumbers(world, losers) : new Map<AuditPod, number>();
  const before = new Map(losers.map((job) => [job, countPods(job, activePods)]));
  const back = attempt.decisions.flatMap((d) => d.details?.takenBack ?? []);
  const takenBack = takeBack(world, books, back);
  const evicted: AuditPod[] = [];
  const placed: AuditPod[] = [];
  for (const decision of attempt.decisions) {
    const pod = applyDecision(world, books, decision);
    if (pod === null) continue;
    (decision.kind === 'evict' ? evicted : placed).push(pod);
    if (!isEvicting && decision.kind !== 'evict') checkBounds(world, pod, null);
  }
  if (start !== null) {
    for (const pod of placed) checkBounds(world, pod, start);
    const outcome = outcomeOf(world, { attempt, evicted: inOrder(evicted, takenBack, back), placed, before });
    if (outcome !== null && outcome.evicted.length > 0) {
      checkVictims(world, outcome);
      if (attempt.action === 'reclaim') checkReclaim(world, outcome, start, units);
    }
  } else if (attempt.action === 'stalegangeviction') {
    const isEvictorNamed = attempt.decisions.some((d) => d.details?.evictorPodGroup !== undefined);
    for (const job of new Set(evicted.map((pod) => pod.job!))) {
      checkStale(
        world,
        job,
        evicted.filter((pod) => pod.job === job),
        isEvictorNamed,
      );
    }
  }
  return placed;
}

/** Evicted pods and those whose binds are taken back, in the order in which they were chosen. */
function inOrder(evicted: readonly AuditPod[], takenBack: readonly AuditPod[], back: readonly TakenBack[]): AuditPod[] {
  const before = new Map(back.map((b) => [b.pod, b.evictionsBefore ?? 0]));
  const out = [...evicted];
  takenBack.forEach((pod, i) => {
    out.splice(Math.min(out.length, before.get(pod.key)! + i), 0, pod);
  });
  return out;
}

/** What needs to know everybody whom the action placed, and what the next action sees. */
function checkAfterAction(world: World, books: Books, placed: readonly AuditPod[]): void {
  for (const pod of placed) books.presences.check(world, pod, pod.node!);
  if (hasPlugin(world.config, 'predicates')) for (const book of books.byNode.values()) book.checkSlots(world.findings);
  // The delay of a job that lost pods starts anew with the next action (spec 04 section 7.5).
  for (const pod of world.pods.values()) if (pod.isEvicted && pod.job !== null) pod.job.lastEvictionMs = world.nowMs;
}

/** Places of jobs that lost nothing; what is left of the others is checked with their evictions. */
function checkGangs(world: World, activeAtOpen: ReadonlyMap<AuditJob, Map<string, number>>): void {
  const steps = new Map<AuditJob, Step[]>();
  for (const { job, leaf, status } of world.placements) {
    if (job === null || leaf === '') continue;
    const step = { leaf, isBound: status === 'assigned' };
    const list = steps.get(job);
    if (list === undefined) steps.set(job, [step]);
    else list.push(step);
  }
  for (const [job, list] of steps) {
    if (job.tree === null || job.pods.some((pod) => pod.isEvicted)) continue;
    const problem = gangProblem(job.tree, { active: activeAtOpen.get(job)!, waiting: new Map() }, list);
    if (problem !== null) world.findings.add(problem.rule, `pod group ${job.key}`, problem.message);
  }
}

/** With the evictor; null, with a finding, when there is none. */
function outcomeOf(world: World, outcome: Omit<Outcome, 'evictor'>): Outcome | null {
  const { action, servedGroup } = outcome.attempt;
  const evictor = world.jobs.get(servedGroup);
  if (evictor !== undefined) return { ...outcome, evictor };
  const who = servedGroup === '' ? 'no pod group' : `pod group ${servedGroup}, which is not in the shard`;
  for (const pod of outcome.evicted) world.findings.add('wrong-evictor', `pod ${pod.key}`, `${action} evicted it for ${who}`);
  return null;
}

/** Jobs that lose pods in the attempt. */
function losersOf(world: World, attempt: Attempt): AuditJob[] {
  const pods = attempt.decisions.flatMap((d) => [
    ...(d.kind === 'evict' ? [d.pod] : []),
    ...(d.details?.takenBack ?? []).map((t) => t.pod),
  ]);
  return [...new Set(pods.flatMap((key) => world.pods.get(key)?.job ?? []))];
}

/** Number of the unit of each pod of the jobs that lose pods. */
function unitNumbers(world: World, losers: readonly AuditJob[]): Map<AuditPod, number> {
  return new Map(losers.flatMap((job) => evictionUnits(world, job).flatMap((unit, i) => unit.map((pod): [AuditPod, number] => [pod, i]))));
}

/** Fair shares as divided here, sums as they are after all decisions. */
function checkReport(world: World, reports: readonly QueueReport[]): void {
  for (const report of reports) {
    const queue = world.queues.get(report.queue);
    if (queue === undefined) {
      world.findings.add('report-mismatch', `queue ${report.queue}`, 'reported, but not in the shard');
      continue;
    }
    const shares = [report.fairShareMilliCpu, report.fairShareMemoryBytes, report.fairShareGpu * 1000];
    const sums = [report.allocatedMilliCpu, report.allocatedMemoryBytes, report.allocatedGpu * 1000];
    compare(world, report.queue, 'fair share', shares, queue.fairShare);
    compare(world, report.queue, 'allocated', sums, queue.allocated);
  }
}

function compare(world: World, queue: string, what: string, reported: readonly number[], own: readonly number[]): void {
  // Reported GPUs are thousandths divided by 1000.
  const isEqual = reported.every((amount, r) => Math.abs(amount - own[r]!) <= 1e-6 * Math.max(1, Math.abs(own[r]!)));
  if (!isEqual)
    world.findings.add('report-mismatch', `queue ${queue}`, `${what} is reported as ${reported.join('/')}, but is ${own.join('/')}`);
}
