import { describe, expect, test } from 'vitest';
import { allLive, allocated, allocation, claim, deviceClass, exactly, GPU_CLASS, node, openCluster, pod, slice } from './cluster.ts';

const twoNodes = { nodes: [node('n1'), node('n2')], deviceClasses: [GPU_CLASS] };
const slices = [slice('n1', { nodeName: 'n1' }, ['g0', 'g1']), slice('n2', { nodeName: 'n2' }, ['g0', 'g1'])];
const devicesOf = (allocations: readonly { allocation?: unknown }[]): string[] =>
  allocations.flatMap(({ allocation: a }) =>
    (a as { devices: { results: { pool: string; device: string }[] } }).devices.results.map((r) => `${r.pool}/${r.device}`),
  );

describe('counts (spec 02 section 2.5, 03 sections 4.8, 11.2)', () => {
  test('a template claim with two GPUs and a NIC is two GPUs', () => {
    const owned = {
      metadata: { name: 't', namespace: 'ns', uid: 'c', ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'uid-p' }] },
      spec: { devices: { requests: [exactly('a', 2), { name: 'b', exactly: { deviceClassName: 'rdma', count: 1 } }] } },
    };
    const c = openCluster({ nodes: [node('n1')], deviceClasses: [GPU_CLASS], resourceClaims: [owned], pods: [pod('p', ['x'])] });
    expect(c.dra.gpuCountOf(c.pod('ns/p'))).toBe(2);
    expect([...c.dra.gpuCountsOf(c.pod('ns/p'))]).toEqual([['gpu.example.com', 2]]);
  });

  test('modes, absent counts, saturation, classes by first GPU request, extended claims left out', () => {
    const requests = [
      exactly('all', 5, { allocationMode: 'All' }),
      exactly('zero', 0),
      exactly('other', 9, { allocationMode: 'Weird' }),
      { name: 'any', firstAvailable: [{ name: 'x', deviceClassName: 'gpu.example.com', count: 4 }] },
      { name: 'big', exactly: { deviceClassName: 'BIG-GPU', count: 3 } },
    ];
    const extended = {
      metadata: {
        name: 'ext',
        namespace: 'ns',
        ownerReferences: [{ kind: 'Pod', uid: 'uid-p', controller: true }],
        annotations: { 'resource.kubernetes.io/extended-resource-claim': 'true' },
      },
      spec: { devices: { requests: [exactly('r', 7)] } },
    };
    const huge = claim('huge', [exactly('a', 2 ** 63), exactly('b', 2 ** 63)]);
    const reserved = claim('reserved', [exactly('a', 1)], { status: { reservedFor: [{ resource: 'pods', uid: 'uid-p' }] } });
    const second = claim('second', [exactly('a', 1)], {
      status: {
        reservedFor: [
          { resource: 'pods', uid: 'uid-z' },
          { resource: 'pods', uid: 'uid-p' },
        ],
      },
    });
    const c = openCluster({
      nodes: [node('n1')],
      deviceClasses: [GPU_CLASS],
      resourceClaims: [claim('modes', requests), extended, huge, reserved, second],
      pods: [pod('p', ['x=modes']), pod('h', ['x=huge', 'y=huge', 'z=modes'])],
    });
    expect(c.dra.gpuCountOf(c.pod('ns/p'))).toBe(1 + 1 + 3 + 1);
    expect([...c.dra.gpuCountsOf(c.pod('ns/p'))]).toEqual([['gpu.example.com', 6]]);
    expect(c.dra.gpuCountOf(c.pod('ns/h'))).toBe(Number(2n ** 63n - 1n));
  });

  test('a node counts devices of GPU drivers in its own slices, newest generation only', () => {
    const pool = (generation: number): object => ({ name: 'p', generation, resourceSliceCount: 2 });
    const c = openCluster({
      nodes: [node('n1'), node('n2')],
      resourceSlices: [
        slice('old', { nodeName: 'n1', pool: pool(1) }, ['g0', 'g1', 'g2', 'g3']),
        slice('new-a', { nodeName: 'n1', pool: pool(2) }, ['g0', 'g1']),
        slice('new-b', { nodeName: 'n1', pool: pool(2) }, ['g2']),
        slice('nic', { nodeName: 'n1', driver: 'nic.example.com' }, ['nic0']),
        slice('upper', { nodeName: 'n1', driver: 'Vendor-GPU' }, ['x']),
        slice('shared', { allNodes: true }, ['s0']),
      ],
    });
    expect([c.dra.nodeGpuCount(c.node('n1')), c.dra.nodeGpuCount(c.node('n2'))]).toEqual([4, 0]);
  });

  test('off or without DRA objects everything is cheap and empty', () => {
    const off = openCluster(
      { ...twoNodes, resourceSlices: slices, pods: [pod('p', ['x=a', 'y=b']), pod('q', [])] },
      { isDraServed: false },
    );
    expect(off.dra.isOn).toBe(false);
    expect(off.dra.hasWork).toBe(false);
    expect(off.dra.nodeGpuCount(off.node('n1'))).toBe(0);
    expect(off.dra.precheck(off.pod('ns/p'), 'ns/p', 'q')).toBe(
      'pod ns/p cannot be scheduled, it references resource claims <x, y> while dynamic resource allocation is not available in the cluster',
    );
    expect(off.dra.precheck(off.pod('ns/q'), 'ns/q', 'q')).toBeNull();
    const none = openCluster({ nodes: [node('n1')], pods: [pod('p', ['x=a']), pod('q', [])] });
    expect(none.dra.hasWork).toBe(false);
    expect(none.dra.isConcerned(none.pod('ns/p'))).toBe(true);
    expect(none.dra.isConcerned(none.pod('ns/q'))).toBe(false);
    expect(none.dra.precheck(none.pod('ns/p'), 'ns/p', 'q')).toMatch(/^failed to get resource claim ns\/a: /);
    expect(none.dra.place(none.pod('ns/p'), none.node('n1'), 'used')).toBe(false);
    expect(none.dra.place(none.pod('ns/q'), none.node('n1'), 'used')).toBe(true);
  });
});

