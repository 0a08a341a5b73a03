// Shares of GPUs: reservation pods that hold the card, group labels, the config maps that tell the container what it got.
import { expect, test } from 'vitest';
import type { KubeObject } from './support/apiClient.ts';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { RESERVATION_NAMESPACE } from './support/install.ts';
import { nodeObject, podObject } from './support/objects.ts';

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

function groupOf(bed: Bed, key: string): string | undefined {
  return bed.audit.pods.get(key)?.metadata.labels?.['runai-gpu-group'];
}

function reservations(bed: Bed): KubeObject[] {
  return [...bed.audit.pods.values()].filter((pod) => pod.metadata.namespace === RESERVATION_NAMESPACE);
}

async function mapsOf(bed: Bed, pod: string): Promise<ConfigMap[]> {
  const { items } = await bed.client.list<ConfigMap>(`/api/v1/namespaces/${TEAM}/configmaps`);
  return items
    .filter((map) => map.metadata.name.startsWith(`${pod}-shared-gpu`))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

/** A further reservation pod for the card of `kept`, on node n1. */
function spareFor(kept: KubeObject): object {
  const resources = { requests: { 'nvidia.com/gpu': '1' }, limits: { 'nvidia.com/gpu': '1' } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: SPARE, namespace: RESERVATION_NAMESPACE, labels: kept.metadata.labels },
    spec: { nodeName: 'n1', containers: [{ name: 'main', image: 'none', resources }] },
  };
}

const half = { gpuFraction: '0.5' };
/** A reservation pod of this name never starts, so that it has no device. */
const SPARE = 'left-over';
const plan = (pod: KubeObject): { readonly startAfterMs?: number } => (pod.metadata.name === SPARE ? { startAfterMs: 3_600_000 } : {});

