// The twin alone: it must be right before anything is compared with it.
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { findCaseFiles, loadCase } from '../conformance/caseFormat.ts';
import { formatDifference } from '../conformance/compareCase.ts';
import { SHARED_CASES } from '../conformance/folders.ts';
import { randomTestCluster } from './clusters.ts';
import { differencesOf, isVictimText, skipReason } from './conformance.ts';
import { fairShares } from './fairShare.ts';
import { triple } from './queues.ts';
import { outOfScope } from './scope.ts';
import { decide } from './twin.ts';
import type { QueueFacts, Triple } from './types.ts';

const NOW_MS = Date.parse('2026-01-01T12:00:00Z');

interface Wants {
  readonly quota?: number;
  readonly weight: number;
  readonly limit?: number;
  readonly priority?: number;
  readonly request: number;
  readonly parent?: string;
}

/** GPU fair shares of queues, in GPUs; their age is the order in which they are given. */
function gpuShares(total: number, wants: Readonly<Record<string, Wants>>): Record<string, number> {
  const gpus = (amount: number): Triple => triple((r) => (r === 'gpu' ? (amount < 0 ? amount : amount * 1000) : 0));
  const names = Object.keys(wants);
  const facts = Object.entries(wants).map(([name, { quota = 0, weight, limit = -1, priority = 100, parent = null }], age): QueueFacts => {
    const children = names.filter((child) => wants[child]!.parent === name);
    const shape = { name, displayName: name, queue: null, parent, children, priority, createdMs: age };
    return { ...shape, quota: gpus(quota), limit: gpus(limit), weight: triple((r) => (r === 'gpu' ? weight : 0)) };
  });
  const requested = new Map(names.map((name) => [name, gpus(wants[name]!.request)]));
  const shares = fairShares(new Map(facts.map((queue) => [queue.name, queue])), requested, gpus(total), 1);
  return Object.fromEntries([...shares].map(([name, share]) => [name, share.gpu / 1000]));
}

describe('fair shares, worked examples of spec 02 section 7.5', () => {
  it('1: rounds and leftovers', () => {
    const wants = { A: { quota: 4, weight: 2, request: 20 }, B: { quota: 2, weight: 1, request: 3 }, C: { weight: 1, request: 10 } };
    expect(gpuShares(16, wants)).toEqual({ A: 10, B: 3, C: 3 });
  });
  it('2: the rounding loss of a high priority goes to a lower one', () => {
    const high = { quota: 2, weight: 1, request: 10, priority: 200 };
    expect(gpuShares(11, { H1: high, H2: high, L: { weight: 1, request: 10 } })).toEqual({ H1: 5, H2: 5, L: 1 });
    expect(gpuShares(11, { H1: high, H2: high, L: { weight: 1, request: 0 } })).toEqual({ H1: 6, H2: 5, L: 0 });
  });
  it('3: a leftover unit may overshoot', () => {
    expect(gpuShares(1, { A: { weight: 1, request: 0.8 }, B: { weight: 1, request: 0.8 } })).toEqual({ A: 1, B: 0 });
  });
  it('7: unlimited quotas over-subscribe', () => {
    expect(gpuShares(10, { A: { quota: -1, weight: 1, request: 8 }, B: { quota: -1, weight: 1, request: 8 } })).toEqual({ A: 8, B: 8 });
  });
  it('8: limits', () => {
    const wants = { A: { quota: 2, weight: 2, limit: 5, request: 6 }, B: { quota: 2, weight: 2, request: 6 } };
    expect(gpuShares(12, wants)).toEqual({ A: 5, B: 6 });
  });
  it('10: hierarchy', () => {
    const parents = { d1: { quota: 3, weight: 1, request: 100 }, d2: { quota: 1, weight: 7, request: 100 } };
    const child = { quota: 2, weight: 1, request: 100 };
    const wants = { ...parents, q1: { ...child, parent: 'd1' }, q2: { ...child, parent: 'd2' } };
    expect(gpuShares(12, wants)).toEqual({ d1: 4, d2: 8, q1: 4, q2: 8 });
    expect(gpuShares(4, wants)).toEqual({ d1: 3, d2: 1, q1: 3, q2: 2 });
  });
});

describe('conformance cases that need nothing but allocate', () => {
  if (!existsSync(SHARED_CASES)) {
    console.warn(`SKIPPED: the shared conformance cases are not at ${SHARED_CASES} (set KAI_CONFORMANCE_DIR)`);
    it.skip('are not there', () => {});
    return;
  }
  const suites = [...Map.groupBy(findCaseFiles(SHARED_CASES), (file) => basename(join(file, '..')))];
  it.each(suites)('%s', (_suite, files) => {
    const cases = files.map(loadCase).filter((c) => skipReason(c) === null);
    const failures = cases.flatMap((c) => differencesOf(c).map((d) => ({ case: c.id, difference: formatDifference(d) })));
    expect(failures.filter(({ difference }) => !isVictimText(difference))).toEqual([]);
  });
});

test('the random clusters are in scope and make the twin decide something', () => {
  const clusters = Array.from({ length: 50 }, (_, seed) => randomTestCluster(seed));
  expect(clusters.map(({ objects, config }) => outOfScope(objects, config)).filter((why) => why !== null)).toEqual([]);
  const kinds = clusters.flatMap(({ objects, config }) => decide(objects, config, NOW_MS).decisions.map((d) => d.kind));
  expect(kinds.filter((kind) => kind === 'bind').length).toBeGreaterThan(80);
  expect(kinds.filter((kind) => kind === 'pipeline').length).toBeGreaterThan(10);
});
