import { expect, test } from 'vitest';
import { SimulationSource } from '../../src/cli/simulateSource.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { generateWorkload } from '../../src/simulator/generatedJobs.ts';
import { Simulation } from '../../src/simulator/simulation.ts';
import { EPOCH_MS } from '../../src/simulator/workload.ts';
import { CONFIG, newWriter } from './setUp.ts';

test('the dashboard shows what the simulation holds', async () => {
  const workload = generateWorkload({ nodes: 20, seed: 3 });
  const simulation = new Simulation({ workload, config: CONFIG, runner: createCycleRunner({ workers: 0 }), writer: newWriter() });
  await simulation.run(EPOCH_MS + 5000, async () => true);
  const source = new SimulationSource(simulation);
  const state = source.state();
  const nodes = source.nodes();
  const sum = (values: readonly number[]): number => values.reduce((total, v) => total + v, 0);

  expect(nodes.names).toHaveLength(20);
  expect(sum(nodes.gpuMilli)).toBe(state.gpu.totalMilli);
  expect(sum(state.nodeAllocatedMilli)).toBe(state.gpu.allocatedMilli);
  expect(state.gpu.allocatedMilli).toBeGreaterThan(0);

  const all = source.pending('', 1000);
  expect(all.total).toBe(state.pods.waiting);
  expect(all.pods).toHaveLength(all.total);
  expect(all.total).toBeGreaterThan(1);
  const some = all.pods[0]!;
  expect(source.pending(some.pod.toUpperCase(), 1000).pods).toContainEqual(some);
  expect(source.pending('', 1)).toMatchObject({ total: all.total, matched: all.total, pods: [some] });
  expect(source.pending('no such thing', 10)).toEqual({ total: all.total, matched: 0, pods: [] });

  const waiting = (parent: string): number => sum(state.queues.filter((q) => q.parent === parent).map((q) => q.waitingPods));
  expect(waiting('')).toBe(all.total);
  for (const top of state.queues.filter((q) => q.parent === '')) expect(waiting(top.name)).toBe(top.waitingPods);

  const next = new Simulation({
    workload: generateWorkload({ nodes: 4, seed: 4 }),
    config: CONFIG,
    runner: createCycleRunner({ workers: 0 }),
    writer: newWriter(),
  });
  source.show(next);
  expect(source.state().nodesVersion).not.toBe(state.nodesVersion);
  expect(source.nodes().version).toBe(source.state().nodesVersion);
  expect(source.nodes().names).toHaveLength(4);
});
