// Devices of a driver that publishes slices (resource.k8s.io): claims by name and by template, gangs, extended resources, victims.
import { expect, test } from 'vitest';
import type { KubeObject } from './support/apiClient.ts';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { nodeObject, podGroupObject, podObject, queueObject } from './support/objects.ts';

const API = 'resource.k8s.io/v1';
const DRIVER = 'gpu.example.com';

interface Claim extends KubeObject {
  readonly metadata: KubeObject['metadata'] & { readonly finalizers?: readonly string[] };
  readonly status?: {
    readonly allocation?: { readonly devices: { readonly results: readonly { readonly device: string; readonly pool: string }[] } };
    readonly reservedFor?: readonly { readonly name: string }[];
  };
}

const deviceClass = (name: string, extendedResourceName?: string): object => ({
  apiVersion: API,
  kind: 'DeviceClass',
  metadata: { name },
  spec: { selectors: [{ cel: { expression: `device.driver == "${DRIVER}"` } }], extendedResourceName },
});

const slice = (node: string, count: number, generation = 1): object => ({
  apiVersion: API,
  kind: 'ResourceSlice',
  metadata: { name: `${node}-${DRIVER}` },
  spec: {
    driver: DRIVER,
    nodeName: node,
    pool: { name: node, generation, resourceSliceCount: 1 },
    devices: Array.from({ length: count }, (_, i) => ({ name: `gpu-${i}`, attributes: { index: { int: i } } })),
  },
});

const request = (count: number, className = 'gpu.example.com'): object => ({
  devices: { requests: [{ name: 'gpus', exactly: { deviceClassName: className, allocationMode: 'ExactCount', count } }] },
});
const claim = (name: string, count: number, className?: string, queue = 'examples'): object => ({
  apiVersion: API,
  kind: 'ResourceClaim',
  metadata: { name, namespace: TEAM, labels: { 'kai.scheduler/queue': queue } },
  spec: request(count, className),
});
const template = (name: string, count: number, queue = 'examples'): object => ({
  apiVersion: API,
  kind: 'ResourceClaimTemplate',
  metadata: { name, namespace: TEAM },
  spec: { metadata: { labels: { 'kai.scheduler/queue': queue } }, spec: request(count) },
});
const container = { name: 'main', image: 'none', resources: { requests: { cpu: '100m' }, claims: [{ name: 'gpu' }] } };
const useClaim = (name: string): object => ({ resourceClaims: [{ name: 'gpu', resourceClaimName: name }], containers: [container] });
const useTemplate = (name: string): object => ({
  resourceClaims: [{ name: 'gpu', resourceClaimTemplateName: name }],
  containers: [container],
});

async function createDraNodes(bed: Bed, counts: readonly number[]): Promise<void> {
  const names = counts.map((_, i) => `d${i + 1}`);
  await bed.create(deviceClass('gpu.example.com'), queueObject('examples'));
  await bed.create(...names.map((name) => nodeObject(name, { gpus: 0 })), ...counts.map((count, i) => slice(names[i]!, count)));
}

async function claims(bed: Bed): Promise<Claim[]> {
  return (await bed.client.list<Claim>(`/apis/${API}/namespaces/${TEAM}/resourceclaims`)).items;
}

function devicesOf(list: readonly Claim[]): string[] {
  return list.flatMap(({ status }) => (status?.allocation?.devices.results ?? []).map(({ pool, device }) => `${pool}/${device}`));
}

