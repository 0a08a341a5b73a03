// Kubernetes events: what people read in `kubectl describe`. Written only when they say something new (spec 01 section 5.2).
import { LRUMapWithDelete } from 'mnemonist';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { TokenBucket } from './tokenBucket.ts';
import { WRITE_POLICIES, WritePriority } from './writePolicy.ts';
import type { WriteQueue, WriteResult } from './writeQueue.ts';

export interface EventObject {
  readonly apiVersion: string;
  readonly kind: string;
  /** '' for cluster-scoped objects, whose events go to the namespace `default`. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion?: string;
}

export interface EventToRecord {
  readonly object: EventObject;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** What happened, told only now: it may use all the room that waits. Others tell a state, which a later cycle tells again. */
  readonly isOnce?: boolean;
}

/** written: a new event; repeated: the count of one is written again; same: known already; limited: the object has had too many. */
export type EventFate = 'written' | 'repeated' | 'same' | 'limited' | 'overflow';

/** Why an event never reached the API server: limited and overflow as above; refused: by the server, or no answer came; closed: the process ends. */
export type EventLoss = 'limited' | 'overflow' | 'refused' | 'closed';

export interface EventRecorderOptions {
  readonly queue: Pick<WriteQueue, 'submit'>;
  /** Source component: the scheduler's name. */
  readonly component: string;
  /** Name of this process. */
  readonly instance: string;
  readonly clock?: Clock;
  /** An unchanged state is written again after this time, before the API server forgets the event (1 hour by default there); default 30 minutes. */
  readonly heartbeatMs?: number;
  /** Events of one object at once, default 25; after that one more every five minutes. */
  readonly burstPerObject?: number;
  /** Objects remembered, default 100,000. */
  readonly maxObjects?: number;
  /** Events waiting to be sent, default 100,000 (about 1 kB each); those that tell a state may fill half of it. More are dropped. */
  readonly maxWaiting?: number;
  /** An event that nobody will see; `detail`: what the server said, '' = nothing. Must not throw. */
  readonly onLost?: (loss: EventLoss, event: EventToRecord, detail: string) => void;
}

interface Told {
  readonly name: string;
  /** The API server has it, so that its count can be raised. */
  isStored: boolean;
  count: number;
  writtenMs: number;
}

/** What has been told of one object. */
interface Subject {
  readonly bucket: TokenBucket;
  /** By type, reason and message. */
  readonly told: Map<string, Told>;
  /** The last message of each reason. */
  readonly latest: Map<string, string>;
}

