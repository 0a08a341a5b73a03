import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SchedulerConfig } from '../../src/base/config.ts';
import { type CycleReport, type Decision, emptySearchCounts } from '../../src/base/decisions.ts';
import type { PodGroupRow, PodRow } from '../../src/base/rows.ts';
import type { SnapshotOptions, SnapshotView } from '../../src/base/snapshotView.ts';
import { type DecideParts, decide } from '../../src/cli/decide.ts';
import { decisionsText } from '../../src/cli/output/decisionsText.ts';
import { UsageError } from '../../src/cli/usage.ts';
import { saveSnapshot } from '../../src/snapshot/codec.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';

let directory = '';
const at = (name: string): string => join(directory, name);

const pod = (name: string, group: string): unknown => ({
  metadata: { name, namespace: 't', uid: `uid-${name}`, annotations: { 'pod-group-name': group } },
  spec: { schedulerName: 'mine', containers: [{ name: 'c', resources: { requests: { cpu: '1' } } }] },
});
const CLUSTER = {
  now: '2026-01-01T12:00:00Z',
  config: { actions: 'allocate, reclaim', tiers: [{ plugins: [{ name: 'predicates' }, { name: 'nonesuch' }] }] },
  schedulerParams: { schedulerName: 'mine' },
  rawObjects: {
    nodes: [{ metadata: { name: 'n1' }, status: { allocatable: { cpu: '8', memory: '1Gi', pods: '110' } } }],
    queues: [{ metadata: { name: 'q' }, spec: { priority: 'high' } }],
    podGroups: ['a', 'b'].map((name) => ({ metadata: { name, namespace: 't' }, spec: { queue: 'q' } })),
    pods: [pod('a-0', 'a'), pod('b-0', 'b'), pod('b-1', 'b')],
  },
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kai-decide-'));
  await writeFile(at('cluster.json'), JSON.stringify(CLUSTER));
  await writeFile(at('config.yaml'), 'actions: allocate\n');
});
afterAll(() => rm(directory, { recursive: true }));

interface Seen {
  config?: SchedulerConfig;
  nowMs?: number;
  view?: SnapshotView;
  options?: SnapshotOptions;
  workers?: 'auto' | number;
  closed: number;
  readonly notes: string[];
}

/** A runner that binds a-0 and lets group b wait, whatever it is given. */
function fakeParts(seen: Seen): DecideParts {
  return {
    actions: ['allocate'],
    note: (line) => seen.notes.push(line),
    createWriter: (options) => {
      seen.options = options;
      return createSnapshotWriter(options);
    },
    createRunner: ({ workers }) => ({
      workers: 0,
      run: async (view, config, nowMs) => {
        Object.assign(seen, { view, config, nowMs, workers });
        return {
          decisions: [bindDecision(view)],
          report: waitingReport(view),
          cycleMs: 2.5,
          restarts: 0,
          faults: [],
          searchHandovers: 0,
          sharedSearches: 0,
        };
      },
      close: async () => {
        seen.closed++;
      },
    }),
  };
}

const podRow = (view: SnapshotView, key: string): PodRow => view.pods.keyText.indexOf(view.texts.find(key)) as PodRow;
const groupRow = (view: SnapshotView, key: string): PodGroupRow => view.podGroups.keyText.indexOf(view.texts.find(key)) as PodGroupRow;

function bindDecision(view: SnapshotView): Decision {
  return {
    kind: 'bind',
    action: 'allocate',
    podRow: podRow(view, 't/a-0'),
    podGroupRow: groupRow(view, 't/a'),
    nodeRow: 0 as Decision['nodeRow'],
    receivedType: 2,
    gpuCount: 1,
    gpuPortion: '0.50',
    gpuGroups: ['g7'],
    pod: 't/a-0',
    podUid: 'uid-a-0',
    podGroup: 't/a',
    node: 'n1',
  };
}

function waitingReport(view: SnapshotView): CycleReport {
  return {
    jobs: [
      {
        podGroupRow: groupRow(view, 't/b'),
        state: 'unschedulable',
        message: 'no room\nat all',
        errors: [{ reason: 'PodSchedulingErrors', message: 'no room' }],
        pods: ['t/b-0', 't/b-1'].map((key) => ({ podRow: podRow(view, key), message: 'node n1: full' })),
        isConditionWanted: true,
      },
    ],
    queues: [
      {
        queue: 'q',
        fairShareMilliCpu: 8000,
        fairShareMemoryBytes: 1e9,
        fairShareGpu: -1,
        usageCpu: 0,
        usageMemory: 0,
        usageGpu: 0,
        allocatedMilliCpu: 1500,
        allocatedMemoryBytes: 0,
        allocatedGpu: 0.5,
      },
    ],
    counts: { bound: 1, pipelined: 0, evicted: 0, jobsAttempted: 2, jobsFailed: 1, nodesEvaluated: 2, scans: 0, classes: 1 },
    search: emptySearchCounts(),
    searchByAction: {},
    phaseMs: { open: 1, allocate: 0.5 },
    staleBindRequests: [],
    sameUntilMs: Number.NEGATIVE_INFINITY,
  };
}

