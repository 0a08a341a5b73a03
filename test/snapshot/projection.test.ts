import { describe, expect, it } from 'vitest';
import {
  MigStrategy,
  NodeFlag,
  PodFlag,
  PodGroupFlag,
  PodPhase,
  Preemptibility,
  ReceivedType,
  SignatureFlag,
} from '../../src/base/codes.ts';
import { container, pod, project, projectWithProblems } from './objects.ts';

const T0 = '2026-01-01T12:00:00Z';
const T0_MS = Date.UTC(2026, 0, 1, 12);

describe('pods', () => {
  it('status, flags and identity', () => {
    const row = project(
      'pods',
      pod(
        { nodeName: 'n1', schedulingGates: [{ name: 'g' }] },
        {
          metadata: {
            creationTimestamp: T0,
            deletionTimestamp: '2026-01-01T14:00:30.5+02:00',
            labels: {
              app: 'kai-resource-reservation',
              'kai.scheduler/subgroup-name': 'workers',
              'kai.scheduler/task-priority': '+7',
              'ray.io/node-type': 'head',
              'training.kubeflow.org/job-role': 'launcher',
            },
            annotations: { 'pod-group-name': 'pg', 'received-resource-type': 'Fraction' },
          },
          status: { phase: 'Running', nominatedNodeName: 'n2' },
        },
      ),
    );
    const { deleting, gated, reservation, kubeflowMaster, rayHead, hasTaskPriority } = PodFlag;
    expect(row).toMatchObject({
      key: 'ns/p',
      namespace: 'ns',
      uid: 'uid-p',
      groupKey: 'ns/pg',
      subGroup: 'workers',
      scheduler: 'kai-scheduler',
      phaseCode: PodPhase.running,
      flags: deleting | gated | reservation | kubeflowMaster | rayHead | hasTaskPriority,
      taskPriority: 7,
      createdMs: T0_MS,
      deletionMs: T0_MS + 30_500,
      node: 'n1',
      nominatedNode: 'n2',
      receivedTypeCode: ReceivedType.fraction,
    });
    const other = project(
      'pods',
      pod({}, { metadata: { labels: { app: 'scaling-pod', 'kai.scheduler/task-priority': 'high' } }, status: { phase: '' } }),
    );
    expect(other).toMatchObject({ phaseCode: PodPhase.unknown, flags: PodFlag.scaling | PodFlag.badTaskPriority });
  });

  it('finished ones: failed are not there, succeeded are reduced to their identity', () => {
    const rest = (phase: string) => ({
      metadata: { creationTimestamp: T0, labels: { a: 'b', 'kai.scheduler/subgroup-name': 's' }, annotations: { 'pod-group-name': 'pg' } },
      status: { phase },
    });
    const spec = { nodeName: 'n1', containers: [container({ cpu: '1' })], nodeSelector: { a: 'b' } };
    expect(project('pods', pod(spec, rest('Failed')))).toEqual({});
    const row = project('pods', pod(spec, rest('Succeeded')));
    expect(row).toMatchObject({ key: 'ns/p', uid: 'uid-p', groupKey: 'ns/pg', subGroup: 's', phaseCode: PodPhase.succeeded });
    expect(row).toMatchObject({ node: null, createdMs: null, labelSet: {}, signature: { spec: {}, flags: 0 }, shape: { milliCpu: 0 } });
  });

  it('GPU groups: plain first, prefixed by key, each once, also without the plain label', () => {
    const groups = (labels: object) => project('pods', pod({}, { metadata: { labels } })).gpuGroups;
    expect(groups({ 'runai-gpu-group': 'z' })).toEqual(['z']);
    expect(groups({ 'runai-gpu-group/b': 'b', 'runai-gpu-group/a': 'a' })).toEqual(['a', 'b']);
    expect(groups({ 'runai-gpu-group/b': 'b', 'runai-gpu-group/a': 'a', 'runai-gpu-group': 'b' })).toEqual(['b', 'a']);
    expect(groups({ other: 'x' })).toBeNull();
  });

  it('claims are resolved by name or status', () => {
    const resourceClaims = [
      { name: 'direct', resourceClaimName: 'c1' },
      { name: 'made', resourceClaimTemplateName: 't' },
      { name: 'waiting', resourceClaimTemplateName: 't' },
    ];
    const status = { resourceClaimStatuses: [{ name: 'made', resourceClaimName: 'p-made-x' }] };
    expect(project('pods', pod({ resourceClaims }, { status })).claims).toEqual([
      { name: 'direct', claim: 'c1', template: false },
      { name: 'made', claim: 'p-made-x', template: true },
      { name: 'waiting', claim: null, template: true },
    ]);
  });

  it('NUMA records are read apart, in plain units; an unreadable one is reported and skipped', () => {
    const annotations = {
      'kai.scheduler/numa-placement-observed': '[{"zone":"node-0"',
      'kai.scheduler/numa-placement-predicted': '[{"zone":"node-1","amount":{"cpu":"1500m","memory":"1Gi","nvidia.com/gpu":"2"}}]',
    };
    const { row, problems } = projectWithProblems('pods', pod({}, { metadata: { annotations } }));
    expect(row.numa).toEqual({ predicted: [{ zone: 'node-1', amount: { cpu: 1500, memory: 2 ** 30, 'nvidia.com/gpu': 2 } }] });
    expect(problems).toEqual(['Pod ns/p: metadata.annotations[kai.scheduler/numa-placement-observed]: not JSON']);
  });

  it('constraint signature, with a flag for each check that it needs', () => {
    const term = { topologyKey: 'zone', labelSelector: { matchLabels: { a: 'b' } }, matchLabelKeys: ['dropped'] };
    const spec = {
      nodeSelector: { gpu: 'a100' },
      tolerations: [{ key: 'k', operator: 'Exists', tolerationSeconds: 300 }],
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'x', operator: 'Exists' }] }] },
        },
        podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] },
        podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 5, podAffinityTerm: term }] },
      },
      containers: [
        container(
          {},
          {
            ports: [{ containerPort: 1 }, { hostPort: 80 }],
            volumeMounts: [{ name: 'cfg' }],
            envFrom: [{ configMapRef: { name: 'env' } }],
          },
        ),
      ],
      initContainers: [
        container({}, { restartPolicy: 'Always', ports: [{ hostPort: 81, protocol: 'UDP', hostIP: '10.0.0.1' }] }),
        container(
          {},
          { ports: [{ hostPort: 82 }], env: [{ name: 'E', valueFrom: { configMapKeyRef: { name: 'optional', optional: true } } }] },
        ),
      ],
      volumes: [
        { name: 'data', persistentVolumeClaim: { claimName: 'c' } },
        { name: 'scratch', ephemeral: {} },
        { name: 'cfg', projected: { sources: [{ configMap: { name: 'mounted' } }, {}] } },
        { name: 'unmounted', configMap: { name: 'not-needed' } },
        { name: 'gpu', configMap: { name: 'share-0' } },
      ],
      priorityClassName: 'train',
    };
    const row = project('pods', pod(spec, { metadata: { annotations: { 'runai/shared-gpu-configmap': 'share' } } }));
    const picked = { topologyKey: 'zone', labelSelector: { matchLabels: { a: 'b' } } };
    expect(row.signature).toEqual({
      flags: Object.values(SignatureFlag).reduce<number>((a, b) => a | b, 0),
      spec: {
        namespace: 'ns',
        nodeSelector: { gpu: 'a100' },
        tolerations: [{ key: 'k', operator: 'Exists' }],
        nodeAffinityTerms: [{ matchExpressions: [{ key: 'x', operator: 'Exists' }] }],
        podAffinity: [picked],
        preferredPodAntiAffinity: [{ weight: 5, podAffinityTerm: picked }],
        hostPorts: [
          { hostIP: '0.0.0.0', protocol: 'TCP', hostPort: 80 },
          { hostIP: '10.0.0.1', protocol: 'UDP', hostPort: 81 },
        ],
        volumeClaims: [
          { claimName: 'c', isEphemeral: false },
          { claimName: 'p-scratch', isEphemeral: true },
        ],
        configMaps: ['env', 'mounted'],
        priorityClassName: 'train',
      },
    });
    const noNode = { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: null } } } };
    expect(project('pods', pod(noNode)).signature).toEqual({ flags: SignatureFlag.nodeAffinity, spec: { nodeAffinityTerms: [] } });
    expect(project('pods', pod({ nodeSelector: {}, tolerations: [] })).signature).toEqual({ flags: 0, spec: {} });
  });
});

