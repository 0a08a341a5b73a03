const INTEGER = /^[+-]?\d+$/;
const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const INT64_MAX = 2 ** 63;
const INT32_MAX = 2 ** 31 - 1;

/** Base-10 int64 as upstream parses annotations and labels (optional sign, digits only); NaN = not one. */
export function parseInt64(text: string | undefined): number {
  if (text === undefined || text.length > 24 || !INTEGER.test(text)) return Number.NaN;
  const value = Number(text);
  return value >= -INT64_MAX && value < INT64_MAX ? value : Number.NaN;
}

/** Decimal floating-point text; NaN = not one, and also for "NaN" and "Inf", which are no amounts. */
export function parseFloatText(text: string | undefined): number {
  return text !== undefined && FLOAT.test(text) ? Number(text) : Number.NaN;
}

/** The nearest 32-bit integer. */
export function toInt32(value: number): number {
  return Math.max(-INT32_MAX - 1, Math.min(INT32_MAX, Math.trunc(value)));
}
