import { describe, expect, test } from 'vitest';
import { type Amounts, cycle, type NodeSpec, open, type PodSpec, record, single, zones } from './cluster.ts';

// The worked examples of spec 03 section 11A, and of 8.6 and 13 where zones matter.

const GPU = 'nvidia.com/gpu';
const GI = 2 ** 30;
const BIG: Amounts = { cpu: '64', memory: '512Gi', pods: '110', [GPU]: '8' };
const ZONE: Amounts = { [GPU]: '4', cpu: '16', memory: '64Gi' };
const REFUSAL = "node cannot NUMA-align the pod's resources under its Topology Manager policy";

function node(policy: string, scope: 'pod' | 'container' = 'container', rest: Partial<NodeSpec> = {}): NodeSpec {
  return { name: 'n', allocatable: BIG, topology: { policy, scope, zones: zones(2, ZONE) }, ...rest };
}

function asked(gpus: number, cpu: number, gib: number): Amounts {
  return { ...(gpus > 0 ? { [GPU]: String(gpus) } : {}), cpu: String(cpu), memory: `${gib}Gi` };
}

function evaluate(at: NodeSpec, pod: Omit<PodSpec, 'name'>): ReturnType<ReturnType<typeof open>['wouldBe']> {
  return open({ nodes: [at], jobs: [single({ name: 'p', ...pod })] }).wouldBe('p', at.name);
}

describe('evaluation (11A.4)', () => {
  test.each([
    ['fits one zone', 'single-numa-node', asked(2, 8, 32), { 'node-0': { [GPU]: 2, cpu: 8000, memory: 32 * GI } }],
    ['larger than a zone', 'single-numa-node', asked(6, 1, 1), null],
    ['widths 2 and 1', 'restricted', asked(6, 10, 1), null],
    [
      'all of width 2',
      'restricted',
      asked(6, 24, 80),
      { 'node-0': { [GPU]: 4, cpu: 16000, memory: 64 * GI }, 'node-1': { [GPU]: 2, cpu: 8000, memory: 16 * GI } },
    ],
  ])('%s, %s', (_, policy, requests, expected) => {
    expect(evaluate(node(policy), { containers: [requests] })).toEqual(expected);
  });

  test('containers one after the other; an init container by itself', () => {
    const twelve = { cpu: '12', memory: '1Gi' };
    expect(evaluate(node('single-numa-node'), { containers: [twelve, twelve, { cpu: '8', memory: '1Gi' }] })).toBeNull();
    const three = { [GPU]: '3' };
    const container = evaluate(node('restricted'), { containers: [three, three] });
    expect(container).toEqual({ 'node-0': { [GPU]: 3 }, 'node-1': { [GPU]: 3 } });
    const pod = evaluate(node('restricted', 'pod'), { containers: [three, three] });
    expect(pod).toEqual({ 'node-0': { [GPU]: 4 }, 'node-1': { [GPU]: 2 } });
    const four = { [GPU]: '4' };
    expect(evaluate(node('restricted'), { init: [{ requests: four }], containers: [four] })).toEqual({ 'node-0': { [GPU]: 4 } });
  });

  test('restricted counts the width by allocatable, not by what is free', () => {
    const held = { qos: 'Burstable', node: 'n', containers: [{ [GPU]: '1' }] } as const;
    const observed = (zone: string) => ({ 'kai.scheduler/numa-placement-observed': record([zone, { [GPU]: '1' }]) });
    const jobs = [
      single({ name: 'a', ...held, annotations: observed('node-0') }),
      single({ name: 'b', ...held, annotations: observed('node-1') }),
      single({ name: 'p', containers: [{ [GPU]: '4' }] }),
      single({ name: 'three', containers: [{ [GPU]: '3' }] }),
    ];
    const c = open({ nodes: [node('restricted')], jobs });
    expect(c.wouldBe('p', 'n')).toBeNull();
    expect(c.wouldBe('three', 'n')).toEqual({ 'node-0': { [GPU]: 3 } });
  });

  test('a Burstable pod aligns its devices only; a pod without devices is not handled', () => {
    const devices = { qos: 'Burstable', containers: [{ [GPU]: '2', cpu: '12500m' }] } as const;
    expect(evaluate(node('restricted'), devices)).toEqual({ 'node-0': { [GPU]: 2 } });
    const spec = { nodes: [node('restricted')], jobs: [single({ name: 'p', qos: 'Burstable', containers: [{ cpu: '40' }] })] };
    const { s, pod } = open(spec);
    expect(s.numa!.kindOf(s.request(s.view.pods.shapeRow[pod('p')]!), false)).toBeNull();
    expect(cycle(spec).placed).toEqual({ p: 'n' });
  });

  test('the greedy choice of best effort adds up unlike units (11A.9)', () => {
    const parts = [
      { name: 'a-0', allocatable: { [GPU]: '0', memory: '8Gi' } },
      { name: 'b-1', allocatable: { [GPU]: '1', memory: '4Gi' } },
      { name: 'c-2', allocatable: { [GPU]: '1', memory: '4Gi' } },
    ];
    const at = node('best-effort', 'pod', { topology: { policy: 'best-effort', scope: 'pod', zones: parts } });
    const c = open({ nodes: [at], jobs: [single({ name: 'p', containers: [{ [GPU]: '2', memory: '8Gi' }] })] });
    expect(c.wouldBe('p', 'n')).toEqual({ 'a-0': { memory: 8 * GI }, 'b-1': { [GPU]: 1 }, 'c-2': { [GPU]: 1 } });
    expect(c.score('p', 'n')).toBe(100 / 3);
  });
});