test('pre-checks in order (spec 03 section 11.4)', () => {
  const reservedFor = (n: number): object => ({
    status: { reservedFor: Array.from({ length: n }, (_, i) => ({ resource: 'pods', name: `p${i}`, uid: `other-${i}` })) },
  });
  const labelled = (name: string, labels: object): object => ({
    metadata: { name, namespace: 'ns', labels },
    spec: { devices: { requests: [exactly('r')] } },
  });
  const c = openCluster({
    ...twoNodes,
    resourceSlices: slices,
    resourceClaims: [
      claim('ok', [exactly('r')]),
      claim('full', [exactly('r')], reservedFor(256)),
      claim('last', [exactly('r')], reservedFor(255)),
      labelled('bare', {}),
      labelled('foreign', { 'kai.scheduler/queue': 'other' }),
      claim('lost', [exactly('r', 1, { deviceClassName: 'gone' })]),
    ],
    pods: ['ok', 'full', 'last', 'bare', 'foreign', 'lost', 'nope'].map((name) => pod(name, [`x=${name}`])).concat([pod('wait', ['t'])]),
  });
  const text = (name: string): string | null => c.dra.precheck(c.pod(`ns/${name}`), `ns/${name}`, 'q');
  expect(text('ok')).toBeNull();
  expect(text('last')).toBeNull();
  expect(text('full')).toBe('resource claim ns/full has reached its maximum number of consumers (256)');
  expect(text('bare')).toBe(
    'pod ns/bare cannot be scheduled: DRA claim bare is a shared GPU claim but does not have a queue label (kai.scheduler/queue)',
  );
  expect(text('foreign')).toBe(
    'pod ns/foreign cannot be scheduled: DRA claim foreign is a shared GPU claim with wrong queue label (expected queue: q, claim queue label: other)',
  );
  expect(text('lost')).toBe('device class gone does not exist for claim ns/lost request r');
  expect(text('nope')).toMatch(/^failed to get resource claim ns\/nope: /);
  expect(text('wait')).toBe('no resource claim name found for pod ns/wait and claim reference t');
  // A placement uses up the last consumer; taking it back frees it.
  expect(c.dra.place(c.pod('ns/last'), c.node('n1'), 'used')).toBe(true);
  expect(text('last')).toMatch(/maximum number of consumers/);
  c.dra.unplace(c.pod('ns/last'), c.node('n1'));
  expect(text('last')).toBeNull();
});

