// Queues: quotas and limits, their change while everything runs, and what people are told about them.
import { expect, test } from 'vitest';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { nodeObject, podGroupObject, podObject, queueObject } from './support/objects.ts';

const queuePath = (name: string): string => `/apis/scheduling.run.ai/v2/queues/${name}`;

function reasonsOf(bed: Bed, group: string): string[] {
  return bed.groupConditions(group).flatMap((condition) => (condition.reasons ?? []).map(({ reason }) => reason ?? ''));
}

onCluster('queues', {}, (bed) => {
  test('equal queues get equal shares', async () => {
    await bed().create(nodeObject('n1', { gpus: 3 }), queueObject('dept', { gpu: { quota: 3, limit: 3 } }));
    const names = ['a', 'b', 'c'];
    await bed().create(...names.map((name) => queueObject(name, { parent: 'dept', gpu: { quota: 1, limit: 3 } })));
    const keys = new Map<string, string[]>();
    for (const name of names) {
      const own: string[] = [];
      for (let i = 0; i < 2; i++) own.push(...(await bed().createGang(`${name}${i}`, 1, { queue: name, gpus: 1 })));
      keys.set(name, own);
    }
    await bed().until('one pod of each queue', () => [...keys.values()].every((own) => bed().boundOf(own).length === 1));
  });

  test('a limit, and its change at run time', async () => {
    await bed().create(nodeObject('n1', { gpus: 4 }), queueObject('dept'), queueObject('q', { parent: 'dept', gpu: { limit: 1 } }));
    const first = await bed().createGang('first', 1, { queue: 'q', gpus: 1 });
    await bed().untilRunning(first);
    const second = await bed().createGang('second', 2, { queue: 'q', gpus: 1 });
    await bed().untilUnschedulable(second);
    await bed().until('the reason', () => reasonsOf(bed(), 'second').includes('OverLimit'));
    await bed().client.patch(queuePath('q'), { spec: { resources: { gpu: { limit: 3 } } } });
    await bed().untilRunning(second);
  });

  test('non-preemptible work stays within the quota', async () => {
    const plenty = { cpu: { quota: -1 }, memory: { quota: -1 } };
    await bed().create(nodeObject('n1', { gpus: 4 }), queueObject('dept', { ...plenty, gpu: { quota: 4 } }));
    await bed().create(queueObject('q', { parent: 'dept', ...plenty, gpu: { quota: 0 } }));
    const keys = await bed().createGang('fixed', 1, { queue: 'q', gpus: 1, groupSpec: { priorityClassName: 'build' } });
    await bed().untilUnschedulable(keys);
    await bed().until('the reason', () => reasonsOf(bed(), 'fixed').includes('NonPreemptibleOverQuota'));
    await bed().client.patch(queuePath('q'), { spec: { resources: { gpu: { quota: 1 } } } });
    await bed().untilRunning(keys);
  });

  test('a quota raised at run time reclaims', async () => {
    await bed().create(nodeObject('n1', { gpus: 2 }), queueObject('dept', { gpu: { quota: 2, limit: 2 } }));
    await bed().create(
      queueObject('a', { parent: 'dept', gpu: { quota: 2 } }),
      queueObject('b', { parent: 'dept', gpu: { overQuotaWeight: 0 } }),
    );
    const held: string[] = [];
    for (let i = 0; i < 2; i++) held.push(...(await bed().createGang(`a${i}`, 1, { queue: 'a', gpus: 1 })));
    await bed().untilRunning(held);
    const wanted = await bed().createGang('b0', 1, { queue: 'b', gpus: 1 });
    await bed().untilUnschedulable(wanted);
    await bed().client.patch(queuePath('a'), { spec: { resources: { gpu: { quota: 1 } } } });
    await bed().client.patch(queuePath('b'), { spec: { resources: { gpu: { quota: 1 } } } });
    await bed().untilRunning(wanted);
  });

  test('four levels of queues, and a queue that comes after its pods', async () => {
    await bed().create(nodeObject('n1', { gpus: 1 }));
    const keys = await bed().createGang('deep', 1, { queue: 'l4', gpus: 1 });
    await bed().create(queueObject('l1', { gpu: { quota: 8 } }), queueObject('l2', { parent: 'l1', gpu: { quota: 4 } }));
    await bed().create(queueObject('l3', { parent: 'l2', gpu: { quota: 2 } }), queueObject('l4', { parent: 'l3', gpu: { quota: 1 } }));
    await bed().untilRunning(keys);
  });

  test.each([
    ['that is missing', 'nowhere', []],
    ['that has children', 'dept', [queueObject('dept'), queueObject('leaf', { parent: 'dept' })]],
    ['whose parent is missing', 'orphan', [queueObject('orphan', { parent: 'lost' })]],
  ])('a queue %s is named to pod and group (OP-26)', async (_, queue, queues) => {
    await bed().create(nodeObject('n1', { gpus: 1 }), ...queues);
    const keys = await bed().createGang('lost-job', 1, { queue, gpus: 1 });
    const text = new RegExp(queue);
    await bed().untilEvent('lost-job', 'Unschedulable', text);
    await bed().untilEvent('lost-job-0', 'Unschedulable', text);
    for (const event of [...(await bed().events('lost-job')), ...(await bed().events('lost-job-0'))]) {
      expect(event.message).not.toMatch(/pod[^.,;]*not found/i);
    }
    expect(bed().boundOf(keys)).toEqual([]);
  });

  test('a deleted queue: its pods run on, new ones wait, and it may come back', async () => {
    await bed().create(nodeObject('n1', { gpus: 2 }), queueObject('q'));
    const before = await bed().createGang('before', 1, { queue: 'q', gpus: 1 });
    await bed().untilRunning(before);
    await bed().client.delete(queuePath('q'));
    const after = await bed().createGang('after', 1, { queue: 'q', gpus: 1 });
    await bed().untilEvent('after', 'Unschedulable', /q/);
    expect(bed().nodeOf(before[0]!)).toBe('n1');
    expect(bed().audit.pods.get(before[0]!)?.metadata.deletionTimestamp).toBeUndefined();
    await bed().create(queueObject('q'));
    await bed().untilRunning(after);
  });

  test('CPU quotas in thousandths and memory limits count too', async () => {
    await bed().create(nodeObject('n1', { gpus: 0 }), queueObject('dept', { cpu: { quota: 2000, limit: 2000 } }));
    await bed().create(queueObject('q', { parent: 'dept', cpu: { quota: 500, limit: 500 } }));
    await bed().create(podGroupObject(TEAM, 'cpu', 'q', { minMember: 1 }));
    await bed().create(...[0, 1].map((i) => podObject(TEAM, `cpu-${i}`, { group: 'cpu', cpu: '500m' })));
    const keys = [`${TEAM}/cpu-0`, `${TEAM}/cpu-1`];
    await bed().until('one pod', () => bed().boundOf(keys).length === 1);
    await bed().untilUnschedulable(keys.filter((key) => bed().nodeOf(key) === undefined));
  });
});