describe('requests (11A.3)', () => {
  test('only whole CPUs of a container are exclusive', () => {
    const pod = { containers: [{ cpu: '4', memory: '1Gi' }], init: [{ requests: { cpu: '500m', memory: '1Gi' }, isSidecar: true }] };
    expect(evaluate(node('single-numa-node', 'pod'), pod)).toEqual({ 'node-0': { cpu: 4000, memory: 2 * GI } });
    expect(evaluate(node('single-numa-node'), pod)).toEqual({ 'node-0': { cpu: 4000, memory: 2 * GI } });
  });

  test('pod scope: the largest moment of the start-up, and overhead; container scope: neither', () => {
    const pod = {
      init: [
        { requests: { cpu: '3', memory: '1Gi' } },
        { requests: { cpu: '1', memory: '1Gi' }, isSidecar: true },
        { requests: { cpu: '3', memory: '4Gi' } },
      ],
      containers: [{ cpu: '2', memory: '1Gi' }],
      overhead: { cpu: '1', memory: '1Gi' },
    };
    expect(evaluate(node('single-numa-node', 'pod'), pod)).toEqual({ 'node-0': { cpu: 4000, memory: 6 * GI } });
    expect(evaluate(node('single-numa-node'), pod)).toEqual({ 'node-0': { cpu: 3000, memory: 2 * GI } });
  });

  test('a fraction asks for the device but brings no amount; a memory request does not ask', () => {
    const fraction = { qos: 'Burstable', containers: [{ cpu: '1' }] } as const;
    const jobs = [
      single({ name: 'f', ...fraction, annotations: { 'gpu-fraction': '0.5' } }),
      single({ name: 'm', ...fraction, annotations: { 'gpu-memory': '4000' } }),
    ];
    const c = open({ nodes: [node('restricted'), { name: 'plain', allocatable: BIG }], jobs });
    expect(c.wouldBe('f', 'n')).toEqual({});
    expect([c.score('f', 'n'), c.score('f', 'plain')]).toEqual([100, 50]);
    expect(c.numa.kindOf(c.s.request(c.s.view.pods.shapeRow[c.pod('m')]!), false)).toBeNull();
  });

  test('MIG profiles are devices; ignored resources are not aligned', () => {
    const mig = 'nvidia.com/mig-1g.5gb';
    const at = {
      name: 'n',
      allocatable: { ...BIG, [mig]: '4' },
      topology: { policy: 'single-numa-node', zones: zones(2, { cpu: '4', [mig]: '2' }) },
    };
    const one = single({ name: 'p', qos: 'Burstable', containers: [{ [mig]: '2', cpu: '1' }] });
    expect(open({ nodes: [at], jobs: [one] }).wouldBe('p', 'n')).toEqual({ 'node-0': { [mig]: 2 } });
    const wide = single({ name: 'p', containers: [{ [mig]: '1', cpu: '6', memory: '1Gi' }] });
    expect(open({ nodes: [at], jobs: [wide] }).wouldBe('p', 'n')).toBeNull();
    const ignoring = open({ nodes: [at], jobs: [wide], arguments: { ignoreList: ' cpu , x' } });
    expect(ignoring.wouldBe('p', 'n')).toEqual({ 'node-0': { [mig]: 1 } });
  });
});

