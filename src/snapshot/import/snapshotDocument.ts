import type { ObjectProblem } from '../../base/errors.ts';
import { LIST_NAMES, type ListName } from '../../base/objects.ts';
import { parseRfc3339Ms } from '../../base/time.ts';
import { describeType, isRecord } from './checkFields.ts';
import { discoveryOf } from './discovery.ts';
import type { CaseInput, LoadedInput } from './loadedInput.ts';
import { createObjectCollector, type ObjectCollector } from './objectCollector.ts';

/** What the documents of an input say beside their objects; filled by `addDocument`, the first to say something wins. */
export interface DocumentSink {
  readonly collector: ObjectCollector;
  readonly facts: DocumentFacts;
}

interface DocumentFacts {
  config: unknown;
  schedulerParams: unknown;
  now: string | null;
  discovery: unknown;
  case: CaseInput | null;
}

export function createDocumentSink(): DocumentSink {
  return { collector: createObjectCollector(), facts: { config: null, schedulerParams: null, now: null, discovery: null, case: null } };
}

/** Reads one snapshot document or conformance case that is already parsed. Never throws: what is wrong is in `problems`. */
export function parseSnapshotDocument(json: unknown, source: string): LoadedInput {
  const sink = createDocumentSink();
  addSnapshotDocument(sink, json, source);
  return finishInput(sink);
}

/** A snapshot document has `rawObjects`. */
export function isSnapshotDocument(json: unknown): json is Readonly<Record<string, unknown>> {
  return isRecord(json) && isRecord(json.rawObjects);
}

/** Adds a snapshot document (spec 01 section 6.2) to what was read so far; unknown keys are passed over. */
export function addSnapshotDocument(sink: DocumentSink, json: unknown, source: string): void {
  const { collector, facts } = sink;
  const bad = (field: string, message: string): void => void collector.problems.push({ source, object: 'snapshot', field, message });
  if (!isSnapshotDocument(json)) {
    bad('rawObjects', 'is no snapshot: there is no object "rawObjects"');
    return;
  }
  for (const list of LIST_NAMES) addList(collector, list, (json.rawObjects as Readonly<Record<string, unknown>>)[list], source);

  for (const key of ['config', 'schedulerParams', 'discovery'] as const) {
    const value = json[key] ?? null;
    if (value === null) continue;
    if (!isRecord(value)) bad(key, `expected an object, found ${describeType(value)}`);
    else if (facts[key] === null) facts[key] = value;
    else bad(key, `an earlier file has one already; this one is not used`);
  }
  const now = json.now ?? null;
  if (typeof now === 'string' && !Number.isNaN(parseRfc3339Ms(now))) facts.now ??= now;
  else if (now !== null) bad('now', `expected an RFC 3339 time, found ${describeType(now)}`);
  facts.case ??= caseOf(json, bad);
}

export function finishInput({ collector, facts }: DocumentSink): LoadedInput {
  const objects = collector.objects();
  return {
    objects,
    config: facts.config,
    schedulerParams: facts.schedulerParams,
    now: facts.now,
    discovery: discoveryOf(facts.discovery, objects),
    case: facts.case,
    problems: collector.problems satisfies readonly ObjectProblem[],
    ignoredKinds: collector.ignoredKinds(),
    sourceOf: collector.sourceOf,
  };
}

function addList(collector: ObjectCollector, list: ListName, items: unknown, source: string): void {
  if (items === undefined || items === null) return;
  if (!Array.isArray(items)) {
    const message = `expected a list, found ${describeType(items)}`;
    collector.problems.push({ source, object: 'snapshot', field: `rawObjects.${list}`, message });
    return;
  }
  for (const [i, item] of items.entries()) collector.addToList(list, item, source, `${list}[${i}]`);
}

function caseOf(json: Readonly<Record<string, unknown>>, bad: (field: string, message: string) => void): CaseInput | null {
  const { id, about } = json;
  if (typeof id !== 'string' || json.expect === undefined) return null;
  const count = (key: 'cycles' | 'quiet', fallback: number): number => {
    const value = json[key] ?? fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
    bad(key, `expected a whole number, found ${describeType(value)}`);
    return fallback;
  };
  return { id, about: typeof about === 'string' ? about : '', expect: json.expect, cycles: count('cycles', 1), quiet: count('quiet', 0) };
}
