// Plain pods and gangs: all or none, and people are told why nothing happens.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { onCluster, TEAM } from './support/bed.ts';
import { nodeObject, podGroupObject, podObject } from './support/objects.ts';

onCluster('gangs', {}, (bed) => {
  test('plain pods: one binding each, at most one event and one status', async () => {
    await bed().createCluster(2);
    const from = bed().requestCount();
    const keys = await Promise.all(Array.from({ length: 20 }, (_, i) => bed().createGang(`plain-${i}`, 1)));
    await bed().untilRunning(keys.flat());
    await bed().untilEvent('plain-0-0', 'Scheduled', /Successfully assigned pod team\/plain-0-0 to node n\d at node-pool default/);
    const writes = bed().writesSince(from);
    expect(writes['create pods/binding']).toBe(20);
    expect(writes['create events'] ?? 0).toBeLessThanOrEqual(20);
    expect(writes['patch pods/status'] ?? 0).toBeLessThanOrEqual(20);
    expect(writes['patch pods'] ?? 0).toBe(0);
  });

  test('gang of 64 GPUs on 8 nodes', async () => {
    await bed().createCluster(8);
    const keys = await bed().createGang('gang', 64, { gpus: 1 });
    await bed().untilRunning(keys);
    expect(bed().audit.partialGangs()).toEqual([]);
  });

  test('a gang that can never fit is told so and takes nothing; smaller ones behind it run', async () => {
    await bed().createCluster(2);
    const hopeless = await bed().createGang('hopeless', 17, { gpus: 1 });
    const small = await bed().createGang('small', 2, { gpus: 8 });
    await bed().untilRunning(small);
    await bed().untilUnschedulable(hopeless);
    expect(bed().boundOf(hopeless)).toEqual([]);
    await bed().until('the condition of the group', () => bed().groupConditions('hopeless').length === 1);
    expect(bed().groupConditions('hopeless')[0]!.reason).toBe('Unschedulable');
    await bed().untilEvent('hopeless', 'Unschedulable');
  });

  test('nothing is written at rest', async () => {
    await bed().createCluster(1);
    const hopeless = await bed().createGang('hopeless', 9, { gpus: 1 });
    await bed().untilRunning(await bed().createGang('fits', 4, { gpus: 1 }));
    await bed().untilUnschedulable(hopeless);
    await bed().until('the condition of the group', () => bed().groupConditions('hopeless').length === 1);
    // Texts are corrected after ten seconds, numbers in them after a minute: then there is nothing more to say.
    await bed().until(
      'fifteen seconds without a write',
      async () => {
        const from = bed().requestCount();
        await sleep(15_000);
        return Object.keys(bed().writesSince(from)).length === 0;
      },
      150_000,
    );
  });

  test('the condition goes when the reason has gone (OP-23)', async () => {
    await bed().createCluster(1, { gpus: 2 });
    const keys = await bed().createGang('gang', 3, { gpus: 1 });
    await bed().untilUnschedulable(keys);
    await bed().until('the condition of the group', () => bed().groupConditions('gang').length === 1);
    await bed().create(nodeObject('n2', { gpus: 2 }));
    await bed().untilRunning(keys);
    await bed().until('the condition to go', () => bed().groupConditions('gang').length === 0);
  });

  test('a gang whose pods are not all there is not ready and says so', async () => {
    await bed().createCluster(1);
    const keys = await bed().createGang('early', 1, { minMember: 2, gpus: 1 });
    await bed().untilEvent('early', 'NotReady', /Job is not ready for scheduling\. Waiting for 2 pods, currently 1 exist, 0 are gated/);
    expect(bed().boundOf(keys)).toEqual([]);
    await bed().create(podObject(TEAM, 'early-1', { group: 'early', gpus: 1 }));
    await bed().untilRunning([...keys, `${TEAM}/early-1`]);
  });

  test('elastic groups take what there is beyond their minimum, evenly', async () => {
    await bed().createCluster(1, { gpus: 5 });
    const a = await bed().createGang('elastic-a', 3, { minMember: 1, gpus: 1 });
    const b = await bed().createGang('elastic-b', 3, { minMember: 1, gpus: 1 });
    await bed().until('five pods', () => bed().boundOf([...a, ...b]).length === 5);
    const [left] = [...a, ...b].filter((key) => bed().nodeOf(key) === undefined);
    await bed().untilUnschedulable([left!]);
  });

  test('the pods of an elastic group come in the order of their priority labels', async () => {
    await bed().createCluster(1, { gpus: 2 });
    await bed().create(podGroupObject(TEAM, 'ordered', 'examples', { minMember: 1 }));
    const priorities = ['1', '3', '2'];
    const pods = priorities.map((value, i) =>
      podObject(TEAM, `ordered-${i}`, { group: 'ordered', gpus: 1, labels: { 'kai.scheduler/task-priority': value } }),
    );
    // Gated until all of them are there: the order of creation must not matter.
    const gated = podObject(TEAM, 'blocker', { group: 'blocker', gpus: 2 });
    await bed().create(podGroupObject(TEAM, 'blocker', 'examples', { minMember: 1 }), gated);
    await bed().untilRunning([`${TEAM}/blocker`]);
    await bed().create(...pods);
    await bed().untilUnschedulable(['ordered-0', 'ordered-1', 'ordered-2'].map((name) => `${TEAM}/${name}`));
    await bed().delete(`${TEAM}/blocker`);
    await bed().untilRunning([`${TEAM}/ordered-1`, `${TEAM}/ordered-2`]);
    expect(bed().nodeOf(`${TEAM}/ordered-0`)).toBeUndefined();
  });

  test('sub-groups: as many of each as must run together', async () => {
    await bed().createCluster(1, { gpus: 4 });
    const subGroups = ['sub-1', 'sub-2'].map((name) => ({ name, minMember: 2 }));
    const submit = async (name: string): Promise<string[]> => {
      await bed().create(podGroupObject(TEAM, name, 'examples', { minMember: 4, subGroups }));
      const names = Array.from({ length: 6 }, (_, i) => `${name}-${i}`);
      await bed().create(...names.map((pod, i) => podObject(TEAM, pod, { group: name, subGroup: `sub-${(i % 2) + 1}`, gpus: 1 })));
      return names.map((pod) => `${TEAM}/${pod}`);
    };
    const first = await submit('first');
    await bed().until('four pods', () => bed().boundOf(first).length === 4);
    const second = await submit('second');
    await bed().untilUnschedulable(second);
    const perGroup = [0, 1].map(
      (rest) =>
        bed()
          .boundOf(first)
          .filter((key) => Number(key.at(-1)) % 2 === rest).length,
    );
    expect(perGroup).toEqual([2, 2]);
    expect(bed().boundOf(second)).toEqual([]);
  });
});
