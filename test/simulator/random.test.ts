import { describe, expect, test } from 'vitest';
import { createRandom, shuffle } from '../../src/simulator/random.ts';

/** The published algorithm on BigInts: state filled by splitmix32, then xoshiro128** 1.1. */
function* twin(seed: number): Generator<number> {
  const mask = 0xffffffffn;
  let mix = BigInt(seed);
  const state = Array.from({ length: 4 }, () => {
    mix = (mix + 0x9e3779b9n) & mask;
    let z = mix;
    z = ((z ^ (z >> 16n)) * 0x85ebca6bn) & mask;
    z = ((z ^ (z >> 13n)) * 0xc2b2ae35n) & mask;
    return z ^ (z >> 16n);
  });
  const rotate = (x: bigint, k: bigint): bigint => ((x << k) | (x >> (32n - k))) & mask;
  for (;;) {
    yield Number((rotate((state[1]! * 5n) & mask, 7n) * 9n) & mask);
    const shifted = (state[1]! << 9n) & mask;
    state[2]! ^= state[0]!;
    state[3]! ^= state[1]!;
    state[1]! ^= state[2]!;
    state[0]! ^= state[3]!;
    state[2]! ^= shifted;
    state[3] = rotate(state[3]!, 11n);
  }
}

describe('random', () => {
  test.each([0, 1, 42, 0xffffffff])('seed %i gives the numbers of xoshiro128**', (seed) => {
    const random = createRandom(seed);
    const expected = twin(seed);
    for (let i = 0; i < 1000; i++) expect(random.nextUint32()).toBe(expected.next().value);
  });

  test('streams of one seed are different', () => {
    expect(createRandom(7, 1).nextUint32()).not.toBe(createRandom(7, 2).nextUint32());
  });

  test('distributions have their means', () => {
    const random = createRandom(42);
    const mean = (draw: () => number): number => Array.from({ length: 50_000 }, draw).reduce((sum, x) => sum + x, 0) / 50_000;
    expect(mean(() => random.nextFloat())).toBeCloseTo(0.5, 2);
    expect(mean(() => random.nextInt(6))).toBeCloseTo(2.5, 1);
    expect(mean(() => random.nextExponential(10))).toBeCloseTo(10, 0);
    expect(mean(() => random.nextLogNormal(1, 0.5))).toBeCloseTo(Math.exp(0.125), 1);
    expect(mean(() => (random.nextWeighted([1, 0, 3]) === 2 ? 1 : 0))).toBeCloseTo(0.75, 1);
    expect(Math.max(...Array.from({ length: 1000 }, () => random.nextWeighted([1, 0, 3])))).toBe(2);
  });

  test('shuffle permutes, and every place is as likely', () => {
    const random = createRandom(1);
    const firsts = new Array<number>(5).fill(0);
    for (let i = 0; i < 20_000; i++) {
      const items = [0, 1, 2, 3, 4];
      shuffle(items, random);
      expect([...items].sort()).toEqual([0, 1, 2, 3, 4]);
      firsts[items[0]!]!++;
    }
    for (const count of firsts) expect(Math.abs(count - 4000)).toBeLessThan(250);
  });
});
