// The engine's counts of a real cycle under upstream's names: a reclaim, and a preemption that comes to nothing.
import { expect, test } from 'vitest';
import type { Queue } from '../../src/base/objects.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';
import { createClusterMetrics } from '../../src/web/clusterMetrics.ts';
import { group, node, pod } from '../scheduler/world.ts';

async function metricsOfCycle(): Promise<string[]> {
  const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
  writer.put('nodes', node('n1', '4'));
  const queue = (name: string, quota: number): Queue => ({
    metadata: { name, uid: name },
    spec: { resources: { cpu: { quota, limit: -1, overQuotaWeight: 1 }, memory: { quota: -1 }, gpu: { quota: -1 } } },
  });
  writer.put('queues', queue('poor', 2000));
  writer.put('queues', queue('rich', 2000));
  writer.setUsage('rich', 0.25, 0, 0.5);
  const add = (name: string, queueName: string, on?: string): void => {
    writer.put('podGroups', { ...group(name), spec: { queue: queueName, minMember: 1, priorityClassName: 'train' } });
    writer.put('pods', pod(`${name}-0`, { group: name, node: on, phase: on === undefined ? 'Pending' : 'Running' }));
  };
  writer.put('priorityClasses', { metadata: { name: 'train' }, value: 50 });
  for (let i = 0; i < 4; i++) add(`rich${i}`, 'rich', 'n1');
  add('rich-waits', 'rich');
  add('poor-waits', 'poor');
  const runner = createCycleRunner({ workers: 0 });
  const { config } = loadConfig({ actions: ['allocate', 'reclaim', 'preempt'] });
  const result = await runner.run(writer.seal(), config, Date.parse('2026-01-01T12:00:00Z'), () => undefined);
  await runner.close();
  const metrics = createClusterMetrics(
    'kai_',
    () => '',
    () => undefined,
  );
  metrics.cycle(result, 1);
  return (await metrics.registry.metrics()).split('\n');
}

test('searches by action, generator and result; successes of the victim actions; usage of queues', async () => {
  const lines = await metricsOfCycle();
  const rich = '{queue_name="rich",queue_metadata_name="rich",queue_display_name=""}';
  for (const line of [
    'kai_podgroups_acted_on_by_action{action="reclaim"} 1',
    'kai_podgroups_scheduled_by_action{action="reclaim"} 1',
    'kai_podgroups_scheduled_by_action{action="preempt"} 0',
    'kai_podgroups_acted_on_by_action{action="preempt"} 1',
    'kai_scenario_search_jobs_total{action="reclaim",result="solved",reduced_budget="false"} 1',
    'kai_scenario_search_jobs_total{action="preempt",result="generators_exhausted",reduced_budget="false"} 1',
    'kai_scenario_search_scenarios_total{action="reclaim",generator="MultiNodeGang",state="simulated"} 0',
    'kai_total_preemption_attempts 0',
    `kai_queue_cpu_usage${rich} 0.25`,
    `kai_queue_gpu_usage${rich} 0.5`,
  ]) {
    expect(lines).toContain(line);
  }
  const value = (start: string): number =>
    Number(
      lines
        .find((line) => line.startsWith(start))
        ?.split(' ')
        .at(-1),
    );
  const emitted = value('kai_scenario_search_scenarios_total{action="reclaim",generator="NodeLocalGreedy",state="emitted"');
  expect(emitted).toBeGreaterThan(0);
  expect(value('kai_scenarios_simulation_by_action{action="reclaim"}')).toBe(emitted);
});
