import { describe, expect, test } from 'vitest';
import type { CycleReport, JobReport } from '../../src/base/decisions.ts';
import { emptySearchCounts } from '../../src/base/decisions.ts';
import type { PodGroup, SchedulingCondition } from '../../src/base/objects.ts';
import type { PodGroupRow, PodRow } from '../../src/base/rows.ts';
import { changedAnnotations, changedConditions } from '../../src/scheduler/groupStatus.ts';
import { Reporter } from '../../src/scheduler/reporter.ts';
import { settle } from '../kubernetes/clocks.ts';
import { createWorld, failed, group, pod } from './world.ts';

const JOB: JobReport = {
  podGroupRow: 0 as PodGroupRow,
  state: 'unschedulable',
  message: 'no room: 3 node(s).',
  errors: [],
  pods: [],
  isConditionWanted: true,
};
const COUNTS = { bound: 0, pipelined: 0, evicted: 0, jobsAttempted: 0, jobsFailed: 0, nodesEvaluated: 0, scans: 0, classes: 0 };

function createReporter() {
  const world = createWorld();
  const removed: (readonly string[])[] = [];
  const reporter = new Reporter({ ...world, nodePoolLabelKey: 'pool', removeStaleRequests: (keys) => void removed.push(keys) });
  world.state.put('podGroups', group('job'));
  world.state.put('pods', pod('a'));
  const report = async (job: Partial<JobReport>, podMessages: readonly string[] = [], stale: readonly string[] = []): Promise<string[]> => {
    const view = world.state.seal();
    const pods = podMessages.map((message, row) => ({ podRow: row as PodRow, message }));
    const jobs = [{ ...JOB, ...job, pods }];
    const cycle: CycleReport = {
      jobs,
      queues: [],
      counts: COUNTS,
      search: emptySearchCounts(),
      searchByAction: {},
      phaseMs: {},
      staleBindRequests: stale,
      sameUntilMs: Number.NEGATIVE_INFINITY,
    };
    await reporter.report(cycle, view);
    await settle();
    return world.writes.take();
  };
  return { ...world, reporter, report, removed };
}

const STATUS = '/apis/scheduling.run.ai/v2alpha2/namespaces/ns/podgroups/job/status';
const ANNOTATIONS = '/apis/scheduling.run.ai/v2alpha2/namespaces/ns/podgroups/job';
const POD_STATUS = '/api/v1/namespaces/ns/pods/a/status';
const FIRST = [`PATCH ${STATUS}`, 'event Unschedulable job', 'event Unschedulable a', `PATCH ${POD_STATUS}`];

