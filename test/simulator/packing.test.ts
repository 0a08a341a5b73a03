// Placement quality: the default configuration places exactly as the spec's scores say, and the fragmentation-aware policy
// gets more GPUs allocated than it where CPU and parts of devices are scarce.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { readPublished } from '../../src/simulator/openbFiles.ts';
import { type OpenbRun, runOpenb, submissionOrder } from '../../src/simulator/openbTrace.ts';
import { createRandom } from '../../src/simulator/random.ts';
import { loadOpenb, type OpenbTrace, openbNodeObject } from '../../src/snapshot/import/openb.ts';
import { BUILT_IN, FRAGMENTATION } from '../placement/cluster.ts';
import { newWriter } from './setUp.ts';
import { SpecTwin } from './specTwin.ts';

const FOLDER = process.env.KAI_OPENB_DIR ?? join(import.meta.dirname, '../../../shared/traces/openb');
const hasTrace = existsSync(join(FOLDER, 'openb_node_list_gpu_node.csv'));
if (!hasTrace) console.warn(`SKIPPED: no openb trace in ${FOLDER} (KAI_OPENB_DIR)`);

const run = (trace: OpenbTrace, seed: number, config: SchedulerConfig): Promise<OpenbRun> =>
  runOpenb({ trace, arrivePercent: 130, seed, config, runner: createCycleRunner({ workers: 0 }), writer: newWriter() });

/** A cluster with few CPUs per GPU on some nodes; pods of many sizes, some for one model only. */
function randomTrace(seed: number): OpenbTrace {
  const random = createRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[random.nextInt(items.length)]!;
  const kinds = [
    { gpuCount: 2, gpuModel: 'P100', milliCpu: 16_000, memoryMib: 122_880 },
    { gpuCount: 8, gpuModel: 'G2', milliCpu: 96_000, memoryMib: 393_216 },
    { gpuCount: 4, gpuModel: 'T4', milliCpu: 64_000, memoryMib: 262_144 },
  ];
  return {
    nodes: Array.from({ length: 60 }, (_, i) => ({ name: `n${i}`, ...pick(kinds) })),
    pods: Array.from({ length: 600 }, (_, i) => {
      const gpuCount = pick([0, 1, 1, 1, 1, 1, 1, 1, 2, 8]);
      const gpuMilli = gpuCount === 1 ? pick([210, 320, 460, 460, 700, 810, 1000, 1000]) : gpuCount * 1000;
      const gpuModels = gpuCount === 1 && random.nextInt(4) === 0 ? pick([['T4'], ['P100', 'G2']]) : [];
      return {
        name: `p${i}`,
        milliCpu: pick([3152, 4000, 8000, 11_300]) * Math.max(1, gpuCount),
        memoryMib: 5600,
        gpuCount,
        gpuMilli,
        gpuModels,
      };
    }),
  };
}

/** Placements of the twin and of the engine by pod, with the MiB that were in use on the pod's shared device. */
function placements(trace: OpenbTrace, seed: number, done: OpenbRun): { twin: Record<string, string>; engine: Record<string, string> } {
  const labels = new Map(trace.nodes.map((n) => [n.gpuModel, Number(openbNodeObject(n).metadata.labels?.['nvidia.com/gpu.memory'])]));
  const deviceMib = new Map([...labels].map(([model, mib]) => [model, Math.floor(mib / 100) * 100]));
  const spec = new SpecTwin(trace, deviceMib);
  const bound = new Map(done.simulation.cluster.list('pods').map((p) => [p.metadata.name, p]));
  const modelOf = new Map(trace.nodes.map((n) => [n.name, n.gpuModel]));
  const capacityMilli = trace.nodes.reduce((sum, n) => sum + n.gpuCount * 1000, 0);
  const twin: Record<string, string> = {};
  const engine: Record<string, string> = {};
  const usedMib = new Map<string, number>();
  for (const [i, pod] of submissionOrder(trace.pods, capacityMilli, 130, seed).entries()) {
    const name = `job-${String(i).padStart(6, '0')}`;
    const expected = spec.place(pod);
    if (expected !== null) twin[name] = expected;
    const node = bound.get(name)?.spec.nodeName;
    if (node === undefined) continue;
    const group = bound.get(name)?.metadata.labels?.['runai-gpu-group'];
    engine[name] = group === undefined ? node : `${node}/${usedMib.get(group) ?? 0}`;
    const mib = Math.trunc((pod.gpuMilli / 1000) * (deviceMib.get(modelOf.get(node) ?? '') ?? 0));
    if (group !== undefined) usedMib.set(group, (usedMib.get(group) ?? 0) + mib);
  }
  return { twin, engine };
}

describe('default packing', () => {
  test.each([1, 2, 3, 4])('is what the scores of the spec say, pod by pod: trace %i', async (seed) => {
    const trace = randomTrace(seed);
    const { twin, engine } = placements(trace, seed, await run(trace, seed, BUILT_IN));
    expect(engine).toEqual(twin);
    expect(Object.keys(engine).length).toBeGreaterThan(100);
  });

  test.skipIf(!hasTrace)('the same on the openb trace', async () => {
    const trace = await loadOpenb(join(FOLDER, 'openb_node_list_gpu_node.csv'), join(FOLDER, 'openb_pod_list_default.csv'));
    const { twin, engine } = placements(trace, 42, await run(trace, 42, BUILT_IN));
    expect(engine).toEqual(twin);
    expect(Object.keys(engine).length).toBeGreaterThan(7000);
  });
});

describe('fragmentation-aware placement', () => {
  test('allocates more than packing where CPU is scarce', async () => {
    const gains = [];
    for (const seed of [1, 2, 3, 4]) {
      const trace = randomTrace(seed);
      const [packed, aware] = [await run(trace, seed, BUILT_IN), await run(trace, seed, FRAGMENTATION)];
      expect(aware.simulation.recorder.ledger.overcommits).toBe(0);
      gains.push(aware.allocatedShares.at(-1)! - packed.allocatedShares.at(-1)!);
    }
    expect(Math.min(...gains)).toBeGreaterThan(0);
  });

  test.skipIf(!hasTrace)('openb: at least the published figure of fragmentation gradient descent', async () => {
    const podFile = join(FOLDER, 'openb_pod_list_default.csv');
    const trace = await loadOpenb(join(FOLDER, 'openb_node_list_gpu_node.csv'), podFile);
    const { allocatedShares } = await run(trace, 42, FRAGMENTATION);
    const published = readPublished(podFile)?.['06-FGD']?.['130'];
    expect(published).toBeTypeOf('number');
    expect(allocatedShares.at(-1)! * 100).toBeGreaterThanOrEqual(published!);
  });
});
