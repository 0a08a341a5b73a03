import { describe, expect, test } from 'vitest';
import { allocation, deviceClass, node, openCluster, pod, slice } from './cluster.ts';

const CLASS = deviceClass('gpu.example.com', { extendedResourceName: 'nvidia.com/gpu' });
const requests = (list: object): object => ({ resources: { requests: list } });
const container = (name: string, list: object, more: object = {}): object => ({ name, ...requests(list), ...more });
const sidecar = { restartPolicy: 'Always' };

/** A DRA node with `gpus` devices and a plain one with a device plugin; one pod `p`. */
const open = (spec: object, gpus = 8, classes: readonly object[] = [CLASS]) =>
  openCluster({
    nodes: [node('dra'), node('plugin', { 'nvidia.com/gpu': '8' })],
    deviceClasses: classes,
    resourceSlices: [
      slice(
        'dra',
        { nodeName: 'dra' },
        Array.from({ length: gpus }, (_, i) => `gpu-${i}`),
      ),
    ],
    pods: [pod('p', [], spec), pod('q', [], spec)],
  });

const deviceRequest = (name: string, count: number, className = 'gpu.example.com'): object => ({
  name,
  exactly: { deviceClassName: className, allocationMode: 'ExactCount', count },
});
const mapping = (containerIndex: number, requestName: string, resourceName = 'nvidia.com/gpu'): object => ({
  containerIndex,
  resourceName,
  requestName,
});

