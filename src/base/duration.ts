// The three duration grammars of spec 01 section 3.7. Results are milliseconds (with fractions); NaN = not a duration.

const NANO_PER_MILLI = 1e6;
const MAX_NANO = 2n ** 63n - 1n;

/** Nanoseconds per unit. Both spellings of the micro sign are accepted, as in Go. */
const GO_UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const EXTENDED_UNITS: Readonly<Record<string, bigint>> = { ...GO_UNITS, d: 24n * GO_UNITS.h!, w: 168n * GO_UNITS.h! };

const PART = /(\d*)(?:\.(\d*))?([a-z\u00b5\u03bc]+)/y;
const PROMETHEUS = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;
const PROMETHEUS_UNIT_MS = [365 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1_000, 1];

/** Go duration: optional sign, then decimal numbers with units ns, us, ms, s, m, h; a bare 0. "1h30m" → 5,400,000. */
export function parseGoDurationMs(text: string): number {
  return parseSigned(text, GO_UNITS);
}

/** Extended duration: Go's grammar with `d` (24 h) and `w` (168 h). */
export function parseExtendedDurationMs(text: string): number {
  return parseSigned(text, EXTENDED_UNITS);
}

/** Prometheus duration: whole numbers with units y, w, d, h, m, s, ms in falling order, each at most once; a bare 0. */
export function parsePrometheusDurationMs(text: string): number {
  if (text === '0') return 0;
  const match = PROMETHEUS.exec(text);
  if (text === '' || match === null) return Number.NaN;
  return PROMETHEUS_UNIT_MS.reduce((sum, unitMs, i) => sum + Number(match[i + 1] ?? 0) * unitMs, 0);
}

/** As Go prints durations: 300000 → "5m0s", 1.5 → "1.5ms", 0 → "0s". */
export function formatGoDuration(ms: number): string {
  const nano = Math.round(Math.abs(ms) * NANO_PER_MILLI);
  const sign = ms < 0 && nano > 0 ? '-' : '';
  if (nano === 0) return '0s';
  if (nano < 1e3) return `${sign}${nano}ns`;
  if (nano < 1e6) return `${sign}${decimal(nano, 3)}\u00b5s`;
  if (nano < 1e9) return `${sign}${decimal(nano, 6)}ms`;
  const minutes = Math.floor(nano / 6e10);
  const seconds = decimal(nano - minutes * 6e10, 9);
  if (minutes === 0) return `${sign}${seconds}s`;
  if (minutes < 60) return `${sign}${minutes}m${seconds}s`;
  return `${sign}${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}s`;
}

function parseSigned(text: string, units: Readonly<Record<string, bigint>>): number {
  const isNegative = text.startsWith('-');
  const body = isNegative || text.startsWith('+') ? text.slice(1) : text;
  if (body === '0') return 0;
  if (body === '' || body.length > 64) return Number.NaN;
  let nano = 0n;
  PART.lastIndex = 0;
  while (PART.lastIndex < body.length) {
    const match = PART.exec(body);
    if (match === null) return Number.NaN;
    const [, whole = '', fraction = '', unitName = ''] = match;
    const unit = Object.hasOwn(units, unitName) ? units[unitName] : undefined;
    if (unit === undefined || (whole === '' && fraction === '')) return Number.NaN;
    nano += BigInt(whole) * unit + (BigInt(fraction) * unit) / 10n ** BigInt(fraction.length);
  }
  if (nano > MAX_NANO) return Number.NaN;
  const ms = Number(nano) / NANO_PER_MILLI;
  return isNegative && ms > 0 ? -ms : ms;
}

/** value / 10^places without trailing zeros. */
function decimal(value: number, places: number): string {
  const digits = String(value).padStart(places + 1, '0');
  const fraction = digits.slice(-places).replace(/0+$/, '');
  return digits.slice(0, -places) + (fraction === '' ? '' : `.${fraction}`);
}
