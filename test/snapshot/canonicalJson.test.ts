import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../src/snapshot/project/canonicalJson.ts';

/** The same value with the keys of every object the other way round, and an undefined field in each. */
function reversed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(reversed);
  const entries = Object.entries(value).reverse();
  return Object.fromEntries([['absent field', undefined], ...entries.map(([key, field]) => [key, reversed(field)])]);
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, field]) => [key, sorted(field)]));
}

test('equal values give one text, whatever the order of their keys, and the text is the value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      // As a parser makes it: no negative zero.
      const plain: unknown = JSON.parse(JSON.stringify(value));
      const text = canonicalJson(sorted(plain));
      expect(canonicalJson(plain)).toBe(text);
      expect(canonicalJson(reversed(plain))).toBe(text);
      expect(JSON.parse(text)).toEqual(plain);
    }),
    { numRuns: 500 },
  );
  expect(canonicalJson({ b: [{ d: 1, c: undefined }], a: null })).toBe('{"a":null,"b":[{"d":1}]}');
});
