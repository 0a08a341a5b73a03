import type { RawDecision } from '../../src/base/decisions.ts';
import type { NodeRow, PodGroupRow, PodRow } from '../../src/base/rows.ts';

export const ACTIONS = ['allocate', 'reclaim'];
export interface RingRun {
  readonly seed: number;
  readonly capacityBytes: number;
  readonly batches: number;
  readonly largest: number;
}

/** Small seeded generator (mulberry32): both threads make the same batches. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Batches of a run; about one in eight is large, the others have 1 to 4 decisions. */
export function* randomBatches(run: RingRun): Generator<RawDecision[]> {
  const random = createRandom(run.seed);
  for (let i = 0; i < run.batches; i++) {
    const size = random(8) === 0 ? 1 + random(run.largest) : 1 + random(4);
    yield Array.from({ length: size }, () => randomDecision(random));
  }
}

function randomDecision(random: (below: number) => number): RawDecision {
  const decision: RawDecision = {
    kind: (['bind', 'pipeline', 'evict'] as const)[random(3)]!,
    action: [...ACTIONS, 'stale gang'][random(3)]!,
    podRow: (random(1 << 20) - 1) as PodRow,
    podGroupRow: random(1 << 20) as PodGroupRow,
    nodeRow: (random(3) - 1) as NodeRow,
    receivedType: random(4),
    gpuCount: random(17),
    gpuPortion: ['', '0.50', '0.33'][random(3)]!,
    gpuGroups: Array.from({ length: random(3) }, (_, i) => `gruppe-${i}-ä€😀`.slice(0, 7 + random(6))).map((text) => text.toWellFormed()),
  };
  return random(4) === 0 ? { ...decision, details: { message: 'x'.repeat(random(200)), evictedPods: random(9) } } : decision;
}
