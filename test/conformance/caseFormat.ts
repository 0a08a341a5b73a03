// The format of conformance cases: a snapshot document with `id`, `about`, `now`, `cycles`, `quiet` and `expect`.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { KaiError } from '../../src/base/errors.ts';
import type { LoadedInput } from '../../src/snapshot/import/loadedInput.ts';
import { parseSnapshotDocument } from '../../src/snapshot/import/snapshotDocument.ts';

/** What became of a pod in the last cycle. `gone` and `finished` never stand in a case. */
export type Outcome = 'bound' | 'pipelined' | 'moved' | 'evicted' | 'pending' | 'running' | 'releasing' | 'finished' | 'gone';

/** A number, or [min, max] where several are right. */
export type Count = number | readonly [number, number];

export interface PodExpectation {
  readonly outcome?: Outcome;
  readonly node?: string;
  readonly nodeIn?: readonly string[];
  readonly numaZones?: readonly string[];
}

export interface NodeExpectation {
  readonly idleGpu?: Count;
  readonly releasingGpu?: Count;
  /** Free amounts as quantities, by zone and resource. */
  readonly zones?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export const COUNTED_OUTCOMES = ['bound', 'pipelined', 'moved', 'evicted', 'pending', 'running', 'releasing'] as const;
export type JobExpectation = { readonly [outcome in (typeof COUNTED_OUTCOMES)[number]]?: Count } & { readonly fitError?: string };

export const TOTAL_NAMES = ['bound', 'pipelined', 'moved', 'evicted', 'jobsServed', 'jobsEvicted'] as const;
export type TotalName = (typeof TOTAL_NAMES)[number];

/** A key that is absent asserts nothing. */
export interface Expectation {
  readonly pods?: Readonly<Record<string, PodExpectation>>;
  readonly jobs?: Readonly<Record<string, JobExpectation>>;
  /** Lists of pods on one GPU of one node. */
  readonly sharing?: readonly (readonly string[])[];
  readonly nodes?: Readonly<Record<string, NodeExpectation>>;
  readonly totals?: { readonly [name in TotalName]?: Count };
}

export interface ConformanceCase {
  /** "SUITE/NAME" */
  readonly id: string;
  readonly suite: string;
  readonly about: string;
  readonly origin: string;
  readonly cycles: number;
  readonly quiet: number;
  readonly nowMs: number;
  readonly input: LoadedInput;
  readonly expect: Expectation;
}

export function minOf(count: Count): number {
  return typeof count === 'number' ? count : count[0];
}

export function maxOf(count: Count): number {
  return typeof count === 'number' ? count : count[1];
}

/** Reads one case from its file. Throws KaiError BAD_CASE when it is none. */
export function loadCase(file: string): ConformanceCase {
  const json: unknown = JSON.parse(readFileSync(file, 'utf8'));
  const input = parseSnapshotDocument(json, file);
  if (input.case === null) throw new KaiError('BAD_CASE', `${file}: a conformance case has the keys id and expect`);
  const nowMs = Date.parse(input.now ?? '');
  if (Number.isNaN(nowMs)) throw new KaiError('BAD_CASE', `${file}: now is no time`);
  const { id, about, cycles, quiet, expect } = input.case;
  const { origin } = json as { readonly origin?: unknown };
  return {
    id,
    suite: id.slice(0, Math.max(0, id.lastIndexOf('/'))),
    about,
    origin: String(origin ?? ''),
    cycles,
    quiet,
    nowMs,
    input,
    expect: expect as Expectation,
  };
}

/** The case files below a path, in order: a file, a suite, or a folder of suites. Throws KaiError NO_CASES when there are none. */
export function findCaseFiles(path: string): string[] {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) throw new KaiError('NO_CASES', `${path}: no such file or folder`);
  const found = walk(path);
  if (found.length === 0) throw new KaiError('NO_CASES', `${path}: no .json files`);
  return found;
}

function walk(path: string): string[] {
  if (statSync(path).isFile()) return path.endsWith('.json') ? [path] : [];
  return readdirSync(path)
    .sort()
    .flatMap((name) => walk(join(path, name)));
}
