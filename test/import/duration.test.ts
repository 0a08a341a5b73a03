import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatGoDuration, parseExtendedDurationMs, parseGoDurationMs, parsePrometheusDurationMs } from '../../src/base/duration.ts';

describe('Go durations', () => {
  test.each([
    ['0', 0],
    ['-0', 0],
    ['1s', 1000],
    ['1h30m', 5_400_000],
    ['-1.5h', -5_400_000],
    ['+5s', 5000],
    ['.5s', 500],
    ['1.s', 1000],
    ['1h1h', 7_200_000],
    ['100us', 0.1],
    ['100µs', 0.1],
    ['100μs', 0.1],
    ['1ns', 0.000001],
    ['0.1s', 100],
    ['2562047h47m16.854775807s', 9_223_372_036_854.775],
  ])('%s', (text, ms) => expect(parseGoDurationMs(text)).toBe(ms));

  test.each(['', '-', '3', '1.5', 's', '.s', '1d', '1w', '1 s', '1S', '1h 30m', '--1s', '2562047h47m16.854775808s', '1constructor'])(
    'refuses %s',
    (text) => expect(parseGoDurationMs(text)).toBeNaN(),
  );

  test.each([
    [0, '0s'],
    [300_000, '5m0s'],
    [240_000, '4m0s'],
    [30_000, '30s'],
    [60_000, '1m0s'],
    [3_600_000, '1h0m0s'],
    [5_400_000, '1h30m0s'],
    [1500, '1.5s'],
    [1.5, '1.5ms'],
    [0.25, '250µs'],
    [0.000001, '1ns'],
    [-90_000, '-1m30s'],
  ])('prints %s as %s', (ms, text) => expect(formatGoDuration(ms)).toBe(text));

  test('what is printed reads back', () => {
    const ms = fc.oneof(
      fc.integer({ min: -1e9, max: 1e9 }),
      fc.integer({ min: -1e12, max: 1e12 }).map((nano) => nano / 1e6),
    );
    fc.assert(
      fc.property(ms, (value) => {
        expect(parseGoDurationMs(formatGoDuration(value))).toBeCloseTo(value, 6);
      }),
      { seed: 2, numRuns: 500 },
    );
  });
});

test('extended durations have days and weeks', () => {
  expect(parseExtendedDurationMs('1d')).toBe(86_400_000);
  expect(parseExtendedDurationMs('1w2d3h')).toBe((9 * 24 + 3) * 3_600_000);
  expect(parseExtendedDurationMs('-1d')).toBe(-86_400_000);
  expect(parseExtendedDurationMs('1y')).toBeNaN();
});

describe('Prometheus durations', () => {
  test.each([
    ['0', 0],
    ['1w', 604_800_000],
    ['1y', 31_536_000_000],
    ['5ms', 5],
    ['5m', 300_000],
    ['1h30m5s10ms', 5_405_010],
    ['168h', 604_800_000],
  ])('%s', (text, ms) => expect(parsePrometheusDurationMs(text)).toBe(ms));
  test.each(['', '1.5h', '-1h', '1m1h', '1h1h', '1ns', '5'])('refuses %s', (text) => expect(parsePrometheusDurationMs(text)).toBeNaN());
});
