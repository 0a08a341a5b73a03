// Reading JSON whose fields nobody has checked: claims, slices and classes as a user wrote them.

export type JsonRecord = Readonly<Record<string, unknown>>;

const EMPTY_RECORD: JsonRecord = Object.freeze({});
const EMPTY_LIST: readonly unknown[] = Object.freeze([]);

/** The object, or an empty one. */
export function asRecord(value: unknown): JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonRecord) : EMPTY_RECORD;
}

/** The list, or an empty one. */
export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : EMPTY_LIST;
}

/** The text, or ''. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The number, or `fallback`. */
export function asNumber(value: unknown, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
}

/** The texts of a list; other elements are left out. */
export function asTexts(value: unknown): readonly string[] {
  return asList(value).filter((v): v is string => typeof v === 'string');
}
