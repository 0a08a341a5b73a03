// Stale gang eviction (spec 04 section 9, spec 02 section 4.5), with the tree deciding what is stale.
import { parseGoDurationMs } from '../../src/base/duration.ts';
import { countOf, podSetsOf, tasksOf } from './subGroups.ts';
import { type Job, type Member, type State, type Task, USED, type World } from './types.ts';
import { heldTasks } from './units.ts';

function isMet(state: State, member: Member): boolean {
  if (member.kind === 'podSet') return countOf(state, member.tasks, USED) >= member.need;
  return member.members.filter((m) => isMet(state, m)).length >= member.need;
}

/** Pod sets that hold some pods but fewer than they need. */
function brokenPodSets(state: State, job: Job): Member[] {
  return podSetsOf(job.root).filter(({ need, tasks }) => countOf(state, tasks, USED) > 0 && countOf(state, tasks, USED) < need);
}

function isStale(state: State, job: Job): boolean {
  if (countOf(state, tasksOf(job), ['succeeded']) > 0 || countOf(state, tasksOf(job), USED) === 0) return false;
  return !isMet(state, job.root) || brokenPodSets(state, job).length > 0;
}

export interface Staleness {
  readonly job: Job;
  /** New value of the timestamp: ms, NaN = removed, undefined = as it was. */
  readonly sinceMs: number | undefined;
  /** Pods to evict. */
  readonly tasks: readonly Task[];
}

/** What the action does about each job. */
export function staleness(world: World, state: State): Staleness[] {
  return world.jobs
    .filter((job) => !job.isMalformed)
    .map((job) => {
      const known = Date.parse(job.group.metadata.annotations?.['kai.scheduler/stale-podgroup-timestamp'] ?? '');
      if (!isStale(state, job)) return { job, sinceMs: Number.isNaN(known) ? undefined : Number.NaN, tasks: [] };
      const since = Number.isNaN(known) ? world.nowMs : known;
      const sinceMs = Number.isNaN(known) ? world.nowMs : undefined;
      const own = parseGoDurationMs(job.group.spec?.stalenessGracePeriod ?? '');
      const graceMs = Number.isNaN(own) ? world.config.params.defaultStalenessGracePeriodMs : own;
      if (graceMs < 0 || world.nowMs - since < graceMs) return { job, sinceMs, tasks: [] };
      const members = isMet(state, job.root) ? brokenPodSets(state, job) : [job.root];
      return { job, sinceMs, tasks: members.flatMap((member) => heldTasks(state, member)) };
    });
}
