// The resource definitions and roles of `deploy` on a real API server: what the specification names is kept, what it forbids is
// refused, and the scheduler's account may do its work and no more. Skipped where there is neither Go nor KUBEBUILDER_ASSETS.
import { loadAll } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIST_NAMES } from '../../../src/base/objects.ts';
import { resourceOf } from '../../../src/kubernetes/resources.ts';
import { missingControlPlane } from '../../control-plane/build.ts';
import { type ControlPlane, startControlPlane } from '../../control-plane/controlPlane.ts';
import { ApiClient, ApiError, type KubeObject } from './apiClient.ts';
import { createNamespace, createObject, type Installation, install, KAI_NAMESPACE, RESERVATION_NAMESPACE } from './install.ts';
import { startScheduler } from './schedulerProcess.ts';

const NAMESPACE = 'examples';

/** Examples of spec 01 section 1 and what else its tables name. */
const ACCEPTED = `
apiVersion: scheduling.run.ai/v2
kind: Queue
metadata: {name: team-a, labels: {kai.scheduler/node-pool: blue}}
spec:
  displayName: Team A
  parentQueue: dept
  priority: 200
  preemptMinRuntime: 10m
  reclaimMinRuntime: 1h30m
  resources: {memory: {quota: 4096, limit: 8192}, cpu: {quota: 1500}, gpu: {quota: 2.5, overQuotaWeight: 1, limit: -1}}
---
apiVersion: scheduling.run.ai/v2alpha2
kind: PodGroup
metadata: {name: three-leaves, namespace: examples}
spec:
  queue: team-a
  minSubGroup: 2
  subGroups:
    - {name: a, minMember: 4}
    - {name: b, minMember: 4, topologyConstraint: {topology: dc1, requiredTopologyLevel: rack}}
    - {name: c, minSubGroup: 1}
    - {name: c-1, parent: c, minMember: 0}
---
apiVersion: scheduling.run.ai/v2alpha2
kind: PodGroup
metadata: {name: no-gang, namespace: examples}
spec:
  queue: team-a
  minMember: 0
  priorityClassName: train
  preemptibility: non-preemptible
  markUnschedulable: false
  schedulingBackoff: 1
  preemptionDelay: 5m
  stalenessGracePeriod: -1s
  topologyConstraint: {topology: dc1, preferredTopologyLevel: rack}
---
apiVersion: kai.scheduler/v1
kind: SchedulingShard
metadata: {name: blue}
spec:
  partitionLabelValue: blue
  placementStrategy: {gpu: spread, cpu: binpack}
  kValue: 0.5
  queueDepthPerAction: {reclaim: 20}
  args: {schedule-period: 2s, v: "4"}
  goMemLimitRatio: 1
  goMemLimit: 6Gi
  minRuntime: {preemptMinRuntime: 1d}
  plugins: {numa: {enabled: true, priority: 5, arguments: {a: b}}}
  actions: {reclaim: {enabled: false}}
  scenarioSearchBudgets: {maxActionSearchDuration: {default: 10s, reclaim: 30s}, minJobSearchDuration: 1s}
  usageDBConfig: {clientType: prometheus, usageParams: {windowSize: 1w2d, windowType: cron, cronString: 0 * * * *}}
---
apiVersion: kai.scheduler/v1
kind: Config
metadata: {name: kai-config}
spec:
  namespace: kai-scheduler
  global:
    securityContext: {runAsUser: 10000, capabilities: {drop: [all]}}
    tolerations: [{key: a, operator: Exists, effect: NoSchedule}]
    vpa: {enabled: true, updatePolicy: {updateMode: InPlaceOrRecreate}}
    affinity:
      podAntiAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: x}}}
  binder:
    plugins: {volumebinding: {arguments: {bindTimeoutSeconds: "30"}}, hamicore: {enabled: true}}
    resourceReservation: {podResources: {requests: {cpu: 10m, memory: 1}}, reservationPodSecurityContext: {fsGroup: 10}}
  prometheus: {externalPrometheusHealthProbe: {interval: 30, timeout: 10, maxRetries: 5}}
---
apiVersion: scheduling.run.ai/v1alpha2
kind: BindRequest
metadata: {name: p, namespace: examples, labels: {selected-node: n1}}
spec:
  podName: p
  selectedNode: n1
  receivedResourceType: Fraction
  receivedGPU: {count: 1, portion: "0.50"}
  selectedGPUGroups: [g]
  predictedNUMAZones: [{zone: node-0, amount: {cpu: "8", nvidia.com/gpu: "1"}}]
  backoffLimit: 3
  resourceClaimAllocations:
    - name: gpu
      allocation:
        devices:
          results: [{request: r, driver: gpu.nvidia.com, pool: n1, device: gpu-0, consumedCapacity: {memory: 1Gi}}]
          config: [{source: FromClass, opaque: {driver: d, parameters: {kind: GpuConfig, sharing: {strategy: MPS}}}}]
        nodeSelector: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [n1]}]}]}
  extendedResourceClaimAllocation:
    deviceRequests: [{name: container-0-request-0, exactly: {deviceClassName: gpu, count: 2, selectors: [{cel: {expression: "true"}}]}}]
    containerMappings: [{containerName: main, resourceName: nvidia.com/gpu, requestName: container-0-request-0}]
`;

