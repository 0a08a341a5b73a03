// Whole pods that have to make room: reclaim across queues, preemption within one, consolidation, shrinking of elastic jobs.
import { expect, test } from 'vitest';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { nodeObject, podGroupObject, podObject, queueObject } from './support/objects.ts';

/** A parent that has `total` GPUs and two children. */
async function createQueues(bed: Bed, total: number, a: number, b: number): Promise<void> {
  await bed.create(queueObject('dept', { gpu: { quota: total, limit: total } }));
  await bed.create(queueObject('a', { parent: 'dept', gpu: { quota: a } }), queueObject('b', { parent: 'dept', gpu: { quota: b } }));
}

/** Those of the keys whose pod is there, runs, and is not leaving. */
function staying(bed: Bed, keys: readonly string[]): string[] {
  return keys.filter((key) => {
    const pod = bed.audit.pods.get(key);
    return pod?.spec.nodeName !== undefined && pod.metadata.deletionTimestamp == null;
  });
}

onCluster('victims', {}, (bed) => {
  test('reclaim: a queue gets its quota back from one above its own', async () => {
    await bed().create(nodeObject('n1', { gpus: 4 }));
    await createQueues(bed(), 4, 2, 2);
    const jobs: string[] = [];
    for (let i = 0; i < 4; i++) jobs.push(...(await bed().createGang(`a${i}`, 1, { queue: 'a', gpus: 1 })));
    await bed().untilRunning(jobs);
    const reclaimer = await bed().createGang('b0', 2, { queue: 'b', gpus: 1 });
    await bed().untilRunning(reclaimer);
    expect(staying(bed(), jobs)).toHaveLength(2);
    const victims = bed().audit.records.filter((record) => jobs.includes(record.key) && record.deletionMs !== undefined);
    expect(victims).toHaveLength(2);
    const name = victims[0]!.group;
    await bed().untilEvent(name, 'Evict');
    const { annotations } = (await bed().events(name)).find((event) => event.reason === 'Evict')!.metadata;
    expect(annotations).toMatchObject({ 'evictor-pod-group-name': 'b0', 'evictor-action-type': 'reclaim' });
  });

  test('no reclaim for what is above the own fair share', async () => {
    await bed().create(nodeObject('n1', { gpus: 4 }));
    await createQueues(bed(), 4, 2, 2);
    const a = await bed().createGang('a0', 2, { queue: 'a', gpus: 1 });
    const b = await bed().createGang('b0', 2, { queue: 'b', gpus: 1 });
    await bed().untilRunning([...a, ...b]);
    const more = await bed().createGang('b1', 1, { queue: 'b', gpus: 1 });
    await bed().untilUnschedulable(more);
    expect(staying(bed(), [...a, ...b])).toHaveLength(4);
  });

  test('reclaim of a gang takes it as a whole, and the counter counts pods (OP-21)', async () => {
    await bed().create(nodeObject('n1', { gpus: 7 }));
    await createQueues(bed(), 7, 0, 7);
    const gang = await bed().createGang('gang', 7, { queue: 'a', gpus: 1 });
    await bed().untilRunning(gang);
    const reclaimer = await bed().createGang('owner', 1, { queue: 'b', gpus: 1 });
    await bed().untilRunning(reclaimer);
    await bed().untilGone(gang);
    const lines = (await bed().metrics()).split('\n').filter((line) => /pod_group_evicted_pods_total\{/.test(line) && /="gang"/.test(line));
    expect(lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)).toBe(7);
  });

  test('elastic jobs shrink to their minimum before anything whole goes', async () => {
    await bed().create(nodeObject('n1', { gpus: 4 }));
    await createQueues(bed(), 4, 2, 2);
    const first = await bed().createGang('e1', 2, { queue: 'a', minMember: 1, gpus: 1 });
    const second = await bed().createGang('e2', 2, { queue: 'a', minMember: 1, gpus: 1 });
    await bed().untilRunning([...first, ...second]);
    const reclaimer = await bed().createGang('r', 1, { queue: 'b', gpus: 2 });
    await bed().untilRunning(reclaimer);
    expect([staying(bed(), first).length, staying(bed(), second).length]).toEqual([1, 1]);
  });

  test('minimum run time protects from reclaim until it is over', async () => {
    await bed().create(nodeObject('n1', { gpus: 2 }));
    await bed().create(queueObject('dept', { gpu: { quota: 2, limit: 2 } }));
    await bed().create(
      queueObject('a', { parent: 'dept', gpu: { quota: 0 }, reclaimMinRuntime: '6s' }),
      queueObject('b', { parent: 'dept', gpu: { quota: 2 } }),
    );
    const old = await bed().createGang('old', 2, { queue: 'a', gpus: 1 });
    await bed().untilRunning(old);
    const reclaimer = await bed().createGang('r', 1, { queue: 'b', gpus: 2 });
    await bed().untilUnschedulable(reclaimer);
    expect(staying(bed(), old)).toHaveLength(2);
    await bed().untilRunning(reclaimer);
  });

  const LOW = { train: 'train', build: 'build', inference: 'inference' } as const;
  test.each([
    ['high preemptible takes from low preemptible', 'build-preemptible', LOW.train, true],
    ['high non-preemptible takes from low preemptible', LOW.build, LOW.train, true],
    ['high non-preemptible spares low non-preemptible', LOW.inference, LOW.build, false],
    ['low preemptible spares high preemptible', LOW.train, 'build-preemptible', false],
    ['low non-preemptible spares high non-preemptible', LOW.build, LOW.inference, false],
    ['low preemptible spares high non-preemptible', LOW.train, LOW.build, false],
    ['equal preemptible spare each other', LOW.train, LOW.train, false],
    ['equal non-preemptible spare each other', LOW.build, LOW.build, false],
  ])('preempt: %s', async (_, comer, holder, isTaken) => {
    const unlimited = { cpu: { quota: -1 }, memory: { quota: -1 }, gpu: { quota: 1 } };
    await bed().create(nodeObject('n1', { gpus: 1 }), queueObject('dept', unlimited), queueObject('q', { parent: 'dept', ...unlimited }));
    const group = (name: string): object => ({ queue: 'q', gpus: 1, groupSpec: { priorityClassName: name } });
    const held = await bed().createGang('holder', 1, group(holder));
    await bed().untilRunning(held);
    const wanted = await bed().createGang('comer', 1, group(comer));
    if (isTaken) await bed().untilRunning(wanted);
    else await bed().untilUnschedulable(wanted);
    expect(staying(bed(), held)).toHaveLength(isTaken ? 0 : 1);
  });

  test('preempt: a gang of full nodes displaces scattered jobs', async () => {
    await bed().createCluster(2, { gpus: 4 });
    const low: string[] = [];
    for (let i = 0; i < 8; i++) low.push(...(await bed().createGang(`low${i}`, 1, { gpus: 1, groupSpec: { priorityClassName: 'train' } })));
    await bed().untilRunning(low);
    const high = await bed().createGang('high', 2, { gpus: 4, groupSpec: { priorityClassName: 'build-preemptible' } });
    await bed().untilRunning(high);
    expect(staying(bed(), low)).toEqual([]);
  });

  test('preempt: of an elastic job the pods of the lowest priority label go first', async () => {
    await bed().create(nodeObject('n1', { gpus: 4 }), queueObject('examples', { gpu: { quota: 4 } }));
    await bed().create(podGroupObject(TEAM, 'elastic', 'examples', { minMember: 1, priorityClassName: 'train' }));
    const labels = ['0', '1', '0', '1'];
    await bed().create(
      ...labels.map((value, i) =>
        podObject(TEAM, `elastic-${i}`, { group: 'elastic', gpus: 1, labels: { 'kai.scheduler/task-priority': value } }),
      ),
    );
    const keys = labels.map((_, i) => `${TEAM}/elastic-${i}`);
    await bed().untilRunning(keys);
    await bed().untilRunning(await bed().createGang('high', 1, { gpus: 2, groupSpec: { priorityClassName: 'build-preemptible' } }));
    expect(staying(bed(), keys)).toEqual([`${TEAM}/elastic-1`, `${TEAM}/elastic-3`]);
  });

  test('preemption delay: the victim is left alone until the delay is over', async () => {
    await bed().create(nodeObject('n1', { gpus: 1 }), queueObject('examples'));
    const low = await bed().createGang('low', 1, { gpus: 1, groupSpec: { priorityClassName: 'train' } });
    await bed().untilRunning(low);
    const high = await bed().createGang('high', 1, {
      gpus: 1,
      groupSpec: { priorityClassName: 'build-preemptible', preemptionDelay: '6s' },
    });
    await bed().untilUnschedulable(high);
    expect(staying(bed(), low)).toHaveLength(1);
    await bed().untilRunning(high);
  });

  test('consolidation: jobs move together, and all of them run again', async () => {
    await bed().createCluster(2, { gpus: 2 });
    const submit = (name: string): Promise<string[]> => bed().createGang(name, 1, { gpus: 1 });
    const keys = (await Promise.all(['j0', 'j1', 'j2', 'j3'].map(submit))).flat();
    await bed().untilRunning(keys);
    for (const node of ['n1', 'n2']) await bed().delete(keys.find((key) => bed().nodeOf(key) === node)!);
    await bed().until('two to be gone', () => keys.filter((key) => bed().audit.pods.has(key)).length === 2);
    const rest = keys.filter((key) => bed().audit.pods.has(key));
    const wide = bed().createGang('wide', 1, { gpus: 2 });
    // A job's controller makes a new pod for one that was evicted.
    await bed().until('one to be evicted', () => rest.some((key) => !bed().audit.pods.has(key)));
    const moved = rest.filter((key) => !bed().audit.pods.has(key));
    expect(moved).toHaveLength(1);
    const group = moved[0]!.slice(TEAM.length + 1, -2);
    await bed().create(podObject(TEAM, `${group}-1`, { group, gpus: 1 }));
    await bed().untilRunning([...(await wide), `${TEAM}/${group}-1`]);
  });

  test('a gang that lost a member for longer than its grace is evicted', async () => {
    await bed().createCluster(1, { gpus: 2 });
    const keys = await bed().createGang('stale', 2, { gpus: 1, groupSpec: { stalenessGracePeriod: '2s' } });
    await bed().untilRunning(keys);
    await bed().delete(keys[0]!);
    await bed().untilGone(keys);
    await bed().untilEvent('stale', 'StaleJob');
  });
});