describe('nodes', () => {
  const node = (labels: object, allocatable: object = {}, rest: object = {}) => ({
    metadata: { name: 'n', labels },
    status: { allocatable },
    ...rest,
  });

  it.each([
    ['81559', 81_500],
    ['16384', 16_300],
    ['42949672960', 40_900],
    ['85899345920', 81_900],
    ['1048575', 1_048_500],
  ])('GPU memory label %s is %i MiB', (label, mib) => {
    expect(project('nodes', node({ 'nvidia.com/gpu.memory': label }))).toMatchObject({ gpuMemoryMib: mib, flags: NodeFlag.gpuMemoryKnown });
  });

  it('GPU memory is unknown without a readable label', () => {
    expect(project('nodes', node({}))).toMatchObject({ gpuMemoryMib: 100, gpuCountLabel: -1, flags: 0 });
    for (const label of ['80Gi', '', '-5', '99']) {
      const { row, problems } = projectWithProblems('nodes', node({ 'nvidia.com/gpu.memory': label }));
      expect(row).toMatchObject({ gpuMemoryMib: 100, flags: 0 });
      expect(problems).toHaveLength(1);
    }
  });

  it('allocatable: both vendors, other resources without zeros, capacity where there is no allocatable', () => {
    const allocatable = {
      cpu: '7.5',
      memory: '1Ti',
      pods: '110',
      'nvidia.com/gpu': '4',
      'amd.com/gpu': '2',
      'x.io/vgpu': '4',
      'rdma/hca': '0',
      'ephemeral-storage': '5',
    };
    const expected = {
      allocMilliCpu: 7500,
      allocMemoryBytes: 2 ** 40,
      allocPods: 110,
      allocGpu: 6,
      scalars: { 'x.io/vgpu': 4000, 'ephemeral-storage': 5 },
    };
    expect(project('nodes', node({ 'nvidia.com/gpu.count': '8' }, allocatable))).toMatchObject({ ...expected, gpuCountLabel: 8 });
    expect(project('nodes', { metadata: { name: 'n' }, status: { capacity: allocatable } })).toMatchObject(expected);
  });

  it('MIG: the label decides, else the profiles; the strategy counts on MIG nodes only', () => {
    const mig = { 'nvidia.com/mig-1g.5gb': '7' };
    const read = (labels: object, allocatable: object) => {
      const row = project('nodes', node({ 'nvidia.com/mig.strategy': 'mixed', ...labels }, allocatable));
      return [((row.flags as number) & NodeFlag.migEnabled) !== 0, row.migStrategyCode];
    };
    expect(read({}, mig)).toEqual([true, MigStrategy.mixed]);
    expect(read({}, { 'nvidia.com/mig-1g.5gb': '0' })).toEqual([false, MigStrategy.none]);
    expect(read({ 'node-role.kubernetes.io/mig-enabled': 'true', 'nvidia.com/mig.strategy': 'single' }, {})).toEqual([
      true,
      MigStrategy.single,
    ]);
    expect(read({ 'node-role.kubernetes.io/mig-enabled': 'yes' }, mig)).toEqual([false, MigStrategy.none]);
  });

  it('conditions, cordon, worker labels, taints, pool', () => {
    const conditions = [
      { type: 'Ready', status: 'Unknown' },
      { type: 'MemoryPressure', status: 'Unknown' },
      { type: 'DiskPressure', status: 'True' },
      { type: 'PIDPressure', status: 'False' },
      { type: 'Other', status: 'True' },
    ];
    const row = project('nodes', {
      metadata: { name: 'n', labels: { 'node-role.kubernetes.io/gpu-worker': '', 'kai.scheduler/node-pool': '' } },
      spec: { unschedulable: true, taints: [{ key: 'k', value: '', effect: 'NoSchedule', timeAdded: T0 }] },
      status: { conditions },
    });
    const { unschedulable, notReady, memoryPressure, diskPressure, gpuWorker } = NodeFlag;
    expect(row).toMatchObject({
      flags: unschedulable | notReady | memoryPressure | diskPressure | gpuWorker,
      taints: [{ key: 'k', effect: 'NoSchedule' }],
      pool: '',
    });
    expect(project('nodes', node({})).pool).toBeNull();
  });
});

