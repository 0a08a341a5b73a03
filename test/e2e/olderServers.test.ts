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

onCluster('a server without resource.k8s.io', { claims: 'none' }, (bed) => {
  test('everything else works', async () => {
    expect(bed().scheduler().program.log()).toContain('isDraServed=false');
    await runGangAndShare(bed());
  });
});

onCluster('a server with resource.k8s.io/v1beta1 only', { claims: 'v1beta1' }, (bed) => {
  const api = 'resource.k8s.io/v1beta1';
  test('claims in their old shape get devices', async () => {
    expect(bed().scheduler().program.log()).toContain('isDraServed=true');
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
  test('ordinary pods do not wait for it', async () => {
    const silent = bed().proxy.inject({ action: { kind: 'status', status: 503 }, path: /resource\.k8s\.io/ });
    await bed().startScheduler('scheduler', { isAwaited: false });
    await runGangAndShare(bed());
    expect(silent.hits).toBeGreaterThan(0);
    bed().proxy.clear();
  });
});