describe('filter and allocation (spec 03 sections 11.5, 11.6)', () => {
  test('texts without and with the node', () => {
    const c = openCluster({
      ...twoNodes,
      resourceSlices: slices,
      resourceClaims: [
        claim('three', [exactly('r', 3)]),
        claim('admin', [exactly('r', 1, { adminAccess: true })]),
        claim('any', [{ name: 'r', firstAvailable: [{ name: 's', deviceClassName: 'gpu.example.com' }] }]),
        claim('broken', [exactly('r', 1, { selectors: [{ cel: { expression: 'device.attributes["gpu.example.com"].model == "a"' } }] })]),
        claim('elsewhere', [exactly('r')], {
          status: {
            allocation: {
              ...allocation('r', ['n2/g0']),
              nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n2'] }] }] },
            },
          },
        }),
      ],
      pods: ['three', 'admin', 'any', 'broken', 'elsewhere'].map((name) => pod(name, [`x=${name}`])),
    });
    const n1 = c.node('n1');
    const both = (name: string): (string | null)[] => [c.dra.check(c.pod(`ns/${name}`), n1), c.dra.checkDetailed(c.pod(`ns/${name}`), n1)];
    expect(both('three')).toEqual(['cannot allocate all DRA claims', 'cannot allocate all DRA claims on node n1']);
    expect(both('admin')[1]).toBe(
      'cannot allocate DRA claims on node n1: claim ns/admin, request r: admin access is requested, but the feature is disabled',
    );
    expect(both('any')[0]).toBe(
      'cannot allocate DRA claims: claim ns/any, request r: has subrequests, but the DRAPrioritizedList feature is disabled',
    );
    expect(both('broken')[0]).toBe(
      'cannot allocate DRA claims: claim ns/broken: selector #0 on device gpu.example.com/n1/g0: CEL runtime error: No such key: model',
    );
    expect(both('elsewhere')).toEqual([
      'claim ns/elsewhere node selector does not match the node',
      'claim ns/elsewhere node selector does not match node n1',
    ]);
    expect(c.dra.check(c.pod('ns/elsewhere'), c.node('n2'))).toBeNull();
  });

  test('a shared claim without devices binds its second pod to the first one’s node, and counts once', () => {
    const c = openCluster({
      ...twoNodes,
      resourceSlices: slices,
      resourceClaims: [claim('common', [exactly('r')])],
      pods: [pod('a', ['x=common']), pod('b', ['x=common'])],
    });
    const [a, b, n1, n2] = [c.pod('ns/a'), c.pod('ns/b'), c.node('n1'), c.node('n2')];
    expect(c.dra.checkKey(a)).toBe(c.dra.checkKey(b));
    expect(c.dra.place(a, n1, 'used')).toBe(true);
    expect(c.dra.check(b, n2)).toBe('claim ns/common node selector does not match the node');
    expect(c.dra.check(b, n1)).toBeNull();
    expect(c.dra.sharedCreditOf(b, n1)).toBe(1);
    expect(c.dra.sharedCreditOf(b, n2)).toBe(0);
    expect(c.dra.place(b, n2, 'used')).toBe(false);
    expect(c.dra.place(b, n1, 'pipelined')).toBe(true);
    expect(c.dra.chargedGpus(n1)).toEqual({ used: 1, releasing: 0, pipelined: 0 });
    expect(c.dra.allocationsOf(a)).toEqual(c.dra.allocationsOf(b));
    expect(c.dra.allocationsOf(a)).toEqual([
      {
        name: 'x',
        allocation: {
          devices: { results: [{ request: 'r', driver: 'gpu.example.com', pool: 'n1', device: 'g0' }] },
          nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }] },
        },
      },
    ]);
    // The first one leaves: the claim and its device stay with the second; then both are free again.
    c.dra.unplace(a, n1);
    expect(c.dra.chargedGpus(n1)).toEqual({ used: 0, releasing: 0, pipelined: 1 });
    expect(c.dra.check(a, n2)).not.toBeNull();
    c.dra.unplace(b, n1);
    expect(c.dra.check(a, n2)).toBeNull();
    expect(c.dra.allocationsOf(a)).toEqual([{ name: 'x' }]);
  });

  test('claims of one pod are allocated together: a greedy first choice does not starve the second', () => {
    const model = (name: string): object => ({
      name: 'r',
      exactly: { deviceClassName: 'gpu.example.com', selectors: [{ cel: { expression: name } }] },
    });
    const devices = ['a', 'b'].map((m) => ({ name: m, attributes: { model: { string: m } } }));
    const c = openCluster({
      ...twoNodes,
      resourceSlices: [slice('n1', { nodeName: 'n1' }, devices)],
      resourceClaims: [claim('any', [exactly('r')]), claim('only-a', [model('device.attributes["gpu.example.com"].model == "a"')])],
      pods: [pod('p', ['x=any', 'y=only-a'])],
    });
    expect(c.dra.place(c.pod('ns/p'), c.node('n1'), 'used')).toBe(true);
    expect(devicesOf(c.dra.allocationsOf(c.pod('ns/p')))).toEqual(['n1/b', 'n1/a']);
  });

  test('pools: incomplete and invalid ones, network devices, tainted and partitioned devices', () => {
    const all = exactly('r', 1, { allocationMode: 'All' });
    const rack = { nodeSelectorTerms: [{ matchExpressions: [{ key: 'rack', operator: 'In', values: ['r1'] }] }] };
    const c = openCluster({
      nodes: [node('n1'), node('n2'), node('n3', {}, { rack: 'r1' }), node('n4'), node('n5')],
      deviceClasses: [GPU_CLASS],
      resourceSlices: [
        slice('half', { nodeName: 'n1', pool: { name: 'half', generation: 1, resourceSliceCount: 2 } }, ['g0']),
        slice('twice', { nodeName: 'n2' }, ['g0', 'g0']),
        slice('rack', { nodeSelector: rack }, ['g0']),
        slice('bad', { nodeName: 'n4' }, [
          { name: 'g0', taints: [{ key: 'broken', effect: 'NoSchedule' }] },
          { name: 'g1', consumesCounters: [{ counterSet: 'c' }] },
          { name: 'g2', bindingConditions: ['attached'] },
          { name: 'g3', allowMultipleAllocations: true },
        ]),
        slice('each', { perDeviceNodeSelection: true }, [{ name: 'g0', allNodes: true }]),
      ],
      resourceClaims: [claim('one', [exactly('r')]), claim('all', [all])],
      pods: [pod('one', ['x=one']), pod('all', ['x=all'])],
    });
    const texts = (name: string): (string | null)[] =>
      ['n1', 'n2', 'n3', 'n4', 'n5'].map((n) => c.dra.check(c.pod(`ns/${name}`), c.node(n)));
    expect(texts('one')).toEqual([
      'cannot allocate all DRA claims',
      'cannot allocate DRA claims: invalid resource pools were encountered',
      null,
      'cannot allocate all DRA claims',
      'cannot allocate all DRA claims',
    ]);
    const asks = 'cannot allocate DRA claims: claim ns/all, request r: asks for all devices, but resource pool gpu.example.com';
    expect(texts('all')).toEqual([
      `${asks}/half is currently being updated`,
      `${asks}/twice is currently invalid`,
      null,
      'cannot allocate all DRA claims',
      'cannot allocate all DRA claims',
    ]);
    expect(c.dra.hasNetworkDevices).toBe(true);
    expect(c.dra.place(c.pod('ns/one'), c.node('n3'), 'used')).toBe(true);
    expect(c.dra.allocationsOf(c.pod('ns/one'))).toMatchObject([{ allocation: { nodeSelector: rack } }]);
    expect(c.dra.check(c.pod('ns/all'), c.node('n3'))).toBe('cannot allocate all DRA claims');
  });

  test('driver parameters come along: of the class once, of the claim for the requests it names', () => {
    const opaque = (value: string): object => ({ opaque: { driver: 'gpu.example.com', parameters: { value } } });
    const c = openCluster({
      nodes: [node('n1')],
      deviceClasses: [deviceClass('gpu.example.com', { config: [opaque('class')] })],
      resourceSlices: [slice('n1', { nodeName: 'n1' }, ['g0', 'g1'])],
      resourceClaims: [claim('c', [exactly('a'), exactly('b')], {}, { config: [{ requests: ['b'], ...opaque('b') }, opaque('all')] })],
      pods: [pod('p', ['x=c'])],
    });
    expect(c.dra.place(c.pod('ns/p'), c.node('n1'), 'used')).toBe(true);
    expect(c.dra.allocationsOf(c.pod('ns/p'))).toMatchObject([
      {
        allocation: {
          devices: {
            config: [
              { source: 'FromClass', ...opaque('class') },
              { source: 'FromClaim', requests: ['b'], ...opaque('b') },
              { source: 'FromClaim', ...opaque('all') },
            ],
          },
        },
      },
    ]);
  });
});

