import type { Queue } from '../../src/base/objects.ts';
import type { Draw } from './draw.ts';

const MAX_LEVELS = 4;

export interface QueueTree {
  readonly queues: readonly Queue[];
  /** Names of the queues without children. */
  readonly leaves: readonly string[];
}

/** A queue below one of the earlier ones or at the top; quotas, limits and weights with the special values −1 and 0. */
function drawQueue(draw: Draw, index: number, parents: readonly string[]): Queue {
  const parent = draw.pick(['', ...parents]);
  // Limits and quotas of a whole path of queues hold together, so each of them must be rare.
  const limit = (values: readonly number[]): number => (draw.chance(0.12) ? draw.pick(values) : -1);
  const quota = (values: readonly number[]): number => (draw.chance(0.4) ? draw.pick(values) : -1);
  const weight = (): number => draw.pick([1, 1, 0, 2, 3]);
  const gpu = { quota: quota([1, 2, 4, 8, 16, 0, 0.5]), limit: limit([8, 4, 2, 0.5]), overQuotaWeight: weight() };
  const cpu = { quota: quota([16_000, 8000, 4000, 0]), limit: limit([16_000, 8000, 2500]), overQuotaWeight: weight() };
  const memory = { quota: quota([64_000, 32_000, 0]), limit: limit([64_000, 8000]), overQuotaWeight: weight() };
  const priority = draw.pick([undefined, undefined, 100, 50, 200]);
  // A section that is left out is a limit of zero: nothing may run there.
  const hasGpu = !draw.chance(0.01);
  return {
    metadata: { name: `queue-${index}`, uid: `queue-${index}`, creationTimestamp: `2026-01-01T01:0${draw.int(0, 2)}:00Z` },
    spec: {
      ...(draw.chance(0.2) ? { displayName: `Queue ${index}` } : {}),
      ...(parent === '' ? {} : { parentQueue: draw.chance(0.01) ? 'no-such-queue' : parent }),
      ...(priority === undefined ? {} : { priority }),
      resources: hasGpu ? { gpu, cpu, memory } : { cpu, memory },
    },
  };
}

/** A forest of queues of 1 to 4 levels. */
export function drawQueues(draws: readonly Draw[]): QueueTree {
  const queues: Queue[] = [];
  const level = new Map<string, number>();
  for (const [index, draw] of draws.entries()) {
    const parents = queues.map((queue) => queue.metadata.name).filter((name) => (level.get(name) ?? 1) < MAX_LEVELS);
    const queue = drawQueue(draw, index, parents);
    level.set(queue.metadata.name, 1 + (level.get(queue.spec?.parentQueue ?? '') ?? 0));
    queues.push(queue);
  }
  const inner = new Set(queues.map((queue) => queue.spec?.parentQueue));
  return { queues, leaves: queues.map((queue) => queue.metadata.name).filter((name) => !inner.has(name)) };
}