describe('extended resources served by DRA (spec 03 section 11.9)', () => {
  test('worked example: an init container reuses the devices of a later container', () => {
    const c = open({
      initContainers: [container('prep', { 'nvidia.com/gpu': '3', cpu: '1', memory: '1Gi' })],
      containers: [container('main', { 'nvidia.com/gpu': '2', cpu: '1', memory: '1Gi' })],
    });
    const p = c.pod('ns/p');
    expect(c.dra.isConcerned(p)).toBe(true);
    expect(c.dra.gpuCountOf(p)).toBe(0);
    expect(c.dra.precheck(p, 'ns/p', 'q')).toBeNull();
    expect(c.dra.place(p, c.node('dra'), 'used')).toBe(true);
    expect(c.dra.chargedGpus(c.node('dra'))).toEqual({ used: 0, releasing: 0, pipelined: 0 });
    const result = (request: string, device: string): object => ({ request, driver: 'gpu.example.com', pool: 'dra', device });
    expect(c.dra.extendedAllocationOf(p)).toEqual({
      deviceRequests: [deviceRequest('container-0-request-2', 1), deviceRequest('container-1-request-2', 2)],
      containerMappings: [mapping(1, 'container-1-request-2'), mapping(0, 'container-1-request-2'), mapping(0, 'container-0-request-2')],
      allocation: {
        devices: {
          results: [
            result('container-0-request-2', 'gpu-0'),
            result('container-1-request-2', 'gpu-1'),
            result('container-1-request-2', 'gpu-2'),
          ],
        },
        nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['dra'] }] }] },
      },
    });
  });

  test('of several init containers only the largest request is kept, the first on a tie; sidecars live long', () => {
    const c = open({
      initContainers: [
        container('a', { 'nvidia.com/gpu': 4 }),
        container('side', { 'nvidia.com/gpu': 1 }, sidecar),
        container('b', { 'nvidia.com/gpu': 4 }),
        container('c', { 'nvidia.com/gpu': 2 }),
      ],
      containers: [container('main', { 'nvidia.com/gpu': 2 }), container('idle', { 'nvidia.com/gpu': 0, cpu: 1 })],
    });
    expect(c.dra.place(c.pod('ns/p'), c.node('dra'), 'used')).toBe(true);
    // a: side 1 + main 2 of 4, one more; b: main 2 of 4, two more (kept); c: main 2 of 2.
    expect(c.dra.extendedAllocationOf(c.pod('ns/p'))).toMatchObject({
      deviceRequests: [
        deviceRequest('container-1-request-0', 1),
        deviceRequest('container-2-request-0', 2),
        deviceRequest('container-4-request-0', 2),
      ],
      containerMappings: [
        mapping(1, 'container-1-request-0'),
        mapping(4, 'container-4-request-0'),
        mapping(0, 'container-1-request-0'),
        mapping(0, 'container-4-request-0'),
        mapping(0, 'container-2-request-0'),
        mapping(2, 'container-4-request-0'),
        mapping(2, 'container-2-request-0'),
        mapping(3, 'container-4-request-0'),
      ],
    });
  });

  test('a node with a device plugin needs no claim; devices of the session are taken; a full node is refused', () => {
    const c = open({ containers: [container('main', { 'nvidia.com/gpu': '2' })] }, 3);
    const [p, q, dra, plugin] = [c.pod('ns/p'), c.pod('ns/q'), c.node('dra'), c.node('plugin')];
    expect(c.dra.check(p, plugin)).toBeNull();
    expect(c.dra.place(p, plugin, 'used')).toBe(true);
    expect(c.dra.extendedAllocationOf(p)).toBeNull();
    c.dra.unplace(p, plugin);
    expect(c.dra.place(p, dra, 'used')).toBe(true);
    expect(c.dra.check(q, dra)).toBe('cannot allocate all DRA claims');
    expect(c.dra.place(q, dra, 'used')).toBe(false);
    c.dra.unplace(p, dra);
    expect(c.dra.extendedAllocationOf(p)).toBeNull();
    expect(c.dra.place(q, dra, 'used')).toBe(true);
  });

  test('names and classes: implicit names always, the younger class by explicit name, then the smaller name', () => {
    const c = open({}, 1, [
      deviceClass('old', { extendedResourceName: 'x.com/a' }, '2025-01-01T00:00:00Z'),
      deviceClass('young', { extendedResourceName: 'x.com/a' }, '2026-01-01T00:00:00Z'),
      deviceClass('z', { extendedResourceName: 'x.com/b' }),
      deviceClass('y', { extendedResourceName: 'x.com/b' }),
    ]);
    const names = ['x.com/a', 'x.com/b', 'deviceclass.resource.kubernetes.io/old', 'deviceclass.resource.kubernetes.io/z', 'x.com/c'];
    expect(names.map((name) => c.dra.classOfResource(name))).toEqual(['young', 'y', 'old', 'z', null]);
  });

  test('other names of a GPU class count as GPUs (deviation of spec 02 section 2.5), those of other classes do not', () => {
    const nic = deviceClass('nic.example.com', { extendedResourceName: 'example.com/nic' });
    const c = open(
      {
        initContainers: [container('side', { 'deviceclass.resource.kubernetes.io/gpu.example.com': 1 }, sidecar)],
        containers: [container('main', { 'deviceclass.resource.kubernetes.io/gpu.example.com': 2, 'example.com/nic': 4 })],
      },
      8,
      [CLASS, nic],
    );
    expect([...c.dra.gpuCountsOf(c.pod('ns/p'))]).toEqual([['gpu.example.com', 3]]);
  });

  test('an evicted pod gives back the devices of the claim that the binder made for it', () => {
    const c = openCluster({
      nodes: [node('dra')],
      deviceClasses: [CLASS],
      resourceSlices: [slice('dra', { nodeName: 'dra' }, ['g0'])],
      pods: [
        pod('p', [], { nodeName: 'dra', containers: [container('main', { 'nvidia.com/gpu': 1 })] }),
        pod('q', [], { containers: [container('main', { 'nvidia.com/gpu': 1 })] }),
      ],
      resourceClaims: [
        {
          metadata: {
            name: 'p-extended-resources-x',
            namespace: 'ns',
            annotations: { 'resource.kubernetes.io/extended-resource-claim': 'true' },
            ownerReferences: [{ kind: 'Pod', name: 'p', uid: 'uid-p', controller: true }],
          },
          spec: { devices: { requests: [deviceRequest('container-0-request-0', 1)] } },
          status: {
            allocation: allocation('container-0-request-0', ['dra/g0']),
            reservedFor: [{ resource: 'pods', name: 'p', uid: 'uid-p' }],
          },
        },
      ],
    });
    const [p, q, dra] = [c.pod('ns/p'), c.pod('ns/q'), c.node('dra')];
    c.dra.openPod(p, dra, 'used');
    expect(c.dra.check(q, dra)).toBe('cannot allocate all DRA claims');
    c.dra.evict(p, dra);
    expect(c.dra.place(q, dra, 'pipelined')).toBe(true);
    expect(c.dra.unevict(p, dra, 'used')).toBe(false);
    c.dra.unplace(q, dra);
    expect(c.dra.unevict(p, dra, 'used')).toBe(true);
    expect(c.dra.check(q, dra)).toBe('cannot allocate all DRA claims');
  });
});