describe('scores (11A.5, 8.6)', () => {
  test('one hundred over the span', () => {
    const two = (perZone: string): Amounts => ({ [GPU]: perZone, cpu: '16' });
    const nodes: NodeSpec[] = [
      { name: 'single', allocatable: BIG, topology: { policy: 'single-numa-node', zones: zones(2, two('2')) } },
      { name: 'restricted', allocatable: BIG, topology: { policy: 'restricted', zones: zones(2, { [GPU]: '1' }) } },
      { name: 'best', allocatable: BIG, topology: { policy: 'best-effort', zones: zones(2, two('1')) } },
      { name: 'none', allocatable: BIG, topology: { policy: 'none', zones: zones(4, two('2')) } },
      { name: 'full', allocatable: BIG, topology: { policy: 'best-effort', zones: zones(2, two('0')) } },
      { name: 'plain', allocatable: BIG },
    ];
    const c = open({ nodes, jobs: [single({ name: 'p', containers: [{ [GPU]: '2' }] })] });
    expect(['single', 'restricted', 'best', 'none', 'full', 'plain'].map((name) => c.score('p', name))).toEqual([100, 50, 50, 25, 0, 25]);
  });

  test('alignment beats packing, availability beats alignment', () => {
    const pack = (name: string, free: number, policyZones: ReturnType<typeof zones>): NodeSpec => ({
      name,
      allocatable: { ...BIG, [GPU]: String(free) },
      topology: { policy: 'best-effort', zones: policyZones },
    });
    const nodes = [pack('n1', 8, zones(2, { [GPU]: '4' })), pack('n2', 2, zones(2, { [GPU]: '1' }))];
    const p = single({ name: 'p', containers: [{ [GPU]: '2', cpu: '1', memory: '1Gi' }] });
    expect(cycle({ nodes, jobs: [p] }).placed).toEqual({ p: 'n1 node-0' });
    const leaving = single({ name: 'l', node: 'n1', deletion: '2026-01-02T00:00:10Z', containers: [{ cpu: '64', memory: '1Gi' }] });
    expect(cycle({ nodes, jobs: [p, leaving] }).placed).toEqual({ p: 'n2 node-0 node-1' });
  });

  test('close scores can be turned round by placement', () => {
    const wide = (name: string, gpus: string, count: number): NodeSpec => ({
      name,
      allocatable: { ...BIG, [GPU]: gpus },
      topology: { policy: 'none', zones: zones(count, { [GPU]: '1' }) },
    });
    const p = single({ name: 'p', containers: [{ [GPU]: '1', cpu: '1' }] });
    // 33.3 + 0 against 25 + 9.
    expect(cycle({ nodes: [wide('n3', '8', 3), wide('n4', '4', 4)], jobs: [p] }).placed).toEqual({ p: 'n4' });
    // 50 + 0 against 33.3 + 9.
    expect(cycle({ nodes: [wide('n2', '8', 2), wide('n3', '3', 3)], jobs: [p] }).placed).toEqual({ p: 'n2' });
    // For a CPU task, 50 + 0 against 33.3 + 9 + 10 on a node without GPUs.
    const roomy = { ...wide('n2', '8', 2), allocatable: { ...BIG, cpu: '65' } };
    const cpuOnly = { ...wide('n3', '8', 3), allocatable: { cpu: '64', memory: '512Gi', pods: '110' } };
    const plain = single({ name: 'p', containers: [{ cpu: '1', memory: '1Gi' }] });
    expect(cycle({ nodes: [roomy, cpuOnly], jobs: [plain] }).placed).toEqual({ p: 'n3' });
  });

  test('scenario 31: one zone before two, against packing', () => {
    const nodes: NodeSpec[] = [
      { name: 'a', allocatable: { ...BIG, [GPU]: '4' }, topology: { policy: 'best-effort', zones: zones(2, { [GPU]: '2' }) } },
      { name: 'b', allocatable: BIG, topology: { policy: 'single-numa-node', zones: zones(2, { [GPU]: '4' }) } },
    ];
    expect(cycle({ nodes, jobs: [single({ name: 'p', containers: [{ [GPU]: '4' }] })] }).placed).toEqual({ p: 'b node-0' });
  });
});

