import { describe, expect, test } from 'vitest';
import { allocate, type ClusterSpec, type NodeSpec, nodes, pods } from './cluster.ts';

// The worked examples of spec 06 section 11, with the deviations taken, and the edge cases of section 12.

const ZONE_RACK = ['zone', 'rack'];
const THREE = ['zone', 'spine', 'rack'];

function oneJob(levels: readonly string[], machines: readonly NodeSpec[], job: ClusterSpec['jobs'][number]): ClusterSpec {
  return { topologies: { dc: levels }, nodes: machines, jobs: [job] };
}

describe('worked examples', () => {
  test('E1: required zone, preferred rack: the tighter zone, in it the roomiest rack first', () => {
    const machines = nodes(ZONE_RACK, [
      ['a1-1', 'A A1', 1],
      ['a1-2', 'A A1', 1],
      ['a2', 'A A2', 1],
      ['a3', 'A A3', 1],
      ['a4', 'A A4', 1],
      ['b1', 'B B1', 2],
      ['b2', 'B B2', 2],
      ['b3', 'B B3', 2],
    ]);
    const constraint = { topology: 'dc', requiredTopologyLevel: 'zone', preferredTopologyLevel: 'rack' };
    const { placed } = allocate(oneJob(ZONE_RACK, machines, { name: 'j', constraint, pods: pods('p', 3) }));
    expect(placed).toEqual({ 'p-0': 'a1-1', 'p-1': 'a1-2', 'p-2': 'a4' });
  });

  test('E2: tightness counts from the widest level down', () => {
    const machines = nodes(ZONE_RACK, [
      ['n1', 'zone1 rackA', 4],
      ['n2', 'zone1 rackB', 2],
      ['n3', 'zone2 rackC', 3],
    ]);
    const constraint = { topology: 'dc', requiredTopologyLevel: 'zone', preferredTopologyLevel: 'rack' };
    const { placed } = allocate(oneJob(ZONE_RACK, machines, { name: 'j', constraint, pods: pods('p', 2) }));
    expect(placed).toEqual({ 'p-0': 'n3', 'p-1': 'n3' });
  });

  test('E3: a preferred spine that is too small spills into the next', () => {
    const rows = Array.from({ length: 8 }, (_, n) => [`n${n}`, `z s${n < 4 ? 1 : 2} r${n >> 1}`, 1] as const);
    const constraint = { topology: 'dc', preferredTopologyLevel: 'spine' };
    const { placed } = allocate(oneJob(THREE, nodes(THREE, rows), { name: 'j', constraint, pods: pods('p', 6) }));
    expect(placed).toEqual({ 'p-0': 'n4', 'p-1': 'n5', 'p-2': 'n6', 'p-3': 'n7', 'p-4': 'n0', 'p-5': 'n1' });
  });

  const E4 = nodes(THREE, [
    ['r1', 'Z1 S1 r1', 2],
    ['r2', 'Z1 S1 r2', 2],
    ['r3', 'Z1 S2 r3', 2],
    ['r4', 'Z1 S2 r4', 1],
    ['r5', 'Z2 S3 r5', 4],
  ]);
  const required = (level: string) => ({ topologyConstraint: { topology: 'dc', requiredTopologyLevel: level } });

  test.each(['rack', 'RACK'])('E4: constraints on three heights of the tree, the rack named %s', (rack) => {
    const spec: ClusterSpec = {
      topologies: { dc: ['zone', 'spine', { nodeLabel: 'rack', alias: 'RACK' }] },
      nodes: E4,
      jobs: [
        {
          name: 'e4',
          minSubGroup: 2,
          constraint: { topology: 'dc', requiredTopologyLevel: 'zone' },
          subGroups: [
            { name: 'ab', minSubGroup: 2, ...required('spine') },
            { name: 'a', parent: 'ab', minMember: 2, ...required(rack) },
            { name: 'b', parent: 'ab', minMember: 2, ...required('rack') },
            { name: 'c', minMember: 2, ...required('rack') },
          ],
          pods: [...pods('a', 2, { subGroup: 'a' }), ...pods('b', 2, { subGroup: 'b' }), ...pods('c', 2, { subGroup: 'c' })],
        },
      ],
    };
    const { placed } = allocate(spec);
    expect(placed).toEqual({ 'a-0': 'r1', 'a-1': 'r1', 'b-0': 'r2', 'b-1': 'r2', 'c-0': 'r3', 'c-1': 'r3' });
  });

  const twoRacks = nodes(ZONE_RACK, [
    ['n1', 'z rack1', 2],
    ['n2', 'z rack2', 4],
  ]);
  const surplus = (level: 'requiredTopologyLevel' | 'preferredTopologyLevel') =>
    oneJob(ZONE_RACK, twoRacks, {
      name: 'j',
      minMember: 2,
      constraint: { topology: 'dc', [level]: 'rack' },
      pods: [...pods('run', 2, { node: 'n1' }), ...pods('new', 1)],
    });

  test('E5: running pods tie to a required rack, not to a preferred one', () => {
    const tied = allocate(surplus('requiredTopologyLevel'));
    expect(tied.placed).toEqual({});
    expect(tied.messages['j']).toBe(
      "Unable to schedule podgroup: node-group z.rack1 can allocate only 0 of 1 required pods. \ntopology dc, requirement rack couldn't be " +
        'satisfied for job <ns/j>.',
    );
    expect(allocate(surplus('preferredTopologyLevel')).placed).toEqual({ 'new-0': 'n2' });
  });

  test('E6: a zone with a single rack', () => {
    const job = { name: 'j', constraint: { topology: 'dc', requiredTopologyLevel: 'zone' }, pods: pods('p', 2) };
    const { placed } = allocate(oneJob(ZONE_RACK, nodes(ZONE_RACK, [['n1', 'z r', 8]]), job));
    expect(placed).toEqual({ 'p-0': 'n1', 'p-1': 'n1' });
  });

  const HOST = ['rack', 'host'];
  const onHost = { topology: 'dc', requiredTopologyLevel: 'host' };

  test('E7: two halves share a device; one pod takes two half used ones', () => {
    const half = { gpus: 0, annotations: { 'gpu-fraction': '0.5' } };
    const one = allocate(oneJob(HOST, nodes(HOST, [['n1', 'r n1', 1]]), { name: 'j', constraint: onHost, pods: pods('p', 2, half) }));
    expect(one.placed).toEqual({ 'p-0': 'n1', 'p-1': 'n1' });
    const running = ['g1', 'g2'].map((gpuGroup) => ({ name: `run-${gpuGroup}`, node: 'n1', gpuGroup, ...half }));
    const pair = { annotations: { 'gpu-fraction': '0.5', 'gpu-fraction-num-devices': '2' }, gpus: 0 };
    const two = allocate({
      topologies: { dc: HOST },
      nodes: nodes(HOST, [['n1', 'r n1', 2]]),
      jobs: [
        { name: 'old', minMember: 1, pods: running },
        { name: 'j', constraint: onHost, pods: pods('p', 1, pair) },
      ],
    });
    expect(two.placed).toEqual({ 'p-0': 'n1' });
  });

  test('E8: ratios are exact: 1500 of 3200 milli-CPU are looser than 1500 of 3100', () => {
    const machines = [
      { name: 'n1', labels: { rack: 'r1' }, gpus: 0, milliCpu: 3200 },
      { name: 'n2', labels: { rack: 'r2' }, gpus: 0, milliCpu: 3100 },
    ];
    const job = {
      name: 'j',
      constraint: { topology: 'dc', requiredTopologyLevel: 'rack' },
      pods: pods('p', 2, { gpus: 0, milliCpu: 750 }),
    };
    expect(allocate(oneJob(['rack'], machines, job)).placed).toEqual({ 'p-0': 'n2', 'p-1': 'n2' });
  });

  test('E9: K of n: two racks are found, the third member waits', () => {
    const machines = nodes(
      ['rack'],
      [
        ['n1', 'r1', 4],
        ['n2', 'r2', 5],
        ['n3', 'r3', 3],
      ],
    );
    const subGroups = ['p0', 'p1', 'p2'].map((name) => ({ name, minMember: 4, ...required('rack') }));
    const members = subGroups.flatMap(({ name }) => pods(name, 4, { subGroup: name }));
    const { placed } = allocate(oneJob(['rack'], machines, { name: 'j', minSubGroup: 2, subGroups, pods: members }));
    expect(Object.keys(placed)).toHaveLength(8);
    for (let k = 0; k < 4; k++) expect([placed[`p0-${k}`], placed[`p1-${k}`], placed[`p2-${k}`]]).toEqual(['n1', 'n2', undefined]);
  });

  const crossLeaf = (minSubGroup?: number): ClusterSpec =>
    oneJob(
      ['rack'],
      nodes(
        ['rack'],
        [
          ['n1', 'r1', 6],
          ['n2', 'r2', 1],
        ],
      ),
      {
        name: 'j',
        ...(minSubGroup === undefined ? {} : { minSubGroup }),
        constraint: { topology: 'dc', requiredTopologyLevel: 'rack' },
        subGroups: [
          { name: 'a', minMember: 2 },
          { name: 'b', minMember: 1 },
        ],
        pods: [...pods('a', 2, { subGroup: 'a', node: 'n1' }), ...pods('b', 1, { subGroup: 'b' })],
      },
    );

  test('E10: a restarted pod returns to the rack of the other pod sets; an optional member goes to the tighter rack', () => {
    expect(allocate(crossLeaf()).placed).toEqual({ 'b-0': 'n1' });
    expect(allocate(crossLeaf(1)).placed).toEqual({ 'b-0': 'n2' });
  });
});

