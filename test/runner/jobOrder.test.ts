import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { jobOrderInThread } from '../../src/runner/jobOrder.ts';
import { createWorld, group, node, pod } from '../scheduler/world.ts';

test('the order of allocate at the start of a cycle, jobs keyed by name and namespace (spec 01 section 6.4); the main thread stays free', async () => {
  const { state } = createWorld();
  state.put('nodes', node('n1', '8'));
  for (const name of ['team-a', 'team-b']) state.put('queues', { metadata: { name, uid: name }, spec: { resources: {} } });
  state.put('priorityClasses', { metadata: { name: 'high' }, value: 100 });
  state.put('priorityClasses', { metadata: { name: 'low' }, value: 50 });
  const add = (name: string, queue: string, priorityClassName: string, minMember = 1): void => {
    state.put('podGroups', { ...group(name), spec: { queue, priorityClassName, minMember } });
    state.put('pods', pod(`${name}-0`, { group: name }));
  };
  add('a1', 'team-a', 'low');
  add('a2', 'team-a', 'high');
  add('b1', 'team-b', 'low');
  add('not-ready', 'team-b', 'high', 2);
  const { config } = loadConfig({});
  let turns = 0;
  const turning = setInterval(() => turns++, 0);
  const order = await jobOrderInThread(state.seal(), config, Date.parse('2026-01-01T00:00:00Z'));
  clearInterval(turning);
  const entry = (id: string, priority: number): object => ({ id, namespace: 'ns', priority });
  expect(turns).toBeGreaterThan(0);
  expect(order.queue_order).toEqual({ 'team-a': [entry('a2', 100), entry('a1', 50)], 'team-b': [entry('b1', 50)] });
  expect(order.global_order).toHaveLength(3);
  const limited = await jobOrderInThread(state.seal(), { ...config, queueDepthPerAction: { allocate: 1 } }, 0);
  expect(limited.queue_order['team-a']).toEqual([entry('a2', 100)]);
});

test('a failure in the thread is told, not lost', async () => {
  const { state } = createWorld();
  const view = { ...state.seal(), buffer: new SharedArrayBuffer(8) };
  await expect(jobOrderInThread(view, loadConfig({}).config, 0)).rejects.toThrow();
});
