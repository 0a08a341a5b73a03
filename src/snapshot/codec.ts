import { crc32 } from 'node:zlib';
import { KaiError } from '../base/errors.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import { ALIGN_BYTES, fillSnapshot, planLayout } from './layout.ts';
import { canonicalJson } from './project/canonicalJson.ts';
import { columnsOf, usedPartOf } from './sealedColumns.ts';
import { viewSnapshot } from './view.ts';

// A file: magic (8 bytes), then little-endian format version (uint32), CRC-32 of the payload (uint32), payload length
// (uint64), zeros up to 64 bytes; then the payload, a FlatBuffers file with its columns aligned to 64 bytes.
const MAGIC = 'KAISNAP\n';
const FORMAT_VERSION = 1;
const HEADER_BYTES = ALIGN_BYTES;
const VERSION_AT = 8;
const CRC_AT = 12;
const LENGTH_AT = 16;

/** The snapshot as a file. Capacities are cut to what is used; rows keep their numbers. */
export function saveSnapshot(view: SnapshotView): Uint8Array {
  const layout = planLayout((table, column) => usedPartOf(view, table, column).length);
  const file = new Uint8Array(HEADER_BYTES + layout.byteLength);
  const payload = file.subarray(HEADER_BYTES);
  fillSnapshot(payload, layout, {
    generation: view.generation,
    optionsText: view.texts.find(canonicalJson(view.options)),
    rows: (table) => columnsOf(view, table).rows,
    column: (table, column) => usedPartOf(view, table, column),
  });
  const header = new DataView(file.buffer, 0, HEADER_BYTES);
  new TextEncoder().encodeInto(MAGIC, file);
  header.setUint32(VERSION_AT, FORMAT_VERSION, true);
  header.setUint32(CRC_AT, crc32(payload), true);
  header.setBigUint64(LENGTH_AT, BigInt(payload.length), true);
  return file;
}

/** Opens a saved snapshot; the bytes are copied into shared memory, so any alignment will do. Throws a KaiError that says what is wrong. */
export function loadSnapshot(bytes: Uint8Array): SnapshotView {
  checkMagic(bytes);
  if (bytes.length < HEADER_BYTES) throw truncated(bytes.length, HEADER_BYTES);
  const header = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const version = header.getUint32(VERSION_AT, true);
  if (version > FORMAT_VERSION || version === 0) {
    throw new KaiError(
      'SNAPSHOT_NEWER',
      `the snapshot file has format version ${version}; this program reads version ${FORMAT_VERSION}. Use a newer kai-scheduler-ts.`,
    );
  }
  const expected = HEADER_BYTES + Number(header.getBigUint64(LENGTH_AT, true));
  if (bytes.length < expected) throw truncated(bytes.length, expected);
  if (bytes.length > expected) {
    throw new KaiError('SNAPSHOT_CORRUPTED', `the snapshot file is ${bytes.length - expected} bytes longer than its header says`);
  }
  const payload = bytes.subarray(HEADER_BYTES);
  if (crc32(payload) !== header.getUint32(CRC_AT, true)) {
    throw new KaiError('SNAPSHOT_CORRUPTED', 'the checksum of the snapshot file does not match its content: it was changed or damaged');
  }
  const buffer = new SharedArrayBuffer(payload.length);
  new Uint8Array(buffer).set(payload);
  return viewSnapshot(buffer);
}

/** Whether the bytes begin like a saved snapshot: for programs that read several kinds of file. */
export function isSavedSnapshot(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC.length && startsLike(bytes);
}

function checkMagic(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new KaiError('SNAPSHOT_TRUNCATED', 'the snapshot file is empty');
  if (!startsLike(bytes)) {
    const looks = looksLike(bytes);
    throw new KaiError('SNAPSHOT_FOREIGN', `not a saved snapshot: the file does not begin with ${JSON.stringify(MAGIC)}${looks}`);
  }
  if (bytes.length < MAGIC.length) throw truncated(bytes.length, HEADER_BYTES);
}

/** As far as there are bytes. */
function startsLike(bytes: Uint8Array): boolean {
  for (let i = 0; i < Math.min(bytes.length, MAGIC.length); i++) if (bytes[i] !== MAGIC.charCodeAt(i)) return false;
  return true;
}

function looksLike(bytes: Uint8Array): string {
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return '; it looks like a zip file';
  return bytes[0] === 0x7b ? '; it looks like JSON' : '';
}

function truncated(found: number, expected: number): KaiError {
  return new KaiError('SNAPSHOT_TRUNCATED', `the snapshot file is cut off: ${found} of at least ${expected} bytes are there`);
}
