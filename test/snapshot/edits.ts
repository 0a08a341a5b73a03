import fc from 'fast-check';
import type { ListName } from '../../src/base/objects.ts';
import type { SnapshotWriter } from '../../src/base/writerPort.ts';

// Random edits of a small cluster: few names, so that objects are replaced, removed and added again all the time.

export type Edit =
  | { readonly op: 'put'; readonly list: ListName; readonly key: string; readonly object: object }
  | { readonly op: 'remove'; readonly list: ListName; readonly key: string }
  | { readonly op: 'usage'; readonly queue: string; readonly gpu: number };

const name = fc.nat(7).map((n) => `o${n}`);
const namespace = fc.constantFrom('a', 'b');
const labels = fc.dictionary(
  fc.constantFrom('app', 'zone', 'runai-gpu-group', 'kai.scheduler/node-pool', 'kai.scheduler/task-priority'),
  fc.nat(3).map(String),
  {
    maxKeys: 4,
  },
);
const annotations = fc.dictionary(
  fc.constantFrom(
    'pod-group-name',
    'gpu-fraction',
    'gpu-memory',
    'nvidia.com/mig-1g.5gb',
    'received-resource-type',
    'kai.scheduler/last-start-timestamp',
  ),
  fc.constantFrom('0.5', '1', '2000', 'Fraction', '2026-01-01T00:00:00Z', 'x'),
  { maxKeys: 3 },
);
const requests = fc.dictionary(
  fc.constantFrom('cpu', 'memory', 'nvidia.com/gpu', 'rdma/hca', 'nvidia.com/mig-1g.5gb'),
  fc.constantFrom('0', '1', '500m', '2Gi', 'bad'),
  {
    maxKeys: 3,
  },
);
const container = fc.record({
  name: fc.constantFrom('c', 'd'),
  resources: fc.record({ requests }),
  restartPolicy: fc.constantFrom('Always', ''),
});

const podBody = fc.record({
  spec: fc.record(
    {
      schedulerName: fc.constantFrom('kai-scheduler', 'default-scheduler'),
      nodeName: name,
      containers: fc.array(container, { maxLength: 2 }),
      initContainers: fc.array(container, { maxLength: 2 }),
      overhead: requests,
      nodeSelector: fc.dictionary(fc.constantFrom('zone', 'rack'), fc.nat(2).map(String), { maxKeys: 2 }),
      tolerations: fc.constantFrom([{ key: 'k', operator: 'Exists' }], []),
      volumes: fc.constantFrom([{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }], []),
      resourceClaims: fc.constantFrom([{ name: 'r', resourceClaimName: 'c' }], []),
    },
    { requiredKeys: [] },
  ),
  status: fc.record({
    phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed'),
    qosClass: fc.constantFrom('Guaranteed', 'Burstable'),
  }),
});
const nodeBody = fc.record({
  spec: fc.record({ unschedulable: fc.boolean(), taints: fc.constantFrom([{ key: 'k', effect: 'NoSchedule' }], null) }),
  status: fc.record({ allocatable: requests }),
});
const queueBody = fc.record({
  spec: fc.record({
    displayName: fc.constantFrom('', 'Team'),
    parentQueue: fc.constantFrom('', 'o0'),
    resources: fc.record({ gpu: fc.record({ quota: fc.nat(4) }) }),
  }),
});
const groupBody = fc.record({
  spec: fc.record({
    queue: name,
    minMember: fc.nat(3),
    subGroups: fc.constantFrom(null, [{ name: 's', minMember: 1 }], [{ name: 's' }, { name: 's' }]),
  }),
});
const requestBody = fc.record({
  spec: fc.record({ podName: name, selectedNode: name, selectedGPUGroups: fc.constantFrom(['g'], []) }),
  status: fc.record({ phase: fc.constantFrom('Pending', 'Failed') }),
});
const otherBody = fc.record({ value: fc.nat(3), spec: fc.record({ volumeName: name }), provisioner: name });

const kinds: readonly { readonly list: ListName; readonly isNamespaced: boolean; readonly body: fc.Arbitrary<object> }[] = [
  { list: 'pods', isNamespaced: true, body: podBody },
  { list: 'pods', isNamespaced: true, body: podBody },
  { list: 'nodes', isNamespaced: false, body: nodeBody },
  { list: 'queues', isNamespaced: false, body: queueBody },
  { list: 'podGroups', isNamespaced: true, body: groupBody },
  { list: 'bindRequests', isNamespaced: true, body: requestBody },
  { list: 'configMaps', isNamespaced: true, body: otherBody },
  { list: 'persistentVolumeClaims', isNamespaced: true, body: otherBody },
  { list: 'priorityClasses', isNamespaced: false, body: otherBody },
  { list: 'storageClasses', isNamespaced: false, body: otherBody },
];

const edit: fc.Arbitrary<Edit> = fc.oneof(
  ...kinds.flatMap(({ list, isNamespaced, body }): fc.Arbitrary<Edit>[] => {
    const keyOf = (space: string, n: string): string => (isNamespaced ? `${space}/${n}` : n);
    const put = fc.tuple(namespace, name, labels, annotations, body).map(
      ([space, n, l, a, b]): Edit => ({
        op: 'put',
        list,
        key: keyOf(space, n),
        object: {
          ...b,
          metadata: { name: n, namespace: isNamespaced ? space : undefined, uid: `${list}-${n}`, labels: l, annotations: a },
        },
      }),
    );
    const remove = fc.tuple(namespace, name).map(([space, n]): Edit => ({ op: 'remove', list, key: keyOf(space, n) }));
    return [put, put, remove];
  }),
  fc.tuple(name, fc.constantFrom(0, 0.25, 0.5)).map(([queue, gpu]): Edit => ({ op: 'usage', queue, gpu })),
);

// Without `size` fast-check makes about ten edits, too few for rows to be freed and taken again.
export const edits = fc.array(edit, { maxLength: 80, size: 'max' });

export function apply(writer: SnapshotWriter, e: Edit): void {
  if (e.op === 'put') writer.put(e.list, e.object);
  else if (e.op === 'remove') writer.remove(e.list, e.key);
  else writer.setUsage(e.queue, 0, 0, e.gpu);
}

/** What is left of a sequence of edits: the last object of each key, and usage that no removal of its queue has dropped. */
export function survivors(sequence: readonly Edit[]): Edit[] {
  const objects = new Map<string, Edit>();
  const usage = new Map<string, Edit>();
  for (const e of sequence) {
    if (e.op === 'usage') usage.set(e.queue, e);
    else if (e.op === 'put') objects.set(`${e.list} ${e.key}`, e);
    else {
      objects.delete(`${e.list} ${e.key}`);
      if (e.list === 'queues') usage.delete(e.key);
    }
  }
  return [...usage.values(), ...objects.values()];
}
