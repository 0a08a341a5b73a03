import { type Division, divide, RESOURCES } from '../../src/engine/queues/fairShare.ts';
import type { Kernel } from './kernel.ts';

/** Sibling queues with mixed quotas, weights and requests, and two priorities. */
function siblings(count: number): Division {
  const column = (value: (queue: number) => number): Float64Array => {
    const out = new Float64Array(RESOURCES * count);
    for (let i = 0; i < out.length; i++) out[i] = value(Math.floor(i / RESOURCES));
    return out;
  };
  return {
    quota: column((q) => 1000 * (q % 5)),
    limit: column((q) => (q % 7 === 0 ? 20_000 : -1)),
    weight: column((q) => q % 4),
    usage: column(() => 0),
    request: column((q) => 3000 + 1000 * (q % 11)),
    fairShare: column(() => 0),
    priority: Int32Array.from({ length: count }, (_, q) => 100 + (q % 2)),
  };
}

/** Three resources of a cluster that has half of what is requested. */
function divideAmong(count: number): () => number {
  const division = siblings(count);
  const rows = Array.from({ length: count }, (_, q) => q);
  const total = 4000 * count;
  return () => {
    division.fairShare.fill(0);
    for (let resource = 0; resource < RESOURCES; resource++) divide(division, rows, total, resource, 0);
    return division.fairShare[0]!;
  };
}

export function fairShareKernels(): Kernel[] {
  return [10, 100, 1_000].map((count): Kernel => {
    return {
      group: 'fair share',
      name: `${count} siblings`,
      per: 'queue, three resources',
      operations: count,
      prepare: () => divideAmong(count),
    };
  });
}