describe('queues', () => {
  it('units, negative = unlimited, defaults, durations (spec 02 section 5.1)', () => {
    const resources = {
      cpu: { quota: 1500, limit: -5, overQuotaWeight: 2 },
      memory: { quota: 4096, limit: 8192 },
      gpu: { quota: -1, limit: 2.5 },
    };
    const spec = { displayName: 'Team', parentQueue: 'root', priority: 0, resources, preemptMinRuntime: '1d', reclaimMinRuntime: '1m30s' };
    expect(project('queues', { metadata: { name: 'q', creationTimestamp: T0 }, spec })).toMatchObject({
      name: 'q',
      display: 'Team',
      parent: 'root',
      priority: 0,
      createdMs: T0_MS,
      quotaMilliCpu: 1500,
      limitMilliCpu: -1,
      weightCpu: 2,
      quotaMemoryBytes: 4_096_000_000,
      limitMemoryBytes: 8_192_000_000,
      weightMemory: 0,
      quotaGpu: -1,
      limitGpu: 2.5,
      preemptMinRuntimeMs: 86_400_000,
      reclaimMinRuntimeMs: 90_000,
    });
    expect(project('queues', { metadata: { name: 'q' } })).toMatchObject({
      priority: 100,
      quotaGpu: 0,
      limitGpu: 0,
      parent: null,
      preemptMinRuntimeMs: null,
    });
  });

  it('reports values that are none', () => {
    const spec = { priority: '5', resources: { gpu: { quota: '3' } }, preemptMinRuntime: 'soon' };
    const { row, problems } = projectWithProblems('queues', { metadata: { name: 'q' }, spec });
    expect(row).toMatchObject({ priority: 100, quotaGpu: 0, preemptMinRuntimeMs: null });
    expect(problems.map((p) => p.split(': ')[1])).toEqual(['spec.resources.gpu.quota', 'spec.priority', 'spec.preemptMinRuntime']);
  });
});

