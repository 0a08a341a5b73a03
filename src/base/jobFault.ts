import type { PodGroupRow } from './rows.ts';

/** A job on which the engine threw. Plain data: it crosses threads. */
export interface JobFault {
  readonly podGroupRow: PodGroupRow;
  /** When: turns of a cycle are numbered from 1 in their order, which is the same wherever the cycle runs. */
  readonly turn: number;
  /** First line of the error. */
  readonly message: string;
  /** For the log. */
  readonly stack: string;
}

/** An error while the engine worked on one job. What the cycle had in hand is not to be trusted any more. */
export class JobFaultError extends Error {
  readonly fault: JobFault;

  constructor(fault: JobFault) {
    super(fault.message);
    this.name = 'JobFaultError';
    this.stack = fault.stack;
    this.fault = fault;
  }
}

/** Thrown by the engine's port or sink to end the cycle: no job is to blame. */
export class Interruption extends Error {}

/** What users are told. */
export function faultText(error: unknown): string {
  return `The scheduler failed on this workload and tries it again later. Internal error: ${firstLine(error)}`;
}

export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
