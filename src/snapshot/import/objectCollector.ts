import type { ObjectProblem } from '../../base/errors.ts';
import { type ClusterObjects, LIST_NAMES, type ListName } from '../../base/objects.ts';
import { checkFields, describeType, isRecord } from './checkFields.ts';
import { fieldTypesOf } from './fieldTypes.ts';
import { type KindInfo, kindOfList, kindOfObject } from './kinds.ts';
import type { IgnoredKind } from './loadedInput.ts';

/** Collects objects from any number of sources into checked lists: the last of equally named objects wins. */
export interface ObjectCollector {
  readonly problems: ObjectProblem[];
  /** An object of a known kind, as it stands in a list of `rawObjects`. */
  addToList(list: ListName, object: unknown, source: string, position: string): void;
  /** An object with `apiVersion` and `kind`; a List is taken apart. */
  addByKind(object: unknown, source: string, position: string): void;
  /** Number of objects seen, bad and unknown ones included. */
  count(): number;
  objects(): ClusterObjects;
  ignoredKinds(): readonly IgnoredKind[];
  /** The source of a collected object, '' for any other value. */
  sourceOf(object: unknown): string;
}

/** What the items of a typed list (PodList) may leave out. */
interface Inherited {
  readonly apiVersion: string;
  readonly kind: string;
}

export function createObjectCollector(): ObjectCollector {
  const lists = new Map<ListName, Map<string, unknown>>(LIST_NAMES.map((list) => [list, new Map()]));
  const ignored = new Map<string, { apiVersion: string; kind: string; count: number }>();
  const problems: ObjectProblem[] = [];
  const sources = new WeakMap<object, string>();
  let seen = 0;

  function addKnown(info: KindInfo, object: unknown, source: string, position: string): void {
    seen++;
    const checked = checkObject(info, object, source, position, problems);
    if (checked === undefined) return;
    const list = lists.get(info.list)!;
    if (list.has(checked.key)) {
      problems.push({ source, object: checked.label, field: '', message: 'appears more than once; the last one is used' });
      list.delete(checked.key);
    }
    list.set(checked.key, checked.object);
    sources.set(checked.object, source);
  }

  function addItem(object: unknown, source: string, position: string, inherited: Inherited | undefined): void {
    if (!isRecord(object)) {
      problems.push({ source, object: position, field: '', message: `expected a Kubernetes object, found ${describeType(object)}` });
      return;
    }
    const apiVersion = object.apiVersion ?? inherited?.apiVersion;
    const kind = object.kind ?? inherited?.kind;
    if (typeof kind !== 'string' || typeof apiVersion !== 'string') {
      problems.push({ source, object: position, field: '', message: 'is no Kubernetes object: apiVersion or kind is missing' });
      return;
    }
    const info = kindOfObject(apiVersion, kind);
    if (info !== undefined) addKnown(info, info.list === 'pods' ? withPhase(object) : object, source, position);
    else if (kind.endsWith('List') && Array.isArray(object.items)) addListItems(object.items, { apiVersion, kind }, source, position);
    else countIgnored(apiVersion, kind);
  }

  function addListItems(items: readonly unknown[], list: Inherited, source: string, position: string): void {
    const inherited = list.kind === 'List' ? undefined : { apiVersion: list.apiVersion, kind: list.kind.slice(0, -'List'.length) };
    for (const [i, item] of items.entries()) addItem(item, source, `${position === '' ? '' : `${position} `}items[${i}]`, inherited);
  }

  function countIgnored(apiVersion: string, kind: string): void {
    seen++;
    const name = `${apiVersion} ${kind}`;
    const entry = ignored.get(name) ?? { apiVersion, kind, count: 0 };
    entry.count++;
    ignored.set(name, entry);
  }

  return {
    problems,
    addToList: (list, object, source, position) => addKnown(kindOfList(list), object, source, position),
    addByKind: (object, source, position) => addItem(object, source, position, undefined),
    count: () => seen,
    // The lists hold what `checkObject` let through: that is the type's contract.
    objects: () => Object.fromEntries([...lists].map(([list, map]) => [list, [...map.values()]])) as unknown as ClusterObjects,
    sourceOf: (object) => (isRecord(object) ? (sources.get(object) ?? '') : ''),
    ignoredKinds: () => [...ignored.values()].sort((a, b) => compareText(`${a.apiVersion} ${a.kind}`, `${b.apiVersion} ${b.kind}`)),
  };
}