describe('a cycle (11A.7)', () => {
  const cpus = (n: number): Amounts => ({ cpu: String(n), memory: '1Gi' });
  const small: NodeSpec = { name: 'n', allocatable: BIG, topology: { policy: 'single-numa-node', zones: zones(2, { cpu: '4' }) } };

  test('3, 3 and 2 CPUs: zone 0, zone 1, refused', () => {
    const jobs = [3, 3, 2].map((n, k) => single({ name: `p${k}`, containers: [cpus(n)] }));
    const { placed, messages } = cycle({ nodes: [small], jobs });
    expect(placed).toEqual({ p0: 'n node-0', p1: 'n node-1' });
    expect(messages['p2']).toContain(`no nodes with enough resources were found: 1 ${REFUSAL}.`);
  });

  test('scenario 30: two devices idle in two zones are not two devices for one pod', () => {
    const held = (name: string, zone: string) =>
      single({
        name,
        node: 'n',
        containers: [{ [GPU]: '3' }],
        annotations: { 'kai.scheduler/numa-placement-observed': record([zone, { [GPU]: '3' }]) },
      });
    const jobs = [held('a', 'node-0'), held('b', 'node-1'), single({ name: 'p', containers: [{ [GPU]: '2', cpu: '1' }] })];
    const { placed, messages } = cycle({ nodes: [node('single-numa-node')], jobs });
    expect(placed).toEqual({});
    expect(messages['p']).toContain(REFUSAL);
  });

  test('an earlier refusal names its own reason', () => {
    const nodes = [small, { ...small, name: 'm' }, { name: 'tiny', allocatable: { cpu: '1', memory: '1Gi', pods: '10' } }];
    const { messages } = cycle({ nodes, jobs: [single({ name: 'p', containers: [cpus(6)], nodeSelector: { host: 'n' } })] });
    expect(messages['p']).toContain(`1 ${REFUSAL}`);
    expect(messages['p']).toContain("1 node(s) didn't match Pod's node affinity/selector");
    expect(messages['p']).toContain("1 node(s) didn't have enough resources: CPU cores");
  });

  test('the bind request carries zones and quantities', () => {
    const { decisions } = cycle({ nodes: [node('restricted')], jobs: [single({ name: 'p', containers: [asked(2, 8, 32)] })] });
    expect(decisions[0]!.details?.predictedNUMAZones).toEqual([
      { zone: 'node-0', amount: { cpu: '8', memory: '34359738368', 'nvidia.com/gpu': '2' } },
    ]);
  });

  test('a gang that waits as a whole keeps its zones', () => {
    const leaving = {
      name: 'l',
      node: 'n',
      deletion: '2026-01-02T00:00:10Z',
      annotations: { 'kai.scheduler/numa-placement-observed': record(['node-0', { cpu: '4' }]) },
      containers: [cpus(4)],
    };
    const gang = { name: 'g', pods: [1, 2].map((k) => ({ name: `g${k}`, containers: [cpus(4)] })) };
    const { placed } = cycle({ nodes: [small], jobs: [single(leaving), gang] });
    expect(placed).toEqual({ g1: '~n node-1', g2: '~n node-0' });
  });

  test('pods that leave hold their zones against a bind, not against waiting (deviation of 11A.9)', () => {
    const leaving = (zone: string) =>
      single({
        name: `leaves-${zone}`,
        node: 'n',
        deletion: '2026-01-02T00:00:10Z',
        annotations: { 'kai.scheduler/numa-placement-observed': record([zone, { cpu: '4' }]) },
        containers: [cpus(4)],
      });
    const p = single({ name: 'p', containers: [cpus(3)] });
    expect(cycle({ nodes: [small], jobs: [leaving('node-0'), p] }).placed).toEqual({ p: 'n node-1' });
    expect(cycle({ nodes: [small], jobs: [leaving('node-0'), leaving('node-1'), p] }).placed).toEqual({ p: '~n node-0' });
    const lenient = { ...small, topology: { ...small.topology!, policy: 'best-effort' } };
    expect(cycle({ nodes: [lenient], jobs: [leaving('node-0'), leaving('node-1'), p] }).placed).toEqual({ p: 'n node-0' });
    // A node where it can start now comes first.
    const nodes = [small, { ...small, name: 'z' }];
    expect(cycle({ nodes, jobs: [leaving('node-0'), leaving('node-1'), p] }).placed).toEqual({ p: 'z node-0' });
  });

  test('best effort binds a pod that no zones can cover, without a placement', () => {
    const lenient = { ...small, topology: { ...small.topology!, policy: 'best-effort' } };
    expect(cycle({ nodes: [lenient], jobs: [single({ name: 'p', containers: [cpus(9)] })] }).placed).toEqual({ p: 'n' });
  });
});

