import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KaiError } from '../../src/base/errors.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { loadSnapshot, saveSnapshot } from '../../src/snapshot/codec.ts';
import { contentOf } from '../../src/snapshot/describe.ts';
import { viewSnapshot } from '../../src/snapshot/view.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { apply, edits } from './edits.ts';
import { pod, textProblems } from './objects.ts';

const SEED = 20260103;

function sample(): Uint8Array {
  const writer = createSnapshotWriter({ ...DEFAULT_SNAPSHOT_OPTIONS, nodePoolLabelValue: 'p', isDraServed: false });
  for (let i = 0; i < 40; i++) writer.put('pods', pod({}, { metadata: { name: `p${i}`, labels: { i: `${i}` } } }));
  return saveSnapshot(writer.seal());
}

/** Code and message of the refusal. */
function refusal(bytes: Uint8Array): string {
  try {
    loadSnapshot(bytes);
  } catch (error) {
    if (error instanceof KaiError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}

function changed(at: number, value: number): Uint8Array {
  const bytes = sample();
  bytes[at] = value;
  return bytes;
}

describe('snapshot files', () => {
  it('hold the whole content, options and generation included', () => {
    fc.assert(
      fc.property(edits, (sequence) => {
        const writer = createSnapshotWriter({ ...DEFAULT_SNAPSHOT_OPTIONS, nodePoolLabelValue: 'pool' });
        const empty = writer.seal();
        for (const e of sequence) apply(writer, e);
        const { generation } = writer.seal(empty);
        writer.put('nodes', { metadata: { name: 'one more' } });
        const view = writer.seal();
        const file = saveSnapshot(view);
        const loaded = loadSnapshot(file);
        const content = contentOf(view);
        expect(contentOf(loaded)).toEqual(content);
        expect([loaded.generation, view.generation]).toEqual([generation + 1, generation + 1]);
        expect(textProblems(loaded, content.interned.texts)).toEqual([]);
        expect(loaded.pods.keyText).toHaveLength(loaded.pods.rows);
        expect(Buffer.compare(saveSnapshot(loaded), file)).toBe(0);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  it('are read at any alignment', () => {
    const file = sample();
    const shifted = new Uint8Array(file.length + 3).subarray(3);
    shifted.set(file);
    expect(contentOf(loadSnapshot(shifted))).toEqual(contentOf(loadSnapshot(file)));
  });

  it('are smaller than the memory they were sealed in', () => {
    const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
    expect(saveSnapshot(writer.seal()).length).toBeLessThan(writer.seal().buffer.byteLength);
  });

  it('cut off anywhere are called cut off', () => {
    const file = sample();
    for (const length of [1, 7, 8, 40, 63, 64, 65, 1000, file.length - 1]) {
      expect(refusal(file.subarray(0, length)), `${length} bytes`).toBe(
        `SNAPSHOT_TRUNCATED: the snapshot file is cut off: ${length} of at least ${length < 64 ? 64 : file.length} bytes are there`,
      );
    }
    expect(refusal(new Uint8Array(0))).toBe('SNAPSHOT_TRUNCATED: the snapshot file is empty');
  });

  it('of another kind are refused with a guess', () => {
    const text = (s: string): Uint8Array => new TextEncoder().encode(s);
    expect(refusal(text('PK\u0003\u0004'))).toBe(
      'SNAPSHOT_FOREIGN: not a saved snapshot: the file does not begin with "KAISNAP\\n"; it looks like a zip file',
    );
    expect(refusal(text('{"rawObjects":{}}'))).toContain('it looks like JSON');
    expect(refusal(text('apiVersion: v1'))).toMatch(/^SNAPSHOT_FOREIGN: .*"KAISNAP\\n"$/);
    expect(refusal(changed(0, 0x6b))).toContain('SNAPSHOT_FOREIGN');
  });

  it('of a newer format are called newer', () => {
    expect(refusal(changed(8, 2))).toBe(
      'SNAPSHOT_NEWER: the snapshot file has format version 2; this program reads version 1. Use a newer kai-scheduler-ts.',
    );
  });

  it('that were changed are refused by the checksum, wherever the change is', () => {
    const size = sample().length;
    fc.assert(
      fc.property(fc.integer({ min: 64, max: size - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = sample();
        bytes[at]! ^= flip;
        return refusal(bytes).startsWith('SNAPSHOT_CORRUPTED: the checksum');
      }),
      { seed: SEED, numRuns: 100 },
    );
    expect(refusal(changed(12, sample()[12]! ^ 1))).toContain('the checksum');
    expect(refusal(Buffer.concat([sample(), Buffer.alloc(5)]))).toBe(
      'SNAPSHOT_CORRUPTED: the snapshot file is 5 bytes longer than its header says',
    );
  });
});

describe('memory that is no snapshot', () => {
  const codeOf = (change: (bytes: Uint8Array) => void): string => {
    const buffer = new SharedArrayBuffer(loadSnapshot(sample()).buffer.byteLength);
    new Uint8Array(buffer).set(sample().subarray(64));
    change(new Uint8Array(buffer));
    try {
      viewSnapshot(buffer);
    } catch (error) {
      return error instanceof KaiError ? error.code : String(error);
    }
    return 'accepted';
  };

  it('is refused', () => {
    expect(codeOf(() => undefined)).toBe('accepted');
    expect(codeOf((bytes) => bytes.fill(0))).toBe('SNAPSHOT_CORRUPTED');
    // The offset of the root leads out of the buffer.
    expect(codeOf((bytes) => bytes.fill(0x7f, 0, 4))).toBe('SNAPSHOT_CORRUPTED');
    expect(() => viewSnapshot(new SharedArrayBuffer(4))).toThrow(KaiError);
  });
});
