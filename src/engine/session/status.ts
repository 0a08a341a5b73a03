/** States of a task inside a cycle (spec 02 section 3, 03 section 0.3). */
export const Status = {
  pending: 0,
  gated: 1,
  allocated: 2,
  pipelined: 3,
  binding: 4,
  bound: 5,
  running: 6,
  releasing: 7,
  stuckInReleasing: 8,
  succeeded: 9,
  failed: 10,
  unknown: 11,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

const bits = (...statuses: number[]): number => statuses.reduce((mask, s) => mask | (1 << s), 0);

/** Allocated, Binding, Bound, Running. */
export const ALLOCATED = bits(2, 4, 5, 6);
/** Allocated statuses and Pipelined. */
export const ACTIVE_ALLOCATED = ALLOCATED | bits(3);
/** Holds resources of a node. */
export const ACTIVE_USED = ACTIVE_ALLOCATED | bits(7, 8);
export const ALIVE = ACTIVE_ALLOCATED | bits(0, 1);

/** Is the status in the set? */
export function isIn(set: number, status: number): boolean {
  return ((set >> status) & 1) === 1;
}