const HEADS = {
  queue: { apiVersion: 'scheduling.run.ai/v2', kind: 'Queue' },
  group: { apiVersion: 'scheduling.run.ai/v2alpha2', kind: 'PodGroup' },
  shard: { apiVersion: 'kai.scheduler/v1', kind: 'SchedulingShard' },
  topology: { apiVersion: 'kai.scheduler/v1alpha1', kind: 'Topology' },
  bindRequest: { apiVersion: 'scheduling.run.ai/v1alpha2', kind: 'BindRequest' },
} as const;
const HOSTNAME = 'kubernetes.io/hostname';

const REFUSED: [keyof typeof HEADS, object, string][] = [
  ['group', { minMember: -1 }, 'spec.minMember in body should be greater than or equal to 0'],
  ['group', { preemptibility: 'maybe' }, 'supported values: "preemptible", "non-preemptible"'],
  ['group', { subGroups: [{ name: 'Upper' }] }, 'spec.subGroups[0].name in body should match'],
  ['group', { subGroups: [{ minMember: 1 }] }, 'spec.subGroups[0].name: Required value'],
  ['group', { subGroups: [{ name: 'a', parent: 'A' }] }, 'spec.subGroups[0].parent in body should match'],
  ['queue', { priority: 'high' }, 'spec.priority in body must be of type integer'],
  ['queue', { resources: { gpu: { quota: '1' } } }, 'spec.resources.gpu.quota in body must be of type number'],
  ['shard', { goMemLimitRatio: 0 }, 'should be greater than 0'],
  ['shard', { usageDBConfig: {} }, 'spec.usageDBConfig.clientType: Required value'],
  ['shard', { usageDBConfig: { clientType: 'x', usageParams: { windowSize: '1.5h' } } }, 'windowSize in body should match'],
  ['topology', { levels: [] }, 'should have at least 1 items'],
  ['topology', { levels: [{ nodeLabel: 'a b' }] }, 'nodeLabel in body should match'],
  ['topology', { levels: Array.from({ length: 17 }, (_, i) => ({ nodeLabel: `l${i}` })) }, 'must have at most 16 items'],
  ['topology', { levels: [{ nodeLabel: 'rack' }, { nodeLabel: 'rack', alias: 'r' }] }, 'nodeLabel must be unique'],
  [
    'topology',
    { levels: [{ nodeLabel: HOSTNAME }, { nodeLabel: 'rack' }] },
    `the ${HOSTNAME} label can only be used at the lowest level of topology`,
  ],
  ['bindRequest', { predictedNUMAZones: [{ zone: 'z' }] }, 'spec.predictedNUMAZones[0].amount: Required value'],
];

/** Verb, API group, resource, subresource, namespace. */
type Access = readonly [string, string, string, string?, string?];
const NEEDED: readonly Access[] = [
  ['watch', '', 'nodes'],
  ['create', '', 'pods', 'binding'],
  ['patch', '', 'pods', 'status'],
  ['delete', '', 'pods'],
  ['create', '', 'events'],
  ['patch', 'scheduling.run.ai', 'podgroups', 'status'],
  ['delete', 'scheduling.run.ai', 'bindrequests'],
  ['update', 'resource.k8s.io', 'resourceclaims', 'status'],
  ['create', '', 'pods', '', RESERVATION_NAMESPACE],
  ['update', 'coordination.k8s.io', 'leases', '', KAI_NAMESPACE],
];
const DENIED: readonly Access[] = [
  ['create', '', 'pods'],
  ['get', '', 'secrets'],
  ['patch', '', 'nodes'],
  ['update', 'scheduling.run.ai', 'queues'],
  ['create', 'scheduling.run.ai', 'podgroups'],
  ['update', 'coordination.k8s.io', 'leases', '', 'kube-system'],
  ['create', '', 'serviceaccounts', 'token', KAI_NAMESPACE],
];

