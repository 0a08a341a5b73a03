import type { Readable } from 'node:stream';
import yauzl from 'yauzl';
import { KaiError } from '../../base/errors.ts';

/** Name of the one entry of a snapshot zip (spec 01 section 6.2). */
export const SNAPSHOT_ENTRY = 'snapshot.json';

/** A text of more bytes cannot be one JavaScript string; also the bound against archives that unpack without end. */
export const MAX_TEXT_BYTES = 512 * 1024 * 1024 - 1024;

/**
 * The text of `snapshot.json` in a zip. Throws KaiError BAD_ZIP for a broken archive, NO_SNAPSHOT_ENTRY, and INPUT_TOO_LARGE
 * when the entry unpacks to more than `maxBytes`.
 */
export async function readSnapshotEntry(zip: Buffer, source: string, maxBytes: number = MAX_TEXT_BYTES): Promise<string> {
  try {
    const file = await yauzl.fromBufferPromise(zip, { lazyEntries: true, validateEntrySizes: true });
    for await (const entry of file.eachEntry()) {
      if (entry.fileName !== SNAPSHOT_ENTRY) continue;
      if (entry.uncompressedSize > maxBytes) throw tooLarge(`${source}: ${SNAPSHOT_ENTRY}`, entry.uncompressedSize, maxBytes);
      return await readAll(await file.openReadStreamPromise(entry));
    }
  } catch (error) {
    if (error instanceof KaiError) throw error;
    throw new KaiError('BAD_ZIP', `${source}: not a readable zip file: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw new KaiError('NO_SNAPSHOT_ENTRY', `${source}: the zip file holds no entry ${SNAPSHOT_ENTRY}`);
}

export function tooLarge(what: string, bytes: number, maxBytes: number): KaiError {
  return new KaiError('INPUT_TOO_LARGE', `${what} has ${bytes} bytes, more than the ${maxBytes} that can be read`);
}

/** yauzl fails the stream when it gives more bytes than the entry states. */
async function readAll(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