describe('what users are told', () => {
  test('an unschedulable job once: condition and event for group and pod; nothing at rest', async () => {
    const { report, clock } = createReporter();
    expect(await report({}, ['no room'])).toEqual(FIRST);
    for (let i = 0; i < 3; i++) {
      await clock.advance(60_000);
      expect(await report({}, ['no room'])).toEqual([]);
    }
  });

  test('new counts wait a minute, another reason ten seconds; then the last text is told', async () => {
    const { report, clock } = createReporter();
    await report({ message: 'no room on 3 nodes' }, ['no room on 3 nodes']);
    await clock.advance(10_000);
    expect(await report({ message: 'no room on 4 nodes' }, ['no room on 4 nodes'])).toEqual([]);
    await clock.advance(50_000);
    expect(await report({ message: 'no room on 5 nodes' }, ['no room on 5 nodes'])).toEqual(FIRST);
    await clock.advance(9_000);
    expect(await report({ message: 'over the limit' }, ['over the limit'])).toEqual([]);
    await clock.advance(1_000);
    expect(await report({ message: 'over the limit' }, ['over the limit'])).toEqual(FIRST);
  });

  test('the pod condition is what autoscalers look for; its time moves only with its status', async () => {
    const { report, writes, state } = createReporter();
    const view = state.seal();
    expect(view.pods.rows).toBe(1);
    await report({}, []);
    await report({}, ['no room']);
    expect(writes.sent).toEqual([]);
    const first = createReporter();
    let body: unknown;
    first.writes.submit = (write) => {
      if (write.request.path === POD_STATUS) body = write.request.body;
      return Promise.resolve({ kind: 'done', status: 200, body: Buffer.alloc(0), attempts: 1 });
    };
    await first.report({}, ['no room']);
    expect(body).toEqual({
      metadata: { uid: 'uid-a' },
      status: {
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            reason: 'Unschedulable',
            message: 'no room',
            lastTransitionTime: '2026-01-01T12:00:00Z',
          },
        ],
      },
    });
    const told = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'older' };
    first.state.put('pods', { ...pod('a', { uid: 'again' }), status: { phase: 'Pending', conditions: [told] } });
    await first.report({}, ['no room']);
    expect(body).toMatchObject({ metadata: { uid: 'again' } });
    expect(JSON.stringify(body)).not.toContain('lastTransitionTime');
  });

  test('a job that made the engine throw is told by what sets it aside, its pods by the cycle', async () => {
    const { report, reporter, writes } = createReporter();
    await report({});
    const pods = await report({ isBroken: true, message: 'internal error' }, ['internal error']);
    expect(pods).toEqual(['event Unschedulable a', `PATCH ${POD_STATUS}`]);
    reporter.reportBroken('ns/job', new Error('boom'));
    expect(writes.take()).toEqual([`PATCH ${STATUS}`, 'event Unschedulable job']);
  });

  test('what a predecessor has said is not said again', async () => {
    const { report, state } = createReporter();
    const condition = {
      type: 'UnschedulableOnNodePool',
      nodePool: 'default',
      status: 'True',
      reason: 'Unschedulable',
      message: JOB.message,
      transitionID: '3',
    };
    state.put('podGroups', { ...group('job'), status: { schedulingConditions: [condition] } });
    const told = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no room' };
    state.put('pods', { ...pod('a'), status: { phase: 'Pending', conditions: [told] } });
    expect(await report({}, ['no room'])).toEqual([]);
  });

  test('markUnschedulable: false keeps the pod’s condition, not its event', async () => {
    const { report, state } = createReporter();
    state.put('podGroups', { ...group('job'), spec: { queue: 'q', markUnschedulable: false } });
    expect(await report({}, ['no room'])).toEqual(FIRST.slice(0, 3));
  });

  test('pods that are bound, being bound, leaving or gone are told nothing', async () => {
    const { report, state } = createReporter();
    await report({}, []);
    state.put('pods', pod('a', { deletionTimestamp: '2026-01-01T00:00:00Z' }));
    expect(await report({}, ['no room'])).toEqual([]);
    state.put('pods', pod('a', { node: 'n1' }));
    expect(await report({}, ['no room'])).toEqual([]);
  });

  test('a group that lacks pods is told after two seconds, so that gangs may be created in peace', async () => {
    const { report, clock } = createReporter();
    const notReady = { state: 'notReady', message: 'Job is not ready', isConditionWanted: false } as const;
    expect(await report(notReady)).toEqual([]);
    await clock.advance(1_999);
    expect(await report(notReady)).toEqual([]);
    await clock.advance(1);
    expect(await report(notReady)).toEqual(['event NotReady job']);
    await clock.advance(60_000);
    expect(await report(notReady)).toEqual([]);
  });

  test('OP-23: the condition goes with its reason, once, also before the watch shows it', async () => {
    const { report, state, clock } = createReporter();
    await report({});
    const starting = { state: 'scheduled', lastStartMs: clock.nowMs() } as const;
    expect(await report(starting)).toEqual([`PATCH ${ANNOTATIONS}`]);
    expect(await report({ state: 'scheduled' })).toEqual([`PATCH ${STATUS}`]);
    expect(state.group('ns/job')?.status?.schedulingConditions ?? []).toEqual([]);
    expect(await report({ state: 'scheduled' })).toEqual([]);
  });

  test('transition numbers grow also after a removal that was written and seen', async () => {
    const { report, state, clock } = createReporter();
    const observe = (): void => {
      const schedulingConditions = state.group('ns/job')?.status?.schedulingConditions ?? [];
      state.put('podGroups', { ...group('job'), status: { schedulingConditions } });
    };
    await report({});
    observe();
    await report({ state: 'scheduled' });
    observe();
    await clock.advance(60_000);
    expect(state.group('ns/job')?.status?.schedulingConditions).toEqual([]);
    await report({});
    expect(state.group('ns/job')?.status?.schedulingConditions).toMatchObject([{ transitionID: '2' }]);
  });

  test('OP-13: a refused write is decided anew in the next cycle; a group that is gone is not written about', async () => {
    const { report, state, writes } = createReporter();
    writes.answers.set(STATUS, failed(409));
    expect(await report({})).toEqual([`PATCH ${STATUS}`, 'event Unschedulable job']);
    expect(state.group('ns/job')?.status).toBeUndefined();
    writes.answers.clear();
    expect(await report({})).toEqual([`PATCH ${STATUS}`]);
    const view = state.seal();
    state.put('podGroups', { ...group('job'), metadata: { ...group('job').metadata, uid: 'another' } });
    const cycle = {
      jobs: [{ ...JOB, message: 'new' }],
      queues: [],
      counts: COUNTS,
      search: emptySearchCounts(),
      searchByAction: {},
      phaseMs: {},
      staleBindRequests: [],
      sameUntilMs: Number.NEGATIVE_INFINITY,
    };
    await createOn(createReporter().reporter, cycle, view);
    expect(writes.take()).toEqual([]);
  });

  test('stale bind requests are deleted, assumed ones are no objects', async () => {
    const { report, state, removed } = createReporter();
    state.put('bindRequests', { metadata: { name: 'a', namespace: 'ns' }, spec: { podName: 'a', selectedNode: 'gone' } });
    await report({}, [], ['ns/Assumed a', 'ns/a']);
    await report({}, [], ['ns/Assumed a']);
    expect(removed).toEqual([['ns/a']]);
  });
});

