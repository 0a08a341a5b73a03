import type { Action } from './index.ts';
import { runVictimAction } from './victimAction.ts';

/** Takes resources from jobs of lower priority in the same queue (spec 04 section 3.3). */
export const preempt: Action = { name: 'preempt', run: (s, emit) => runVictimAction(s, 'preempt', emit) };
