import { formatGoDuration, parseGoDurationMs } from '../base/duration.ts';
import { KaiError } from '../base/errors.ts';
import { type Fields, fieldOf, objectField, wrongType } from './fields.ts';

/** Time limits of victim search (spec 01 section 1.6.1) with every key, durations as Go prints them. */
export interface SearchBudgets {
  readonly maxActionSearchDuration: Readonly<Record<string, string>>;
  readonly maxJobSearchDuration: string;
  readonly minJobSearchDuration: string;
  readonly maxGeneratorSearchDuration: Readonly<Record<string, string>>;
}

const DEFAULTS: SearchBudgets = Object.freeze({
  maxActionSearchDuration: Object.freeze({ default: '5m0s' }),
  maxJobSearchDuration: '4m0s',
  minJobSearchDuration: '0s',
  maxGeneratorSearchDuration: Object.freeze({ MultiNodeGang: '2m0s', NodeLocalGreedy: '30s', default: '2m0s' }),
});

const ACTION_KEYS = ['default', 'reclaim', 'preempt', 'consolidation'];
const GENERATOR_KEYS = ['default', 'NodeLocalGreedy', 'MultiNodeGang'];

/**
 * Fills the budgets key by key. Throws KaiError BAD_CONFIG for a value that is not a duration; what is a duration but
 * makes no sense (negative, unknown key, minimum not below maximum) goes to `refuse` and is left out.
 */
export function fillSearchBudgets(given: Fields | undefined, refuse: (message: string) => void): SearchBudgets {
  if (given === undefined) return DEFAULTS;
  const path = 'scenarioSearchBudgets';
  const max = scalar(given, 'maxJobSearchDuration', path, refuse) ?? DEFAULTS.maxJobSearchDuration;
  const min = scalar(given, 'minJobSearchDuration', path, refuse) ?? DEFAULTS.minJobSearchDuration;
  const isMinUsable = parseGoDurationMs(max) === 0 || parseGoDurationMs(min) < parseGoDurationMs(max) || parseGoDurationMs(min) === 0;
  if (!isMinUsable) refuse('minJobSearchDuration must be less than maxJobSearchDuration');
  return {
    maxActionSearchDuration: {
      ...DEFAULTS.maxActionSearchDuration,
      ...map(given, 'maxActionSearchDuration', ACTION_KEYS, 'action', refuse),
    },
    maxJobSearchDuration: max,
    minJobSearchDuration: isMinUsable ? min : DEFAULTS.minJobSearchDuration,
    maxGeneratorSearchDuration: sortedKeys({
      ...DEFAULTS.maxGeneratorSearchDuration,
      ...map(given, 'maxGeneratorSearchDuration', GENERATOR_KEYS, 'generator', refuse),
    }),
  };
}

function scalar(given: Fields, key: string, path: string, refuse: (message: string) => void): string | undefined {
  const value = fieldOf(given, key);
  if (value === undefined) return undefined;
  const ms = durationMs(value, `${path}.${key}`);
  if (ms >= 0) return formatGoDuration(ms);
  refuse(`${key} must be non-negative`);
  return undefined;
}

function map(
  given: Fields,
  key: string,
  known: readonly string[],
  what: string,
  refuse: (message: string) => void,
): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(objectField(given, key, 'scenarioSearchBudgets') ?? {})) {
    const ms = durationMs(value, `scenarioSearchBudgets.${key}.${name}`);
    if (!known.includes(name)) refuse(`${key} contains invalid ${what} key "${name}"; valid ${what} keys: ${known.join(', ')}`);
    else if (ms < 0) refuse(`${key}["${name}"] must be non-negative`);
    else result[name] = formatGoDuration(ms);
  }
  return result;
}

function durationMs(value: unknown, path: string): number {
  if (typeof value !== 'string') throw wrongType(path, 'a duration such as 30s', value);
  const ms = parseGoDurationMs(value);
  if (!Number.isNaN(ms)) return ms;
  throw new KaiError('BAD_CONFIG', `configuration: ${path}: not a duration: ${JSON.stringify(value)}`);
}

function sortedKeys(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
