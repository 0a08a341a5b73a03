const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const encoder = new TextEncoder();

/** A string as UTF-8 with its FNV-1a hash, in memory that is used again for the next string. */
export class TextKey {
  bytes = new Uint8Array(256);
  lengthBytes = 0;
  /** Unsigned 32 bits. */
  hash = 0;

  set(text: string): void {
    const length = text.length;
    if (length > this.bytes.length) this.bytes = new Uint8Array(2 * length);
    const bytes = this.bytes;
    let hash = FNV_OFFSET;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) {
        this.#setEncoded(text);
        return;
      }
      bytes[i] = code;
      hash = Math.imul(hash ^ code, FNV_PRIME);
    }
    this.lengthBytes = length;
    this.hash = hash >>> 0;
  }

  #setEncoded(text: string): void {
    if (3 * text.length > this.bytes.length) this.bytes = new Uint8Array(3 * text.length);
    const length = encoder.encodeInto(text, this.bytes).written;
    let hash = FNV_OFFSET;
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ this.bytes[i]!, FNV_PRIME);
    this.lengthBytes = length;
    this.hash = hash >>> 0;
  }
}

/** The columns of a text table that a look-up reads. */
export interface TextIndex {
  readonly start: Uint32Array;
  readonly lengthBytes: Uint32Array;
  readonly hash: Uint32Array;
  readonly bytes: Uint8Array;
  readonly buckets: Int32Array;
}

/** Bucket that holds the key's row, or the empty bucket where it belongs (linear probing; there is always an empty one). */
export function findBucket(index: TextIndex, key: TextKey): number {
  const { buckets, hash } = index;
  const mask = buckets.length - 1;
  let at = key.hash & mask;
  for (;;) {
    const row = buckets[at]!;
    if (row < 0 || (hash[row] === key.hash && isSameText(index, row, key))) return at;
    at = (at + 1) & mask;
  }
}

function isSameText(index: TextIndex, row: number, key: TextKey): boolean {
  const length = key.lengthBytes;
  if (index.lengthBytes[row] !== length) return false;
  const bytes = index.bytes;
  const wanted = key.bytes;
  const start = index.start[row]!;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== wanted[i]) return false;
  return true;
}