const missing = missingControlPlane();
if (missing !== null) console.warn(`installation on a real API server: ${missing}`);

describe.skipIf(missing !== null)('installation on a real API server', () => {
  let plane: ControlPlane;
  let installed: Installation;
  let client: ApiClient;

  beforeAll(async () => {
    plane = await startControlPlane({ controllers: [] });
    installed = await install(plane);
    client = installed.client;
    await createNamespace(client, NAMESPACE);
  });

  afterAll(async () => {
    await client?.close();
    await plane?.stop();
  });

  test('definitions keep everything that the specification names', async () => {
    const objects: (KubeObject & { readonly spec: object })[] = [];
    loadAll(ACCEPTED, (document) => objects.push(document as KubeObject & { readonly spec: object }));
    expect(objects).toHaveLength(6);
    for (const object of objects) {
      const created = await createObject<KubeObject & { readonly spec: object }>(client, object);
      expect(created.spec).toEqual(object.spec);
    }
  });

  test('definitions drop what they do not know', async () => {
    const group = {
      ...HEADS.group,
      metadata: { name: 'old-fields', namespace: NAMESPACE },
      spec: { queue: 'q', backoffLimit: 3, parallelism: 2 },
    };
    expect(await createObject(client, group)).toMatchObject({ spec: { queue: 'q' } });
    const stored = await client.get<{ readonly spec: object }>(
      `/apis/scheduling.run.ai/v2alpha2/namespaces/${NAMESPACE}/podgroups/old-fields`,
    );
    expect(stored.spec).toEqual({ queue: 'q' });
  });

  test.each(REFUSED)('definitions refuse a %s with %j', async (kind, spec, message) => {
    const object = { ...HEADS[kind], metadata: { name: 'refused', namespace: NAMESPACE }, spec };
    const error: unknown = await createObject(client, object).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 422, reason: 'Invalid' });
    expect(String(error)).toContain(message);
  });

  test('a topology keeps its labels, its aliases may change', async () => {
    const levels = ['cloud.example.com/block', 'cloud.example.com/rack', HOSTNAME].map((nodeLabel, i) => ({
      nodeLabel,
      alias: `level-${i}`,
    }));
    await createObject(client, { ...HEADS.topology, metadata: { name: 'dc1' }, spec: { levels } });
    const replaceLevels = (next: readonly object[]): Promise<unknown> =>
      client.patch('/apis/kai.scheduler/v1alpha1/topologies/dc1', { spec: { levels: next } });
    await replaceLevels(levels.map(({ nodeLabel }) => ({ nodeLabel })));
    const message = 'nodeLabel structure is immutable; only aliases may be edited';
    await expect(replaceLevels(levels.slice(1))).rejects.toThrow(message);
    await expect(replaceLevels([levels[1]!, levels[0]!, levels[2]!])).rejects.toThrow(message);
  });

  test('the account of the scheduler may do what it needs and no more', async () => {
    const own = new ApiClient({ url: plane.url, ca: plane.ca, token: installed.schedulerToken });
    const isAllowed = async ([verb, group, resource, subresource = '', namespace = NAMESPACE]: Access): Promise<boolean> => {
      const resourceAttributes = { verb, group, resource, subresource, namespace };
      const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } };
      const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
      return (await own.create<{ readonly status: { readonly allowed: boolean } }>(path, review)).status.allowed;
    };
    const wrong: Access[] = [];
    const reads = LIST_NAMES.map(resourceOf).flatMap(({ group, plural }) => ['list', 'watch'].map((verb): Access => [verb, group, plural]));
    for (const access of [...reads, ...NEEDED]) if (!(await isAllowed(access))) wrong.push(access);
    for (const access of DENIED) if (await isAllowed(access)) wrong.push(access);
    expect(wrong).toEqual([]);
    await own.close();
  });

  test('a process started as the scheduler is the service account', async ({ skip }) => {
    if (plane.kubectl === undefined) skip('there is no kubectl');
    const command: [string, ...string[]] = [plane.kubectl!, 'auth', 'whoami'];
    const started = await startScheduler({ plane, token: installed.schedulerToken, name: 'whoami', command });
    expect(await started.program.exited).toBe(0);
    expect(started.program.log()).toContain(`system:serviceaccount:${KAI_NAMESPACE}:kai-scheduler`);
  });
});
