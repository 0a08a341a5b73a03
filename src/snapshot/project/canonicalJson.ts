/** JSON with sorted keys and without undefined fields: equal values give equal texts, whatever the order of their keys. */
export function canonicalJson(value: unknown): string {
  // Most values are made with their keys in order: then the native function gives the same text several times as fast.
  return isSorted(value) ? (JSON.stringify(value) ?? 'null') : sortedJson(value);
}

function isSorted(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isSorted);
  const fields = value as Readonly<Record<string, unknown>>;
  let last = '';
  for (const key in fields) {
    if (key < last || !isSorted(fields[key])) return false;
    last = key;
  }
  return true;
}

function sortedJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(sortedJson).join()}]`;
  const fields = value as Readonly<Record<string, unknown>>;
  let text = '';
  for (const key of Object.keys(fields).sort()) {
    const field = fields[key];
    if (field === undefined) continue;
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${sortedJson(field)}`;
  }
  return `{${text}}`;
}
