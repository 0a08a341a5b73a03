// Where pods go when there is a choice: packing and spreading, kinds of nodes, topology, pod slots.
import { expect, test } from 'vitest';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { nodeObject, queueObject } from './support/objects.ts';
import { startWithStrategy as start } from './support/strategies.ts';

const on = (name: string): { readonly nodeSelector: Readonly<Record<string, string>> } => ({
  nodeSelector: { 'kubernetes.io/hostname': name },
});
const term = (app: string): object => ({
  weight: 100,
  podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app } } },
});
const preferred = (kind: string, app: string): object => ({
  affinity: { [kind]: { preferredDuringSchedulingIgnoredDuringExecution: [term(app)] } },
});

/** One after the other, so that the second finds the first. */
async function runOneByOne(bed: Bed, shape: Parameters<Bed['createGang']>[2], count = 2): Promise<string[]> {
  const keys: string[] = [];
  for (let i = 0; i < count; i++) {
    const own = await bed.createGang(`job${i}`, 1, shape);
    await bed.untilRunning(own);
    keys.push(...own);
  }
  return keys;
}

const nodesOf = (bed: Bed, keys: readonly string[]): Set<string | undefined> => new Set(keys.map((key) => bed.nodeOf(key)));
const groupOf = (bed: Bed, key: string): string | undefined => bed.audit.pods.get(key)?.metadata.labels?.['runai-gpu-group'];

