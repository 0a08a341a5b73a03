import { parseExtendedDurationMs } from '../../base/duration.ts';
import type { ObjectProblem } from '../../base/errors.ts';
import type { Metadata } from '../../base/objects.ts';
import { parseRfc3339Ms } from '../../base/time.ts';
import type { Labels } from '../tables/labelSetTable.ts';

const NO_PROBLEMS: readonly ObjectProblem[] = Object.freeze([]);
const NO_LABELS: Labels = Object.freeze({});

/** Collects what is wrong with one object, and reads fields that every kind has. */
export class Report {
  readonly #object: string;
  #problems: ObjectProblem[] | null = null;

  /** `object`: kind and key, as people name it. */
  constructor(object: string) {
    this.#object = object;
  }

  get problems(): readonly ObjectProblem[] {
    return this.#problems ?? NO_PROBLEMS;
  }

  add(field: string, message: string): void {
    this.#problems ??= [];
    this.#problems.push({ source: '', object: this.#object, field, message });
  }

  /** Milliseconds since the epoch; NaN when absent or, with a problem, unreadable. */
  timeMs(text: string | null | undefined, field: string): number {
    if (text === null || text === undefined || text === '') return Number.NaN;
    const ms = parseRfc3339Ms(String(text));
    if (Number.isNaN(ms)) this.add(field, `not a time: ${JSON.stringify(text)} (expected RFC 3339, such as 2026-01-01T12:00:00Z)`);
    return ms;
  }

  /** Milliseconds of a duration (Go's units, d and w); NaN when absent or, with a problem, unreadable. */
  durationMs(text: string | null | undefined, field: string): number {
    if (text === null || text === undefined || text === '') return Number.NaN;
    const ms = parseExtendedDurationMs(String(text));
    if (Number.isNaN(ms)) this.add(field, `not a duration: ${JSON.stringify(text)} (expected such as 90s, 1h30m)`);
    return ms;
  }

  /** The labels that are texts. */
  labels(metadata: Metadata): Labels {
    return this.#texts(metadata.labels, 'metadata.labels');
  }

  annotations(metadata: Metadata): Labels {
    return this.#texts(metadata.annotations, 'metadata.annotations');
  }

  #texts(map: Labels | null | undefined, field: string): Labels {
    if (map === null || map === undefined) return NO_LABELS;
    for (const key in map) {
      if (typeof map[key] === 'string') continue;
      for (const name of Object.keys(map)) if (typeof map[name] !== 'string') this.add(`${field}[${name}]`, 'not a text');
      return Object.fromEntries(Object.entries(map).filter(([, value]) => typeof value === 'string'));
    }
    return map;
  }
}

/** A text that is there, else null: Kubernetes writes absent texts as '' too. What is no text is absent. */
export function textOrNull(text: unknown): string | null {
  return typeof text === 'string' && text !== '' ? text : null;
}
