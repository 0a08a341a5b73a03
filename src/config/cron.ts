// Cron schedules looked at backwards: when did the last period begin? Times are those of the process's time zone.
import { KaiError } from '../base/errors.ts';

/** What a schedule allows, by field; days are taken by date, by weekday, or where both are restricted by either. */
export interface CronSchedule {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** null = every year. */
  readonly years: ReadonlySet<number> | null;
  readonly isAnyDay: boolean;
  readonly isAnyWeekday: boolean;
}

const MACROS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const YEARS: readonly [number, number] = [1970, 2099];
/** 29 February on a given weekday comes back after 28 years at most, over the end of a century after 40. */
const MAX_DAYS_BACK = 41 * 366;

/** Five fields (minute, hour, day, month, weekday), a sixth for years, with seven the first for seconds. Throws KaiError BAD_CRON. */
export function parseCron(text: string): CronSchedule {
  const fields = (MACROS[text.trim().toLowerCase()] ?? text).trim().split(/\s+/);
  if (fields.length < 5 || fields.length > 7) throw bad(text, `${fields.length} fields instead of 5 to 7`);
  const [second, minute, hour, day, month, weekday, year] = fields.length === 7 ? fields : ['0', ...fields];
  const read = (field: string | undefined, from: number, to: number, names: readonly string[] = [], firstName = 0): number[] =>
    parseField(text, field ?? '*', [from, to], (name) => (names.includes(name) ? names.indexOf(name) + firstName : undefined));
  const isAny = (field: string | undefined): boolean => field === undefined || field === '*' || field === '?';
  return {
    seconds: read(second, 0, 59).reverse(),
    minutes: read(minute, 0, 59).reverse(),
    hours: read(hour, 0, 23).reverse(),
    days: new Set(read(day, 1, 31)),
    months: new Set(read(month, 1, 12, MONTHS, 1)),
    weekdays: new Set(read(weekday, 0, 7, WEEKDAYS).map((d) => d % 7)),
    years: isAny(year) ? null : new Set(read(year, ...YEARS)),
    isAnyDay: isAny(day),
    isAnyWeekday: isAny(weekday),
  };
}

/** Milliseconds since the epoch of the last moment of the schedule before `nowMs`; NaN = there was none. */
export function lastBefore(schedule: CronSchedule, nowMs: number): number {
  const now = new Date(nowMs);
  for (let back = 0; back < MAX_DAYS_BACK; back++) {
    const day = new Date(now.getFullYear(), now.getMonth(), now.getDate() - back);
    if (!isOnDay(schedule, day)) continue;
    for (const hour of schedule.hours) {
      for (const minute of schedule.minutes) {
        for (const second of schedule.seconds) {
          const atMs = new Date(day.getFullYear(), day.getMonth(), day.getDate(), hour, minute, second).getTime();
          if (atMs < nowMs) return atMs;
        }
      }
    }
  }
  return Number.NaN;
}

function isOnDay({ days, months, weekdays, years, isAnyDay, isAnyWeekday }: CronSchedule, day: Date): boolean {
  if (!months.has(day.getMonth() + 1) || years?.has(day.getFullYear()) === false) return false;
  const byDate = days.has(day.getDate());
  const byWeekday = weekdays.has(day.getDay());
  if (isAnyDay) return byWeekday;
  return isAnyWeekday ? byDate : byDate || byWeekday;
}

/** Values in rising order. */
function parseField(
  text: string,
  field: string,
  [from, to]: readonly [number, number],
  named: (name: string) => number | undefined,
): number[] {
  const values = new Set<number>();
  const read = (part: string): number => {
    const value = named(part.slice(0, 3).toLowerCase()) ?? (/^\d+$/.test(part) ? Number(part) : Number.NaN);
    if (!(value >= from && value <= to)) throw bad(text, `"${part}" is not between ${from} and ${to}`);
    return value;
  };
  for (const part of field.split(',')) {
    const match = /^(\*|\?|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d+))?$/i.exec(part);
    const [, start = '', end, step] = match ?? [];
    const isAny = start === '*' || start === '?';
    const by = step === undefined ? 1 : Number(step);
    if (match === null || (isAny && end !== undefined) || by === 0) throw bad(text, `"${part}" is not understood`);
    const first = isAny ? from : read(start);
    const last = isAny ? to : end !== undefined ? read(end) : step === undefined ? first : to;
    if (last < first) throw bad(text, `"${part}" goes backwards`);
    for (let value = first; value <= last; value += by) values.add(value);
  }
  return [...values].sort((a, b) => a - b);
}

function bad(text: string, why: string): KaiError {
  return new KaiError('BAD_CRON', `cron "${text}": ${why}`);
}
