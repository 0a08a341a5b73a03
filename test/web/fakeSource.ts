import type { DashboardSource } from '../../src/web/source.ts';

/** A cluster that stands still: `nodes` nodes, every eighth without GPUs, loads from a fixed pattern. */
export function fakeSource(nodes: number): DashboardSource {
  const gpuMilli = Array.from({ length: nodes }, (_, i) => (i % 8 === 7 ? 0 : 8000));
  const nodeAllocatedMilli = gpuMilli.map((total, i) => (total * (i % 9)) / 8);
  const atMs = Array.from({ length: 60 }, (_, i) => i * 60_000);
  const queue = (name: string, parent: string, quotaGpu: number, allocatedGpu: number) => {
    return { name, parent, quotaGpu, limitGpu: -1, fairShareGpu: quotaGpu * 1.2, allocatedGpu, waitingPods: 3 };
  };
  const waiting = Array.from({ length: 250 }, (_, i) => ({
    pod: `team-${i % 2 === 0 ? 'a' : 'b'}/gang-${i}-0`,
    podGroup: `team-${i % 2 === 0 ? 'a' : 'b'}/gang-${i}`,
    queue: i % 2 === 0 ? 'a' : 'b',
    waitingMs: i * 1000,
    reason: i % 2 === 0 ? 'OverLimit: a quota has reached the allowable limit of GPUs' : "node(s) didn't have enough resources: GPUs",
  }));
  return {
    nodes: () => ({ version: 1, names: gpuMilli.map((_, i) => `node-${i}`), gpuMilli }),
    state: () => ({
      title: 'KAI scheduler, simulated cluster',
      description: `${nodes} nodes`,
      nowMs: 3_600_000,
      startedMs: 0,
      speed: 60,
      isFinished: false,
      gpu: { totalMilli: 8_000_000, allocatedMilli: 7_100_000, fragmentationShare: 0.21 },
      pods: { bound: 12_345, running: 5000, waiting: 250, finished: 7345, evicted: 0, boundPerSecond: 20_000 },
      cycles: { count: 60, lastMs: 4.2, p50Ms: 3.9, p99Ms: 12.5 },
      nodesVersion: 1,
      nodeAllocatedMilli,
      queues: [
        queue('research', '', 500, 480),
        queue('a', 'research', 300, 310),
        queue('b', 'research', 200, 170),
        queue('product', '', 300, 240),
      ],
      cycleHistory: { atMs, tookMs: atMs.map((_, i) => 3 + (i % 7)) },
      allocationHistory: {
        atMs,
        allocatedShare: atMs.map((_, i) => Math.min(0.93, i / 30)),
        fragmentationShare: atMs.map((_, i) => 0.2 + (i % 5) / 100),
      },
    }),
    pending: (query, limit) => {
      const matching = waiting.filter((p) => `${p.pod} ${p.queue} ${p.reason}`.toLowerCase().includes(query.toLowerCase()));
      return { total: waiting.length, matched: matching.length, pods: matching.slice(0, limit) };
    },
  };
}
