import { KaiError } from '../base/errors.ts';

// Reading of parsed YAML or JSON the way the scheduler decodes its configuration: keys in any case, nulls are absent, unknown
// keys are passed over, a value of the wrong type is an error that names its path.

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value of a key; an exact match before one in another case; undefined when absent or null. */
export function fieldOf(fields: Fields, key: string): unknown {
  if (Object.hasOwn(fields, key)) return fields[key] ?? undefined;
  const lower = key.toLowerCase();
  const other = Object.keys(fields).find((name) => name.toLowerCase() === lower);
  return other === undefined ? undefined : (fields[other] ?? undefined);
}

export function objectField(fields: Fields, key: string, path: string): Fields | undefined {
  const value = fieldOf(fields, key);
  if (value === undefined || isFields(value)) return value;
  throw wrongType(join(path, key), 'an object', value);
}

export function listField(fields: Fields, key: string, path: string): readonly unknown[] | undefined {
  const value = fieldOf(fields, key);
  if (value === undefined || Array.isArray(value)) return value;
  throw wrongType(join(path, key), 'a list', value);
}

export function stringField(fields: Fields, key: string, path: string): string | undefined {
  const value = fieldOf(fields, key);
  if (value === undefined || typeof value === 'string') return value;
  throw wrongType(join(path, key), 'a text', value);
}

export function booleanField(fields: Fields, key: string, path: string): boolean | undefined {
  const value = fieldOf(fields, key);
  if (value === undefined || typeof value === 'boolean') return value;
  throw wrongType(join(path, key), 'true or false', value);
}

export function integerField(fields: Fields, key: string, path: string): number | undefined {
  const value = fieldOf(fields, key);
  if (value === undefined || (typeof value === 'number' && Number.isInteger(value))) return value;
  throw wrongType(join(path, key), 'a whole number', value);
}

export function wrongType(path: string, expected: string, value: unknown): KaiError {
  return new KaiError('BAD_CONFIG', `configuration: ${path}: expected ${expected}, found ${JSON.stringify(value) ?? String(value)}`);
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
