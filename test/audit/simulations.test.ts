import { expect, test } from 'vitest';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { generateWorkload } from '../../src/simulator/generatedJobs.ts';
import { Simulation } from '../../src/simulator/simulation.ts';
import { EPOCH_MS } from '../../src/simulator/workload.ts';
import { CONFIG, newWriter, SNAPSHOT_OPTIONS } from '../simulator/setUp.ts';

// Clusters with a history: what earlier cycles bound, took back and moved is what the next ones start from.
test('nothing is wrong in any cycle of two hours on 12 generated nodes', async () => {
  const runner = createCycleRunner({ workers: 0 });
  const workload = generateWorkload({ nodes: 12, seed: 2 });
  const simulation = new Simulation({ workload, config: CONFIG, runner, writer: newWriter(), audit: SNAPSHOT_OPTIONS });
  await simulation.run(EPOCH_MS + 2 * 3_600_000, async () => true);
  await runner.close();
  const { findings, examples, cycles } = simulation.audit!.summary();
  expect({ findings, examples }).toEqual({ findings: 0, examples: [] });
  expect(cycles).toBeGreaterThan(500);
  expect(simulation.recorder.pods.evicted).toBeGreaterThan(100);
});