onCluster('fractions', { kubelet: { plan } }, (bed) => {
  test('two halves share one GPU through one reservation pod', async () => {
    await bed().createCluster(1, { gpus: 2 });
    const [a] = await bed().createGang('a', 1, half);
    const [b] = await bed().createGang('b', 1, half);
    await bed().untilRunning([a!, b!]);
    expect(groupOf(bed(), a!)).toMatch(/./);
    expect(groupOf(bed(), b!)).toBe(groupOf(bed(), a!));
    expect(reservations(bed())).toHaveLength(1);
    const device = reservations(bed())[0]!.metadata.annotations?.['run.ai/reserve_for_gpu_index'];
    const maps = await mapsOf(bed(), 'a-0');
    expect(maps.map(({ metadata }) => metadata.name)).toEqual(['a-0-shared-gpu-0', 'a-0-shared-gpu-0-evar']);
    expect(maps.flatMap(({ data }) => Object.values(data ?? {}))).toContain(device);
    expect(maps.map(({ data }) => data?.['NVIDIA_VISIBLE_DEVICES'] ?? data?.['GPU_PORTION'])).toContain(device);
    expect(bed().record(a!).pod.metadata.annotations).toMatchObject({ 'received-resource-type': 'Fraction' });
    // The other GPU is whole and can be used as such, the shared one cannot.
    await bed().untilRunning(await bed().createGang('whole', 1, { gpus: 1 }));
    await bed().untilUnschedulable(await bed().createGang('too-many', 1, { gpus: 1 }));
    // The last one to leave gives the card back.
    await bed().delete(a!);
    await bed().untilGone([a!]);
    expect(reservations(bed())).toHaveLength(1);
    await bed().delete(b!);
    await bed().until('the reservation to go', () => reservations(bed()).length === 0);
    await bed().until('the second whole job', () => bed().nodeOf(`${TEAM}/too-many-0`) !== undefined);
    await bed().until('no config maps', async () => (await mapsOf(bed(), 'a-0')).length + (await mapsOf(bed(), 'b-0')).length === 0);
  });

  test('fractions of 0.7 fill all GPUs, each with a group and a device of its own', async () => {
    await bed().createCluster(2, { gpus: 4 });
    const submit = (i: number): Promise<string[]> => bed().createGang(`f${i}`, 1, { gpuFraction: '0.7' });
    const keys = (await Promise.all(Array.from({ length: 16 }, (_, i) => submit(i)))).flat();
    await bed().until('eight to run', () => keys.filter((key) => bed().audit.pods.get(key)?.status?.phase === 'Running').length === 8);
    const bound = bed().boundOf(keys);
    expect(bound).toHaveLength(8);
    expect(new Set(bound.map((key) => groupOf(bed(), key))).size).toBe(8);
    expect(new Set(reservations(bed()).map(({ metadata }) => metadata.annotations?.['run.ai/reserve_for_gpu_index'])).size).toBe(8);
    await bed().untilUnschedulable(keys.filter((key) => !bound.includes(key)));
  });

  test('a gang of fractions, and memory instead of a share', async () => {
    await bed().createCluster(1, { gpus: 2, gpuMemoryMib: 10_000 });
    const gang = await bed().createGang('gang', 4, { gpuFraction: '0.25' });
    await bed().untilRunning(gang);
    const annotations = { 'gpu-memory': '5000', 'runai/shared-gpu-configmap': 'memory-0-shared-gpu' };
    await bed().untilRunning(await bed().createGang('memory', 1, { annotations }));
    const huge = { 'gpu-memory': '500000000', 'runai/shared-gpu-configmap': 'huge-0-shared-gpu' };
    await bed().untilUnschedulable(await bed().createGang('huge', 1, { annotations: huge }));
  });

  test('several devices for one pod', async () => {
    await bed().createCluster(1, { gpus: 2 });
    const [key] = await bed().createGang('multi', 1, { gpuFraction: '0.5', annotations: { 'gpu-fraction-num-devices': '2' } });
    await bed().untilRunning([key!]);
    const labels = Object.keys(bed().audit.pods.get(key!)?.metadata.labels ?? {}).filter((name) => name.startsWith('runai-gpu-group/'));
    expect(labels).toHaveLength(2);
    expect(reservations(bed())).toHaveLength(2);
    await bed().untilUnschedulable(await bed().createGang('whole', 1, { gpus: 1 }));
    await bed().delete(key!);
    await bed().until('the reservations to go', () => reservations(bed()).length === 0);
  });

  test('a pod that is deleted while its card is being reserved leaves nothing behind', async () => {
    await bed().createCluster(1, { gpus: 1 });
    for (let round = 0; round < 5; round++) {
      const [key] = await bed().createGang(`short${round}`, 1, half);
      await bed().until('a reservation', () => reservations(bed()).length === 1);
      await bed().delete(key!, { gracePeriodSeconds: 0 });
      await bed().until('no reservation', () => reservations(bed()).length === 0);
    }
    await bed().untilRunning(await bed().createGang('whole', 1, { gpus: 1 }));
  });

  test('a reservation pod that is deleted by hand: its users go, and the card is used again', async () => {
    await bed().createCluster(1, { gpus: 1 });
    const [key] = await bed().createGang('a', 1, half);
    await bed().untilRunning([key!]);
    const { name } = reservations(bed())[0]!.metadata;
    await bed().delete(`${RESERVATION_NAMESPACE}/${name}`, { gracePeriodSeconds: 0 });
    await bed().untilGone([key!]);
    await bed().create(podObject(TEAM, 'a-1', { group: 'a', ...half }));
    await bed().untilRunning([`${TEAM}/a-1`]);
    expect(reservations(bed())).toHaveLength(1);
  });

  test('halves are moved together for a whole GPU', async () => {
    await bed().create(nodeObject('n0', { gpus: 0 }));
    await bed().createCluster(1, { gpus: 2 });
    const submit = (i: number): Promise<string[]> => bed().createGang(`h${i}`, 1, half);
    const keys = (await Promise.all([0, 1, 2, 3].map(submit))).flat();
    await bed().untilRunning(keys);
    const groups = [...new Set(keys.map((key) => groupOf(bed(), key)))];
    expect(groups).toHaveLength(2);
    for (const group of groups) await bed().delete(keys.find((key) => groupOf(bed(), key) === group)!);
    await bed().until('two to be gone', () => keys.filter((key) => bed().audit.pods.has(key)).length === 2);
    const rest = keys.filter((key) => bed().audit.pods.has(key));
    const whole = await bed().createGang('whole', 1, { gpus: 1 });
    await bed().until('one to be evicted', () => rest.some((key) => !bed().audit.pods.has(key)));
    const group = rest.find((key) => !bed().audit.pods.has(key))!.slice(TEAM.length + 1, -2);
    await bed().create(podObject(TEAM, `${group}-1`, { group, ...half }));
    await bed().untilRunning([...whole, `${TEAM}/${group}-1`]);
    expect(reservations(bed())).toHaveLength(1);
  });

  test('of two reservation pods that an older state left for one card the one with a device stays (OP-16)', async () => {
    await bed().createCluster(1, { gpus: 2 });
    const [first] = await bed().createGang('a', 1, half);
    await bed().untilRunning([first!]);
    const kept = reservations(bed())[0]!;
    await bed().endScheduler('scheduler', 'SIGTERM');
    await bed().create(spareFor(kept));
    await bed().until('both to be seen', () => reservations(bed()).length === 2);
    await bed().startScheduler('scheduler');
    await bed().until('one to be left', () => reservations(bed()).length === 1);
    expect(reservations(bed())[0]!.metadata.name).toBe(kept.metadata.name);
    const [second] = await bed().createGang('b', 1, half);
    await bed().untilRunning([second!]);
    expect(groupOf(bed(), second!)).toBe(groupOf(bed(), first!));
    // The card that the other one held can be used again.
    await bed().untilRunning(await bed().createGang('whole', 1, { gpus: 1 }));
  });

  test('a second reservation pod that appears for a card meanwhile is removed at once (OP-16)', async () => {
    await bed().createCluster(1, { gpus: 2 });
    const [key] = await bed().createGang('a', 1, half);
    await bed().untilRunning([key!]);
    const kept = reservations(bed())[0]!;
    await bed().create(spareFor(kept));
    await bed().until(
      'one to be left',
      () => bed().audit.recordOf(`${RESERVATION_NAMESPACE}/${SPARE}`) !== undefined && reservations(bed()).length === 1,
    );
    expect(reservations(bed())[0]!.metadata.name).toBe(kept.metadata.name);
    expect(bed().isStaying(key!)).toBe(true);
  });
});
