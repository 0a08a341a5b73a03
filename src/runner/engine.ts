// The engine as the threads load it (EngineModule of workers/protocol.ts).
export { followCycle, openSearch, runCycle, stateBytes } from '../engine/cycle.ts';
export { viewSnapshot } from '../snapshot/view.ts';
