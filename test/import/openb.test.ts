import { expect, test } from 'vitest';
import { openbNodeObject, openbPodObjects, parseOpenbNodes, parseOpenbPods } from '../../src/snapshot/import/openb.ts';
import { parseSnapshotDocument } from '../../src/snapshot/import/snapshotDocument.ts';

const NODES = 'sn,cpu_milli,memory_mib,gpu,model\nn0,32000,262144,0,\nn1,96000,786432,8,V100M16\n';
const PODS = `name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos
p0,12000,16384,1,1000,,LS
p1,6000,12288,1,460,V100M16|V100M32|V100M32,LS
p2,1000,1024,8,1000,T4,LS
p3,2000,2048,0,0,,BE
`;

test('records', () => {
  expect(parseOpenbNodes(NODES, 'n.csv')[1]).toEqual({ name: 'n1', milliCpu: 96000, memoryMib: 786432, gpuCount: 8, gpuModel: 'V100M16' });
  expect(parseOpenbPods(PODS, 'p.csv').map(({ gpuModels }) => gpuModels)).toEqual([[], ['V100M16', 'V100M32'], ['T4'], []]);
  // Some files of the trace have no gpu_spec.
  expect(parseOpenbPods('name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,2,1,500', 'p.csv')[0]?.gpuModels).toEqual([]);
});

test('objects', () => {
  const [plain, gpu] = parseOpenbNodes(NODES, 'n.csv').map(openbNodeObject);
  expect(plain?.status?.allocatable).toEqual({ cpu: '32000m', memory: '262144Mi', pods: 110 });
  expect(plain?.metadata.labels).toEqual({ 'kubernetes.io/hostname': 'n0' });
  expect(gpu?.status?.allocatable).toMatchObject({ 'nvidia.com/gpu': 8 });
  expect(gpu?.metadata.labels).toMatchObject({
    'alibabacloud.com/gpu-card-model': 'V100M16',
    'nvidia.com/gpu.product': 'V100M16',
    'nvidia.com/gpu.count': '8',
    'nvidia.com/gpu.memory': '16384',
  });
  const made = parseOpenbPods(PODS, 'p.csv').map((record, i) => openbPodObjects(record, `job-${i}`, 1000, 'q'));
  expect(made.map(({ pod }) => pod.spec.containers?.[0]?.resources?.requests?.['nvidia.com/gpu'])).toEqual([1, undefined, 8, undefined]);
  expect(made.map(({ pod }) => pod.metadata.annotations?.['gpu-fraction'])).toEqual([undefined, '0.46', undefined, undefined]);
  expect(made[1]?.pod.spec.affinity).toEqual({
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: 'alibabacloud.com/gpu-card-model', operator: 'In', values: ['V100M16', 'V100M32'] }] },
        ],
      },
    },
  });
  expect(made.map(({ pod }) => pod.spec.affinity === undefined)).toEqual([true, false, false, true]);
  expect(made[0]?.podGroup).toMatchObject({
    metadata: { name: 'job-0', creationTimestamp: '1970-01-01T00:00:01.000Z' },
    spec: { queue: 'q', minMember: 1 },
  });
  const rawObjects = { nodes: [plain, gpu], pods: made.map(({ pod }) => pod), podGroups: made.map(({ podGroup }) => podGroup) };
  const { objects, problems } = parseSnapshotDocument({ rawObjects }, '');
  expect(problems).toEqual([]);
  expect(objects.pods).toEqual(rawObjects.pods);
});

test.each([
  ['sn,cpu_milli,memory_mib,gpu\n', 'n.csv: no column "model" in the header line'],
  ['sn,cpu_milli,memory_mib,gpu,model\nn0,1,2,3,T4\nn1,1,,3,T4', 'n.csv: line 3: memory_mib: expected a whole number, found ""'],
  ['sn,cpu_milli,memory_mib,gpu,model\nn0,1,2,-1,T4', 'n.csv: line 2: gpu: expected a whole number, found "-1"'],
])('%j', (text, message) => expect(() => parseOpenbNodes(text, 'n.csv')).toThrow(message));
