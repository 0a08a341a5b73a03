import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RingReader, RingWriter, ringBytes } from '../../src/base/byteRing.ts';
import { BatchDecoder, BatchEncoder } from '../../src/base/decisionCodec.ts';
import type { RawDecision } from '../../src/base/decisions.ts';
import { DecisionReader } from '../../src/runner/decisionRing.ts';
import { ACTIONS, type RingRun, randomBatches } from './randomBatches.ts';

function createRing(capacityBytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(ringBytes(capacityBytes));
}

/** What main reads while a worker thread writes the run. */
async function pass(run: RingRun): Promise<RawDecision[][]> {
  const ring = createRing(run.capacityBytes);
  const reader = new DecisionReader(ring, ACTIONS);
  const worker = new Worker(new URL('./ringWriter.ts', import.meta.url), { workerData: { ring, run } });
  let isOver = false;
  const exit = once(worker, 'exit').then(() => {
    isOver = true;
    reader.wake();
  });
  const read: RawDecision[][] = [];
  await reader.drain(
    () => isOver,
    () => false,
    (batch) => read.push([...batch]),
  );
  await exit;
  return read;
}

describe('batch codec', () => {
  it('gives back every batch, in pieces of any size', () => {
    const runs = fc.record({ seed: fc.integer(), limit: fc.integer({ min: 1, max: 50 }) });
    fc.assert(
      fc.property(runs, ({ seed, limit }) => {
        const encoder = new BatchEncoder(ACTIONS);
        for (const batch of randomBatches({ seed, capacityBytes: 0, batches: 5, largest: 300 })) {
          const decoder = new BatchDecoder(encoder.encode(batch), ACTIONS);
          let decoded = decoder.next(limit);
          let calls = 1;
          for (; decoded === undefined; calls++) decoded = decoder.next(limit);
          expect(decoded).toEqual(batch);
          expect(calls).toBe(Math.ceil(batch.length / limit));
        }
      }),
      { seed: 4, numRuns: 50 },
    );
  });
});

describe('decision ring', () => {
  it.each<RingRun>([
    { seed: 1, capacityBytes: 64, batches: 300, largest: 20 },
    { seed: 2, capacityBytes: 1024, batches: 2000, largest: 100 },
    { seed: 3, capacityBytes: 4096, batches: 40, largest: 20_000 },
    { seed: 4, capacityBytes: 1 << 20, batches: 20_000, largest: 30 },
  ])('passes exactly what was written, capacity $capacityBytes', async (run) => {
    const read = await pass(run);
    expect(read.length).toBe(run.batches);
    let index = 0;
    for (const batch of randomBatches(run)) expect(JSON.stringify(read[index++])).toBe(JSON.stringify(batch));
  });

  it('shows no part of a message that was given up half-written', () => {
    const ring = createRing(256);
    const reader = new RingReader(ring);
    const writer = new RingWriter(ring, () => {
      throw new Error('cancelled');
    });
    writer.write(Uint8Array.of(1, 2, 3));
    expect([...reader.read()!]).toEqual([1, 2, 3]);
    expect(() => writer.write(new Uint8Array(10_000))).toThrow('cancelled');
    expect(reader.read()).toBeUndefined(); // frames were there, but not the one that commits
  });

  it('goes on where its counters pass 2^31 and 2^32', () => {
    const ring = createRing(1024);
    for (const start of [2 ** 31 - 400, 2 ** 32 - 400]) {
      const header = new Int32Array(ring, 0, 32);
      header[0] = start;
      header[16] = start;
      const reader = new RingReader(ring);
      const writer = new RingWriter(ring, () => {
        throw new Error('the ring should have had room');
      });
      for (let i = 0; i < 50; i++) {
        writer.write(new Uint8Array(37).fill(i));
        expect([...reader.read()!]).toEqual(Array(37).fill(i));
        expect(reader.read()).toBeUndefined();
      }
    }
  });

  it('refuses a capacity that is no power of two', () => {
    expect(() => ringBytes(100)).toThrow('power of two');
    expect(() => ringBytes(32)).toThrow('power of two');
  });
});
