import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KaiError } from '../../src/base/errors.ts';
import type { ListName } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { ListCodec, type ListPage } from '../../src/kubernetes/codec.ts';
import type { ServedList } from '../../src/kubernetes/discovery.ts';
import { inNewestShape } from '../../src/kubernetes/draVersions.ts';
import { FrameSplitter } from '../../src/kubernetes/frames.ts';
import { groupVersionPath, resourceOf } from '../../src/kubernetes/resources.ts';
import { contentOf } from '../../src/snapshot/describe.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { encodeFrame, encodeList } from './protoSchema.ts';
import { serverNodes, serverPods } from './serverObjects.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const JSON_TYPE = 'application/json';

function served(list: ListName): ServedList {
  const spec = resourceOf(list);
  const version = spec.versions[0]!;
  return { spec, version, path: `${groupVersionPath(spec.group, version)}/${spec.plural}` };
}

const items = (page: ListPage) => Array.from({ length: page.count }, (_, i) => page.item(i));
const asJson = (list: object): Buffer => Buffer.from(JSON.stringify(list));

const CASES: readonly (readonly ['pods' | 'nodes', 'Pod' | 'Node', fc.Arbitrary<object>])[] = [
  ['pods', 'Pod', serverPods],
  ['nodes', 'Node', serverNodes],
];

describe.each(CASES)('protobuf reader of %s', (list, kind, objects) => {
  const body = fc
    .array(objects, { minLength: 1, maxLength: 3 })
    .map((all) => ({ metadata: { resourceVersion: '77', continue: 'next' }, items: all }));

  test('gives exactly the objects that the JSON path gives', () => {
    const codec = new ListCodec(served(list));
    fc.assert(
      fc.property(body, (listed) => {
        const fromProtobuf = codec.readPage(encodeList(kind, listed), PROTOBUF);
        const fromJson = codec.readPage(asJson(listed), JSON_TYPE);
        expect(items(fromProtobuf)).toStrictEqual(items(fromJson));
        expect(fromProtobuf).toMatchObject({ resourceVersion: '77', continueToken: 'next', count: listed.items.length });
      }),
      { seed: 6, numRuns: 600 },
    );
  });

  test('leaves out nothing that the snapshot reads', () => {
    const codec = new ListCodec(served(list));
    fc.assert(
      fc.property(body, (listed) => {
        const whole = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
        const projected = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
        for (const object of listed.items) whole.put(list, object);
        for (const { object } of items(codec.readPage(encodeList(kind, listed), PROTOBUF))) projected.put(list, object);
        expect(contentOf(projected.seal())).toStrictEqual(contentOf(whole.seal()));
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  test('broken bytes end in BAD_ANSWER or BAD_OBJECT, never in anything else', () => {
    const codec = new ListCodec(served(list));
    let refused = 0;
    const read = (bytes: Buffer): void => {
      try {
        items(codec.readPage(bytes, PROTOBUF));
      } catch (error) {
        expect(error).toBeInstanceOf(KaiError);
        expect(['BAD_ANSWER', 'BAD_OBJECT']).toContain((error as KaiError).code);
        refused++;
      }
    };
    fc.assert(
      fc.property(body, fc.nat(), fc.integer({ min: 0, max: 255 }), (listed, position, byte) => {
        const bytes = encodeList(kind, listed);
        // The last four bytes are two empty texts.
        const at = position % (bytes.length - 4);
        expect(() => items(codec.readPage(bytes.subarray(0, at), PROTOBUF))).toThrow(KaiError);
        bytes[at] = byte;
        read(bytes);
      }),
      { seed: 8, numRuns: 500 },
    );
    expect(refused).toBeGreaterThan(50);
  });

  test('watch messages of both encodings are the same, errors and bookmarks too', () => {
    const codec = new ListCodec(served(list));
    const read = (event: { readonly type: string; readonly object: Readonly<Record<string, unknown>> }) => [
      codec.readMessage(encodeFrame(kind, event).subarray(4), PROTOBUF),
      codec.readMessage(asJson(event), JSON_TYPE),
    ];
    fc.assert(
      fc.property(objects, fc.constantFrom('ADDED', 'MODIFIED', 'DELETED'), (object, type) => {
        const [fromProtobuf, fromJson] = read({ type, object: object as Readonly<Record<string, unknown>> });
        expect(fromProtobuf).toStrictEqual(fromJson);
      }),
      { seed: 9, numRuns: 200 },
    );
    for (const message of read({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '12' } } })) {
      expect(message).toStrictEqual({ type: 'BOOKMARK', resourceVersion: '12' });
    }
    const status = { status: 'Failure', code: 410, reason: 'Expired', message: 'too old', details: { retryAfterSeconds: 3 } };
    for (const message of read({ type: 'ERROR', object: status })) {
      expect(message).toStrictEqual({ type: 'ERROR', status: { code: 410, reason: 'Expired', message: 'too old', retryAfterMs: 3000 } });
    }
  });
});

test('fields of the wrong type are left out and reported, the rest is used', () => {
  const queue = { metadata: { name: 'q', uid: 'u', resourceVersion: '1' }, spec: { parentQueue: 7, priority: 3 } };
  const [observed] = items(
    new ListCodec(served('queues')).readPage(asJson({ metadata: { resourceVersion: '1' }, items: [queue] }), JSON_TYPE),
  );
  expect(observed?.object).toStrictEqual({ ...queue, spec: { priority: 3 } });
  expect(observed?.problems).toStrictEqual([
    { source: '', object: 'Queue q', field: 'spec.parentQueue', message: 'expected a string, found the number 7' },
  ]);
});

test('frames and lines come out whole, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 8 }),
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (payloads, isLengthPrefixed, cuts) => {
        const messages = payloads.map((p) => Buffer.from(p.map((b) => (b === 10 ? 11 : b))));
        const stream = Buffer.concat(
          messages.map((m) => {
            const head = Buffer.alloc(4);
            head.writeUInt32BE(m.length);
            return isLengthPrefixed ? Buffer.concat([head, m]) : Buffer.concat([m, Buffer.from('\n')]);
          }),
        );
        const splitter = new FrameSplitter(isLengthPrefixed);
        const seen: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const end = at + cuts[i % cuts.length]!;
          splitter.push(stream.subarray(at, end));
          at = end;
          for (let m = splitter.next(); m !== undefined; m = splitter.next()) seen.push(Buffer.from(m));
        }
        expect(seen).toStrictEqual(messages);
        expect(splitter.pendingBytes).toBe(0);
      },
    ),
    { seed: 10, numRuns: 500 },
  );
});

