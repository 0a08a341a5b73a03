import { InvalidArgumentError } from 'commander';
import { parseRfc3339Ms } from '../base/time.ts';

/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {}

export type OutputFormat = 'text' | 'json';

/** For `--now`. */
export function timeOption(text: string): number {
  const ms = parseRfc3339Ms(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('It must be an RFC 3339 time such as 2026-01-01T12:00:00Z.');
  return ms;
}

/** For `--workers`: auto or a count. */
export function workersOption(text: string): 'auto' | number {
  if (text === 'auto') return 'auto';
  const count = Number(text);
  if (/^\d+$/.test(text) && count <= 1024) return count;
  throw new InvalidArgumentError('It must be auto, 0 or a number of threads.');
}

/** For lists such as `--actions a,b`. */
export function namesOption(text: string): readonly string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('It must be names separated by commas.');
  return names;
}
