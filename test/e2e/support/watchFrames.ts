// Frames that a fault proxy puts into open watches: an ERROR event or garbage, in JSON or protobuf as the watch speaks.

/** Status of lost history, as the API server words it. */
const EXPIRED = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: 'too old resource version: 1 (2)',
  reason: 'Expired',
  code: 410,
} as const;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

/** A length-delimited field. */
function field(number: number, content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([...varint((number << 3) | 2), ...varint(bytes.length)]), bytes]);
}

/** Four bytes of length, big-endian, then a WatchEvent whose object is a Status in the API's own envelope. */
function protobufExpired(): Buffer {
  const status = Buffer.concat([
    field(2, EXPIRED.status),
    field(3, EXPIRED.message),
    field(4, EXPIRED.reason),
    Buffer.from([(6 << 3) | 0, ...varint(EXPIRED.code)]),
  ]);
  const typeMeta = Buffer.concat([field(1, EXPIRED.apiVersion), field(2, EXPIRED.kind)]);
  const envelope = Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, status)]);
  return framed(Buffer.concat([field(1, 'ERROR'), field(2, field(1, envelope))]));
}

function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}

/** The event by which a server says that the watch's version is too old. */
export function expiredFrame(contentType: string): Buffer {
  return contentType.includes('protobuf') ? protobufExpired() : Buffer.from(`${JSON.stringify({ type: 'ERROR', object: EXPIRED })}\n`);
}

/** A whole frame or line that no reader understands. */
export function garbageFrame(contentType: string): Buffer {
  return contentType.includes('protobuf')
    ? framed(Buffer.from([0x0a, 0xff, 0xff, 0xff]))
    : Buffer.from('{"type":"MODIFIED","object":{"metada\n');
}
