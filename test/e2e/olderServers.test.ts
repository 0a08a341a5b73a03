// API servers without device claims, with an old version of them, and with a group that does not answer (OP-10).
import { expect, test } from 'vitest';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { nodeObject, queueObject } from './support/objects.ts';

async function runGangAndShare(bed: Bed): Promise<void> {
  await bed.createCluster(1, { gpus: 4 });
  const gang = await bed.createGang('gang', 2, { gpus: 1 });
  const share = await bed.createGang('share', 1, { gpuFraction: '0.5' });
  await bed.untilRunning([...gang, ...share]);
}

/** The log is buffered: it may come after the process is ready. */
function untilLogged(bed: Bed, text: string, name?: string): Promise<void> {
  return bed.until(`"${text}" in the log`, () => bed.scheduler(name).program.log().includes(text));
}

onCluster('a server without resource.k8s.io', { claims: 'none' }, (bed) => {
  test('everything else works', async () => {
    await untilLogged(bed(), 'isDraServed=false');
    await runGangAndShare(bed());
  });
});

onCluster('a server with resource.k8s.io/v1beta1 only', { claims: 'v1beta1' }, (bed) => {
  const api = 'resource.k8s.io/v1beta1';
  test('claims in their old shape get devices', async () => {
    await untilLogged(bed(), 'isDraServed=true');
    await runGangAndShare(bed());
    const driver = 'gpu.example.com';
    await bed().create(
      {
        apiVersion: api,
        kind: 'DeviceClass',
        metadata: { name: driver },
        spec: { selectors: [{ cel: { expression: `device.driver == "${driver}"` } }] },
      },
      nodeObject('d1', { gpus: 0 }),
      {
        apiVersion: api,
        kind: 'ResourceSlice',
        metadata: { name: 'd1-slice' },
        spec: {
          driver,
          nodeName: 'd1',
          pool: { name: 'd1', generation: 1, resourceSliceCount: 1 },
          devices: [{ name: 'gpu-0', basic: {} }],
        },
      },
      queueObject('q'),
    );
    const claimed = async (name: string): Promise<string[]> => {
      const devices = { requests: [{ name: 'gpus', deviceClassName: driver, allocationMode: 'ExactCount', count: 1 }] };
      const metadata = { name, namespace: TEAM, labels: { 'kai.scheduler/queue': 'q' } };
      await bed().create({ apiVersion: api, kind: 'ResourceClaim', metadata, spec: { devices } });
      const containers = [{ name: 'main', image: 'none', resources: { requests: { cpu: '100m' }, claims: [{ name: 'gpu' }] } }];
      return bed().createGang(name, 1, { queue: 'q', spec: { resourceClaims: [{ name: 'gpu', resourceClaimName: name }], containers } });
    };
    const first = await claimed('first');
    await bed().untilRunning(first);
    expect(bed().nodeOf(first[0]!)).toBe('d1');
    await bed().untilUnschedulable(await claimed('second'));
  });
});

onCluster('a server whose resource.k8s.io does not answer', { args: null, isProxied: true }, (bed) => {
  const api = 'resource.k8s.io/v1';
  const driver = 'gpu.example.com';
  const SILENT = 'does not answer for these lists';
  const claimed = async (name: string): Promise<string[]> => {
    const devices = { requests: [{ name: 'gpus', exactly: { deviceClassName: driver, allocationMode: 'ExactCount', count: 1 } }] };
    const metadata = { name, namespace: TEAM, labels: { 'kai.scheduler/queue': 'examples' } };
    await bed().create({ apiVersion: api, kind: 'ResourceClaim', metadata, spec: { devices } });
    const containers = [{ name: 'main', image: 'none', resources: { requests: { cpu: '100m' }, claims: [{ name: 'gpu' }] } }];
    return bed().createGang(name, 1, { spec: { resourceClaims: [{ name: 'gpu', resourceClaimName: name }], containers } });
  };

  test.each([
    ['to anything', 'groups', /resource\.k8s\.io/],
    ['with its lists', 'lists', /resource\.k8s\.io\/v1\//],
  ])('%s: ordinary pods do not wait for it, claims count from the moment when it does', async (_, name, path) => {
    await bed().create(
      {
        apiVersion: api,
        kind: 'DeviceClass',
        metadata: { name: driver },
        spec: { selectors: [{ cel: { expression: `device.driver == "${driver}"` } }] },
      },
      nodeObject('d1', { gpus: 0 }),
      {
        apiVersion: api,
        kind: 'ResourceSlice',
        metadata: { name: 'd1-slice' },
        spec: {
          driver,
          nodeName: 'd1',
          pool: { name: 'd1', generation: 1, resourceSliceCount: 1 },
          devices: [{ name: 'gpu-0' }, { name: 'gpu-1' }],
        },
      },
    );
    await bed().startScheduler('first', { isAwaited: false });
    await bed().createCluster(1, { gpus: 4 });
    const old = await claimed('old');
    await bed().untilRunning(old);
    await bed().endScheduler('first', 'SIGTERM');
    const silent = bed().proxy.inject({ action: { kind: 'status', status: 503 }, path });
    await bed().startScheduler(name, { isAwaited: false });
    const young = [...(await claimed('young-a')), ...(await claimed('young-b'))];
    const gang = await bed().createGang('gang', 2, { gpus: 1 });
    await bed().untilRunning([...gang, ...(await bed().createGang('share', 1, { gpuFraction: '0.5' }))]);
    await bed().untilUnschedulable(young);
    // The first look and at least one more.
    await bed().until('it to be asked again', () => silent.hits > 2);
    await untilLogged(bed(), SILENT, name);
    expect(bed().boundOf(young)).toEqual([]);
    silent.remove();
    // One of the two devices is taken.
    await bed().until('one of them to run', () => bed().boundOf(young).length === 1);
    const [waiting] = young.filter((key) => bed().nodeOf(key) === undefined);
    await bed().delete(old[0]!);
    await bed().untilRunning([waiting!]);
    const log = bed().scheduler(name).program.log();
    expect(log.split('\n').filter((line) => line.includes(SILENT))).toHaveLength(1);
  });
});
