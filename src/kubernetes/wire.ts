// Reading protobuf: what protobufjs offers, plus bounds of nested messages and texts that come again and again.
import protobuf from 'protobufjs/minimal.js';

const CACHED_TEXTS = 8192;
const MAX_CACHED_BYTES = 48;

/** Decoded texts by their bytes: label keys, resource names and quantities repeat in every object and need no new string. */
export class TextCache {
  readonly #texts: (string | undefined)[] = Array<string | undefined>(CACHED_TEXTS).fill(undefined);

  /** The ASCII text in bytes[start, end), from the cache or put into it; undefined when it is not ASCII. */
  get(bytes: Buffer, start: number, end: number): string | undefined {
    let hash = end - start;
    let or = 0;
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!;
      hash = Math.imul(hash ^ byte, 0x01000193);
      or |= byte;
    }
    if (or >= 128) return undefined;
    const slot = (hash ^ (hash >>> 15)) & (CACHED_TEXTS - 1);
    const known = this.#texts[slot];
    if (known !== undefined && isEqual(known, bytes, start, end)) return known;
    const text = bytes.toString('latin1', start, end);
    this.#texts[slot] = text;
    return text;
  }
}

function isEqual(text: string, bytes: Buffer, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}

/**
 * A protobufjs reader with a few more verbs. All throw (RangeError, Error) on malformed input.
 * Readers of messages switch on the whole tag, number × 8 + wire type, so that a field of an unexpected type is skipped.
 */
export class Wire extends protobuf.BufferReader {
  readonly #cache: TextCache;

  constructor(bytes: Buffer, cache: TextCache) {
    super(bytes);
    this.#cache = cache;
  }

  /** Reads the length of a nested message; gives the position of its end. */
  enter(): number {
    const length = this.uint32();
    const end = this.pos + length;
    if (end > this.len) throw new RangeError(`a message of ${length} bytes at ${this.pos} does not fit into ${this.len}`);
    return end;
  }

  /** To be called when the loop over a message's fields ends. */
  leave(end: number): void {
    if (this.pos !== end) throw new RangeError(`a field reaches beyond its message: ${this.pos} instead of ${end}`);
  }

  /** A text that is likely to have come before. */
  text(): string {
    const end = this.enter();
    const start = this.pos;
    this.pos = end;
    const bytes = this.buf as Buffer;
    const cached = end - start <= MAX_CACHED_BYTES ? this.#cache.get(bytes, start, end) : undefined;
    return cached ?? bytes.toString('utf8', start, end);
  }

  /** A varint as a number; exact up to 2^53. */
  integer(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.pos >= this.len) throw new RangeError('a number is cut off');
      const byte = this.buf[this.pos++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw new RangeError('a number is too long');
  }
}

/** A map entry with text values, put into `into`. */
export function readEntry(wire: Wire, into: Record<string, string> | undefined): Record<string, string> {
  const map = into ?? {};
  const end = wire.enter();
  let key = '';
  let value = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) key = wire.text();
    else if (tag === 18) value = wire.text();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  map[key] = value;
  return map;
}

/** A map entry whose value is a message with one text as field 1: quantities. */
export function readQuantityEntry(wire: Wire, into: Record<string, string> | undefined): Record<string, string> {
  const map = into ?? {};
  const end = wire.enter();
  let key = '';
  let value = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) key = wire.text();
    else if (tag === 18) value = readFirstText(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  map[key] = value;
  return map;
}

/** The text in field 1 of a nested message: quantities, and names of references, gates, mounts. */
export function readFirstText(wire: Wire): string {
  const end = wire.enter();
  let text = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) text = wire.text();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return text;
}

/** A list with one more text. */
export function appendText(wire: Wire, list: string[] | undefined): string[] {
  return append(list, wire.text());
}

/** The list with one more item; lists are made when they get their first. */
export function append<T>(list: T[] | undefined, item: T): T[] {
  if (list === undefined) return [item];
  list.push(item);
  return list;
}

/** '' stands for absent in protobuf. */
export function presentText(text: string): string | undefined {
  return text === '' ? undefined : text;
}
