import type { SafeEvictionConfig } from '../base/config.ts';
import { KaiError } from '../base/errors.ts';
import { type Fields, isFields } from './fields.ts';

const BLOCK = 'safeEviction';
const KEYS = ['respectPodDisruptionBudgets', 'requireCommittedPlace', 'maxEvictionsPerWorkloadPerHour'] as const;
type Key = (typeof KEYS)[number];

/**
 * Block `safeEviction` of the configuration file (docs/safe-eviction.md); nothing when it is absent or switches nothing on.
 * It is ours, so it is read strictly: throws one KaiError BAD_CONFIG that names every wrong value and unknown key.
 */
export function safeEvictionOf(file: Fields): { readonly safeEviction?: SafeEvictionConfig } {
  const name = Object.keys(file).find((key) => key.toLowerCase() === BLOCK.toLowerCase());
  const block = name === undefined ? undefined : file[name];
  if (block === undefined || block === null) return {};
  const wrong: string[] = [];
  const values = isFields(block) ? valuesByKey(block, wrong) : new Map<Key, unknown>();
  if (!isFields(block)) wrong.push(`${BLOCK}: expected an object, found ${JSON.stringify(block)}`);
  const safeEviction: SafeEvictionConfig = {
    respectPodDisruptionBudgets: flag(values, 'respectPodDisruptionBudgets', wrong),
    requireCommittedPlace: flag(values, 'requireCommittedPlace', wrong),
    maxEvictionsPerWorkloadPerHour: limit(values, 'maxEvictionsPerWorkloadPerHour', wrong),
  };
  if (wrong.length > 0) throw new KaiError('BAD_CONFIG', `configuration: ${wrong.join('; ')}`);
  const { respectPodDisruptionBudgets, requireCommittedPlace, maxEvictionsPerWorkloadPerHour } = safeEviction;
  const isOn = respectPodDisruptionBudgets || requireCommittedPlace || maxEvictionsPerWorkloadPerHour !== null;
  return isOn ? { safeEviction: Object.freeze(safeEviction) } : {};
}

/** Values that are there, by the key's own spelling; keys match in any case, as in the rest of the file. */
function valuesByKey(block: Fields, wrong: string[]): Map<Key, unknown> {
  const values = new Map<Key, unknown>();
  for (const [name, value] of Object.entries(block)) {
    const key = KEYS.find((known) => known.toLowerCase() === name.toLowerCase());
    if (key === undefined) wrong.push(`${BLOCK}.${name}: there is no such key; the keys are ${KEYS.join(', ')}`);
    else if (values.has(key)) wrong.push(`${BLOCK}.${name}: ${key} is given twice`);
    else if (value !== null && value !== undefined) values.set(key, value);
  }
  return values;
}

function flag(values: ReadonlyMap<Key, unknown>, key: Key, wrong: string[]): boolean {
  const value = values.get(key) ?? false;
  if (typeof value === 'boolean') return value;
  wrong.push(`${BLOCK}.${key}: expected true or false, found ${JSON.stringify(value)}`);
  return false;
}

function limit(values: ReadonlyMap<Key, unknown>, key: Key, wrong: string[]): number | null {
  const value = values.get(key) ?? null;
  if (value === null || (typeof value === 'number' && Number.isInteger(value) && value >= 1)) return value;
  wrong.push(`${BLOCK}.${key}: expected a whole number of at least 1, found ${JSON.stringify(value)}; leave it out for no limit`);
  return null;
}
