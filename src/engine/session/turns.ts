import { firstLine, Interruption, type JobFault, JobFaultError } from '../../base/jobFault.ts';
import type { PodGroupRow } from '../../base/rows.ts';
import type { JobTable, Session } from './session.ts';

/**
 * Turns of the jobs in a cycle. One that makes the engine throw ends the cycle, which is then run again with that job set
 * aside from the same turn on: all before it is decided as it was, and everybody else is served.
 */
export interface Turns {
  /** Turns begun so far. */
  begun: number;
  /** By job what happened in earlier runs of this cycle. */
  readonly faults: ReadonlyMap<number, JobFault>;
}

export function createTurns(jobs: JobTable, faults: readonly JobFault[]): Turns {
  const byJob = new Map<number, JobFault>();
  for (const fault of faults) {
    const job = jobs.row.indexOf(fault.podGroupRow);
    if (job >= 0) byJob.set(job, fault);
  }
  return { begun: 0, faults: byJob };
}

/** From the turn of its fault on a job is not tried, and nothing is taken from it. */
export function isSetAside(s: Session, job: number): boolean {
  const { begun, faults } = s.turns;
  return faults.size > 0 && begun >= (faults.get(job)?.turn ?? Number.POSITIVE_INFINITY);
}

/**
 * The next turn, which is this job's; `skipped` when it is set aside. Decisions must be the last thing that `work` hands out:
 * what was handed out is repeated when the cycle is.
 */
export function inTurn<T>(s: Session, job: number, skipped: T, work: () => T): T {
  s.turns.begun++;
  return isSetAside(s, job) ? skipped : blaming(s, job, work);
}

/** Whatever is thrown is a fault of this job, unless it is known to be another's. */
export function blaming<T>(s: Session, job: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof JobFaultError || error instanceof Interruption) throw error;
    throw new JobFaultError({
      podGroupRow: s.jobs.row[job]! as PodGroupRow,
      turn: s.turns.begun,
      message: firstLine(error),
      stack: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  }
}
