// Kubernetes events: what people read in `kubectl describe`. Written only when they say something new (spec 01 section 5.2).
import { LRUMapWithDelete, Queue } from 'mnemonist';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { TokenBucket } from './tokenBucket.ts';
import { WRITE_POLICIES, WritePriority } from './writePolicy.ts';
import type { Write, WriteQueue, WriteResult } from './writeQueue.ts';

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
  /** Events waiting to be sent, default 100,000 (some 500 bytes each beside what is kept of its object); those that tell a state may fill half of it. More are dropped. */
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

/** A write that is to be made. What waits is kept small: its body is made when its turn comes. */
interface Waiting {
  readonly event: EventToRecord;
  readonly subject: Subject;
  readonly id: string;
  readonly told: Told;
  readonly isRepeat: boolean;
  /** Of the event, wall clock. */
  readonly atMs: number;
}

/** Writes that the queue has at once; it sends fewer at a time. */
const MAX_HANDED_OVER = 256;
const PER_SECOND_PER_OBJECT = 1 / 300;
const MAX_TOLD_PER_OBJECT = 16;
const MAX_MESSAGE = 1024;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #subjects: LRUMapWithDelete<string, Subject>;
  readonly #backlog = new Queue<Waiting>();
  #handedOver = 0;
  #isFlushed = false;
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
    if (this.#backlog.size + this.#handedOver >= this.#maxWaiting(event)) return this.#lose('overflow', event);
    if (!subject.bucket.tryTake(nowMs)) return this.#lose('limited', event);
    subject.latest.set(event.reason, id);
    if (told === undefined) {
      this.#create(event, subject, id);
      return 'written';
    }
    told.count++;
    told.writtenMs = nowMs;
    this.#add({ event, subject, id, told, isRepeat: true, atMs: this.#clock.nowMs() });
    return 'repeated';
  }

  /** Hands all over to the queue: before that is drained. */
  flush(): void {
    this.#isFlushed = true;
    this.#pump();
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

  #create(event: EventToRecord, subject: Subject, id: string): void {
    // The oldest text is forgotten; should it come again, it is a new event.
    if (subject.told.size >= MAX_TOLD_PER_OBJECT) subject.told.delete(subject.told.keys().next().value ?? '');
    const told: Told = { name: this.#newName(event.object.name), isStored: false, count: 1, writtenMs: this.#clock.monotonicMs() };
    subject.told.set(id, told);
    this.#add({ event, subject, id, told, isRepeat: false, atMs: this.#clock.nowMs() });
  }

  #add(waiting: Waiting): void {
    this.#backlog.enqueue(waiting);
    this.#pump();
  }

  #pump(): void {
    while (this.#backlog.size > 0 && (this.#isFlushed || this.#handedOver < MAX_HANDED_OVER)) {
      void this.#send(this.#backlog.dequeue()!);
    }
  }

  async #send(waiting: Waiting): Promise<void> {
    const { event, told, isRepeat } = waiting;
    const namespace = namespaceOf(event.object);
    const folder = `/api/v1/namespaces/${namespace}/events`;
    const request: Write['request'] = isRepeat
      ? {
          method: 'PATCH',
          path: `${folder}/${told.name}`,
          body: { count: told.count, lastTimestamp: wholeSeconds(waiting.atMs) },
          contentType: 'application/merge-patch+json',
        }
      : { method: 'POST', path: folder, body: this.#body(waiting), contentType: 'application/json' };
    this.#handedOver++;
    const key = `event ${namespace}/${told.name}`;
    const result = await this.#options.queue.submit({ key, priority: WritePriority.event, policy: WRITE_POLICIES.event, request });
    this.#handedOver--;
    if (isRepeat) this.#repeated(waiting, result);
    else this.#created(waiting, result);
    this.#pump();
  }

  #created({ event, subject, id, told }: Waiting, result: WriteResult): void {
    told.isStored = result.kind === 'done';
    // Not told after all: the next occasion tries again.
    if (!told.isStored && subject.told.get(id) === told) subject.told.delete(id);
    if (result.kind === 'failed') this.#lose('refused', event, result.message);
    else if (!told.isStored) this.#lose('closed', event);
  }

  #repeated({ event, subject, id, told }: Waiting, result: WriteResult): void {
    const isForgotten = result.kind === 'failed' && result.status?.code === 404;
    if (isForgotten && subject.told.get(id) === told) this.#create(event, subject, id);
  }

  #body({ event, told, atMs }: Waiting): object {
    const { object, annotations } = event;
    const { component, instance } = this.#options;
    const namespace = namespaceOf(object);
    const time = wholeSeconds(atMs);
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace, name: told.name, annotations },
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
    };
  }

  /** As other recorders name events: unique in the namespace without asking. */
  #newName(objectName: string): string {
    const serial = (this.#serial++ & 0xffff).toString(16).padStart(4, '0');
    return `${objectName.slice(0, 230)}.${Math.floor(this.#clock.nowMs()).toString(16)}${serial}`;
  }
}

function wholeSeconds(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19)}Z`;
}

function namespaceOf({ namespace }: EventObject): string {
  return namespace === '' ? 'default' : namespace;
}

function shorten(message: string): string {
  return message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE - 1)}…`;
}