onCluster('device claims', {}, (bed) => {
  test('a claim gets a device, is reserved for its pod, and given back', async () => {
    await createDraNodes(bed(), [2]);
    await bed().create(claim('c', 1));
    const [key] = await bed().createGang('job', 1, { spec: useClaim('c') });
    await bed().untilRunning([key!]);
    const [got] = await claims(bed());
    expect(devicesOf([got!])).toHaveLength(1);
    expect(got!.status?.reservedFor?.map(({ name }) => name)).toEqual(['job-0']);
    await bed().delete(key!);
    await bed().until('the claim to be free', async () => ((await claims(bed()))[0]?.status?.reservedFor ?? []).length === 0);
  });

  test('devices of a named claim come free when its last user leaves, and the waiting job gets them', async () => {
    await createDraNodes(bed(), [2]);
    await bed().create(claim('held', 2), claim('wanted', 2));
    const users = await bed().createGang('users', 2, { spec: useClaim('held') });
    await bed().untilRunning(users);
    const waiting = await bed().createGang('waiting', 1, { spec: useClaim('wanted') });
    await bed().untilUnschedulable(waiting);
    await bed().delete(users[0]!);
    await bed().untilGone([users[0]!]);
    expect(bed().boundOf(waiting)).toEqual([]);
    await bed().delete(users[1]!);
    await bed().untilRunning(waiting);
    await bed().until('the claim to be as if never allocated', async () => {
      const held = (await claims(bed())).find(({ metadata }) => metadata.name === 'held')!;
      return held.status?.allocation === undefined && (held.metadata.finalizers ?? []).length === 0;
    });
  });

  test('the devices of a named claim go to the job that its user was evicted for', async () => {
    await createDraNodes(bed(), [1]);
    await bed().create(queueObject('owner', { gpu: { quota: 1 } }), queueObject('borrower', { gpu: { quota: 0 } }));
    await bed().create(claim('borrowed', 1, undefined, 'borrower'), claim('owned', 1, undefined, 'owner'));
    const borrower = await bed().createGang('borrower', 1, { queue: 'borrower', spec: useClaim('borrowed') });
    await bed().untilRunning(borrower);
    await bed().untilRunning(await bed().createGang('owner', 1, { queue: 'owner', spec: useClaim('owned') }));
    expect(borrower.filter((key) => bed().isStaying(key))).toEqual([]);
  });

  test('a device class that does not exist is told', async () => {
    await createDraNodes(bed(), [2]);
    await bed().create(claim('wrong', 1, 'nothing.example.com'));
    const keys = await bed().createGang('job', 1, { spec: useClaim('wrong') });
    await bed().untilUnschedulable(keys);
    expect(bed().condition(keys[0]!, 'PodScheduled')?.message).toContain('nothing.example.com');
  });

  test('claims from templates fill a node, one more waits, and gets its turn', async () => {
    await createDraNodes(bed(), [4]);
    await bed().create(template('one', 1));
    const keys: string[] = [];
    for (let i = 0; i < 5; i++) keys.push(...(await bed().createGang(`t${i}`, 1, { spec: useTemplate('one') })));
    await bed().until('four to run', () => bed().boundOf(keys).length === 4);
    const devices = devicesOf(await claims(bed()));
    expect(new Set(devices).size).toBe(4);
    const [waiting] = keys.filter((key) => bed().nodeOf(key) === undefined);
    await bed().untilUnschedulable([waiting!]);
    await bed().delete(bed().boundOf(keys)[0]!);
    await bed().untilRunning([waiting!]);
  });

  test('a gang with claims: all or none; a device that is added lets it in (OP-27)', async () => {
    await createDraNodes(bed(), [2, 1]);
    await bed().create(template('one', 1));
    const keys = await bed().createGang('gang', 4, { spec: useTemplate('one') });
    await bed().untilUnschedulable(keys);
    expect(devicesOf(await claims(bed()))).toEqual([]);
    const path = `/apis/${API}/resourceslices/d2-${DRIVER}`;
    const { metadata } = await bed().client.get(path);
    await bed().client.replace(path, {
      ...slice('d2', 2, 2),
      metadata: { name: metadata.name, resourceVersion: metadata.resourceVersion },
    });
    await bed().untilRunning(keys);
    expect(new Set(devicesOf(await claims(bed()))).size).toBe(4);
  });

  test('a claim that is deleted and made again under its name', async () => {
    await createDraNodes(bed(), [1]);
    for (let round = 0; round < 3; round++) {
      await bed().create(claim('again', 1));
      const [key] = await bed().createGang(`r${round}`, 1, { spec: useClaim('again') });
      await bed().untilRunning([key!]);
      await bed().delete(key!);
      await bed().untilGone([key!]);
      await bed().client.delete(`/apis/${API}/namespaces/${TEAM}/resourceclaims/again`);
      await bed().until('the claim to be gone', async () => (await claims(bed())).length === 0);
    }
  });

  test('extended resources: asked for in the classic way, served by the driver', async () => {
    await bed().create(deviceClass('gpu.example.com', 'nvidia.com/gpu'), queueObject('examples'));
    await bed().create(nodeObject('d1', { gpus: 0 }), slice('d1', 2));
    const keys = [...(await bed().createGang('e1', 1, { gpus: 1 })), ...(await bed().createGang('e2', 1, { gpus: 1 }))];
    await bed().untilRunning(keys);
    const made = await claims(bed());
    expect(made).toHaveLength(2);
    expect(new Set(devicesOf(made)).size).toBe(2);
    const status = bed().audit.pods.get(keys[0]!)?.status as {
      readonly extendedResourceClaimStatus?: { readonly resourceClaimName: string };
    };
    expect(made.map(({ metadata }) => metadata.name)).toContain(status.extendedResourceClaimStatus?.resourceClaimName);
    await bed().untilUnschedulable(await bed().createGang('e3', 1, { gpus: 1 }));
    await bed().delete(keys[0]!);
    await bed().untilRunning([`${TEAM}/e3-0`]);
  });

  test('a device-plugin node serves the same name without a claim', async () => {
    await bed().create(deviceClass('gpu.example.com', 'nvidia.com/gpu'), queueObject('examples'));
    await bed().create(nodeObject('p1', { gpus: 1 }), nodeObject('d1', { gpus: 0 }), slice('d1', 1));
    const keys = await bed().createGang('pinned', 1, { gpus: 1, nodeSelector: { 'kubernetes.io/hostname': 'p1' } });
    await bed().untilRunning(keys);
    expect(await claims(bed())).toEqual([]);
  });

  test('an unknown device class, and the greater of init container and container', async () => {
    await bed().create(deviceClass('gpu.example.com', 'nvidia.com/gpu'), queueObject('examples'));
    await bed().create(nodeObject('d1', { gpus: 0 }), slice('d1', 2), claim('wrong', 1, 'nonesuch'));
    const wrong = await bed().createGang('wrong', 1, { spec: useClaim('wrong') });
    await bed().untilUnschedulable(wrong);
    const all = { requests: { cpu: '100m', 'nvidia.com/gpu': '2' }, limits: { 'nvidia.com/gpu': '2' } };
    const containers = [{ name: 'main', image: 'none', resources: all }];
    await bed().untilRunning(
      await bed().createGang('both', 1, { spec: { containers, initContainers: [{ ...containers[0], name: 'init' }] } }),
    );
    expect(new Set(devicesOf(await claims(bed()))).size).toBe(2);
  });

  test('extended resources served by a driver: the more important job takes them', async () => {
    await bed().create(deviceClass('gpu.example.com', 'nvidia.com/gpu'), queueObject('examples'));
    await bed().create(nodeObject('d1', { gpus: 0 }), slice('d1', 1));
    const low = await bed().createGang('low', 1, { gpus: 1, groupSpec: { priorityClassName: 'train' } });
    await bed().untilRunning(low);
    await bed().untilUnschedulable(await bed().createGang('equal', 1, { gpus: 1, groupSpec: { priorityClassName: 'train' } }));
    await bed().untilRunning(await bed().createGang('high', 1, { gpus: 1, groupSpec: { priorityClassName: 'build-preemptible' } }));
    expect(low.filter((key) => bed().isStaying(key))).toEqual([]);
  });

  test.each([
    ['for the other queue’s fair share', [1, 1], [2, 1], [], 1, true],
    ['not beyond the own fair share', [1, 1], [2, 1], [1], 2, false],
  ] as const)('reclaim of devices: %s', async (_, quotas, heldByA, heldByB, wanted, isTaken) => {
    await createDraNodes(bed(), [4]);
    await bed().create(queueObject('dept', { gpu: { quota: 4, limit: 4 } }));
    await bed().create(
      ...['a', 'b'].map((name, i) => queueObject(name, { parent: 'dept', gpu: { quota: quotas[i]!, overQuotaWeight: 2 } })),
    );
    const submit = async (name: string, queue: string, count: number): Promise<string[]> => {
      await bed().create(template(name, count, queue));
      return bed().createGang(name, 1, { queue, spec: useTemplate(name) });
    };
    const held: string[] = [];
    for (const [queue, counts] of [
      ['a', heldByA],
      ['b', heldByB],
    ] as const) {
      for (const [i, count] of counts.entries()) held.push(...(await submit(`${queue}${i}`, queue, count)));
    }
    // One device of four is left in the first case: fill it, so that somebody has to go.
    if (isTaken) held.push(...(await submit('rest', 'a', 1)));
    await bed().untilRunning(held);
    const taker = await submit('taker', 'b', wanted);
    if (isTaken) await bed().untilRunning(taker);
    else await bed().untilUnschedulable(taker);
    expect(held.filter((key) => bed().isStaying(key)).length < held.length).toBe(isTaken);
  });

  test('reclaim of devices from elastic jobs leaves each its least', async () => {
    await createDraNodes(bed(), [4]);
    await bed().create(queueObject('dept', { gpu: { quota: 4, limit: 4 } }));
    await bed().create(...['a', 'b'].map((name) => queueObject(name, { parent: 'dept', gpu: { quota: 2, overQuotaWeight: 2 } })));
    await bed().create(template('one', 1, 'a'), template('two', 2, 'b'));
    const jobs: string[][] = [];
    for (const name of ['e1', 'e2']) jobs.push(await bed().createGang(name, 2, { queue: 'a', minMember: 1, spec: useTemplate('one') }));
    await bed().untilRunning(jobs.flat());
    await bed().untilRunning(await bed().createGang('taker', 1, { queue: 'b', spec: useTemplate('two') }));
    expect(jobs.map((keys) => keys.filter((key) => bed().isStaying(key)).length)).toEqual([1, 1]);
  });

  test('reclaim of devices by a queue of higher priority leaves the others in proportion to their weights', async () => {
    await createDraNodes(bed(), [8]);
    await bed().create(queueObject('dept', { gpu: { quota: 8, limit: 8 } }));
    await bed().create(
      ...['a', 'b'].map((name, i) => queueObject(name, { parent: 'dept', gpu: { quota: 1, overQuotaWeight: i + 1 } })),
      queueObject('high', { parent: 'dept', priority: 101 }),
    );
    await bed().create(template('a', 1, 'a'), template('b', 1, 'b'), template('three', 3, 'high'));
    await bed().client.delete('/api/v1/nodes/d1');
    const jobs = async (queue: string): Promise<string[]> => {
      const made = Array.from({ length: 10 }, (_, i) => bed().createGang(`${queue}${i}`, 1, { queue, spec: useTemplate(queue) }));
      return (await Promise.all(made)).flat();
    };
    const [a, b] = [await jobs('a'), await jobs('b')];
    await bed().untilUnschedulable([...a, ...b]);
    await bed().create(nodeObject('d1', { gpus: 0 }));
    const staying = (keys: readonly string[]): number => keys.filter((key) => bed().isStaying(key)).length;
    await bed().until('3 and 5 to run', () => staying(a) === 3 && staying(b) === 5);
    await bed().untilRunning(await bed().createGang('taker', 1, { queue: 'high', spec: useTemplate('three') }));
    await bed().until('2 and 3 to run', () => staying(a) === 2 && staying(b) === 3);
  });

  test('a gang of full nodes displaces scattered jobs with devices', async () => {
    await createDraNodes(bed(), [2, 2]);
    await bed().create(template('one', 1), template('two', 2));
    const low: string[] = [];
    for (let i = 0; i < 4; i++)
      low.push(...(await bed().createGang(`low${i}`, 1, { spec: useTemplate('one'), groupSpec: { priorityClassName: 'train' } })));
    await bed().untilRunning(low);
    await bed().untilRunning(
      await bed().createGang('high', 2, { spec: useTemplate('two'), groupSpec: { priorityClassName: 'build-preemptible' } }),
    );
    expect(low.filter((key) => bed().isStaying(key))).toEqual([]);
  });

  /** Runs a preemption of one device out of two; gives how many of the two jobs of lower priority survive. */
  async function survivorsOfPreemption(): Promise<number> {
    await createDraNodes(bed(), [2]);
    await bed().create(template('one', 1));
    const low: string[] = [];
    for (let i = 0; i < 2; i++) {
      low.push(...(await bed().createGang(`low${i}`, 1, { spec: useTemplate('one'), groupSpec: { priorityClassName: 'train' } })));
    }
    await bed().untilRunning(low);
    await bed().create(podGroupObject(TEAM, 'high', 'examples', { minMember: 1, priorityClassName: 'build-preemptible' }));
    await bed().create(podObject(TEAM, 'high-0', { group: 'high', spec: useTemplate('one') }));
    await bed().untilRunning([`${TEAM}/high-0`]);
    return low.filter((key) => bed().audit.pods.has(key)).length;
  }

  test('preemption gives devices to the more important job', async () => {
    expect(await survivorsOfPreemption()).toBeLessThan(2);
  });

  // Claims of a leaving pod stay allocated until the API says otherwise (spec 03 section 11.7), so the next cycle does not see
  // the device as coming free and evicts once more. Known to fail; turns red when it is mended.
  test.fails('preemption of devices takes exactly one victim', async () => {
    expect(await survivorsOfPreemption()).toBe(1);
  });
});

