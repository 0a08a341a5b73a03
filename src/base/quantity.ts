// Kubernetes quantities ("500m", "1.5Gi", "2e3", 4) with exact arithmetic: sums are made on exact values and rounded once.
import type { Quantity } from './objects.ts';

/**
 * An exact amount: a safe integer of thousandths where the amount is one (every amount up to 9·10^12 that is a whole
 * number of thousandths), else a BigInt of billionths. Only the functions of this file look inside.
 */
export type ExactAmount = number | bigint;

export type ParsedQuantity = { readonly ok: true; readonly nano: bigint } | { readonly ok: false; readonly message: string };

const NANO_PER_MILLI = 1_000_000n;
const NANO_PER_UNIT = 1_000_000_000n;
/** Kubernetes caps a quantity at the largest 64-bit integer. */
const MAX_NANO = (2n ** 63n - 1n) * NANO_PER_UNIT;
const MAX_SAFE = Number.MAX_SAFE_INTEGER;
/** Longer texts are no amounts of anything; the bound keeps BigInt work small. */
const MAX_LENGTH = 128;

const GRAMMAR = /^([+-]?)(\d*)(?:\.(\d*))?(?:([numkMGTPE]?)|([KMGTPE]i)|[eE]([+-]?\d+))$/;
const DECIMAL_EXPONENT: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY_SHIFT: Readonly<Record<string, bigint>> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n };

/** Exact value in billionths. Finer parts are rounded away from zero, amounts beyond 64 bits are capped, as Kubernetes does. */
export function parseQuantity(quantity: Quantity): ParsedQuantity {
  const nano = slowNano(String(quantity));
  return nano === undefined ? { ok: false, message: describeBadQuantity(quantity) } : { ok: true, nano };
}

/** The amount, or undefined when the text is not a quantity. */
export function parseExact(quantity: Quantity): ExactAmount | undefined {
  const fast = typeof quantity === 'number' ? fastMilliOfNumber(quantity) : fastMilli(quantity);
  if (!Number.isNaN(fast)) return fast;
  const nano = slowNano(String(quantity));
  return nano === undefined ? undefined : normalised(nano);
}

/** Exact sum. */
export function addExact(a: ExactAmount, b: ExactAmount): ExactAmount {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b;
    if (sum <= MAX_SAFE && sum >= -MAX_SAFE) return sum;
  }
  return normalised(toNano(a) + toNano(b));
}

/** Thousandths of an exact amount, rounded away from zero, at most `Number.MAX_SAFE_INTEGER` (spec 02 section 2.1: CPU). */
export function exactToMilliCeil(amount: ExactAmount): number {
  return typeof amount === 'number' ? amount : saturated(divideAway(amount, NANO_PER_MILLI));
}

/** Units of an exact amount, rounded away from zero, at most `Number.MAX_SAFE_INTEGER` (spec 02 section 2.1: memory, counts). */
export function exactToValueCeil(amount: ExactAmount): number {
  if (typeof amount === 'number') return amount >= 0 ? Math.ceil(amount / 1000) : -Math.ceil(-amount / 1000);
  return saturated(divideAway(amount, NANO_PER_UNIT));
}

/** `exactToMilliCeil` of a quantity; NaN when it is not one. "100m" → 100, "0.1" → 100, "1u" → 1. */
export function milliCeil(quantity: Quantity): number {
  const amount = parseExact(quantity);
  return amount === undefined ? Number.NaN : exactToMilliCeil(amount);
}

/** `exactToValueCeil` of a quantity; NaN when it is not one. "1Ki" → 1024, "1500m" → 2. */
export function valueCeil(quantity: Quantity): number {
  const amount = parseExact(quantity);
  return amount === undefined ? Number.NaN : exactToValueCeil(amount);
}

/** The text of a problem for a value that `parseExact` refuses. */
export function describeBadQuantity(quantity: unknown): string {
  return `not a quantity: ${JSON.stringify(quantity)} (expected a number with an optional suffix such as 500m, 2, 1.5Gi, 1e3)`;
}

/** Thousandths of the common forms (up to 15 digits, then nothing, m, k, M, G, Ki, Mi, Gi or Ti); NaN for all others. */
function fastMilli(text: string): number {
  const length = text.length;
  let value = 0;
  let at = 0;
  for (; at < length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  if (at === 0 || at > 15) return Number.NaN;
  const milli = value * milliPerSuffix(text, at, length);
  return milli <= MAX_SAFE ? milli : Number.NaN;
}

function milliPerSuffix(text: string, at: number, length: number): number {
  if (at === length) return 1000;
  const letter = text.charCodeAt(at);
  if (at + 1 === length) {
    if (letter === 109 /* m */) return 1;
    if (letter === 107 /* k */) return 1e6;
    if (letter === 77 /* M */) return 1e9;
    if (letter === 71 /* G */) return 1e12;
    return Number.NaN;
  }
  if (at + 2 !== length || text.charCodeAt(at + 1) !== 105 /* i */) return Number.NaN;
  if (letter === 71 /* G */) return 1000 * 2 ** 30;
  if (letter === 77 /* M */) return 1000 * 2 ** 20;
  if (letter === 75 /* K */) return 1000 * 2 ** 10;
  if (letter === 84 /* T */) return 1000 * 2 ** 40;
  return Number.NaN;
}

function fastMilliOfNumber(value: number): number {
  const milli = value * 1000;
  return Number.isInteger(value) && milli <= MAX_SAFE && milli >= -MAX_SAFE ? milli + 0 : Number.NaN;
}

function slowNano(text: string): bigint | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const match = GRAMMAR.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = '', decimal, binary, exponent] = match;
  if (whole === '' && fraction === '') return undefined;
  const digits = BigInt(whole + fraction);
  const magnitude =
    binary === undefined
      ? scaledDecimal(digits, (exponent === undefined ? DECIMAL_EXPONENT[decimal ?? '']! : Number(exponent)) + 9 - fraction.length)
      : divideAway((digits * NANO_PER_UNIT) << BINARY_SHIFT[binary]!, 10n ** BigInt(fraction.length));
  const capped = magnitude > MAX_NANO ? MAX_NANO : magnitude;
  return sign === '-' ? -capped : capped;
}

/** digits × 10^exponent for digits ≥ 0, rounded up; exponents beyond any amount are cut before they cost memory. */
function scaledDecimal(digits: bigint, exponent: number): bigint {
  if (digits === 0n) return 0n;
  if (exponent > 40) return MAX_NANO;
  if (exponent >= 0) return digits * 10n ** BigInt(exponent);
  return exponent < -MAX_LENGTH ? 1n : divideAway(digits, 10n ** BigInt(-exponent));
}

function divideAway(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  if (quotient * divisor === dividend) return quotient;
  return dividend > 0n ? quotient + 1n : quotient - 1n;
}

function toNano(amount: ExactAmount): bigint {
  return typeof amount === 'number' ? BigInt(amount) * NANO_PER_MILLI : amount;
}

function normalised(nano: bigint): ExactAmount {
  const milli = nano / NANO_PER_MILLI;
  const isSafe = milli <= BigInt(MAX_SAFE) && milli >= -BigInt(MAX_SAFE);
  return isSafe && milli * NANO_PER_MILLI === nano ? Number(milli) : nano;
}

function saturated(value: bigint): number {
  if (value > BigInt(MAX_SAFE)) return MAX_SAFE;
  return value < -BigInt(MAX_SAFE) ? -MAX_SAFE : Number(value);
}
