/**
 * A ring of bytes between one writer and one reader thread. A message becomes readable all at once: short ones by one
 * move of the head, those longer than the ring as a row of frames of which only the last carries the commit flag.
 * Buffer: header words `head` and `tail` (bytes ever written and read, modulo 2^32, each on its own cache line), then the
 * data. A frame is two words (payload bytes, 1 = commit) and the payload, padded to 4 bytes.
 */
const HEAD = 0;
const TAIL = 16;
const HEADER_BYTES = 128;
const FRAME_HEADER_BYTES = 8;
const MIN_CAPACITY_BYTES = 64;
/** A wait never sleeps for ever: a cancelled partner is noticed even when its wake-up was missed. */
const HEARTBEAT_MS = 100;

/** Bytes of the SharedArrayBuffer for a ring with `capacityBytes` of data: a power of two, at least 64. */
export function ringBytes(capacityBytes: number): number {
  if (capacityBytes < MIN_CAPACITY_BYTES || capacityBytes > 1 << 30 || (capacityBytes & (capacityBytes - 1)) !== 0) {
    throw new RangeError(`ring capacity ${capacityBytes} is not a power of two from ${MIN_CAPACITY_BYTES} to 2^30`);
  }
  return HEADER_BYTES + capacityBytes;
}

/** Empties a ring that no other thread uses at the moment. */
export function resetRing(buffer: SharedArrayBuffer): void {
  new Int32Array(buffer, 0, HEADER_BYTES >> 2).fill(0);
}

export class RingWriter {
  readonly #header: Int32Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #capacity: number;
  readonly #checkCancelled: () => void;
  #head: number;

  /** `checkCancelled` is called before every wait for room and throws to give the message up. */
  constructor(buffer: SharedArrayBuffer, checkCancelled: () => void) {
    this.#header = new Int32Array(buffer, 0, HEADER_BYTES >> 2);
    this.#words = new Int32Array(buffer, HEADER_BYTES);
    this.#bytes = new Uint8Array(buffer, HEADER_BYTES);
    this.#capacity = this.#bytes.length;
    this.#checkCancelled = checkCancelled;
    this.#head = Atomics.load(this.#header, HEAD);
  }

  /** Writes one message; waits while the ring is full. What `checkCancelled` throws leaves no part of it readable as a message. */
  write(message: Uint8Array): void {
    const longest = this.#capacity - FRAME_HEADER_BYTES;
    if (message.length <= longest) {
      this.#writeFrame(message, true);
      return;
    }
    const chunk = longest >> 1; // half, so that the reader empties one frame while the next is written
    for (let from = 0; from < message.length; from += chunk) {
      this.#writeFrame(message.subarray(from, from + chunk), from + chunk >= message.length);
    }
  }

  #writeFrame(payload: Uint8Array, isLast: boolean): void {
    const frameBytes = FRAME_HEADER_BYTES + ((payload.length + 3) & ~3);
    this.#waitForRoom(frameBytes);
    const mask = this.#capacity - 1;
    this.#words[(this.#head & mask) >> 2] = payload.length;
    this.#words[((this.#head + 4) & mask) >> 2] = isLast ? 1 : 0;
    const at = (this.#head + FRAME_HEADER_BYTES) & mask;
    const first = Math.min(payload.length, this.#capacity - at);
    this.#bytes.set(payload.subarray(0, first), at);
    this.#bytes.set(payload.subarray(first), 0);
    this.#head = (this.#head + frameBytes) | 0;
    Atomics.store(this.#header, HEAD, this.#head); // publishes the plain stores above
    Atomics.notify(this.#header, HEAD);
  }

  #waitForRoom(frameBytes: number): void {
    for (;;) {
      const tail = Atomics.load(this.#header, TAIL);
      if (this.#capacity - ((this.#head - tail) | 0) >= frameBytes) return;
      this.#checkCancelled();
      Atomics.wait(this.#header, TAIL, tail, HEARTBEAT_MS);
    }
  }
}

export class RingReader {
  readonly #header: Int32Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #capacity: number;
  #tail: number;
  /** Payloads of the frames of the message being read. */
  #message = new Uint8Array(4096);
  #length = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#header = new Int32Array(buffer, 0, HEADER_BYTES >> 2);
    this.#words = new Int32Array(buffer, HEADER_BYTES);
    this.#bytes = new Uint8Array(buffer, HEADER_BYTES);
    this.#capacity = this.#bytes.length;
    this.#tail = Atomics.load(this.#header, TAIL);
  }

  /** The next whole message, or undefined when there is none yet. The bytes are valid until the next call. */
  read(): Uint8Array | undefined {
    while (Atomics.load(this.#header, HEAD) !== this.#tail) {
      if (!this.#readFrame()) continue;
      const message = this.#message.subarray(0, this.#length);
      this.#length = 0;
      return message;
    }
    return undefined;
  }

  /** Resolves when more was written, when `wake` is called or after `timeoutMs`, whichever comes first. */
  async waitForMore(timeoutMs: number): Promise<void> {
    const wait = Atomics.waitAsync(this.#header, HEAD, this.#tail, timeoutMs);
    if (wait.async) await wait.value;
  }

  /** Ends every `waitForMore` now. */
  wake(): void {
    Atomics.notify(this.#header, HEAD);
  }

  /** Takes one frame out of the ring; true when it ends a message. */
  #readFrame(): boolean {
    const mask = this.#capacity - 1;
    const payloadBytes = this.#words[(this.#tail & mask) >> 2]!;
    const isLast = this.#words[((this.#tail + 4) & mask) >> 2] === 1;
    this.#reserve(this.#length + payloadBytes);
    const at = (this.#tail + FRAME_HEADER_BYTES) & mask;
    const first = Math.min(payloadBytes, this.#capacity - at);
    this.#message.set(this.#bytes.subarray(at, at + first), this.#length);
    this.#message.set(this.#bytes.subarray(0, payloadBytes - first), this.#length + first);
    this.#length += payloadBytes;
    this.#tail = (this.#tail + FRAME_HEADER_BYTES + ((payloadBytes + 3) & ~3)) | 0;
    Atomics.store(this.#header, TAIL, this.#tail);
    Atomics.notify(this.#header, TAIL);
    return isLast;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#message.length) return;
    const larger = new Uint8Array(Math.max(bytes, this.#message.length * 2));
    larger.set(this.#message.subarray(0, this.#length));
    this.#message = larger;
  }
}
