// Zones of a node, as an exporter publishes them: pods go where the kubelet's Topology Manager would admit them.
import { expect, test } from 'vitest';
import { onCluster } from './support/bed.ts';
import { startWithStrategy } from './support/strategies.ts';

const NRT = 'topology.node.k8s.io';
/** Of the node feature discovery, as far as the scheduler reads it. */
const ZONES_DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: {
    name: `noderesourcetopologies.${NRT}`,
    annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes/enhancements/pull/1870' },
  },
  spec: {
    group: NRT,
    scope: 'Cluster',
    names: { kind: 'NodeResourceTopology', plural: 'noderesourcetopologies' },
    versions: [
      {
        name: 'v1alpha2',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

onCluster('NUMA zones', { args: null }, (bed) => {
  const path = `/apis/${NRT}/v1alpha2/noderesourcetopologies`;
  /** Two zones of 4 GPUs and 32 CPUs. */
  const zones = (name: string, policy: string): object => ({
    apiVersion: `${NRT}/v1alpha2`,
    kind: 'NodeResourceTopology',
    metadata: { name },
    attributes: [
      { name: 'topologyManagerPolicy', value: policy },
      { name: 'topologyManagerScope', value: 'pod' },
    ],
    zones: [0, 1].map((zone) => ({
      name: `node-${zone}`,
      type: 'Node',
      resources: [
        ['nvidia.com/gpu', '4'],
        ['cpu', '32'],
        ['memory', '256Gi'],
      ].map(([resource, amount]) => ({ name: resource, capacity: amount, allocatable: amount, available: amount })),
    })),
  });
  /** Guaranteed: everything is aligned. */
  const exact = (gpus: number, cpu = '1', memory = '1Gi'): object => {
    const amounts = { cpu, memory, 'nvidia.com/gpu': String(gpus) };
    return { containers: [{ name: 'main', image: 'none', resources: { requests: amounts, limits: amounts } }] };
  };
  const definitionPath = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${ZONES_DEFINITION.metadata.name}`;
  const isServed = (): Promise<boolean> => {
    const list = bed().client.get(path);
    return list.then(Boolean, () => false);
  };

  /** One node of two zones and a scheduler that looks at them; the definition must be there before it starts. */
  async function createZones(policy: string): Promise<void> {
    if ((await bed().client.find(definitionPath)) === undefined)
      await bed().client.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', ZONES_DEFINITION);
    await bed().until('the zones to be served', isServed);
    await bed().client.retry(() => bed().client.apply(`${path}/n1`, zones('n1', policy)));
    await bed().createCluster(1);
    await startWithStrategy(bed(), 'binpack');
  }

  const zoneOf = (key: string): string => bed().audit.pods.get(key)?.metadata.annotations?.['kai.scheduler/numa-placement-predicted'] ?? '';

  test.each([
    ['single-numa-node', false],
    ['best-effort', true],
    ['none', true],
  ])('policy %s: a pod that fits one zone runs, one across zones: %s', async (policy, mayCross) => {
    await createZones(policy);
    const [narrow] = await bed().createGang('narrow', 1, { spec: exact(3) });
    await bed().untilRunning([narrow!]);
    const wide = await bed().createGang('wide', 1, { spec: exact(5) });
    if (mayCross) await bed().untilRunning(wide);
    else {
      await bed().untilUnschedulable(wide);
      // The other zone is free as a whole.
      await bed().untilRunning(await bed().createGang('whole-zone', 1, { spec: exact(4) }));
      expect(zoneOf(narrow!)).toMatch(/node-[01]/);
    }
  });

  test('policy restricted: across zones only what is equally wide in everything', async () => {
    await createZones('restricted');
    const uneven = await bed().createGang('uneven', 1, { spec: exact(5) });
    await bed().untilUnschedulable(uneven);
    await bed().untilRunning(await bed().createGang('even', 1, { spec: exact(5, '40', '300Gi') }));
    const tooMuch = await bed().createGang('too-much', 1, { spec: exact(5, '40', '300Gi') });
    await bed().untilUnschedulable(tooMuch);
  });

  test('preemption makes room within one zone: one victim more', async () => {
    await createZones('single-numa-node');
    const group = { groupSpec: { priorityClassName: 'train' } };
    const low = (
      await Promise.all(Array.from({ length: 8 }, (_, i) => bed().createGang(`low${i}`, 1, { spec: exact(1), ...group })))
    ).flat();
    await bed().untilRunning(low);
    const freed = ['node-0', 'node-1'].map((zone) => low.find((key) => zoneOf(key).includes(zone))!);
    expect(new Set(freed).size).toBe(2);
    for (const key of freed) await bed().delete(key);
    await bed().untilGone(freed);
    const high = await bed().createGang('high', 1, { spec: exact(2), groupSpec: { priorityClassName: 'build-preemptible' } });
    await bed().untilRunning(high);
    expect(low.filter((key) => bed().isStaying(key))).toHaveLength(5);
  });
});
