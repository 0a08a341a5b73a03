import type { Action } from './index.ts';
import { runVictimAction } from './victimAction.ts';

/** Takes resources from preemptible jobs of other queues, up to the fair share (spec 04 sections 3.2, 6.1). */
export const reclaim: Action = { name: 'reclaim', run: (s, emit) => runVictimAction(s, 'reclaim', emit) };