function createOn(reporter: Reporter, cycle: CycleReport, view: Parameters<Reporter['report']>[1]): Promise<void> {
  return reporter.report(cycle, view);
}

test('spec 01 section 5.4, worked example of the condition list', () => {
  const condition = (nodePool: string, transitionID: string, message: string): SchedulingCondition => ({
    type: 'UnschedulableOnNodePool',
    nodePool,
    status: 'True',
    reason: 'Unschedulable',
    message,
    transitionID,
  });
  const before = [condition('a', '3', 'M0'), condition('default', '5', 'M1')];
  const of = (conditions: readonly SchedulingCondition[]): PodGroup => ({ ...group('job'), status: { schedulingConditions: conditions } });
  const ids = (list: readonly SchedulingCondition[] | undefined): unknown => list?.map((c) => [c.nodePool, c.transitionID, c.message]);
  const after = (conditions: readonly SchedulingCondition[], pool: string, message: string, lastTransition = -1) =>
    changedConditions(of(conditions), { ...JOB, message }, pool, lastTransition, 0);
  expect(after(before, 'default', 'M1')).toBeUndefined();
  const second = after(before, 'default', 'M2');
  expect(ids(second)).toEqual([
    ['a', '3', 'M0'],
    ['default', '6', 'M2'],
  ]);
  expect(ids(after(second ?? [], 'a', 'M3'))).toEqual([
    ['default', '6', 'M2'],
    ['a', '7', 'M3'],
  ]);
  // Numbers grow also after a removal.
  expect(ids(after([], 'a', 'M4', 7))).toEqual([['a', '8', 'M4']]);
  expect(ids(after([], 'a', 'M4'))).toEqual([['a', '1', 'M4']]);
});

test('the times of recent evictions are kept on the group, whole seconds, and written only when they change (safe eviction)', () => {
  const recentEvictionsMs = [Date.parse('2026-01-01T11:30:00Z'), Date.parse('2026-01-01T11:45:00.900Z')];
  const changed = changedAnnotations(group('job'), { ...JOB, recentEvictionsMs });
  expect(changed).toEqual({ 'kai.scheduler/recent-eviction-timestamps': '2026-01-01T11:30:00Z,2026-01-01T11:45:00Z' });
  const written = group('job');
  const after = { ...written, metadata: { ...written.metadata, annotations: changed as Record<string, string> } };
  expect(changedAnnotations(after, { ...JOB, recentEvictionsMs })).toBeUndefined();
});