describe('pods on nodes (spec 03 section 4.8)', () => {
  const running = (name: string, claims: readonly string[]): object => pod(name, claims, { nodeName: 'n1' });

  test('two pods on one claim use one GPU; releasing only when both are; a third with its own claim fits', () => {
    const c = openCluster({
      ...twoNodes,
      resourceSlices: slices,
      resourceClaims: [claim('common', [exactly('r')], allocated('r', ['n1/g0'], ['a', 'b'])), claim('own', [exactly('r')])],
      pods: [running('a', ['x=common']), running('b', ['x=common']), pod('new', ['x=own']), pod('late', ['x=common'])],
    });
    const [a, b, fresh, n1] = [c.pod('ns/a'), c.pod('ns/b'), c.pod('ns/new'), c.node('n1')];
    c.dra.openPod(a, n1, 'used');
    c.dra.openPod(b, n1, 'used');
    expect(c.dra.chargedGpus(n1)).toEqual({ used: 1, releasing: 0, pipelined: 0 });
    c.dra.evict(a, n1);
    expect(c.dra.chargedGpus(n1)).toEqual({ used: 1, releasing: 0, pipelined: 0 });
    const both = c.dra.mark();
    c.dra.evict(b, n1);
    expect(c.dra.chargedGpus(n1)).toEqual({ used: 0, releasing: 1, pipelined: 0 });
    // The device is free for a pod that waits for it; then it is in use by two states.
    expect(c.dra.place(fresh, n1, 'pipelined')).toBe(true);
    expect(devicesOf(c.dra.allocationsOf(fresh))).toEqual(['n1/g0']);
    expect(c.dra.chargedGpus(n1)).toEqual({ used: 1, releasing: 0, pipelined: 0 });
    expect(c.dra.unevict(b, n1, 'used')).toBe(false);
    c.dra.unplace(fresh, n1);
    expect(c.dra.unevict(b, n1, 'used')).toBe(true);
    // It is a consumer again: others come and go, its device stays.
    expect(c.dra.place(c.pod('ns/late'), n1, 'used')).toBe(true);
    c.dra.unplace(c.pod('ns/late'), n1);
    expect(devicesOf(c.dra.allocationsOf(b))).toEqual(['n1/g0']);
    c.dra.rollback(both);
    expect(c.dra.place(fresh, n1, 'used')).toBe(true);
    expect(devicesOf(c.dra.allocationsOf(fresh))).toEqual(['n1/g1']);
  });

  test('claims without a known allocation are charged by count, fractions and reservation pods not at all', () => {
    const c = openCluster({
      ...twoNodes,
      resourceSlices: slices,
      resourceClaims: [claim('two', [exactly('r', 2)]), claim('half', [exactly('r')], allocated('r', ['n1/g1']))],
      pods: [
        running('a', ['x=two']),
        running('b', ['x=two']),
        { ...running('f', ['x=half']), metadata: { name: 'f', namespace: 'ns', uid: 'uid-f', annotations: { 'gpu-fraction': '0.5' } } },
      ],
    });
    for (const name of ['a', 'b', 'f']) c.dra.openPod(c.pod(`ns/${name}`), c.node('n1'), 'used');
    expect(c.dra.chargedGpus(c.node('n1'))).toEqual({ used: 4, releasing: 0, pipelined: 0 });
    c.dra.setState(c.pod('ns/a'), c.node('n1'), 'releasing');
    expect(c.dra.chargedGpus(c.node('n1'))).toEqual({ used: 2, releasing: 2, pipelined: 0 });
  });

  test('bind requests in flight: their devices are taken, a shared claim is bound by them, extended devices too', () => {
    const request = (name: string, spec: object): object => ({
      metadata: { name, namespace: 'ns', ownerReferences: [{ kind: 'Pod', name, uid: `uid-${name}` }] },
      spec: { podName: name, selectedNode: 'n1', ...spec },
    });
    const extended = { deviceRequests: [], containerMappings: [], allocation: allocation('container-0-request-0', ['n1/g1']) };
    const c = openCluster({
      ...twoNodes,
      resourceSlices: slices,
      resourceClaims: [claim('common', [exactly('r')]), claim('own', [exactly('r')])],
      pods: [pod('a', ['x=common']), pod('b', ['x=common']), pod('e', []), pod('new', ['x=own'])],
      bindRequests: [
        request('a', { resourceClaimAllocations: [{ name: 'x', allocation: allocation('r', ['n1/g0']) }] }),
        request('e', { extendedResourceClaimAllocation: extended }),
      ],
    });
    c.dra.registerBindRequests(allLive(c.view));
    expect(c.dra.check(c.pod('ns/new'), c.node('n1'))).toBe('cannot allocate all DRA claims');
    expect(c.dra.check(c.pod('ns/new'), c.node('n2'))).toBeNull();
    expect(c.dra.place(c.pod('ns/b'), c.node('n1'), 'used')).toBe(true);
    expect(devicesOf(c.dra.allocationsOf(c.pod('ns/b')))).toEqual(['n1/g0']);
    c.dra.unplace(c.pod('ns/b'), c.node('n1'));
    expect(devicesOf(c.dra.allocationsOf(c.pod('ns/a')))).toEqual(['n1/g0']);
  });
});
