// The cycles around the engine: the minimal kubelet between them, quiet cycles, what is handed to the comparison.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import { type CycleReport, type Decision, emptySearchCounts, type JobReport } from '../../src/base/decisions.ts';
import type { Pod } from '../../src/base/objects.ts';
import type { PodGroupRow } from '../../src/base/rows.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import type { CycleResult, CycleRunner } from '../../src/runner/cycleRunner.ts';
import { type ConformanceCase, loadCase } from './caseFormat.ts';
import { compareCase, formatDifference } from './compareCase.ts';
import { makeDecision } from './oracle.ts';
import { runCase } from './runCase.ts';
import { runCases } from './runCases.ts';

const EMPTY_REPORT: CycleReport = {
  jobs: [],
  queues: [],
  counts: { bound: 0, pipelined: 0, evicted: 0, jobsAttempted: 0, jobsFailed: 0, nodesEvaluated: 0, scans: 0, classes: 0 },
  search: emptySearchCounts(),
  searchByAction: {},
  phaseMs: {},
  staleBindRequests: [],
  sameUntilMs: Number.NEGATIVE_INFINITY,
};

/** One full GPU held by a lower-priority pod; `stuck`: r-0 runs on n1, j-0 waits. */
const base = loadCase(join(import.meta.dirname, 'cases', '03-13-24-stuck.json'));
const [held, waiting] = base.input.objects.pods.map((pod) => ({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: undefined } }));
if (held === undefined || waiting === undefined) throw new Error('the case has two pods');
const exchange: ConformanceCase = {
  ...base,
  cycles: 3,
  quiet: 2,
  input: { ...base.input, objects: { ...base.input.objects, pods: [held, waiting] } },
  expect: {
    pods: { 'ns/r-0': { outcome: 'pending' }, 'ns/j-0': { outcome: 'running', node: 'n1' } },
    nodes: { n1: { idleGpu: 0, releasingGpu: 0 } },
    totals: { bound: 0, pipelined: 0, moved: 0, evicted: 0 },
  },
};

type Turn = (view: SnapshotView, config: SchedulerConfig, nowMs: number) => { decisions: Decision[]; jobs?: JobReport[] };

/** Decides by the turn of each cycle, nothing when there is none. */
function scripted(turns: readonly Turn[]): Pick<CycleRunner, 'run'> {
  let cycle = 0;
  const run = async (view: SnapshotView, config: SchedulerConfig, nowMs: number): Promise<CycleResult> => {
    const { decisions, jobs = [] } = turns[cycle++]?.(view, config, nowMs) ?? { decisions: [] };
    return { decisions, report: { ...EMPTY_REPORT, jobs }, cycleMs: 0, restarts: 0, faults: [], searchHandovers: 0, sharedSearches: 0 };
  };
  return { run };
}

function withUid(pod: Pod, uid: string): Pod {
  return { ...pod, metadata: { ...pod.metadata, uid } };
}

const evictAndPromise: Turn = () => ({ decisions: [makeDecision('evict', held, 'n1'), makeDecision('pipeline', waiting, 'n1')] });
const bindWaiting: Turn = () => ({ decisions: [makeDecision('bind', waiting, 'n1')] });

describe('a case of several cycles', () => {
  it('sees victims come back pending and bound pods run', async () => {
    const result = await runCase(exchange, scripted([evictAndPromise, bindWaiting]));
    expect(compareCase(exchange, result)).toEqual([]);
    expect(result.pods.get('ns/r-0')?.pod.metadata.uid).toBe('r-0-r1');
  });

  it('shows the last of its cycles, not the quiet ones', async () => {
    const result = await runCase({ ...exchange, cycles: 1, quiet: 0 }, scripted([evictAndPromise]));
    expect([...result.pods.values()].map((p) => p.outcome)).toEqual(['pipelined', 'evicted']);
  });

  it('tells of changes in quiet cycles, but not of a promise that stands', async () => {
    const promise: Turn = () => ({ decisions: [makeDecision('pipeline', withUid(held, 'r-0-r1'), 'n1')] });
    const late: Turn = () => ({ decisions: [makeDecision('evict', waiting, 'n1')] });
    const result = await runCase(exchange, scripted([evictAndPromise, bindWaiting, promise, promise, late]));
    expect(result.quietChanges).toEqual(['cycle 5: test evict ns/j-0 n1']);
  });

  it('runs one period apart with the configured actions, and lets leaving pods go for good', async () => {
    const seen: string[] = [];
    const watch: Turn = (_view, config, nowMs) => {
      seen.push(`${nowMs - base.nowMs} ${config.actions.join(',')}`);
      return { decisions: [] };
    };
    const config = { actions: 'allocate, reclaim' };
    const result = await runCase({ ...base, cycles: 2, quiet: 0, input: { ...base.input, config } }, scripted([watch, watch]));
    expect(seen).toEqual(['0 allocate,reclaim', '1000 allocate,reclaim']);
    expect([...result.pods.keys()]).toEqual(['ns/j-0']);
  });

  it('takes the texts of the conditions that are wanted', async () => {
    const reporting =
      (isConditionWanted: boolean): Turn =>
      (view) => {
        const row = [...view.podGroups.keyText].findIndex((text) => view.texts.get(text) === 'ns/j') as PodGroupRow;
        return {
          decisions: [],
          jobs: [{ podGroupRow: row, state: 'unschedulable', message: 'why', errors: [], pods: [], isConditionWanted }],
        };
      };
    const single = { ...base, cycles: 1, quiet: 0 };
    expect((await runCase(single, scripted([reporting(true)]))).fitErrors).toEqual(new Map([['ns/j', 'why']]));
    expect((await runCase(single, scripted([reporting(false)]))).fitErrors).toEqual(new Map());
  });
});

describe('a run of cases', () => {
  const unable: Pick<CycleRunner, 'run'> = { run: () => Promise.reject(new Error('broken\nat x\nat y')) };

  it('counts a failing cycle as a failed case and goes on', async () => {
    const outcomes = await runCases([base, { ...base, id: 'worked/other' }], unable);
    expect(outcomes.map((o) => o.agreement)).toEqual(['failed', 'failed']);
    expect(outcomes[0]?.differences.map(formatDifference)).toEqual(['cycle: expected a result, got Error: broken\nat x']);
  });
});
