import type { FieldType } from './fieldTypes.ts';

/** Told of every field of the wrong type: its path and what was expected. */
export type FieldReporter = (path: string, message: string) => void;

/** What `checkFields` gives for a value that cannot be used. */
const DROPPED: unique symbol = Symbol('dropped');

/**
 * Checks `value` against `type`. Gives the value itself when all is right, else a copy without the fields and list items
 * that are wrong, or DROPPED when the value as a whole is; each is told to `report`. Nulls count as absent.
 */
export function checkFields(value: unknown, type: FieldType, path: string, report: FieldReporter): unknown {
  if (typeof type === 'string') return checkScalar(value, type, path, report);
  if ('listOf' in type) return checkList(value, type.listOf, path, report);
  if (!isRecord(value)) return refuse(value, 'an object', path, report);
  return 'mapOf' in type ? checkMap(value, type.mapOf, path, report) : checkRecord(value, type.fields, type.required, path, report);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** "a string", "a list", …: what a JSON value is, for messages. */
export function describeType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return typeof value === 'undefined'
    ? 'nothing'
    : `${typeof value === 'number' ? 'the number' : `the ${typeof value}`} ${shortText(value)}`;
}

function shortText(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function checkScalar(value: unknown, type: Extract<FieldType, string>, path: string, report: FieldReporter): unknown {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? value : refuse(value, 'a string', path, report);
    case 'boolean':
      return typeof value === 'boolean' ? value : refuse(value, 'true or false', path, report);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value) ? value : refuse(value, 'a number', path, report);
    case 'int32':
      return typeof value === 'number' && (value | 0) === value ? value : refuse(value, 'a 32-bit integer', path, report);
    case 'quantity':
      return typeof value === 'string' || typeof value === 'number' ? value : refuse(value, 'a quantity', path, report);
    case 'object':
      return isRecord(value) ? value : refuse(value, 'an object', path, report);
  }
}

function checkList(value: unknown, item: FieldType, path: string, report: FieldReporter): unknown {
  if (!Array.isArray(value)) return refuse(value, 'a list', path, report);
  let copy: unknown[] | undefined;
  for (let i = 0; i < value.length; i++) {
    const checked = checkFields(value[i], item, `${path}[${i}]`, report);
    if (checked !== value[i] && copy === undefined) copy = value.slice(0, i);
    if (copy !== undefined && checked !== DROPPED) copy.push(checked);
  }
  return copy ?? value;
}

function checkMap(value: Readonly<Record<string, unknown>>, type: FieldType, path: string, report: FieldReporter): unknown {
  let copy: Record<string, unknown> | undefined;
  for (const key in value) {
    const field = value[key];
    const checked = field === null ? DROPPED : checkFields(field, type, `${path}[${JSON.stringify(key)}]`, report);
    if (checked === field) continue;
    copy ??= { ...value };
    replace(copy, key, checked);
  }
  return copy ?? value;
}

function checkRecord(
  value: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, FieldType>>,
  required: readonly string[] | undefined,
  path: string,
  report: FieldReporter,
): unknown {
  let copy: Record<string, unknown> | undefined;
  for (const key in fields) {
    const field = value[key];
    if (field === undefined) continue;
    const checked = field === null ? DROPPED : checkFields(field, fields[key]!, path === '' ? key : `${path}.${key}`, report);
    if (checked === field) continue;
    copy ??= { ...value };
    replace(copy, key, checked);
  }
  const result = copy ?? value;
  const missing = required?.find((key) => result[key] === undefined);
  if (missing === undefined) return result;
  if (value[missing] === undefined || value[missing] === null) report(`${path}.${missing}`, 'is missing; the entry is not used');
  return DROPPED;
}

function replace(copy: Record<string, unknown>, key: string, checked: unknown): void {
  if (checked === DROPPED) delete copy[key];
  else copy[key] = checked;
}

function refuse(value: unknown, expected: string, path: string, report: FieldReporter): typeof DROPPED {
  report(path, `expected ${expected}, found ${describeType(value)}`);
  return DROPPED;
}
