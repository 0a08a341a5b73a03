import { describe, expect, it } from 'vitest';
import { RequestType } from '../../src/base/codes.ts';
import { container, pod, projectWithProblems, shapeOf } from './objects.ts';

const always = { restartPolicy: 'Always' };

describe('pod request, spec 02 section 2.2', () => {
  it('worked example: containers, init container, overhead', () => {
    const shape = shapeOf({
      containers: [container({ cpu: '500m', memory: '1Gi', 'nvidia.com/gpu': '1' }), container({ cpu: '250m', memory: '512Mi' })],
      initContainers: [container({ cpu: '2', memory: '256Mi' })],
      overhead: { cpu: '100m', memory: '64Mi', 'nvidia.com/gpu': '3', 'nvidia.com/mig-1g.5gb': '1' },
    });
    expect(shape).toMatchObject({
      milliCpu: 2100,
      memoryBytes: 1_677_721_600,
      gpuCount: 1,
      gpuPortion: 1,
      typeCode: RequestType.regular,
      scalars: null,
      overhead: { cpu: 100, memory: 67_108_864 },
    });
  });

  it('worked example: sidecars count for everything after them', () => {
    const milliCpu = (i2: string): unknown =>
      shapeOf({
        containers: [container({ cpu: '1' })],
        initContainers: [
          container({ cpu: '1500m' }),
          container({ cpu: '400m' }, always),
          container({ cpu: i2 }),
          container({ cpu: '300m' }, always),
        ],
      }).milliCpu;
    expect(milliCpu('1200m')).toBe(1700);
    expect(milliCpu('2000m')).toBe(2400);
  });

  it('worked example of 03 section 3.1: a GPU of an init container beside a sidecar', () => {
    const shape = shapeOf({
      containers: [container({ cpu: '2', 'nvidia.com/gpu': '1' })],
      initContainers: [container({ cpu: '3' }), container({ cpu: '1' }, always), container({ cpu: '3', 'nvidia.com/gpu': '1' })],
    });
    expect(shape).toMatchObject({ milliCpu: 4000, gpuCount: 1 });
  });

  it('sums exactly and rounds once', () => {
    const shape = shapeOf({ containers: [container({ cpu: '300u', memory: '100m' }), container({ cpu: '300u', memory: '100m' })] });
    expect(shape).toMatchObject({ milliCpu: 1, memoryBytes: 1 });
  });

  it('adds both vendors, takes maxima per resource, keeps units', () => {
    const shape = shapeOf({
      containers: [
        container({
          'nvidia.com/gpu': 1,
          'amd.com/gpu': '2',
          'rdma/hca': '2',
          'hugepages-2Mi': '4Mi',
          'ephemeral-storage': '1Gi',
          pods: 3,
        }),
        container({ 'rdma/hca': '1', 'intel.com/gpu': '4', 'example.com/x': '0', nonsense: '7', 'requests.example.com/y': '1' }),
      ],
      initContainers: [container({ 'rdma/hca': '5', 'kubernetes.io/batch': '1' })],
    });
    expect(shape).toMatchObject({ gpuCount: 3 });
    expect(shape.scalars).toEqual({
      'rdma/hca': 5000,
      'hugepages-2Mi': 4 * 2 ** 20 * 1000,
      'ephemeral-storage': 2 ** 30,
      'intel.com/gpu': 4000,
      'kubernetes.io/batch': 1000,
    });
  });

  it('takes an explicit zero as absent, so that a sidecar keeps its GPU', () => {
    expect(shapeOf({ containers: [container({ 'nvidia.com/gpu': '0' })] })).toMatchObject({ gpuCount: 0, gpuPortion: 0 });
    const withSidecar = {
      containers: [container({ 'nvidia.com/gpu': '0' })],
      initContainers: [container({ 'nvidia.com/gpu': '1' }, always)],
    };
    expect(shapeOf(withSidecar)).toMatchObject({ gpuCount: 1, gpuPortion: 1 });
  });

  it('reports unreadable and negative quantities and goes on without them', () => {
    const { row, problems } = projectWithProblems(
      'pods',
      pod({ containers: [container({ cpu: '2 cores', memory: '-1', 'rdma/hca': '1' })] }),
    );
    expect(problems).toEqual([
      'Pod ns/p: spec.containers[0].resources.requests[cpu]: not a quantity: "2 cores" (expected a number with an optional suffix such as 500m, 2, 1.5Gi, 1e3)',
      'Pod ns/p: spec.containers[0].resources.requests[memory]: negative: "-1"',
    ]);
    expect(row.shape).toMatchObject({ milliCpu: 0, memoryBytes: 0, scalars: { 'rdma/hca': 1000 } });
  });
});