const PER_SECOND_PER_OBJECT = 1 / 300;
const MAX_TOLD_PER_OBJECT = 16;
const MAX_MESSAGE = 1024;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #subjects: LRUMapWithDelete<string, Subject>;
  #waiting = 0;
  #serial = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#subjects = new LRUMapWithDelete(options.maxObjects ?? 100_000);
  }

  /** Never throws; what is not written is told by the return value. */
  record(event: EventToRecord): EventFate {
    const nowMs = this.#clock.monotonicMs();
    const subject = this.#subjectOf(event.object, nowMs);
    const id = `${event.type} ${event.reason} ${event.message}`;
    const told = subject.told.get(id);
    const isLatest = subject.latest.get(event.reason) === id;
    const isFresh = isLatest && told !== undefined && nowMs - told.writtenMs < (this.#options.heartbeatMs ?? 1_800_000);
    if (isFresh || told?.isStored === false) {
      told.count++;
      return 'same';
    }
    if (this.#waiting >= this.#maxWaiting(event)) return this.#lose('overflow', event);
    if (!subject.bucket.tryTake(nowMs)) return this.#lose('limited', event);
    subject.latest.set(event.reason, id);
    if (told === undefined) {
      void this.#create(event, subject, id, nowMs);
      return 'written';
    }
    told.count++;
    told.writtenMs = nowMs;
    void this.#repeat(event, subject, id, told);
    return 'repeated';
  }

  /** The object is gone: a new one of the same name has another UID anyway, this only frees memory. */
  forget(uid: string): void {
    this.#subjects.delete(uid);
  }

  #maxWaiting({ isOnce }: EventToRecord): number {
    const all = this.#options.maxWaiting ?? 100_000;
    return isOnce ? all : Math.floor(all / 2);
  }

  #lose<L extends EventLoss>(loss: L, event: EventToRecord, detail = ''): L {
    this.#options.onLost?.(loss, event, detail);
    return loss;
  }

  #subjectOf({ uid }: EventObject, nowMs: number): Subject {
    let subject = this.#subjects.get(uid);
    if (subject === undefined) {
      const bucket = new TokenBucket(PER_SECOND_PER_OBJECT, this.#options.burstPerObject ?? 25, nowMs);
      subject = { bucket, told: new Map(), latest: new Map() };
      this.#subjects.set(uid, subject);
    }
    return subject;
  }

  async #create(event: EventToRecord, subject: Subject, id: string, nowMs: number): Promise<void> {
    const { object, annotations } = event;
    const { component, instance } = this.#options;
    const namespace = namespaceOf(object);
    const name = this.#newName(object.name);
    const time = this.#time();
    // The oldest text is forgotten; should it come again, it is a new event.
    if (subject.told.size >= MAX_TOLD_PER_OBJECT) subject.told.delete(subject.told.keys().next().value ?? '');
    const told: Told = { name, isStored: false, count: 1, writtenMs: nowMs };
    subject.told.set(id, told);
    const result = await this.#submit(`event ${namespace}/${name}`, 'POST', `/api/v1/namespaces/${namespace}/events`, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace, name, annotations },
      involvedObject: { ...object, namespace: object.namespace === '' ? undefined : object.namespace },
      type: event.type,
      reason: event.reason,
      message: shorten(event.message),
      source: { component },
      reportingComponent: component,
      reportingInstance: instance,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    });
    told.isStored = result.kind === 'done';
    // Not told after all: the next occasion tries again.
    if (!told.isStored && subject.told.get(id) === told) subject.told.delete(id);
    if (result.kind === 'failed') this.#lose('refused', event, result.message);
    else if (!told.isStored) this.#lose('closed', event);
  }

  async #repeat(event: EventToRecord, subject: Subject, id: string, told: Told): Promise<void> {
    const namespace = namespaceOf(event.object);
    const path = `/api/v1/namespaces/${namespace}/events/${told.name}`;
    const result = await this.#submit(`event ${namespace}/${told.name}`, 'PATCH', path, { count: told.count, lastTimestamp: this.#time() });
    const isForgotten = result.kind === 'failed' && result.status?.code === 404;
    if (isForgotten && subject.told.get(id) === told) await this.#create(event, subject, id, this.#clock.monotonicMs());
  }

  async #submit(key: string, method: 'POST' | 'PATCH', path: string, body: unknown): Promise<WriteResult> {
    this.#waiting++;
    const contentType = method === 'POST' ? 'application/json' : 'application/merge-patch+json';
    const request = { method, path, body, contentType };
    const result = await this.#options.queue.submit({ key, priority: WritePriority.event, policy: WRITE_POLICIES.event, request });
    this.#waiting--;
    return result;
  }

  /** As other recorders name events: unique in the namespace without asking. */
  #newName(objectName: string): string {
    const serial = (this.#serial++ & 0xffff).toString(16).padStart(4, '0');
    return `${objectName.slice(0, 230)}.${Math.floor(this.#clock.nowMs()).toString(16)}${serial}`;
  }

  #time(): string {
    return `${new Date(this.#clock.nowMs()).toISOString().slice(0, 19)}Z`;
  }
}

function namespaceOf({ namespace }: EventObject): string {
  return namespace === '' ? 'default' : namespace;
}

function shorten(message: string): string {
  return message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE - 1)}…`;
}
