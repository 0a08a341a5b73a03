import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TopologyCounts } from '../../src/engine/filters/topologyCounts.ts';

test.each([3, 64, 65, 200])('counts of %i values equal an array, sparse or not', (valueCount) => {
  const steps = fc.array(fc.record({ value: fc.nat(valueCount - 1), delta: fc.integer({ min: -3, max: 3 }) }), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (moves) => {
      const counts = new TopologyCounts(valueCount);
      const plain = new Float64Array(valueCount);
      for (const { value, delta } of moves) {
        counts.add(value, delta);
        plain[value]! += delta;
      }
      const sum = new Float64Array(valueCount).fill(1);
      counts.addInto(sum, 2);
      expect(Array.from(plain, (_, value) => counts.get(value))).toEqual([...plain]);
      expect([...sum]).toEqual(Array.from(plain, (count) => 1 + 2 * count));
    }),
    { seed: 3, numRuns: 100 },
  );
});
