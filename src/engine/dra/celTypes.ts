// Values that Kubernetes adds to CEL: exact quantities and semantic versions.
import { parseQuantity } from '../../base/quantity.ts';

const NANO_PER_UNIT = 1_000_000_000n;
const INT64_MAX = 2n ** 63n - 1n;
const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?$/;
const LOOSE_SEMVER = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/;
const NUMERIC = /^\d+$/;

/** A Kubernetes quantity, exact to a billionth. */
export class CelQuantity {
  readonly nano: bigint;

  constructor(nano: bigint) {
    this.nano = nano;
  }

  /** Null when the text is not a quantity. */
  static parse(text: string): CelQuantity | null {
    const parsed = parseQuantity(text);
    return parsed.ok ? new CelQuantity(parsed.nano) : null;
  }

  compareTo(other: CelQuantity): bigint {
    return compareBig(this.nano, other.nano);
  }

  isInteger(): boolean {
    return this.nano % NANO_PER_UNIT === 0n && this.nano / NANO_PER_UNIT <= INT64_MAX;
  }

  /** Throws when the amount is not a 64-bit integer, as CEL asks. */
  asInteger(): bigint {
    if (!this.isInteger()) throw new Error('cannot convert value to integer');
    return this.nano / NANO_PER_UNIT;
  }

  asApproximateFloat(): number {
    return Number(this.nano) / Number(NANO_PER_UNIT);
  }

  plus(nano: bigint): CelQuantity {
    return new CelQuantity(this.nano + nano);
  }
}

/** Nano amount of a CEL integer. */
export function unitsToNano(units: bigint): bigint {
  return units * NANO_PER_UNIT;
}

/** A semantic version 2.0.0; build metadata does not take part in comparisons. */
export class CelSemver {
  readonly numbers: readonly [bigint, bigint, bigint];
  readonly prerelease: readonly string[];

  constructor(numbers: readonly [bigint, bigint, bigint], prerelease: readonly string[]) {
    this.numbers = numbers;
    this.prerelease = prerelease;
  }

  /** `normalize` accepts a leading v, missing minor and patch numbers and leading zeros. Null when it is not a version. */
  static parse(text: string, normalize: boolean): CelSemver | null {
    const match = SEMVER.exec(normalize ? normalized(text) : text);
    if (match === null) return null;
    const prerelease = match[4] === undefined ? [] : match[4].split('.');
    if (prerelease.some((part) => part === '' || (NUMERIC.test(part) && part.length > 1 && part.startsWith('0')))) return null;
    return new CelSemver([BigInt(match[1]!), BigInt(match[2]!), BigInt(match[3]!)], prerelease);
  }

  compareTo(other: CelSemver): bigint {
    for (let i = 0; i < 3; i++) {
      const order = compareBig(this.numbers[i]!, other.numbers[i]!);
      if (order !== 0n) return order;
    }
    return comparePrerelease(this.prerelease, other.prerelease);
  }
}

function normalized(text: string): string {
  const match = LOOSE_SEMVER.exec(text);
  if (match === null) return text;
  const [, major, minor = '0', patch = '0', prerelease = '', build = ''] = match;
  return `${BigInt(major!)}.${BigInt(minor)}.${BigInt(patch)}${prerelease}${build}`;
}

function comparePrerelease(a: readonly string[], b: readonly string[]): bigint {
  if (a.length === 0 || b.length === 0) return BigInt((a.length === 0 ? 1 : 0) - (b.length === 0 ? 1 : 0));
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = comparePart(a[i]!, b[i]!);
    if (order !== 0n) return order;
  }
  return BigInt(Math.sign(a.length - b.length));
}

/** Numbers before texts; numbers by value, texts by their bytes (they are ASCII). */
function comparePart(a: string, b: string): bigint {
  const isNumberA = NUMERIC.test(a);
  const isNumberB = NUMERIC.test(b);
  if (isNumberA && isNumberB) return compareBig(BigInt(a), BigInt(b));
  if (isNumberA !== isNumberB) return isNumberA ? -1n : 1n;
  if (a === b) return 0n;
  return a < b ? -1n : 1n;
}

function compareBig(a: bigint, b: bigint): bigint {
  if (a === b) return 0n;
  return a < b ? -1n : 1n;
}