describe('edge cases', () => {
  const racks = nodes(
    ['rack'],
    [
      ['n1', 'r1', 4],
      ['n2', 'r2', 4],
    ],
  );
  const withConstraint = (constraint: object, count = 1, machines: readonly NodeSpec[] = racks): ClusterSpec => ({
    topologies: { dc: ['zone', 'rack'].slice(-1) },
    nodes: machines,
    jobs: [{ name: 'j', constraint, pods: pods('p', count) }],
  });

  test.each([
    [{ topology: 'no', requiredTopologyLevel: 'rack' }, 'PodSchedulingErrors: Requested topology no does not exist.'],
    [
      { topology: 'dc', requiredTopologyLevel: 'row' },
      "PodSchedulingErrors: topology constraint error: workload specified 'row' as the required topology constraint level, but the topology " +
        "tree 'dc' does not contain a level with this name.",
    ],
    [
      { topology: 'dc', preferredTopologyLevel: 'row' },
      "PodSchedulingErrors: topology constraint error: workload specified 'row' as the preferred topology constraint level, but the topology " +
        "tree 'dc' does not contain a level with this name.",
    ],
  ])('%j is not placed and says why', (constraint, message) => {
    expect(allocate(withConstraint(constraint))).toEqual({ placed: {}, messages: { j: message } });
  });

  test('a constraint without a level is none; required and preferred may be the same level', () => {
    expect(Object.keys(allocate(withConstraint({ topology: 'dc' }, 8)).placed)).toHaveLength(8);
    const both = { topology: 'dc', requiredTopologyLevel: 'rack', preferredTopologyLevel: 'rack' };
    expect(allocate(withConstraint(both, 2)).placed).toEqual({ 'p-0': 'n1', 'p-1': 'n1' });
  });

  test('a preferred level wider than the required one is reported', () => {
    const spec = withConstraint({ topology: 'dc', requiredTopologyLevel: 'rack', preferredTopologyLevel: 'zone' });
    const { messages } = allocate({ ...spec, topologies: { dc: ['zone', 'rack'] } });
    expect(messages['j']).toContain("specified 'zone' as the preferred topology constraint level");
  });

  test('nodes without a level label are outside, also for a preferred level; not-ready ones have no capacity', () => {
    const machines = [...racks, { name: 'out', labels: { other: 'x' }, gpus: 8 }];
    expect(allocate(withConstraint({ topology: 'dc', preferredTopologyLevel: 'rack' }, 9, machines)).messages['j']).toBe(
      "PodSchedulingErrors: topology dc, requirement  couldn't be satisfied for job <ns/j>: not enough resources in the cluster to allocate " +
        'the job.',
    );
    const tight = [{ name: 'down', labels: { rack: 'r0' }, gpus: 2, isReady: false }, ...racks];
    expect(allocate(withConstraint({ topology: 'dc', requiredTopologyLevel: 'rack' }, 2, tight)).placed).toEqual({
      'p-0': 'n1',
      'p-1': 'n1',
    });
  });

  test('a rack whose nodes refuse the pods is passed over and its nodes are counted once', () => {
    const constraint = { topology: 'dc', requiredTopologyLevel: 'rack' };
    const picky = {
      topologies: { dc: ['rack'] },
      nodes: racks,
      jobs: [{ name: 'j', constraint, pods: pods('p', 2, { nodeSelector: { rack: 'r2' } }) }],
    };
    expect(allocate(picky).placed).toEqual({ 'p-0': 'n2', 'p-1': 'n2' });
    const never = { ...picky, jobs: [{ name: 'j', constraint, pods: pods('p', 1, { nodeSelector: { rack: 'r3' } }) }] };
    expect(allocate(never).messages['j']).toContain("2 node(s) didn't match Pod's node affinity/selector");
  });

  test('a sub-group with its own constraint is named in the errors; sums are told where kinds differ', () => {
    const subGroups = [{ name: 'w', minMember: 2, topologyConstraint: { topology: 'dc', requiredTopologyLevel: 'rack' } }];
    const mixed = [...pods('g', 1, { subGroup: 'w', gpus: 5 }), ...pods('c', 1, { subGroup: 'w', gpus: 0 })];
    const { messages } = allocate({ topologies: { dc: ['rack'] }, nodes: racks, jobs: [{ name: 'j', subGroups, pods: mixed }] });
    expect(messages['j']).toBe(
      "Unable to schedule podgroup: 2 node-group(s) didn't have enough resources: GPUs. \ntopology dc, requirement rack couldn't be satisfied " +
        'for job <ns/j>, subgroup w.',
    );
  });
});
