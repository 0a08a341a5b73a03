// Reclaim, preempt and consolidation: who is tried, in which order (spec 04 section 2), and the twin's own answer.
import { candidates, placeInTrial, type Session } from './allocate.ts';
import { type Attempt, amountsOf, gateProblem, isDelayed, isFair, type VictimAction } from './eligible.ts';
import { nextJob } from './queueOrder.ts';
import { type Returning, referenceSearch } from './reference.ts';
import { tasksToAllocate } from './subGroups.ts';
import type { State } from './types.ts';
import type { Unit } from './units.ts';

/** An answer to an attempt. */
export interface Answer {
  readonly state: State;
  readonly units: readonly Unit[];
  /** GPU groups made in the cycle so far. */
  readonly newGroups: number;
}

/**
 * Tries the jobs of an action in their order, each once; `serve` answers an attempt, which becomes the state, or refuses.
 * `robbed`: jobs that lost pods earlier in this cycle.
 */
export function serveInOrder(
  session: Session,
  action: VictimAction,
  robbed: ReadonlySet<string>,
  serve: (attempt: Attempt, gate: string | null) => void,
): void {
  const { world } = session;
  if (action === 'consolidation' && world.config.params.maxNumberConsolidationPreemptees === 0) return;
  let waiting = candidates(
    world,
    session.state,
    action,
    (job) => (action !== 'consolidation' || job.isPreemptible) && !isDelayed(world, job, robbed),
  );
  for (let job = nextJob(world, session.state, waiting); job !== null; job = nextJob(world, session.state, waiting)) {
    const served = job;
    const tasks = tasksToAllocate(world, session.state, job.root);
    const attempt: Attempt = { world, action, job, tasks, start: amountsOf(session.state) };
    const hasGenerator = world.config.plugins.some(({ name }) => name === 'sg-nodelocalgreedy' || name === 'sg-multinodegang');
    serve(attempt, hasGenerator ? gateProblem(attempt) : 'no generator');
    waiting = waiting.filter((other) => other !== served);
  }
}

/** The answer without evicting anybody, or null (spec 04 section 10, R9). Of reclaim's rule the bound of quotas remains. */
export function withoutVictims(attempt: Attempt, session: Session): Answer | null {
  const { action, job, tasks } = attempt;
  if (action === 'reclaim' && !isFair(attempt, [])) return null;
  const trial = {
    ...session,
    state: structuredClone(session.state),
    trial: { nodes: null, evicted: new Map(), groupsBefore: session.newGroups },
  };
  return placeInTrial(trial, job, tasks) ? { state: trial.state, units: [], newGroups: trial.newGroups } : null;
}

/** The twin's own answer: nobody if that will do, else whom the reference would take. */
export function ownAnswer(attempt: Attempt, session: Session, returning: Returning = 'waitingToo'): Answer | null {
  return withoutVictims(attempt, session) ?? referenceSearch(attempt, session, returning);
}
