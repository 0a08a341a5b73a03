import { afterAll, expect, test } from 'vitest';
import { benchNode, benchQueue } from '../../bench/shapes.ts';
import { createAuditor } from '../../src/audit/audit.ts';
import type { Pod, PodGroup } from '../../src/base/objects.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { newGroupName } from '../../src/engine/placement/gpuChoice.ts';
import { createCycleRunner } from '../../src/runner/cycleRunner.ts';
import { snapshotOf } from '../determinism/compare.ts';
import { CLUSTER_NOW_MS, emptyObjects } from '../support/randomCluster.ts';

const { config } = loadConfig({});
const runner = createCycleRunner({ workers: 0 });
afterAll(() => runner.close());

const groupOf = (name: string): PodGroup => ({ metadata: { name, namespace: 'ns', uid: name }, spec: { queue: 'q', minMember: 1 } });

function shared(name: string, gpuGroup: string | null): Pod {
  const labels: Record<string, string> = gpuGroup === null ? {} : { 'runai-gpu-group': gpuGroup };
  const received: Record<string, string> = gpuGroup === null ? {} : { 'received-resource-type': 'Fraction' };
  return {
    metadata: { name, namespace: 'ns', uid: name, labels, annotations: { 'pod-group-name': name, 'gpu-fraction': '0.6', ...received } },
    spec: { schedulerName: 'kai-scheduler', containers: [{ name: 'main' }], ...(gpuGroup === null ? {} : { nodeName: 'node-0' }) },
    status: { phase: gpuGroup === null ? 'Pending' : 'Running' },
  };
}

test('a group that was opened by a pod whose bind was taken back keeps its name, the pod gets another', async () => {
  // In an earlier cycle `late` was to open the group and `early` joined it; then the bind of `late` was taken back.
  const objects = emptyObjects();
  objects.nodes.push(benchNode(0));
  objects.queues.push(benchQueue('q', 8));
  objects.podGroups.push(groupOf('early'), groupOf('late'));
  objects.pods.push(shared('early', newGroupName('late', 0)), shared('late', null));
  const { decisions, report } = await runner.run(snapshotOf(objects), config, CLUSTER_NOW_MS);
  expect(decisions).toMatchObject([{ kind: 'bind', pod: 'ns/late', node: 'node-0', gpuGroups: [newGroupName('late/1', 0)] }]);
  expect(createAuditor()({ objects, config, nowMs: CLUSTER_NOW_MS, decisions, report })).toEqual([]);
});
