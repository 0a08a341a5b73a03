import { KaiError } from '../base/errors.ts';

const NEWLINE = 10;
const LENGTH_BYTES = 4;
/** Objects are at most a few MB; a larger length means that the stream is out of step. */
const MAX_FRAME_BYTES = 64 << 20;
const NOTHING = Buffer.alloc(0);

/** Cuts the chunks of a watch into its messages, whatever the chunks' borders: lines, or frames of a 4-byte length and their bytes. */
export class FrameSplitter {
  readonly #isLengthPrefixed: boolean;
  #bytes: Buffer = NOTHING;
  /** Where the unread part of `#bytes` begins. */
  #at = 0;
  /** Chunks behind `#bytes` that are not joined to it yet: a long message is joined once, not with each chunk. */
  #later: Buffer[] = [];
  #laterBytes = 0;
  /** The unread bytes that a message needs at least. */
  #needed = 1;

  constructor(isLengthPrefixed: boolean) {
    this.#isLengthPrefixed = isLengthPrefixed;
  }

  /** Bytes of a message that has not come to its end. */
  get pendingBytes(): number {
    return this.#bytes.length - this.#at + this.#laterBytes;
  }

  push(chunk: Buffer): void {
    if (this.#at === this.#bytes.length && this.#later.length === 0) {
      this.#bytes = chunk;
      this.#at = 0;
      return;
    }
    this.#later.push(chunk);
    this.#laterBytes += chunk.length;
  }

  /** The next whole message, valid until the next `push`; undefined when more bytes are needed. Throws KaiError BAD_ANSWER. */
  next(): Buffer | undefined {
    if (this.pendingBytes < this.#needed) return undefined;
    return this.#isLengthPrefixed ? this.#nextFrame() : this.#nextLine();
  }

  #nextFrame(): Buffer | undefined {
    if (this.pendingBytes < LENGTH_BYTES) return undefined;
    if (this.#bytes.length - this.#at < LENGTH_BYTES) this.#join();
    const length = this.#bytes.readUInt32BE(this.#at);
    if (length > MAX_FRAME_BYTES) throw new KaiError('BAD_ANSWER', `a watch frame of ${length} bytes`);
    this.#needed = LENGTH_BYTES + length;
    if (this.pendingBytes < this.#needed) return undefined;
    if (this.#bytes.length - this.#at < this.#needed) this.#join();
    const start = this.#at + LENGTH_BYTES;
    this.#at = start + length;
    this.#needed = 1;
    return this.#bytes.subarray(start, this.#at);
  }

  /** Empty lines are passed over. */
  #nextLine(): Buffer | undefined {
    for (;;) {
      const end = this.#findNewline();
      if (end < 0) return undefined;
      const line = this.#bytes.subarray(this.#at, end);
      this.#at = end + 1;
      if (line.length > 0) return line;
    }
  }

  #findNewline(): number {
    const end = this.#bytes.indexOf(NEWLINE, this.#at);
    if (end >= 0) return end;
    if (this.pendingBytes > MAX_FRAME_BYTES) throw new KaiError('BAD_ANSWER', 'a watch line without end');
    if (!this.#later.some((chunk) => chunk.includes(NEWLINE))) return -1;
    this.#join();
    return this.#bytes.indexOf(NEWLINE, this.#at);
  }

  #join(): void {
    this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), ...this.#later]);
    this.#at = 0;
    this.#later = [];
    this.#laterBytes = 0;
  }
}
