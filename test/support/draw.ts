/** The choices of one generated thing: numbers in [0, 1). */
export type Tape = readonly number[];

/**
 * Reads choices from a tape. A tape that is used up gives 0, and 0 is the simplest choice everywhere: the first of a
 * list, the lowest number, "no". So a shorter tape with smaller numbers is a simpler thing, which is what shrinking needs.
 */
export class Draw {
  readonly #tape: Tape;
  #at = 0;

  constructor(tape: Tape) {
    this.#tape = tape;
  }

  /** A number in [0, 1). */
  next(): number {
    return this.#tape[this.#at++] ?? 0;
  }

  /** An integer in [low, high]. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** True with probability `share`. */
  chance(share: number): boolean {
    return this.next() >= 1 - share;
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)] as T;
  }
}

/**
 * Pseudo-random numbers in [0, 1) with 32 bits, the same on every machine: a Weyl sequence (the state grows by
 * 0x9e3779b9 modulo 2^32) through a two-round multiply-xorshift finaliser. Seeds that differ in any bit give unrelated
 * sequences; the period is 2^32.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** A copy of `list` in an order drawn from `random` (Fisher–Yates). */
export function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}