onCluster('device claims and faults', { isProxied: true }, (bed) => {
  test('what failed attempts and refused bindings assumed about claims is forgotten (OP-27)', async () => {
    await createDraNodes(bed(), [2]);
    const two = ['c0', 'c1'];
    for (let round = 0; round < 8; round++) {
      await bed().create(...two.map((name) => claim(name, 1)));
      // A gang that lacks one device, and one that fits but is refused at the last step.
      const members = await Promise.all(
        two.map(async (name, i) => {
          const object = podObject(TEAM, `r${round}-${i}`, { group: `r${round}`, gracePeriodSeconds: 0, spec: useClaim(name) });
          return { object, key: `${TEAM}/r${round}-${i}` };
        }),
      );
      const isHopeless = round % 2 === 0;
      const refused = bed().proxy.inject({ action: { kind: 'status', status: 403 }, method: 'POST', path: /binding$/ });
      if (isHopeless) await bed().create(claim('c2', 1));
      await bed().create(podGroupObject(TEAM, `r${round}`, 'examples', { minMember: isHopeless ? 3 : 2 }));
      await bed().create(...members.map(({ object }) => object));
      if (isHopeless) {
        await bed().create(podObject(TEAM, `r${round}-2`, { group: `r${round}`, gracePeriodSeconds: 0, spec: useClaim('c2') }));
        await bed().untilUnschedulable(members.map(({ key }) => key));
      } else await bed().untilEvent(`r${round}-0`, 'BindingError');
      await bed().client.delete(`/api/v1/namespaces/${TEAM}/pods`, { gracePeriodSeconds: 0 });
      await bed().client.delete(`/apis/${API}/namespaces/${TEAM}/resourceclaims`);
      await bed().until('pods and claims to be gone', async () => bed().audit.pods.size === 0 && (await claims(bed())).length === 0);
      refused.remove();
      bed().proxy.clear();
    }
    // Both devices are free for a gang that needs exactly these; a third one comes with one device more.
    await bed().create(...two.map((name) => claim(name, 1)), claim('c2', 1));
    await bed().create(podGroupObject(TEAM, 'last', 'examples', { minMember: 3 }));
    const names = [...two, 'c2'];
    await bed().create(...names.map((name, i) => podObject(TEAM, `last-${i}`, { group: 'last', spec: useClaim(name) })));
    const keys = names.map((_, i) => `${TEAM}/last-${i}`);
    await bed().untilUnschedulable(keys);
    await bed().create(nodeObject('d2', { gpus: 0 }), slice('d2', 1));
    await bed().untilRunning(keys);
    expect(new Set(devicesOf(await claims(bed()))).size).toBe(3);
  });
});
