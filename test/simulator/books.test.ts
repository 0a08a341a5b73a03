import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DemandMix, fragmentationShare } from '../../src/simulator/fragmentation.ts';
import { Ledger, type PodUse } from '../../src/simulator/ledger.ts';
import { Distribution, Series } from '../../src/simulator/series.ts';
import { newWriter } from './setUp.ts';

const GIB = 2 ** 30;

function ledgerOf(nodes: readonly { readonly gpus: number; readonly gpuMemoryMib?: number }[]): Ledger {
  const writer = newWriter();
  nodes.forEach(({ gpus, gpuMemoryMib = 16000 }, i) => {
    const allocatable = { cpu: '16', memory: '64Gi', pods: '110', 'nvidia.com/gpu': String(gpus) };
    writer.put('nodes', {
      metadata: { name: `n${i}`, labels: { 'nvidia.com/gpu.memory': String(gpuMemoryMib) } },
      status: { allocatable },
    });
  });
  return new Ledger(writer.seal());
}

const whole = (gpuCount: number, milliCpu = 1000): PodUse => ({
  milliCpu,
  memoryBytes: GIB,
  gpuCount,
  gpuMilliEach: 1000,
  gpuMemoryMibEach: 0,
  gpuGroups: [],
});
const shared = (gpuMilliEach: number, ...gpuGroups: string[]): PodUse => {
  return { milliCpu: 1000, memoryBytes: GIB, gpuCount: gpuGroups.length, gpuMilliEach, gpuMemoryMibEach: 0, gpuGroups };
};

describe('ledger', () => {
  test('counts every way of taking more than there is', () => {
    const attempts: readonly (readonly PodUse[])[] = [
      [whole(2), whole(1)],
      [whole(0, 16_001)],
      [{ ...whole(0), memoryBytes: 65 * GIB }],
      [shared(600, 'a'), shared(500, 'a')],
      [shared(500, 'a'), whole(2)],
      [shared(500, 'a', 'b'), shared(500, 'c')],
    ];
    for (const uses of attempts) {
      const ledger = ledgerOf([{ gpus: 2 }]);
      uses.forEach((use, i) => {
        ledger.place(`ns/p${i}`, 'n0', use);
      });
      expect(ledger.overcommits).toBe(1);
    }
    const ledger = ledgerOf([{ gpus: 2 }]);
    ledger.place('ns/p', 'n0', whole(1));
    ledger.place('ns/p', 'n0', whole(1));
    ledger.place('ns/q', 'unknown', whole(1));
    expect(ledger.overcommits).toBe(2);
  });

  test('requests by memory fill a device by memory, though their parts are rounded up', () => {
    const ledger = ledgerOf([{ gpus: 1, gpuMemoryMib: 16_000 }]);
    const byMemory = (mib: number): PodUse => ({ ...shared(Math.ceil(mib / 160) * 10, 'a'), gpuMemoryMibEach: mib });
    for (let i = 0; i < 3; i++) ledger.place(`ns/p${i}`, 'n0', byMemory(5333));
    expect(ledger).toMatchObject({ overcommits: 0, allocatedGpuMilli: 1020 });
    ledger.place('ns/q', 'n0', byMemory(2));
    expect(ledger.overcommits).toBe(1);
  });

  test('is exact: shares fill a device, and all comes back', () => {
    const ledger = ledgerOf([{ gpus: 1 }]);
    for (let i = 0; i < 10; i++) ledger.place(`ns/p${i}`, 'n0', shared(100, 'a'));
    expect(ledger).toMatchObject({ overcommits: 0, allocatedGpuMilli: 1000, placedPods: 10 });
    expect(ledger.nodes[0]).toMatchObject({ freeDevices: 0, freeGpuMilli: 0 });
    for (let i = 0; i < 10; i++) expect(ledger.release(`ns/p${i}`)).toBe(true);
    expect(ledger.release('ns/p0')).toBe(false);
    expect(ledger.nodes[0]).toMatchObject({ freeDevices: 1, freeGpuMilli: 1000, freeMilliCpu: 16_000, freeMemoryBytes: 64 * GIB });
  });

  test('any order of placing and releasing leaves what a recount finds', () => {
    const use = fc.oneof(
      fc.integer({ min: 0, max: 2 }).map((n) => whole(n)),
      fc
        .record({ milli: fc.constantFrom(100, 250, 500), group: fc.constantFrom('a', 'b', 'c') })
        .map(({ milli, group }) => shared(milli, group)),
    );
    const step = fc.record({ pod: fc.integer({ min: 0, max: 9 }), node: fc.integer({ min: 0, max: 1 }), use });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ledger = ledgerOf([{ gpus: 8 }, { gpus: 4 }]);
        const held = new Map<string, { node: string; use: PodUse }>();
        for (const { pod, node, use } of steps) {
          const key = `ns/p${pod}`;
          if (held.delete(key)) ledger.release(key);
          else {
            // Groups belong to a node.
            const placed = { ...use, gpuGroups: use.gpuGroups.map((g) => `${node}-${g}`) };
            ledger.place(key, `n${node}`, placed);
            held.set(key, { node: `n${node}`, use: placed });
          }
        }
        for (const node of ledger.nodes) {
          const uses = [...held.values()].filter((h) => h.node === node.name).map((h) => h.use);
          const groups = new Set(uses.flatMap((u) => u.gpuGroups));
          const wholeDevices = uses.filter((u) => u.gpuGroups.length === 0).reduce((sum, u) => sum + u.gpuCount, 0);
          expect(node.freeDevices).toBe(node.gpuCount - wholeDevices - groups.size);
          expect(node.freeMilliCpu).toBe(16_000 - uses.reduce((sum, u) => sum + u.milliCpu, 0));
          const gpuMilli = uses.reduce((sum, u) => sum + u.gpuCount * u.gpuMilliEach, 0);
          expect(node.freeGpuMilli).toBe(node.gpuCount * 1000 - gpuMilli);
        }
        expect(ledger.placedPods).toBe(held.size);
      }),
      { seed: 11, numRuns: 200 },
    );
  });
});