describe('pod groups', () => {
  const group = (spec: object, rest: { metadata?: object; status?: object } = {}) => ({
    metadata: { name: 'pg', namespace: 'ns', ...rest.metadata },
    spec,
    status: rest.status,
  });

  it('fields, times, durations, conditions', () => {
    const annotations = {
      'kai.scheduler/last-start-timestamp': T0,
      'kai.scheduler/stale-podgroup-timestamp': T0,
      'kai.scheduler/last-eviction-timestamp': T0,
    };
    const spec = {
      queue: 'q',
      minMember: 0,
      priorityClassName: 'train',
      preemptibility: 'non-preemptible',
      markUnschedulable: false,
      schedulingBackoff: 1,
      preemptionDelay: '5m',
      stalenessGracePeriod: '-1s',
      topologyConstraint: { topology: 't', requiredTopologyLevel: 'rack' },
      subGroups: [
        { name: 'a', minMember: 2, topologyConstraint: { topology: '' } },
        { name: 'b', parent: 'a', minSubGroup: null },
      ],
    };
    const conditions = [{ type: 'UnschedulableOnNodePool', nodePool: 'default', transitionID: '3' }];
    const row = project(
      'podGroups',
      group(spec, { metadata: { annotations, labels: { 'kai.scheduler/node-pool': 'p' } }, status: { schedulingConditions: conditions } }),
    );
    expect(row).toMatchObject({
      key: 'ns/pg',
      name: 'pg',
      queue: 'q',
      priorityClass: 'train',
      preemptibilityCode: Preemptibility.nonPreemptible,
      flags: 0,
      schedulingBackoff: 1,
      minMember: 0,
      minSubGroup: -1,
      lastStartMs: T0_MS,
      staleSinceMs: T0_MS,
      lastEvictionMs: T0_MS,
      preemptionDelayMs: 300_000,
      stalenessGraceMs: -1000,
      subGroups: [
        { name: 'a', minMember: 2 },
        { name: 'b', parent: 'a' },
      ],
      topology: { topology: 't', requiredTopologyLevel: 'rack' },
      conditions,
      pool: 'p',
    });
    expect(project('podGroups', group({ preemptionDelay: '0s' }))).toMatchObject({
      flags: PodGroupFlag.markUnschedulable,
      schedulingBackoff: -1,
      minMember: -1,
      preemptionDelayMs: null,
      stalenessGraceMs: null,
    });
  });

  it('an unreadable time is absent and reported', () => {
    const annotations = { 'kai.scheduler/last-start-timestamp': 'yesterday' };
    const { row, problems } = projectWithProblems('podGroups', group({}, { metadata: { annotations } }));
    expect(row.lastStartMs).toBeNull();
    expect(problems).toHaveLength(1);
  });

  it.each([
    ['subgroup <a> already exists', [{ name: 'a' }, { name: 'a' }]],
    ['parent subgroup <A> of <b> not found', [{ name: 'a' }, { name: 'b', parent: 'A' }]],
    ['cycle detected in subgroups', [{ name: 'a', parent: 'b' }, { name: 'b', parent: 'a' }, { name: 'c' }]],
  ])('invalid tree: %s', (message, subGroups) => {
    const { row, problems } = projectWithProblems('podGroups', group({ subGroups }));
    expect(problems).toEqual([`PodGroup ns/pg: spec.subGroups: ${message}`]);
    expect((row.flags as number) & PodGroupFlag.invalidTree).not.toBe(0);
  });
});

