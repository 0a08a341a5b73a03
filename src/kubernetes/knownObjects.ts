import type { ListName } from '../base/objects.ts';
import type { Observed } from './observedObjects.ts';
import type { ReflectorSink } from './reflector.ts';

interface Known {
  uid: string;
  resourceVersion: string;
  /** Number of the list that last had it. */
  listNumber: number;
}

/**
 * Which objects a list has passed on, by key, UID and version: all that is kept of them. Turns lists and events into the calls of a
 * sink: nothing twice, nothing out of order, a recreated object as removal and addition.
 */
export class KnownObjects {
  readonly #list: ListName;
  readonly #sink: ReflectorSink;
  readonly #known = new Map<string, Known>();
  #listNumber = 0;

  constructor(list: ListName, sink: ReflectorSink) {
    this.#list = list;
    this.#sink = sink;
  }

  get size(): number {
    return this.#known.size;
  }

  beginList(): void {
    this.#listNumber++;
  }

  /** An item of a list. Lists are the truth: their versions count also when they are older (a restored etcd). */
  list(observed: Observed): void {
    const key = keyOf(observed);
    const known = this.#known.get(key);
    if (known?.uid === observed.uid && known.resourceVersion === observed.resourceVersion) {
      known.listNumber = this.#listNumber;
      return;
    }
    this.#put(key, known, observed);
  }

  /** All items have come: what was not among them is gone. */
  endList(): void {
    for (const [key, { uid, listNumber }] of this.#known) if (listNumber !== this.#listNumber) this.#remove(key, uid);
  }

  /** An event of a watch. One that is not newer than what is known is a repetition. */
  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', observed: Observed): void {
    const key = keyOf(observed);
    const known = this.#known.get(key);
    if (type === 'DELETED') {
      if (known !== undefined && !isNewer(known.resourceVersion, observed.resourceVersion)) this.#remove(key, known.uid);
    } else if (known === undefined || isNewer(observed.resourceVersion, known.resourceVersion)) this.#put(key, known, observed);
  }

  #put(key: string, known: Known | undefined, observed: Observed): void {
    const { uid, resourceVersion } = observed;
    if (known !== undefined && known.uid !== uid) this.#sink.remove(this.#list, key, known.uid);
    if (known === undefined) this.#known.set(key, { uid, resourceVersion, listNumber: this.#listNumber });
    else {
      known.uid = uid;
      known.resourceVersion = resourceVersion;
      known.listNumber = this.#listNumber;
    }
    this.#sink.put(this.#list, key, observed);
  }

  #remove(key: string, uid: string): void {
    this.#known.delete(key);
    this.#sink.remove(this.#list, key, uid);
  }
}

function keyOf({ namespace, name }: Observed): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}

/** Versions are revisions of etcd, whole numbers without leading zeros; of anything else the later arrival is the newer. */
function isNewer(a: string, b: string): boolean {
  if (a === b) return false;
  const isComparable = /^[1-9]\d*$/.test(a) && /^[1-9]\d*$/.test(b);
  return !isComparable || (a.length === b.length ? a > b : a.length > b.length);
}