onCluster('packing and spreading', { args: null }, (bed) => {
  test('binpack: pods go where others are, shares onto one GPU', async () => {
    await bed().createCluster(3, { gpus: 4 });
    await start(bed(), 'binpack');
    const whole = await runOneByOne(bed(), { gpus: 1 });
    expect(nodesOf(bed(), whole).size).toBe(1);
    const [a] = await bed().createGang('a', 1, { gpuFraction: '0.5' });
    await bed().untilRunning([a!]);
    const [b] = await bed().createGang('b', 1, { gpuFraction: '0.5' });
    await bed().untilRunning([b!]);
    expect(groupOf(bed(), b!)).toBe(groupOf(bed(), a!));
  });

  test('spread: pods go apart, shares onto other nodes and other GPUs', async () => {
    await bed().createCluster(2, { gpus: 2 });
    await start(bed(), 'spread');
    const whole = await runOneByOne(bed(), { gpus: 1 });
    expect(nodesOf(bed(), whole).size).toBe(2);
    for (const key of whole) await bed().delete(key);
    await bed().untilGone(whole);
    const submit = async (name: string, shape: object): Promise<string> => {
      const [key] = await bed().createGang(name, 1, { gpuFraction: '0.5', ...shape });
      await bed().untilRunning([key!]);
      return key!;
    };
    const apart = [await submit('a', {}), await submit('b', {})];
    expect(nodesOf(bed(), apart).size).toBe(2);
    const pinned = [await submit('c', on('n1')), apart.find((key) => bed().nodeOf(key) === 'n1')!];
    expect(new Set(pinned.map((key) => groupOf(bed(), key))).size).toBe(2);
  });

  test('pods without GPUs go to nodes without GPUs; preferred affinity and anti-affinity', async () => {
    await bed().create(...['g1', 'g2'].map((name) => nodeObject(name)), nodeObject('c1', { gpus: 0 }), queueObject('examples'));
    await start(bed(), 'binpack');
    const [plain] = await bed().createGang('plain', 1);
    await bed().untilRunning([plain!]);
    expect(bed().nodeOf(plain!)).toBe('c1');
    const labels = { app: 'leader' };
    await bed().untilRunning(await bed().createGang('leader', 1, { gpus: 1, labels, ...on('g2') }));
    const [near] = await bed().createGang('near', 1, { gpus: 1, spec: preferred('podAffinity', 'leader') });
    const [far] = await bed().createGang('far', 1, { gpus: 1, spec: preferred('podAntiAffinity', 'leader') });
    await bed().untilRunning([near!, far!]);
    expect([near, far].map((key) => bed().nodeOf(key!))).toEqual(['g2', 'g1']);
  });

  const LEVELS = { zone: 'example.com/zone', rack: 'example.com/rack', node: 'kubernetes.io/hostname' };
  const topology = {
    apiVersion: 'kai.scheduler/v1alpha1',
    kind: 'Topology',
    metadata: { name: 'tree' },
    spec: { levels: [{ nodeLabel: LEVELS.zone }, { nodeLabel: LEVELS.rack, alias: 'rack' }, { nodeLabel: LEVELS.node }] },
  };
  const rackOf = (name: string | undefined): number => Math.floor((Number(name?.slice(1)) - 1) / 2);

  test.each([
    ['required rack', 4, { requiredTopologyLevel: LEVELS.rack }, 2, 8, { racks: 1 }],
    ['required rack by its alias', 4, { requiredTopologyLevel: 'rack' }, 2, 8, { racks: 1 }],
    ['preferred rack', 4, { preferredTopologyLevel: LEVELS.rack }, 2, 8, { racks: 1 }],
    [
      'required rack and preferred node, halves',
      4,
      { requiredTopologyLevel: LEVELS.rack, preferredTopologyLevel: LEVELS.node },
      2,
      4,
      { racks: 1, nodes: 1 },
    ],
    [
      'required rack and preferred node, wholes',
      4,
      { requiredTopologyLevel: LEVELS.rack, preferredTopologyLevel: LEVELS.node },
      2,
      8,
      { racks: 1, nodes: 2 },
    ],
    [
      'required zone and preferred rack',
      8,
      { requiredTopologyLevel: LEVELS.zone, preferredTopologyLevel: LEVELS.rack },
      4,
      8,
      { racks: 2, zones: 1 },
    ],
  ] as const)('topology: %s', async (_, nodes, constraint, pods, gpus, expected: { racks: number; nodes?: number; zones?: number }) => {
    const labels = (i: number): Record<string, string> => ({
      [LEVELS.zone]: `z${Math.floor(i / 4)}`,
      [LEVELS.rack]: `r${Math.floor(i / 2)}`,
    });
    await bed().create(topology, queueObject('examples'));
    await bed().create(...Array.from({ length: nodes }, (_n, i) => nodeObject(`n${i + 1}`, { labels: labels(i) })));
    await start(bed(), 'spread');
    // Three times: a lucky choice is none.
    for (let round = 0; round < 3; round++) {
      const keys = await bed().createGang(`gang${round}`, pods, {
        gpus,
        groupSpec: { topologyConstraint: { topology: 'tree', ...constraint } },
      });
      await bed().untilRunning(keys);
      const used = nodesOf(bed(), keys);
      const racks = new Set([...used].map(rackOf));
      expect(racks.size).toBe(expected.racks);
      if (expected.nodes !== undefined) expect(used.size).toBe(expected.nodes);
      if (expected.zones !== undefined) expect(new Set([...racks].map((rack) => Math.floor(rack / 2))).size).toBe(expected.zones);
      for (const key of keys) await bed().delete(key, { gracePeriodSeconds: 0 });
      await bed().untilGone(keys);
    }
    await bed().client.delete('/apis/kai.scheduler/v1alpha1/topologies/tree');
  });

  test('pod slots: preemption gives one, a share needs a second one for its reservation', async () => {
    await bed().create(nodeObject('n1', { gpus: 2, pods: 3 }), nodeObject('n2', { gpus: 0 }), queueObject('examples'));
    await start(bed(), 'binpack');
    const fillers = await Promise.all(
      [0, 1].map((i) => bed().createGang(`low${i}`, 1, { ...on('n1'), groupSpec: { priorityClassName: 'train' } })),
    );
    await bed().untilRunning(fillers.flat());
    const share = await bed().createGang('share', 1, { gpuFraction: '0.5', ...on('n1'), groupSpec: { priorityClassName: 'train' } });
    await bed().untilUnschedulable(share);
    await bed().untilEvent('share-0', 'Unschedulable', /pod number exceeded|max pods/);
    await bed().delete(share[0]!);
    await bed().untilRunning(await bed().createGang('third', 1, { ...on('n1'), groupSpec: { priorityClassName: 'train' } }));
    await bed().untilRunning(await bed().createGang('high', 1, { ...on('n1'), groupSpec: { priorityClassName: 'build-preemptible' } }));
    expect([...fillers.flat(), `${TEAM}/third-0`].filter((key) => bed().isStaying(key))).toHaveLength(2);
  });

  test('volumes that can never be had, overhead that is above the limit', async () => {
    await bed().create(nodeObject('n1'), queueObject('dept'), queueObject('examples', { parent: 'dept', cpu: { limit: 1000 } }));
    const runtime = {
      apiVersion: 'node.k8s.io/v1',
      kind: 'RuntimeClass',
      metadata: { name: 'heavy' },
      handler: 'heavy',
      overhead: { podFixed: { cpu: '2' } },
    };
    await bed().client.create('/apis/node.k8s.io/v1/runtimeclasses', runtime);
    await start(bed(), 'binpack');
    const spec = { storageClassName: 'nonesuch', accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
    await bed().create({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'lost', namespace: TEAM }, spec });
    const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'lost' } }];
    const lost = await bed().createGang('lost', 1, { spec: { volumes } });
    const heavy = await bed().createGang('heavy', 1, { spec: { runtimeClassName: 'heavy' } });
    await bed().untilUnschedulable([...lost, ...heavy]);
    await bed().untilRunning(await bed().createGang('light', 1));
    await bed().client.delete(`/api/v1/namespaces/${TEAM}/persistentvolumeclaims/lost`);
    await bed().client.delete('/apis/node.k8s.io/v1/runtimeclasses/heavy');
  });
});

onCluster('restricted nodes', { args: ['--restrict-node-scheduling'], audited: { params: { restrictSchedulingNodes: true } } }, (bed) => {
  test('pods with GPUs on GPU workers, others on CPU workers, nobody on the rest', async () => {
    const worker = (kind: string): { readonly labels: Readonly<Record<string, string>> } => ({
      labels: { [`node-role.kubernetes.io/${kind}-worker`]: '' },
    });
    await bed().create(nodeObject('g1', worker('gpu')), nodeObject('c1', worker('cpu')), nodeObject('other'), queueObject('examples'));
    const gpu = await bed().createGang('gpu', 1, { gpus: 1 });
    const cpu = await bed().createGang('cpu', 1);
    await bed().untilRunning([...gpu, ...cpu]);
    expect([...gpu, ...cpu].map((key) => bed().nodeOf(key))).toEqual(['g1', 'c1']);
    const wrong = [
      ...(await bed().createGang('gpu-on-c', 1, { gpus: 1, ...on('c1') })),
      ...(await bed().createGang('cpu-on-g', 1, on('g1'))),
      ...(await bed().createGang('on-other', 1, on('other'))),
    ];
    await bed().untilUnschedulable(wrong);
    expect(bed().boundOf(wrong)).toEqual([]);
  });
});
