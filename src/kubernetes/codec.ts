// How one list travels: what is asked for, and how pages and watch messages are read, by the content type that comes back.
import { KaiError, type ObjectProblem } from '../base/errors.ts';
import type { Node, Pod } from '../base/objects.ts';
import { checkFields, isRecord } from '../snapshot/import/checkFields.ts';
import { fieldTypesOf } from '../snapshot/import/fieldTypes.ts';
import type { ApiStatus } from './apiError.ts';
import { messageOf } from './credentials.ts';
import type { ServedList } from './discovery.ts';
import { inNewestShape } from './draVersions.ts';
import { pickNode, pickPod } from './jsonPod.ts';
import { NO_PROBLEMS, type Observed } from './observedObjects.ts';
import { readListEnvelope, readWatchEnvelope } from './protoEnvelope.ts';
import { readNode } from './protoNode.ts';
import { readPod } from './protoPod.ts';
import { TextCache, Wire } from './wire.ts';

/** One page of a list. Items are decoded one by one, when the reader has time for them. */
export interface ListPage {
  readonly resourceVersion: string;
  /** '' on the last page. */
  readonly continueToken: string;
  readonly count: number;
  /** Throws KaiError BAD_OBJECT for an item without identity and BAD_ANSWER for bytes that cannot be read. */
  item(index: number): Observed;
}

export type WatchMessage =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly observed: Observed }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }
  | { readonly type: 'ERROR'; readonly status: ApiStatus };

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const JSON_TYPE = 'application/json';
const METADATA_LIST = `${JSON_TYPE};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,${JSON_TYPE}`;
const METADATA_ITEM = `${JSON_TYPE};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,${JSON_TYPE}`;

export function isProtobuf(contentType: string): boolean {
  return contentType.startsWith(PROTOBUF);
}

export class ListCodec {
  readonly #served: ServedList;
  readonly #texts = new TextCache();
  #isProtobufWanted: boolean;

  constructor(served: ServedList) {
    this.#served = served;
    this.#isProtobufWanted = served.spec.encoding === 'protobuf';
  }

