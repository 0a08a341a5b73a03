// The audit of all other suites, on a scheduler that breaks the rules: the test binds and evicts by itself, under the account and
// the name of the scheduler. Whatever is not found here would pass unseen there.
import { expect, test } from 'vitest';
import { ApiClient } from './support/apiClient.ts';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { nodeObject, queueObject } from './support/objects.ts';

/** The rules that were broken. */
async function rules(bed: Bed): Promise<string[]> {
  const found = await bed.findings();
  return [...new Set(found.map((line) => line.split(':')[0]!))].sort();
}

async function bind(bed: Bed, key: string, node: string): Promise<void> {
  const name = key.slice(TEAM.length + 1);
  const annotations = { 'received-resource-type': 'Regular' };
  const binding = { metadata: { name, annotations }, target: { kind: 'Node', name: node } };
  await bed.client.create(`/api/v1/namespaces/${TEAM}/pods/${name}/binding`, binding);
}

/** With the account, the request and the event of the scheduler. */
async function evict(bed: Bed, key: string, group: string, action: string, evictor: string): Promise<void> {
  const client = new ApiClient({ url: bed.plane.url, ca: bed.plane.ca, token: bed.schedulerToken });
  const { uid } = bed.audit.podGroups.get(`${TEAM}/${group}`)!.metadata;
  await bed.create({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: {
      name: `evict-${group}`,
      namespace: TEAM,
      annotations: { 'evictor-action-type': action, 'evictor-pod-group-name': evictor, 'evictor-pod-group-namespace': TEAM },
    },
    involvedObject: { apiVersion: 'scheduling.run.ai/v2alpha2', kind: 'PodGroup', namespace: TEAM, name: group, uid },
    reason: 'Evict',
    type: 'Normal',
  });
  await client.delete(`/api/v1/namespaces/${TEAM}/pods/${key.slice(TEAM.length + 1)}`);
  await client.close();
}

onCluster('the audit finds', { args: null }, (bed) => {
  test('nothing in what is right', async () => {
    await bed().createCluster(2, { gpus: 2 });
    const keys = await bed().createGang('gang', 3, { gpus: 1 });
    await bind(bed(), keys[0]!, 'n1');
    expect(await rules(bed())).toEqual(['partial-gang']);
    await bind(bed(), keys[1]!, 'n1');
    await bind(bed(), keys[2]!, 'n2');
    await bed().untilRunning(keys);
    expect(await bed().findings()).toEqual([]);
  });

  test('places that a pod may not have', async () => {
    await bed().create(
      nodeObject('n1', { gpus: 1 }),
      nodeObject('n2', { gpus: 8, taints: [{ key: 'team', effect: 'NoSchedule' }] }),
      queueObject('dept', { gpu: { quota: 8, limit: 8 } }),
      queueObject('q', { parent: 'dept', gpu: { quota: 1, limit: 2 }, cpu: { quota: -1 }, memory: { quota: -1 } }),
    );
    const [tainted] = await bed().createGang('tainted', 1, { queue: 'q', gpus: 1 });
    await bind(bed(), tainted!, 'n2');
    await bed().untilRunning([tainted!]);
    expect(await rules(bed())).toEqual(['node-taint']);
    await bed().forgive();
    const tolerations = [{ operator: 'Exists' }];
    const [over] = await bed().createGang('over', 1, { queue: 'q', gpus: 2, spec: { tolerations } });
    await bind(bed(), over!, 'n2');
    const [fixed] = await bed().createGang('fixed', 1, {
      queue: 'q',
      gpus: 4,
      spec: { tolerations },
      groupSpec: { priorityClassName: 'build' },
    });
    await bind(bed(), fixed!, 'n2');
    await bed().untilRunning([over!, fixed!]);
    expect(await rules(bed())).toEqual(['queue-limit', 'queue-quota']);
    await bed().forgive();
    const [two] = await bed().createGang('two', 1, { queue: 'nowhere', gpus: 2 });
    await bind(bed(), two!, 'n1');
    await bed().until('the kubelet to refuse it', () => bed().kubelet.rejections.length === 1);
    expect(await rules(bed())).toEqual(['node-overcommit', 'queue-unknown']);
    await bed().forgive();
  });

  test('evictions that nobody may make', async () => {
    const plenty = { quota: -1 };
    await bed().create(nodeObject('n1', { gpus: 4 }), queueObject('examples', { gpu: plenty, cpu: plenty, memory: plenty }));
    const fixed = await bed().createGang('fixed', 1, { gpus: 1, groupSpec: { priorityClassName: 'build' } });
    const gang = await bed().createGang('gang', 3, { gpus: 1 });
    for (const key of [...fixed, ...gang]) await bind(bed(), key, 'n1');
    await bed().untilRunning([...fixed, ...gang]);
    await bed().createGang('other', 1, { gpus: 1 });
    expect(await bed().findings()).toEqual([]);
    await evict(bed(), fixed[0]!, 'fixed', 'preempt', 'other');
    await evict(bed(), gang[0]!, 'gang', 'reclaim', 'other');
    await bed().untilGone([fixed[0]!, gang[0]!]);
    expect(await rules(bed())).toEqual(['partial-unit', 'victim-not-preemptible', 'victim-priority', 'victim-queue']);
    await bed().forgive();
  });
});
