import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LabelSetTable } from '../../src/snapshot/tables/labelSetTable.ts';
import { RowAllocator } from '../../src/snapshot/tables/rowAllocator.ts';
import { TextTable } from '../../src/snapshot/tables/textTable.ts';

const SEED = 20260101;
const decoder = new TextDecoder();

function textOf(table: TextTable, row: number): string {
  const { bytes, start, lengthBytes } = table.columns.of;
  return decoder.decode(bytes.subarray(start[row], start[row]! + lengthBytes[row]!));
}

describe('RowAllocator', () => {
  it('gives the lowest free row, as a sorted set does', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { maxLength: 200, size: 'max' }), (steps) => {
        const rows = new RowAllocator();
        const inUse = new Set<number>();
        for (const step of steps) {
          const victim = [...inUse].sort((a, b) => a - b)[step];
          if (step % 3 > 0 || victim === undefined) {
            let lowest = 0;
            while (inUse.has(lowest)) lowest++;
            expect(rows.take()).toBe(lowest);
            inUse.add(lowest);
          } else {
            rows.give(victim);
            inUse.delete(victim);
          }
          expect(rows.inUse).toBe(inUse.size);
        }
      }),
      { seed: SEED, numRuns: 200 },
    );
  });
});

describe('TextTable', () => {
  // Few distinct short texts (collisions, reuse), many distinct ones (growth), long ones (compaction), all of Unicode.
  const text = fc.oneof(
    fc.constantFrom('', 'a', 'b', 'ab', 'ß', '節点', '💡'),
    fc.nat(400).map((n) => `node-${n}`),
    fc.nat(30).map((n) => `${n}`.padStart(700, 'x')),
    fc.string({ unit: 'grapheme', maxLength: 8 }),
  );

  it('holds what a Map of counts holds, through growth, deletion and compaction', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(text, fc.boolean()), { minLength: 1, maxLength: 1500, size: 'max' }), (steps) => {
        const table = new TextTable();
        const twin = new Map<string, { row: number; count: number }>();
        for (const [value, isAcquire] of steps) {
          const known = twin.get(value);
          if (isAcquire) {
            const row = table.acquire(value);
            if (known !== undefined) expect(row).toBe(known.row);
            twin.set(value, { row, count: (known?.count ?? 0) + 1 });
          } else if (known !== undefined) {
            table.release(known.row);
            if (known.count === 1) twin.delete(value);
            else twin.set(value, { row: known.row, count: known.count - 1 });
          }
        }
        expect(table.columns.inUse).toBe(twin.size);
        for (const [value, { row }] of twin) {
          expect(textOf(table, row)).toBe(value);
          expect(table.find(value)).toBe(row);
        }
        for (const { row, count } of twin.values()) for (let i = 0; i < count; i++) table.release(row);
        expect(table.columns.inUse).toBe(0);
        for (const value of twin.keys()) expect(table.find(value)).toBe(-1);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  it('does not grow while texts come and go', () => {
    const table = new TextTable();
    const sizes = new Set<number>();
    for (let i = 0; i < 20_000; i++) {
      table.release(table.acquire(`pod-${i}`.padEnd(100, '.')));
      sizes.add(table.columns.of.bytes.length + table.columns.of.buckets.length + table.columns.capacity);
    }
    expect([...sizes]).toHaveLength(2);
  });
});

describe('LabelSetTable', () => {
  it('interns equal sets whatever the order of their keys, and gives everything back', () => {
    const label = fc.tuple(fc.constantFrom('app', 'zone', 'rack', 'job', 'x'), fc.nat(3).map(String));
    fc.assert(
      fc.property(fc.array(fc.array(label, { maxLength: 5 }), { maxLength: 400, size: 'max' }), (sets) => {
        const texts = new TextTable();
        const table = new LabelSetTable(texts);
        const twin = new Map<string, number>();
        const held = sets.map((pairs) => {
          const labels = Object.fromEntries(pairs);
          const key = JSON.stringify(Object.entries(labels).sort());
          const row = table.acquire(labels);
          expect(twin.get(key) ?? row).toBe(row);
          twin.set(key, row);
          return row;
        });
        expect(table.columns.inUse).toBe(twin.size);
        for (const [key, row] of twin) {
          const { pairs, pairStart, pairCount } = table.columns.of;
          const at = (i: number): string => textOf(texts, pairs[pairStart[row]! + i]!);
          expect(Array.from({ length: pairCount[row]! }, (_, i) => [at(2 * i), at(2 * i + 1)])).toEqual(JSON.parse(key));
        }
        for (const row of held) table.release(row);
        expect([table.columns.inUse, texts.columns.inUse]).toEqual([0, 0]);
      }),
      { seed: SEED, numRuns: 100 },
    );
  });

  it('uses the pairs of sets that are gone again', () => {
    const table = new LabelSetTable(new TextTable());
    const kept = table.acquire({ kept: 'yes' });
    for (let i = 0; i < 5000; i++) {
      const labels = Object.fromEntries(Array.from({ length: 1 + (i % 40) }, (_, k) => [`k${k}`, `v${i}`]));
      table.release(table.acquire(labels));
    }
    expect(table.columns.of.pairs.length).toBeLessThanOrEqual(1024);
    expect(table.columns.of.pairCount[kept]).toBe(1);
  });
});
