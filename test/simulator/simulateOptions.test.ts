import { describe, expect, test } from 'vitest';
import { parseArrive, parseDuration, parseHours, parseNodes, parseSeeds, planSimulation } from '../../src/cli/simulateOptions.ts';

const COMMON = { workers: 'auto', output: 'text', dashboard: true } as const;
const FILES = { trace: 'openb', nodeFile: 'n.csv', podFile: 'p.csv' } as const;

describe('kai simulate: plan', () => {
  test('defaults: 100 nodes, two hours, as fast as it goes, no dashboard', () => {
    expect(planSimulation(COMMON)).toMatchObject({
      kind: 'generated',
      nodes: 100,
      seeds: [42],
      simulatedLimitMs: 7_200_000,
      wallLimitMs: Infinity,
      speed: Infinity,
      port: null,
    });
    expect(planSimulation({ ...COMMON, port: 9000 })).toMatchObject({ port: 9000 });
    expect(planSimulation({ ...COMMON, duration: 5000 })).toMatchObject({ simulatedLimitMs: Infinity, wallLimitMs: 5000 });
  });

  test('laptop preset: live, one minute, dashboard; each can be changed', () => {
    const laptop = { ...COMMON, preset: 'laptop' } as const;
    expect(planSimulation(laptop)).toMatchObject({ nodes: 1000, speed: 60, wallLimitMs: 60_000, simulatedLimitMs: Infinity, port: 8090 });
    expect(planSimulation({ ...laptop, duration: 0, nodes: 20, dashboard: false })).toMatchObject({
      nodes: 20,
      wallLimitMs: Infinity,
      port: null,
    });
    expect(planSimulation({ ...laptop, hours: 1 })).toMatchObject({ wallLimitMs: Infinity, simulatedLimitMs: 3_600_000 });
  });

  test('trace', () => {
    const trace = { nodeFile: 'n.csv', podFile: 'p.csv' };
    expect(planSimulation({ ...COMMON, ...FILES, seeds: [42, 43] })).toMatchObject({
      kind: 'openb',
      trace,
      arrivePercent: 130,
      seeds: [42, 43],
      simulatedLimitMs: Infinity,
    });
    expect(planSimulation({ ...COMMON, ...FILES, departures: true })).toMatchObject({ kind: 'replay', simulatedLimitMs: Infinity });
    expect(planSimulation({ ...COMMON, ...FILES, departures: true, arrive: 800, queues: 4, audit: true })).toMatchObject({
      kind: 'flow',
      simulatedLimitMs: 7_200_000,
      arrivePercent: 800,
      queues: 4,
      isAudited: true,
    });
  });

  test.each([
    [{ trace: 'openb' }, /needs --node-file and --pod-file/],
    [{ nodeFile: 'n.csv' }, /go with --trace/],
    [{ arrive: 100 }, /--arrive goes with/],
    [{ departures: true }, /--departures goes with/],
    [{ queues: 4 }, /--queues goes with/],
    [{ ...FILES, departures: true, arrive: 100, duration: 5 }, /needs --hours/],
    [{ ...FILES, departures: true, seed: 1 }, /no effect/],
    [{ ...FILES, nodes: 5 }, /--nodes does not go/],
    [{ ...FILES, hours: 5 }, /--hours does not go/],
    [{ ...FILES, preset: 'laptop' }, /--preset does not go/],
    [{ seed: 1, seeds: [1, 2] }, /exclude each other/],
    [{ duration: 0, seeds: [1, 2] }, /never ends/],
    [{ port: 1, dashboard: false }, /exclude each other/],
  ] as const)('%o is wrong use', (flags, message) => {
    expect(() => planSimulation({ ...COMMON, ...flags } as Parameters<typeof planSimulation>[0])).toThrow(message);
  });

  test('values', () => {
    expect(parseSeeds('42..51')).toEqual([42, 43, 44, 45, 46, 47, 48, 49, 50, 51]);
    expect([parseDuration('90'), parseDuration('1m30s'), parseDuration('0')]).toEqual([90_000, 90_000, 0]);
    expect([parseHours('0.5'), parseArrive('112.5'), parseNodes('1000')]).toEqual([0.5, 112.5, 1000]);
    for (const bad of ['51..42', '1..', '1-2', '0..9999999']) expect(() => parseSeeds(bad)).toThrow(/FIRST\.\.LAST/);
    for (const bad of ['', 'soon', '-1s']) expect(() => parseDuration(bad)).toThrow(/A duration is/);
    for (const bad of ['0', '-1', '1e9', 'x']) expect(() => parseNodes(bad)).toThrow(/whole number/);
    expect(() => parseHours('0')).toThrow(/Hours/);
    expect(() => parseArrive('0')).toThrow(/percentage/);
  });
});
