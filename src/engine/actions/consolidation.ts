import type { Action } from './index.ts';
import { runVictimAction } from './victimAction.ts';

/** Moves running preemptible jobs so that a pending one fits; nobody loses a place (spec 04 sections 3.4, 6.3). */
export const consolidation: Action = { name: 'consolidation', run: (s, emit) => runVictimAction(s, 'consolidation', emit) };