interface CheckedObject {
  readonly key: string;
  /** "Pod team/train-0", for messages. */
  readonly label: string;
  readonly object: Readonly<Record<string, unknown>>;
}

/** Identity first: without a usable name the object is dropped; any other wrong field is dropped alone. */
function checkObject(
  info: KindInfo,
  object: unknown,
  source: string,
  position: string,
  problems: ObjectProblem[],
): CheckedObject | undefined {
  const unnamed = `${info.kind}${position === '' ? '' : ` at ${position}`}`;
  const drop = (field: string, message: string): undefined => {
    problems.push({ source, object: unnamed, field, message: `${message}; the object is not used` });
    return undefined;
  };
  if (!isRecord(object)) return drop('', `expected an object, found ${describeType(object)}`);
  const metadata = object.metadata;
  if (!isRecord(metadata)) return drop('metadata', `expected an object, found ${describeType(metadata)}`);
  const { name } = metadata;
  if (typeof name !== 'string') return drop('metadata.name', `expected a string, found ${describeType(name)}`);
  if (name === '' || (info.isNamespaced && name.includes('/'))) return drop('metadata.name', `not a usable name: ${JSON.stringify(name)}`);
  const namespace = info.isNamespaced ? (metadata.namespace ?? 'default') : undefined;
  if (namespace !== undefined && typeof namespace !== 'string') {
    return drop('metadata.namespace', `expected a string, found ${describeType(namespace)}`);
  }
  const usedNamespace = namespace === '' ? 'default' : namespace;
  if (usedNamespace?.includes('/')) return drop('metadata.namespace', `not a usable name: ${JSON.stringify(usedNamespace)}`);

  const key = usedNamespace === undefined ? name : `${usedNamespace}/${name}`;
  const label = `${info.kind} ${key}`;
  const report = (field: string, message: string): void => void problems.push({ source, object: label, field, message });
  const checked = checkFields(object, fieldTypesOf(info.list), '', report) as Readonly<Record<string, unknown>>;
  return { key, label, object: withIdentity(checked, info, usedNamespace, key) };
}

/** Fills what the object may leave out: the namespace, and a pod's UID (its key then stands for it). */
function withIdentity(
  object: Readonly<Record<string, unknown>>,
  info: KindInfo,
  namespace: string | undefined,
  key: string,
): Readonly<Record<string, unknown>> {
  const metadata = object.metadata as Readonly<Record<string, unknown>>;
  const needsSpec = info.list === 'pods' && object.spec === undefined;
  const uid = info.list === 'pods' && (metadata.uid === undefined || metadata.uid === '') ? key : metadata.uid;
  if (metadata.namespace === namespace && metadata.uid === uid && !needsSpec) return object;
  const filled: Record<string, unknown> = { ...metadata, namespace, uid };
  if (namespace === undefined) delete filled.namespace;
  if (uid === undefined) delete filled.uid;
  return needsSpec ? { ...object, metadata: filled, spec: {} } : { ...object, metadata: filled };
}

/** A pod as someone writes it has no status; the API server makes it Pending. In a recorded list an empty phase stays one. */
function withPhase(pod: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const status = pod.status ?? {};
  if (!isRecord(status) || (status.phase !== undefined && status.phase !== null && status.phase !== '')) return pod;
  return { ...pod, status: { ...status, phase: 'Pending' } };
}

/** Order of UTF-16 units: the same on every machine. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
