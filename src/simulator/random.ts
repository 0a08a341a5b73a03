/**
 * Seeded random numbers for the simulator, the only part that may use them. Generator: xoshiro128** 1.1 (Blackman and
 * Vigna, 2018), 32-bit state words filled by splitmix32 from the seed. Same seed, same numbers, on every machine.
 */
export interface Random {
  /** 32 random bits. */
  nextUint32(): number;
  /** Uniform in [0, 1), 53 bits. */
  nextFloat(): number;
  /** Uniform integer in [0, limit); `limit` is at least 1. */
  nextInt(limit: number): number;
  /** Exponential with the given mean: gaps of a Poisson process. */
  nextExponential(mean: number): number;
  /** Log-normal: `median · e^(sigma·z)`; its mean is `median · e^(sigma²/2)`. */
  nextLogNormal(median: number, sigma: number): number;
  /** Index drawn in proportion to `weights`, which has a positive sum. */
  nextWeighted(weights: readonly number[]): number;
}

/** A generator of its own; `stream` separates independent draws of one seed (nodes, jobs, …). */
export function createRandom(seed: number, stream = 0): Random {
  let mix = (Math.trunc(seed) ^ Math.imul(stream, 0x9e3779b9)) >>> 0;
  const splitmix32 = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let a = splitmix32();
  let b = splitmix32();
  let c = splitmix32();
  let d = splitmix32();

  const nextUint32 = (): number => {
    const times5 = Math.imul(b, 5);
    const result = Math.imul((times5 << 7) | (times5 >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const nextFloat = (): number => ((nextUint32() >>> 5) * 67108864 + (nextUint32() >>> 6)) / 9007199254740992;
  const nextInt = (limit: number): number => Math.floor(nextFloat() * limit);
  // 1 − u is in (0, 1], so the logarithms are finite.
  const nextExponential = (mean: number): number => -mean * Math.log(1 - nextFloat());
  const nextLogNormal = (median: number, sigma: number): number => {
    const radius = Math.sqrt(-2 * Math.log(1 - nextFloat()));
    return median * Math.exp(sigma * radius * Math.cos(2 * Math.PI * nextFloat()));
  };
  const nextWeighted = (weights: readonly number[]): number => {
    let rest = nextFloat() * weights.reduce((sum, w) => sum + w, 0);
    for (let i = 0; i < weights.length; i++) {
      rest -= weights[i] ?? 0;
      if (rest < 0) return i;
    }
    return weights.findLastIndex((w) => w > 0);
  };
  return { nextUint32, nextFloat, nextInt, nextExponential, nextLogNormal, nextWeighted };
}

/** Fisher–Yates from the end; shuffles in place. */
export function shuffle<T>(items: T[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.nextInt(i + 1);
    const held = items[i] as T;
    items[i] = items[j] as T;
    items[j] = held;
  }
}
