import type { RawDecision } from '../../base/decisions.ts';
import type { Session } from '../session/session.ts';
import { allocate } from './allocate.ts';
import { consolidation } from './consolidation.ts';
import { preempt } from './preempt.ts';
import { reclaim } from './reclaim.ts';
import { staleGangEviction } from './staleGangEviction.ts';

/** One step of a cycle. */
export interface Action {
  readonly name: string;
  run(s: Session, emit: (batch: readonly RawDecision[]) => void): void;
}

const ACTIONS: readonly Action[] = Object.freeze([allocate, consolidation, reclaim, preempt, staleGangEviction]);

/** Actions that this engine has. */
export const EXISTING_ACTIONS: readonly string[] = Object.freeze(ACTIONS.map((a) => a.name));

export function findAction(name: string): Action | undefined {
  return ACTIONS.find((a) => a.name === name);
}