test('a frame length out of all proportion is an error, not a wait', () => {
  const splitter = new FrameSplitter(true);
  splitter.push(Buffer.from([0x7f, 0xff, 0xff, 0xff, 1]));
  expect(() => splitter.next()).toThrow(/frame of 2147483647 bytes/);
});

test('v1beta1 of resource.k8s.io is read in the shape of v1', () => {
  const claim = {
    spec: {
      devices: {
        requests: [
          { name: 'gpu', deviceClassName: 'gpu.nvidia.com', count: 2 },
          { name: 'any', firstAvailable: [] },
        ],
      },
    },
  };
  expect(inNewestShape(claim, 'resourceclaims', 'v1beta1')).toStrictEqual({
    spec: {
      devices: {
        requests: [
          { name: 'gpu', exactly: { deviceClassName: 'gpu.nvidia.com', count: 2 } },
          { name: 'any', firstAvailable: [] },
        ],
      },
    },
  });
  const slice = { spec: { driver: 'd', devices: [{ name: 'gpu-0', basic: { attributes: { a: { int: 1 } } } }] } };
  expect(inNewestShape(slice, 'resourceslices', 'v1beta1')).toStrictEqual({
    spec: { driver: 'd', devices: [{ name: 'gpu-0', attributes: { a: { int: 1 } } }] },
  });
  expect(inNewestShape(claim, 'resourceclaims', 'v1beta2')).toBe(claim);
});
