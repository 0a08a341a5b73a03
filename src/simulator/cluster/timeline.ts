import { Heap } from 'mnemonist';

/** Something that will happen to one pod (or to one bind request) unless the object changes first. */
export interface TimedEvent {
  readonly atMs: number;
  readonly kind: 'run' | 'finish' | 'vanish' | 'bindRequest';
  /** "namespace/name" of the pod or bind request. */
  readonly key: string;
  /** UID of the object that is meant: a successor of the same name is another object. */
  readonly uid: string;
  /** `vanish` only: a new pod takes its place. */
  readonly isRecreated: boolean;
}

interface QueuedEvent extends TimedEvent {
  readonly sequence: number;
}

/** Order: time, then the order in which the events were added. */
function compareEvents(a: QueuedEvent, b: QueuedEvent): number {
  return a.atMs - b.atMs || a.sequence - b.sequence;
}

/** What is due when. Events that no longer apply are dropped when they come to the front. */
export class Timeline {
  private readonly heap = new Heap<QueuedEvent>(compareEvents);
  private readonly isValid: (event: TimedEvent) => boolean;
  private sequence = 0;

  constructor(isValid: (event: TimedEvent) => boolean) {
    this.isValid = isValid;
  }

  add(event: TimedEvent): void {
    if (event.atMs === Infinity) return;
    this.heap.push({ ...event, sequence: this.sequence++ });
  }

  /** Time of the next event that still applies, Infinity when there is none. */
  nextAtMs(): number {
    for (let event = this.heap.peek(); event !== undefined; event = this.heap.peek()) {
      if (this.isValid(event)) return event.atMs;
      this.heap.pop();
    }
    return Infinity;
  }

  /** Takes the next event out; only valid while `nextAtMs` is finite. */
  take(): TimedEvent | undefined {
    return this.heap.pop();
  }
}
