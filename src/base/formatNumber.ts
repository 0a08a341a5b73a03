// Numbers in messages and annotations, to the letter (spec 01 section 5.1, 02 section 2.8, 03 section 10).

/** *human* / H3: value ÷ unit with six decimals, cut to three, trailing zeros removed; exactly −1 is "Unlimited". */
export function formatHuman(value: number, unit: number): string {
  if (value === -1) return 'Unlimited';
  return trimmed((value / unit).toFixed(6).slice(0, -3));
}

/** *g3*: three significant digits, exponent form below 1e-4 and from 1e+3 on, like C's `%.3g`. */
export function formatG3(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return value === 0 ? '0' : formatRaw(value);
  const [digits, exponent] = threeDigits(Math.abs(value));
  const sign = value < 0 ? '-' : '';
  if (exponent < -4 || exponent >= 3) return sign + scientific(trimmed(`${digits[0]}.${digits.slice(1)}`), exponent);
  if (exponent < 0) return sign + trimmed(`0.${'0'.repeat(-exponent - 1)}${digits}`);
  return sign + trimmed(`${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`);
}

/** *raw*: shortest decimal that reads back as the same double; exponent form below 1e-4 and from 1e+21 on. */
export function formatRaw(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  if (value === 0 || Number.isNaN(value)) return String(value);
  const [mantissa = '', exponentText = ''] = value.toExponential().split('e');
  const exponent = Number(exponentText);
  return exponent < -4 || exponent >= 21 ? scientific(mantissa, exponent) : String(value);
}

/** Two decimals, exact ties to the even digit: 0.125 → "0.12", 0.375 → "0.38" (`receivedGPU.portion`). */
export function formatPortion(value: number): string {
  // A double lies exactly between two hundredths only when it is an odd number of eighths.
  const eighths = value * 8;
  if (!Number.isInteger(eighths) || eighths % 2 === 0) return value.toFixed(2);
  const lower = Math.floor(value * 100);
  return ((lower % 2 === 0 ? lower : lower + 1) / 100).toFixed(2);
}

/** Three significant decimal digits and the exponent of the first, ties to even. */
function threeDigits(value: number): [digits: string, exponent: number] {
  // 21 digits show whether the rest is exactly half: a double nearer than that to a tie is the tie.
  const [long = '', exponentText = ''] = value.toExponential(20).split('e');
  const digits = long.replace('.', '');
  const isTie = /^50*$/.test(digits.slice(3)) && Number(digits[2]) % 2 === 0;
  if (isTie) return [digits.slice(0, 3), Number(exponentText)];
  const [short = '', shortExponent = ''] = value.toExponential(2).split('e');
  return [short.replace('.', ''), Number(shortExponent)];
}

/** Without trailing zeros; `text` has a dot. */
function trimmed(text: string): string {
  return text.replace(/\.?0*$/, '');
}

function scientific(mantissa: string, exponent: number): string {
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}
