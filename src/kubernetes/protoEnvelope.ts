// What Kubernetes wraps around protobuf objects. A list body is "k8s\0" and an Unknown whose `raw` is the list; a watch sends bare
// WatchEvents whose `object.raw` is again "k8s\0" and an Unknown. Checked against kube-apiserver 1.37.2.
import protobuf from 'protobufjs/minimal.js';
import { KaiError } from '../base/errors.ts';
import type { ApiStatus } from './apiError.ts';

export interface ListEnvelope {
  readonly resourceVersion: string;
  readonly continueToken: string;
  /** Start and end of each item in the body. */
  readonly ranges: readonly number[];
}

export interface WatchEnvelope {
  readonly type: string;
  /** Where the object lies in the frame. */
  readonly start: number;
  readonly end: number;
  /** Of an ERROR, else null. */
  readonly status: ApiStatus | null;
}

/** Throws KaiError BAD_ANSWER or RangeError. */
export function readListEnvelope(body: Buffer): ListEnvelope {
  const { start, end } = readUnknown(body, 0, body.length);
  const wire = new protobuf.BufferReader(body);
  const ranges: number[] = [];
  let resourceVersion = '';
  let continueToken = '';
  wire.pos = start;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag !== 10 && tag !== 18) {
      wire.skipType(tag & 7);
      continue;
    }
    const itemEnd = endOf(wire, end);
    if (tag === 18) ranges.push(wire.pos, itemEnd);
    else {
      while (wire.pos < itemEnd) {
        const field = wire.uint32();
        if (field === 18) resourceVersion = wire.string();
        else if (field === 26) continueToken = wire.string();
        else wire.skipType(field & 7);
      }
    }
    wire.pos = itemEnd;
  }
  return { resourceVersion, continueToken, ranges };
}

/** Throws KaiError BAD_ANSWER or RangeError. */
export function readWatchEnvelope(frame: Buffer): WatchEnvelope {
  const wire = new protobuf.BufferReader(frame);
  let type = '';
  let rawStart = 0;
  let rawEnd = 0;
  while (wire.pos < frame.length) {
    const tag = wire.uint32();
    if (tag === 10) type = wire.string();
    else if (tag === 18) {
      const objectEnd = endOf(wire, frame.length);
      while (wire.pos < objectEnd) {
        const field = wire.uint32();
        if (field === 10) {
          rawEnd = endOf(wire, objectEnd);
          rawStart = wire.pos;
          wire.pos = rawEnd;
        } else wire.skipType(field & 7);
      }
    } else wire.skipType(tag & 7);
  }
  const { start, end } = readUnknown(frame, rawStart, rawEnd);
  return { type, start, end, status: type === 'ERROR' ? readStatus(frame, start, end) : null };
}

/** Does it begin as protobuf of the API server does: "k8s" and a zero byte? */
export function isProtobufBody(bytes: Buffer): boolean {
  return hasMagic(bytes, 0, bytes.length);
}

/** The body of a refused request. Throws KaiError BAD_ANSWER or RangeError. */
export function readStatusBody(body: Buffer): ApiStatus {
  const { start, end } = readUnknown(body, 0, body.length);
  return readStatus(body, start, end);
}

function hasMagic(bytes: Buffer, from: number, to: number): boolean {
  return to - from > 4 && bytes.readUInt32BE(from) === 0x6b387300;
}

/** Where the object lies in "k8s\0" + Unknown. */
function readUnknown(bytes: Buffer, from: number, to: number): { readonly start: number; readonly end: number } {
  if (!hasMagic(bytes, from, to)) throw new KaiError('BAD_ANSWER', 'protobuf without the "k8s" prefix');
  const wire = new protobuf.BufferReader(bytes);
  wire.pos = from + 4;
  let start = -1;
  let end = -1;
  while (wire.pos < to) {
    const tag = wire.uint32();
    if (tag === 18) {
      end = endOf(wire, to);
      start = wire.pos;
      wire.pos = end;
    } else wire.skipType(tag & 7);
  }
  if (start < 0) throw new KaiError('BAD_ANSWER', 'protobuf without an object');
  return { start, end };
}

/** meta/v1 Status. */
function readStatus(bytes: Buffer, start: number, end: number): ApiStatus {
  const wire = new protobuf.BufferReader(bytes);
  wire.pos = start;
  let message = '';
  let reason = '';
  let code = 0;
  let retryAfterSeconds = 0;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 26) message = wire.string();
    else if (tag === 34) reason = wire.string();
    else if (tag === 42) {
      const detailsEnd = endOf(wire, end);
      while (wire.pos < detailsEnd) {
        const field = wire.uint32();
        if (field === 40) retryAfterSeconds = wire.int32();
        else wire.skipType(field & 7);
      }
    } else if (tag === 48) code = wire.int32();
    else wire.skipType(tag & 7);
  }
  return { code, reason, message, retryAfterMs: Math.max(0, retryAfterSeconds) * 1000 };
}

/** Reads a length; gives the end of what follows, which must lie within `limit`. */
function endOf(wire: protobuf.BufferReader, limit: number): number {
  const length = wire.uint32();
  const end = wire.pos + length;
  if (end > limit) throw new RangeError(`a message of ${length} bytes at ${wire.pos} does not fit`);
  return end;
}
