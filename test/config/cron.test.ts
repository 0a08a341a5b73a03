import { expect, test } from 'vitest';
import { lastBefore, parseCron } from '../../src/config/cron.ts';

const at = (text: string): number => new Date(text).getTime();
const last = (cron: string, now: string): string => {
  const ms = lastBefore(parseCron(cron), at(now));
  return Number.isNaN(ms) ? 'never' : new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
};

test.each([
  // Tuesday, spec 08 section 14.3; strictly before.
  ['0 0 * * *', '2026-01-06T10:00:00', '2026-01-06T00:00:00'],
  ['0 0 * * *', '2026-01-06T00:00:00', '2026-01-05T00:00:00'],
  ['@weekly', '2026-01-06T10:00:00', '2026-01-04T00:00:00'],
  ['0 9 * * 7', '2026-01-04T08:59:00', '2025-12-28T09:00:00'],
  ['*/20 8-10 * * mon-fri', '2026-01-05T07:00:00', '2026-01-02T10:40:00'],
  ['5/10 * * * *', '2026-01-06T10:00:00', '2026-01-06T09:55:00'],
  // Date or weekday where both are restricted.
  ['0 0 1 * fri', '2026-01-06T10:00:00', '2026-01-02T00:00:00'],
  ['0 0 1 * fri', '2026-01-02T00:00:00', '2026-01-01T00:00:00'],
  ['0 0 29 feb *', '2026-01-06T10:00:00', '2024-02-29T00:00:00'],
  ['0 0 1 1 * 2020', '2026-01-06T10:00:00', '2020-01-01T00:00:00'],
  ['30 0 0 * * ? *', '2026-01-06T10:00:00', '2026-01-06T00:00:30'],
  ['0 0 30 2 *', '2026-01-06T10:00:00', 'never'],
])('last of "%s" before %s: %s', (cron, now, expected) => {
  expect(last(cron, now)).toBe(expected);
});

test.each(['', '* * * *', '60 * * * *', '* * 0 * *', '*/0 * * * *', '5-1 * * * *', '* * L * *', '* * * * xyz', '1-2-3 * * * *'])(
  'refused: "%s"',
  (cron) => expect(() => parseCron(cron)).toThrow(/cron ".*": /),
);
