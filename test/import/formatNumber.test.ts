import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatG3, formatHuman, formatPortion, formatRaw } from '../../src/base/formatNumber.ts';

test.each([
  [2.3456789, 1, '2.345'],
  [0.99996, 1, '0.999'],
  [0.0005, 1, '0'],
  [1_234_567.8901, 1, '1234567.89'],
  [1500, 1000, '1.5'],
  [2500, 1000, '2.5'],
  [1_234_567, 1000, '1234.567'],
  [1, 3, '0.333'],
  [-1, 1000, 'Unlimited'],
  [100, 1, '100'],
  [4_096_000_000, 1e9, '4.096'],
])('human %s / %s = %s', (value, unit, text) => expect(formatHuman(value, unit)).toBe(text));

test.each([
  [0, '0'],
  [1.8, '1.8'],
  [0.125, '0.125'],
  [1000, '1e+03'],
  [12345, '1.23e+04'],
  [100, '100'],
  [999.5, '1e+03'],
  [1.125, '1.12'],
  [1.375, '1.38'],
  [-2.5, '-2.5'],
  [0.0001, '0.0001'],
  [0.00001234, '1.23e-05'],
])('g3 %s = %s', (value, text) => expect(formatG3(value)).toBe(text));

test.each([
  [0.30000000000000004, '0.30000000000000004'],
  [4, '4'],
  [1e21, '1e+21'],
  [123456789012345680000, '123456789012345680000'],
  [0.0001, '0.0001'],
  [0.00001, '1e-05'],
  [-1.5e-7, '-1.5e-07'],
])('raw %s = %s', (value, text) => expect(formatRaw(value)).toBe(text));

test.each([
  [0.125, '0.12'],
  [0.375, '0.38'],
  [0.625, '0.62'],
  [0.5, '0.50'],
  [1, '1.00'],
  [0, '0.00'],
  [0.31, '0.31'],
  [0.005, '0.01'],
])('portion %s = %s', (value, text) => expect(formatPortion(value)).toBe(text));

const double = fc.double({ noNaN: true, noDefaultInfinity: true });

/** The double's exact decimal expansion, rounded half to even at `decimals`: the plain twin. */
function roundedExactly(value: number, decimals: number): bigint {
  const [whole = '0', fraction = ''] = value.toFixed(100).split('.');
  const digits = BigInt(whole + fraction.slice(0, decimals));
  const rest = BigInt(`1${fraction.slice(decimals)}`) - 10n ** BigInt(fraction.length - decimals);
  const half = 5n * 10n ** BigInt(fraction.length - decimals - 1);
  return rest > half || (rest === half && digits % 2n === 1n) ? digits + 1n : digits;
}

test('portion rounds the exact value half to even', () => {
  const share = fc.oneof(
    fc.double({ min: 0, max: 4, noNaN: true }),
    fc.integer({ min: 0, max: 4000 }).map((n) => n / 1000),
    fc.integer({ min: 0, max: 64 }).map((n) => n / 16),
  );
  fc.assert(
    fc.property(share, (value) => {
      expect(BigInt(formatPortion(value).replace('.', ''))).toBe(roundedExactly(value, 2));
    }),
    { seed: 3, numRuns: 2000 },
  );
});

test('g3 rounds to the third digit, half to even; raw reads back as the same double', () => {
  const eighths = fc.integer({ min: 1, max: 100_000 }).map((n) => n / 8);
  fc.assert(
    fc.property(fc.oneof(eighths, double), (value) => {
      expect(Number(formatRaw(value))).toBe(value === 0 ? 0 : value);
      const magnitude = Math.abs(value);
      if (magnitude < 1 || magnitude >= 1e6) return;
      const exponent = Math.floor(Math.log10(magnitude));
      const digits = exponent >= 2 ? roundedExactly(magnitude / 10 ** (exponent - 2), 0) : roundedExactly(magnitude, 2 - exponent);
      expect(Math.abs(Number(formatG3(value)))).toBeCloseTo(Number(digits) * 10 ** (exponent - 2), 8);
    }),
    { seed: 4, numRuns: 2000 },
  );
});