describe('bind requests', () => {
  const request = (spec: object, status = {}) => ({
    metadata: {
      name: 'p',
      namespace: 'ns',
      ownerReferences: [
        { kind: 'Job', name: 'j', uid: 'u0' },
        { kind: 'Pod', name: 'p', uid: 'u1' },
      ],
    },
    spec: { podName: 'p', ...spec },
    status,
  });

  it('fields', () => {
    const spec = {
      selectedNode: 'n',
      receivedResourceType: 'MigInstance',
      selectedGPUGroups: ['g1', 'g2'],
      resourceClaimAllocations: [{ name: 'c', allocation: { devices: { results: [] } } }],
      predictedNUMAZones: [{ zone: 'node-0', amount: { cpu: '8' } }],
    };
    expect(project('bindRequests', request(spec))).toMatchObject({
      nameKey: 'ns/p',
      podKey: 'ns/p',
      ownerUid: 'u1',
      node: 'n',
      isFailed: 0,
      receivedTypeCode: ReceivedType.migInstance,
      gpuGroups: ['g1', 'g2'],
      claims: spec.resourceClaimAllocations,
      extended: null,
      numa: [{ zone: 'node-0', amount: { cpu: 8000 } }],
    });
  });

  it('failed for good once no retries are left (spec 02 section 3.1)', () => {
    const isFailed = (backoffLimit: number | undefined, status: object) =>
      project('bindRequests', request({ backoffLimit }, status)).isFailed;
    expect(isFailed(undefined, { phase: 'Failed' })).toBe(1);
    expect(isFailed(3, { phase: 'Failed', failedAttempts: 2 })).toBe(0);
    expect(isFailed(3, { phase: 'Failed', failedAttempts: 3 })).toBe(1);
    expect(isFailed(0, { phase: 'Failed' })).toBe(1);
    expect(isFailed(undefined, { phase: 'Pending', failedAttempts: 9 })).toBe(0);
  });
});