describe('victims (11A.7, 04 section 5.6)', () => {
  const cpus = (n: number): Amounts => ({ cpu: String(n), memory: '1Gi' });
  const at = (name: string, zone: string, n: number, priority: number) =>
    single(
      {
        name,
        node: 'n',
        annotations: { 'kai.scheduler/numa-placement-observed': record([zone, { cpu: String(n) }]) },
        containers: [cpus(n)],
      },
      priority,
    );
  const small: NodeSpec = { name: 'n', allocatable: BIG, topology: { policy: 'single-numa-node', zones: zones(2, { cpu: '4' }) } };

  test('a pod that gets other zones of its own node is moved', () => {
    const jobs = [at('a', 'node-0', 2, 50), at('b', 'node-1', 2, 50), single({ name: 'p', containers: [cpus(4)] }, 50)];
    const { placed } = cycle({ nodes: [small], jobs, actions: ['consolidation'] });
    const moved = Object.entries(placed).filter(([name]) => name !== 'p');
    expect([
      ['p', '~n node-0'],
      ['p', '~n node-1'],
    ]).toContainEqual(['p', placed['p']]);
    const other = placed['p'] === '~n node-0' ? 'node-1' : 'node-0';
    expect(moved).toEqual([[other === 'node-1' ? 'a' : 'b', `-~n ${other}`]]);
  });

  test('only the victim of the zone that is needed leaves; one whose zones nobody takes stays', () => {
    const jobs = [at('a', 'node-0', 3, 40), at('b', 'node-1', 3, 41), single({ name: 'p', containers: [cpus(4)] }, 100)];
    const { placed } = cycle({ nodes: [small], jobs, actions: ['preempt'] });
    expect(placed).toEqual({ a: '-', p: '~n node-0' });
    // The cheaper victim alone does not free a whole zone.
    const halves = [at('a', 'node-0', 2, 40), at('b', 'node-1', 2, 41), at('c', 'node-0', 2, 42), at('d', 'node-1', 2, 43)];
    const outcome = cycle({ nodes: [small], jobs: [...halves, single({ name: 'p', containers: [cpus(4)] }, 100)], actions: ['preempt'] });
    expect(outcome.placed).toEqual({ a: '-', c: '-', p: '~n node-0' });
  });

  test('nobody leaves for a pod that no zone could hold', () => {
    const jobs = [at('a', 'node-0', 3, 40), single({ name: 'p', containers: [cpus(5)] }, 100)];
    const { placed, report } = cycle({ nodes: [small], jobs, actions: ['preempt'] });
    expect(placed).toEqual({});
    expect(report.search.simulations).toBe(0);
  });
});