describe('GPU request record, spec 02 section 2.3', () => {
  const gpu = (annotations: Readonly<Record<string, string>>, requests = {}) => {
    const s = shapeOf({ containers: [container(requests)] }, annotations);
    return { type: s.typeCode, count: s.gpuCount, portion: s.gpuPortion, mib: s.gpuMemoryMib, scalars: s.scalars, legacy: s.isLegacyMig };
  };
  const fraction = (count: number, portion: number, mib = 0) =>
    ({ type: RequestType.fraction, count, portion, mib, scalars: null, legacy: 0 }) as const;
  const memory = (count: number, mib: number) =>
    ({ type: RequestType.gpuMemory, count, portion: 0, mib, scalars: null, legacy: 0 }) as const;

  it('annotations replace the containers, a fraction wins over memory, devices bring both back', () => {
    expect(gpu({ 'gpu-memory': '5000' }, { 'nvidia.com/gpu': '2' })).toEqual(memory(1, 5000));
    expect(gpu({ 'gpu-memory': '5000', 'gpu-fraction-num-devices': '2' })).toEqual(memory(2, 5000));
    expect(gpu({ 'gpu-fraction': '0.333', 'gpu-fraction-num-devices': '2' })).toEqual(fraction(2, 0.333));
    expect(gpu({ 'gpu-fraction': '1' })).toEqual(fraction(1, 1));
    expect(gpu({ 'gpu-fraction': '5e-1', 'gpu-memory': '5000' })).toEqual(fraction(1, 0.5));
    expect(gpu({ 'gpu-fraction': '0.5', 'gpu-memory': '5000', 'gpu-fraction-num-devices': '3' })).toEqual(fraction(3, 0.5, 5000));
  });

  it('ignores what is not a fraction or an amount', () => {
    const none = { type: RequestType.regular, count: 0, portion: 0, mib: 0, scalars: null, legacy: 0 };
    for (const text of ['NaN', 'Inf', '0', '-0.5', '1.01', '0,5', ' 0.5', '', '0x1p-1x'])
      expect(gpu({ 'gpu-fraction': text }), text).toEqual(none);
    for (const text of ['0', '-1', '2.5', '1Gi', '9223372036854775808', '']) expect(gpu({ 'gpu-memory': text }), text).toEqual(none);
    expect(gpu({ 'gpu-fraction-num-devices': '2' }, { 'nvidia.com/gpu': '4' })).toMatchObject({
      type: RequestType.regular,
      count: 4,
      portion: 1,
    });
    expect(gpu({ 'gpu-fraction': '0.5', 'gpu-fraction-num-devices': 'two' })).toEqual(fraction(1, 0.5));
  });

  it('takes fewer than one device as a demand that nothing meets, with a problem (03 section 9.4)', () => {
    const bad = pod({}, { metadata: { annotations: { 'gpu-fraction': '0.5', 'gpu-fraction-num-devices': '-1' } } });
    const { row, problems } = projectWithProblems('pods', bad);
    expect(problems).toEqual([
      'Pod ns/p: metadata.annotations[gpu-fraction-num-devices]: -1 devices; must be at least 1, the pod stays pending',
    ]);
    expect(row.shape).toMatchObject({ gpuCount: 0, gpuPortion: 0.5 });
  });

  it('MIG: profiles are counts; a shared request clears them; the last legacy annotation replaces everything', () => {
    const two = { 'nvidia.com/mig-2g.10gb': '2' };
    expect(gpu({}, two)).toMatchObject({ type: RequestType.migInstance, scalars: { 'nvidia.com/mig-2g.10gb': 2 } });
    expect(gpu({}, { 'nvidia.com/mig-2g.10gb': '0' })).toMatchObject({ type: RequestType.regular, scalars: null });
    expect(gpu({ 'gpu-fraction': '0.5' }, { ...two, 'rdma/hca': '1' })).toEqual({ ...fraction(1, 0.5), scalars: { 'rdma/hca': 1000 } });
    const legacy = { 'nvidia.com/mig-3g.20gb': '1', 'nvidia.com/mig-1g.5gb': '4', 'nvidia.com/mig-9': 'x', 'gpu-fraction': '0.5' };
    expect(gpu(legacy, { ...two, 'nvidia.com/gpu': '1' })).toEqual({
      type: RequestType.migInstance,
      count: 0,
      portion: 0,
      mib: 0,
      scalars: { 'nvidia.com/mig-3g.20gb': 1 },
      legacy: 1,
    });
  });
});

describe('container requests for NUMA and extended resources', () => {
  const cpu = container({ cpu: '1500m', memory: '1Gi' });

  it('are kept for guaranteed pods and for pods with devices only', () => {
    expect(shapeOf({ containers: [cpu] }).containers).toBeNull();
    const guaranteed = projectWithProblems('pods', pod({ containers: [cpu] }, { status: { qosClass: 'Guaranteed' } })).row.shape;
    expect(guaranteed).toMatchObject({ isGuaranteed: 1, containers: { containers: [{ cpu: 1500, memory: 2 ** 30 }] } });
  });

  it('keep order, zeros, unknown names and plain units', () => {
    const shape = shapeOf({
      containers: [container({ 'nvidia.com/gpu': '2', 'example.com/a': '0', odd: '1' }), cpu],
      initContainers: [container({ 'hugepages-2Mi': '2Mi' }, always), container({ 'example.com/a': '1500m' })],
      overhead: { cpu: '100m' },
      resources: { requests: { memory: '2Gi' } },
    });
    expect(shape.containers).toEqual({
      containers: [
        { 'example.com/a': 0, 'nvidia.com/gpu': 2, odd: 1 },
        { cpu: 1500, memory: 2 ** 30 },
      ],
      init: [{ isSidecar: true, requests: { 'hugepages-2Mi': 2 ** 21 } }, { requests: { 'example.com/a': 1.5 } }],
      overhead: { cpu: 100 },
      pod: { memory: 2 ** 31 },
    });
  });

  it('do not make pods differ that only name their containers differently', () => {
    const shapeNamed = (name: string) => shapeOf({ containers: [{ ...container({ 'nvidia.com/gpu': '1' }), name }] });
    expect(shapeNamed('a')).toEqual(shapeNamed('b'));
  });
});