  get listAccept(): string {
    if (this.#isProtobufWanted) return `${PROTOBUF},${JSON_TYPE}`;
    return this.#served.spec.encoding === 'metadata' ? METADATA_LIST : JSON_TYPE;
  }

  get watchAccept(): string {
    if (this.#isProtobufWanted) return `${PROTOBUF};stream=watch,${JSON_TYPE}`;
    return this.#served.spec.encoding === 'metadata' ? METADATA_ITEM : JSON_TYPE;
  }

  /** JSON costs more per object: smaller pages, so that one takes the loop no longer. */
  get pageSize(): number {
    return this.#isProtobufWanted ? 500 : 200;
  }

  /** From now on asks for JSON: protobuf could not be read. Gives false when it did so already. */
  fallBackToJson(): boolean {
    const isChange = this.#isProtobufWanted;
    this.#isProtobufWanted = false;
    return isChange;
  }

  /** Throws KaiError BAD_ANSWER when the body is no list. */
  readPage(body: Buffer, contentType: string): ListPage {
    const page = decoded(() => (isProtobuf(contentType) ? this.#protobufPage(body) : this.#jsonPage(body)));
    // A watch from nowhere would miss what happened in between.
    if (page.resourceVersion === '') throw new KaiError('BAD_ANSWER', 'the list has no version');
    return page;
  }

  /** One frame of a watch: a line of JSON, or the bytes of a protobuf frame. Throws KaiError BAD_ANSWER and BAD_OBJECT. */
  readMessage(frame: Buffer, contentType: string): WatchMessage {
    return decoded(() => (isProtobuf(contentType) ? this.#protobufMessage(frame) : this.#jsonMessage(frame)));
  }

  #protobufPage(body: Buffer): ListPage {
    const { resourceVersion, continueToken, ranges } = readListEnvelope(body);
    const wire = new Wire(body, this.#texts);
    return {
      resourceVersion,
      continueToken,
      count: ranges.length / 2,
      item: (index) => decoded(() => identified(this.#protobufObject(wire, ranges[2 * index]!, ranges[2 * index + 1]!), this.#served)),
    };
  }

  #protobufMessage(frame: Buffer): WatchMessage {
    const envelope = readWatchEnvelope(frame);
    if (envelope.status !== null) return { type: 'ERROR', status: envelope.status };
    const observed = this.#protobufObject(new Wire(frame, this.#texts), envelope.start, envelope.end);
    if (envelope.type === 'BOOKMARK') return { type: 'BOOKMARK', resourceVersion: observed.resourceVersion };
    return { type: checkType(envelope.type), observed: identified(observed, this.#served) };
  }

  #protobufObject(wire: Wire, start: number, end: number): Observed {
    wire.pos = start;
    const object = this.#served.spec.list === 'nodes' ? readNode(wire, end) : readPod(wire, end);
    const { name, namespace = '', uid, resourceVersion } = object.metadata;
    return { name, namespace, uid, resourceVersion, object, problems: NO_PROBLEMS };
  }

  #jsonPage(body: Buffer): ListPage {
    const list = parseRecord(body.toString('utf8'), 'the list');
    const metadata = isRecord(list.metadata) ? list.metadata : {};
    const items = list.items ?? [];
    if (!Array.isArray(items)) throw new KaiError('BAD_ANSWER', 'the list has no items');
    return {
      resourceVersion: textOf(metadata.resourceVersion),
      continueToken: textOf(metadata.continue),
      count: items.length,
      item: (index) => this.#jsonObject(items[index]),
    };
  }

  #jsonMessage(frame: Buffer): WatchMessage {
    const event = parseRecord(frame.toString('utf8'), 'the watch event');
    const object = isRecord(event.object) ? event.object : {};
    switch (event.type) {
      case 'ERROR':
        return { type: 'ERROR', status: statusOf(object) };
      case 'BOOKMARK':
        return { type: 'BOOKMARK', resourceVersion: textOf(isRecord(object.metadata) ? object.metadata.resourceVersion : undefined) };
      default:
        return { type: checkType(textOf(event.type)), observed: this.#jsonObject(object) };
    }
  }

  #jsonObject(value: unknown): Observed {
    const { spec, version } = this.#served;
    if (!isRecord(value) || !isRecord(value.metadata)) throw new KaiError('BAD_OBJECT', `a ${spec.kind} without metadata`);
    const namespace = textOf(value.metadata.namespace);
    const name = textOf(value.metadata.name);
    const problems: ObjectProblem[] = [];
    const label = `${spec.kind} ${namespace === '' ? name : `${namespace}/${name}`}`;
    const report = (field: string, message: string): void => void problems.push({ source: '', object: label, field, message });
    const checked = checkFields(inNewestShape(value, spec.plural, version), fieldTypesOf(spec.list), '', report);
    if (!isRecord(checked)) throw new KaiError('BAD_OBJECT', `${label} cannot be used`);
    const { uid, resourceVersion } = value.metadata;
    const observed = {
      name,
      namespace,
      uid: textOf(uid),
      resourceVersion: textOf(resourceVersion),
      object: this.#projected(checked),
      problems,
    };
    return identified(observed, this.#served);
  }

  #projected(object: Readonly<Record<string, unknown>>): unknown {
    // `checkFields` made sure of the types.
    if (this.#served.spec.list === 'pods') return pickPod(object as unknown as Pod);
    return this.#served.spec.list === 'nodes' ? pickNode(object as unknown as Node) : object;
  }
}

/** Readers of protobuf throw RangeError and Error on broken bytes. */
function decoded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof KaiError) throw error;
    throw new KaiError('BAD_ANSWER', `cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function identified(observed: Observed, { spec }: ServedList): Observed {
  const { name, namespace, uid, resourceVersion } = observed;
  if (name !== '' && uid !== '' && resourceVersion !== '' && (namespace !== '') === spec.isNamespaced) return observed;
  throw new KaiError('BAD_OBJECT', `a ${spec.kind} without identity: ${JSON.stringify({ namespace, name, uid, resourceVersion })}`);
}

function checkType(type: string): 'ADDED' | 'MODIFIED' | 'DELETED' {
  if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') return type;
  throw new KaiError('BAD_ANSWER', `a watch event of unknown type ${JSON.stringify(type)}`);
}

function parseRecord(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new KaiError('BAD_ANSWER', `${what} is no JSON: ${text.slice(0, 80)}`, { cause: error });
  }
  if (!isRecord(value)) throw new KaiError('BAD_ANSWER', `${what} is no object: ${text.slice(0, 80)}`);
  return value;
}

function statusOf(status: Readonly<Record<string, unknown>>): ApiStatus {
  const details = isRecord(status.details) ? status.details : {};
  return {
    code: typeof status.code === 'number' ? status.code : 0,
    reason: textOf(status.reason),
    message: textOf(status.message),
    retryAfterMs: typeof details.retryAfterSeconds === 'number' ? details.retryAfterSeconds * 1000 : 0,
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