describe('fragmentation', () => {
  const demand = (gpuCount: number, gpuMilliEach: number, gpuMemoryMib = 0) => {
    return { milliCpu: 1000, memoryBytes: GIB, gpuCount, gpuMilliEach, gpuMemoryMib };
  };

  test('worked example', () => {
    const ledger = ledgerOf([{ gpus: 2 }, { gpus: 2 }]);
    ledger.place('ns/a', 'n0', shared(600, 'g'));
    ledger.place('ns/b', 'n1', whole(1));
    // Free: n0 0.4 on a shared device and 1 whole; n1 1 whole; 2.4 in all.
    const only = (d: ReturnType<typeof demand>): number => {
      const mix = new DemandMix();
      mix.add(d);
      return fragmentationShare(ledger, mix);
    };
    expect(only(demand(1, 1000))).toBeCloseTo(0.4 / 2.4);
    expect(only(demand(2, 1000))).toBe(1);
    expect(only(demand(1, 400))).toBe(0);
    expect(only(demand(1, 500))).toBeCloseTo(0.4 / 2.4);
    // 8000 of 16000 MiB is half a device; 20000 MiB fits nowhere.
    expect(only(demand(1, 0, 8000))).toBeCloseTo(0.4 / 2.4);
    expect(only(demand(1, 0, 20_000))).toBe(1);
    const mix = new DemandMix();
    mix.add(demand(1, 400), 3);
    mix.add(demand(2, 1000), 1);
    expect(fragmentationShare(ledger, mix)).toBeCloseTo(0.25);
  });

  test('is a share even where requests by memory overfill a device', () => {
    const ledger = ledgerOf([{ gpus: 2 }]);
    for (let i = 0; i < 3; i++) ledger.place(`ns/p${i}`, 'n0', { ...shared(340, 'a'), gpuMemoryMibEach: 5333 });
    const mix = new DemandMix();
    mix.add(demand(2, 1000));
    expect(fragmentationShare(ledger, mix)).toBe(1);
  });

  test('free GPUs beside used-up CPUs are of no use; CPU-only demand does not count', () => {
    const ledger = ledgerOf([{ gpus: 2 }]);
    ledger.place('ns/a', 'n0', whole(0, 15_500));
    const mix = new DemandMix();
    mix.add({ ...demand(0, 1000), gpuCount: 0 });
    expect(fragmentationShare(ledger, mix)).toBe(0);
    mix.add(demand(1, 1000));
    expect(fragmentationShare(ledger, mix)).toBe(1);
  });
});

describe('series and distribution', () => {
  test('a long series keeps even distances and stays short', () => {
    const series = new Series<{ atMs: number }>(10, 100);
    for (let atMs = 0; atMs <= 100_000; atMs += 50) if (series.isDue(atMs)) series.add({ atMs });
    expect(series.points.length).toBeLessThan(10);
    expect(series.points[0]).toEqual({ atMs: 0 });
    const gaps = series.points.slice(1).map((p, i) => p.atMs - series.points[i]!.atMs);
    expect(new Set(gaps).size).toBe(1);
  });

  test('percentiles of 1 … 1000 ms', () => {
    const d = new Distribution();
    expect(d.percentiles()).toEqual({ p50: 0, p90: 0, p99: 0, max: 0, mean: 0 });
    for (let ms = 1; ms <= 1000; ms++) d.add(ms);
    const { p50, p90, p99, max, mean } = d.percentiles();
    expect([p50 / 500, p90 / 900, p99 / 990, max / 1000].every((ratio) => Math.abs(ratio - 1) < 0.005)).toBe(true);
    expect(mean).toBe(501);
  });
});
