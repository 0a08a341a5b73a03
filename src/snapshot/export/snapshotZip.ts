import { type PassThrough, Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import yazl from 'yazl';
import { SNAPSHOT_ENTRY } from '../import/zipEntry.ts';
import { type SnapshotExport, snapshotChunks } from './snapshotDocument.ts';

/** Large enough to compress well, small enough not to hold the event loop. */
const CHUNK_CHARACTERS = 64 * 1024;
/** A fixed time, in the form without a zone: the same content gives the same bytes anywhere. */
const ENTRY_TIME = new Date(1980, 0, 1);

/**
 * Writes the snapshot zip of spec 01 section 6.2: one deflated entry `snapshot.json`, made object by object while it is
 * sent, lists sorted by namespace and name. Ends the stream; rejects when it fails.
 */
export async function writeSnapshotZip(content: SnapshotExport, stream: Writable): Promise<void> {
  const zip = new yazl.ZipFile();
  const output = zip.outputStream as PassThrough;
  const source = Readable.from(inBlocks(snapshotChunks(content)));
  // yazl does not look for errors of what it reads from: without this the zip would never end.
  source.once('error', (error) => output.destroy(error));
  zip.once('error', (error: Error) => output.destroy(error));
  zip.addReadStream(source, SNAPSHOT_ENTRY, { mtime: ENTRY_TIME, mode: 0o100644, forceDosTimestamp: true });
  zip.end();
  try {
    await pipeline(output, stream);
  } finally {
    source.destroy();
  }
}

/** Joins small pieces to blocks, so that the compressor is not called per object. */
function* inBlocks(pieces: Iterable<string>): Generator<Buffer> {
  let block = '';
  for (const piece of pieces) {
    block += piece;
    if (block.length < CHUNK_CHARACTERS) continue;
    yield Buffer.from(block);
    block = '';
  }
  yield Buffer.from(block);
}