const newSeen = (): Seen => ({ closed: 0, notes: [] });

test('configuration, parameters and time are those of the file; the result has names', async () => {
  const seen = newSeen();
  const document = await decide([at('cluster.json')], { workers: 0 }, fakeParts(seen));
  expect(document).toEqual({
    now: '2026-01-01T12:00:00.000Z',
    config: { actions: ['allocate'], plugins: [{ name: 'predicates', arguments: {} }] },
    decisions: [
      {
        kind: 'bind',
        action: 'allocate',
        pod: 't/a-0',
        podGroup: 't/a',
        node: 'n1',
        gpuGroups: ['g7'],
        receivedResourceType: 'Fraction',
        receivedGpu: { count: 1, portion: '0.50' },
      },
    ],
    jobs: [
      {
        podGroup: 't/b',
        state: 'unschedulable',
        message: 'no room\nat all',
        errors: [{ reason: 'PodSchedulingErrors', message: 'no room' }],
        pods: [
          { pod: 't/b-0', message: 'node n1: full' },
          { pod: 't/b-1', message: 'node n1: full' },
        ],
      },
    ],
    queues: [expect.objectContaining({ queue: 'q', allocatedGpu: 0.5 })],
    counts: expect.objectContaining({ bound: 1, jobsFailed: 1 }),
    phaseMs: { open: 1, allocate: 0.5 },
    cycleMs: 2.5,
    staleBindRequests: [],
    problems: [{ source: at('cluster.json'), object: 'Queue q', field: 'spec.priority', message: expect.any(String) }],
  });
  expect(seen.nowMs).toBe(Date.parse('2026-01-01T12:00:00Z'));
  expect(seen.options).toMatchObject({ schedulerName: 'mine', isDraServed: false });
  expect(seen.config?.params).toMatchObject({ schedulerName: 'mine', useSchedulingSignatures: false, detailedFitErrors: false });
  expect([seen.workers, seen.closed]).toEqual([0, 1]);
  expect(seen.notes).toEqual([
    `${at('cluster.json')}: Queue q: spec.priority: expected a 32-bit integer, found the string "high"`,
    'configuration: there is no plugin "nonesuch"; it is passed over',
    'configuration: not run, because there is no such action: reclaim',
  ]);
});

test('options win over the file', async () => {
  const seen = newSeen();
  const options = { workers: 'auto', config: at('config.yaml'), actions: ['allocate'], now: 5000, detailedFitErrors: true } as const;
  const document = await decide([at('cluster.json')], options, fakeParts(seen));
  expect([document.now, seen.nowMs, seen.workers]).toEqual(['1970-01-01T00:00:05.000Z', 5000, 'auto']);
  expect(seen.config?.plugins).toHaveLength(20);
  expect(seen.config?.params).toMatchObject({ schedulerName: 'mine', detailedFitErrors: true });
});

test('an action that does not exist is wrong use, before anything is read', async () => {
  await expect(decide([at('missing')], { workers: 0, actions: ['reclaim'] }, fakeParts(newSeen()))).rejects.toThrow(UsageError);
});

test('the runner is closed when the cycle fails', async () => {
  const seen = newSeen();
  const parts = fakeParts(seen);
  const failing: DecideParts = {
    ...parts,
    createRunner: (options) => ({ ...parts.createRunner(options), run: () => Promise.reject(new Error('broken')) }),
  };
  await expect(decide([at('cluster.json')], { workers: 0 }, failing)).rejects.toThrow('broken');
  expect(seen.closed).toBe(1);
});

test('a saved snapshot gives the same tables and keeps the scheduler name', async () => {
  const first = newSeen();
  await decide([at('cluster.json')], { workers: 0 }, fakeParts(first));
  await writeFile(at('cluster.kais'), saveSnapshot(first.view!));
  const seen = newSeen();
  const document = await decide([at('cluster.kais')], { workers: 0, now: 0 }, fakeParts(seen));
  expect(document.jobs.map(({ podGroup }) => podGroup)).toEqual(['t/b']);
  expect(seen.config?.params.schedulerName).toBe('mine');
  await expect(decide([at('cluster.kais'), at('cluster.json')], { workers: 0 }, fakeParts(newSeen()))).rejects.toThrow(
    'cannot be read together',
  );
});

test('text for a person', async () => {
  const document = await decide([at('cluster.json')], { workers: 0 }, fakeParts(newSeen()));
  expect(decisionsText(document)).toBe(`cycle at 2026-01-01T12:00:00.000Z, actions allocate

bound: 1
  POD    NODE  GPU         POD GROUP  ACTION
  t/a-0  n1    0.50 on g7  t/a        allocate

waiting: 1 pod group
  t/b (unschedulable): no room
    at all
    t/b-0, t/b-1: node n1: full

queues, allocated of fair share
  QUEUE  GPU               CPU (cores)  MEMORY (GB)
  q      0.5 of Unlimited  1.5 of 8     0 of 1

2 pod groups tried, 1 failed; 2.5 ms (open 1.0, allocate 0.5)
1 problem in the input, see above
`);
});
