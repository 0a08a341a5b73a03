import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addExact, exactToMilliCeil, exactToValueCeil, milliCeil, parseExact, parseQuantity, valueCeil } from '../../src/base/quantity.ts';

const SAFE = Number.MAX_SAFE_INTEGER;

describe('worked examples', () => {
  test.each([
    // text, milli, units
    ['500m', 500, 1],
    ['250m', 250, 1],
    ['1', 1000, 1],
    [2, 2000, 2],
    [0.1, 100, 1],
    [1e-7, 1, 1],
    ['0', 0, 0],
    ['-0', 0, 0],
    ['+3', 3000, 3],
    ['-1500m', -1500, -2],
    ['.5', 500, 1],
    ['5.', 5000, 5],
    ['1.5Gi', 1_610_612_736_000, 1_610_612_736],
    ['512Mi', 536_870_912_000, 536_870_912],
    ['1Ki', 1_024_000, 1024],
    ['1k', 1_000_000, 1000],
    ['128974848', 128_974_848_000, 128_974_848],
    ['129e6', 129_000_000_000, 129_000_000],
    ['129M', 129_000_000_000, 129_000_000],
    ['123Mi', 128_974_848_000, 128_974_848],
    ['1E3', 1_000_000, 1000],
    ['1e-2', 10, 1],
    ['100u', 1, 1],
    ['1n', 1, 1],
    ['0.1n', 1, 1],
    ['1.0000001', 1001, 2],
    ['1Ti', 1_099_511_627_776_000, 1_099_511_627_776],
    ['1Pi', SAFE, 1_125_899_906_842_624],
    ['2E', SAFE, SAFE],
    ['12Ei', SAFE, SAFE],
    ['1e999999999', SAFE, SAFE],
    ['0e999999999', 0, 0],
    ['1e-999999999', 1, 1],
  ])('%s', (quantity, milli, units) => {
    expect([milliCeil(quantity), valueCeil(quantity)]).toEqual([milli, units]);
  });

  test.each([
    '',
    ' 1',
    '1 ',
    'm',
    '.',
    '+',
    '1K',
    '1kk',
    '1Kii',
    '1e',
    '1e1.5',
    '1,5',
    '0x10',
    'NaN',
    '--1',
    '1'.repeat(1000),
    Number.NaN,
    1 / 0,
  ])('refuses %s', (text) => {
    expect(parseQuantity(text).ok).toBe(false);
    expect(parseExact(text)).toBeUndefined();
    expect(milliCeil(text)).toBeNaN();
  });

  test('sums are exact and rounded once: three times 0.0004 is 2 milli, not 3', () => {
    const part = parseExact('0.0004')!;
    expect(exactToMilliCeil(addExact(addExact(part, part), part))).toBe(2);
    // Beyond 2^53 bytes a double would lose the odd byte.
    const large = addExact(addExact(parseExact('4Pi')!, parseExact('4Pi')!), parseExact('1')!);
    expect(exactToValueCeil(addExact(large, parseExact('-8Pi')!))).toBe(1);
  });
});

interface Written {
  readonly text: string;
  /** The plain value as a fraction. */
  readonly numerator: bigint;
  readonly denominator: bigint;
}

const POWER_10: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15 };
const POWER_2: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50 };

const written: fc.Arbitrary<Written> = fc
  .record({
    isNegative: fc.boolean(),
    whole: fc.bigInt({ min: 0n, max: 9_999n }),
    fraction: fc.option(fc.stringMatching(/^\d{1,6}$/), { nil: '' }),
    suffix: fc.oneof(fc.constantFrom(...Object.keys(POWER_10), ...Object.keys(POWER_2)), fc.integer({ min: -6, max: 9 })),
  })
  .map(({ isNegative, whole, fraction, suffix }) => {
    const digits = BigInt(`${whole}${fraction}`) * (isNegative ? -1n : 1n);
    const power10 = typeof suffix === 'number' ? suffix : (POWER_10[suffix] ?? 0);
    const binary = typeof suffix === 'number' ? 1n : 2n ** BigInt(POWER_2[suffix] ?? 0);
    const text = `${isNegative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}${typeof suffix === 'number' ? `e${suffix}` : suffix}`;
    return {
      text,
      numerator: digits * binary * 10n ** BigInt(Math.max(power10, 0)),
      denominator: 10n ** BigInt(fraction.length + Math.max(-power10, 0)),
    };
  });

/** numerator·scale / denominator, rounded away from zero: the plain twin. */
function twin(numerator: bigint, denominator: bigint, scale: bigint): bigint {
  const dividend = numerator * scale;
  const magnitude = ((dividend < 0n ? -dividend : dividend) + denominator - 1n) / denominator;
  return dividend < 0n ? -magnitude : magnitude;
}

function saturated(value: bigint): number {
  return Number(value > BigInt(SAFE) ? BigInt(SAFE) : value < -BigInt(SAFE) ? -BigInt(SAFE) : value);
}

test('as the fraction arithmetic of a plain twin, alone and in sums', () => {
  fc.assert(
    fc.property(fc.array(written, { minLength: 1, maxLength: 5 }), (list) => {
      for (const { text, numerator, denominator } of list) {
        expect(milliCeil(text)).toBe(saturated(twin(numerator, denominator, 1000n)));
        expect(valueCeil(text)).toBe(saturated(twin(numerator, denominator, 1n)));
      }
      // Parts finer than a billionth are rounded when read, so the sum is that of billionths.
      const nano = list.reduce((sum, { numerator, denominator }) => sum + twin(numerator, denominator, 10n ** 9n), 0n);
      const sum = list.map(({ text }) => parseExact(text)!).reduce(addExact);
      expect(exactToMilliCeil(sum)).toBe(saturated(twin(nano, 10n ** 9n, 1000n)));
      expect(exactToValueCeil(sum)).toBe(saturated(twin(nano, 10n ** 9n, 1n)));
    }),
    { seed: 1, numRuns: 2000 },
  );
});
