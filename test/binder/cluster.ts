// A small cluster on the fake API: nodes, pods that share GPUs, the agent in reservation pods, a provisioner of volumes.
import { ReceivedType } from '../../src/base/codes.ts';
import type { DecisionDetails } from '../../src/base/decisions.ts';
import type { Pod } from '../../src/base/objects.ts';
import { Binder, type BinderSettings } from '../../src/binder/binder.ts';
import type { BindOrder } from '../../src/binder/port.ts';
import { WriteQueue } from '../../src/kubernetes/writeQueue.ts';
import { type ApiObject, FakeApi, type Json } from './fakeApi.ts';
import { VirtualClock } from './virtualClock.ts';

export const RESERVATIONS = '/api/v1/namespaces/kai-resource-reservation/pods';
export const PODS = '/api/v1/namespaces/team-a/pods';
export const MAPS = '/api/v1/namespaces/team-a/configmaps';
export const PVCS = '/api/v1/namespaces/team-a/persistentvolumeclaims';
export const CLAIMS = '/apis/resource.k8s.io/v1/namespaces/team-a/resourceclaims';
export const CLASSES = '/apis/storage.k8s.io/v1/storageclasses';
const DEVICE = 'run.ai/reserve_for_gpu_index';

export interface SmallCluster {
  readonly clock: VirtualClock;
  readonly api: FakeApi;
  readonly troubles: string[];
  /** Milliseconds until the agent names the device; null = never. */
  agentDelayMs: (pod: ApiObject) => number | null;
  /** Milliseconds until a volume is there; null = never. */
  provisionDelayMs: (claim: ApiObject) => number | null;
  binder(options?: { readonly settings?: BinderSettings; readonly isAlive?: () => boolean }): Binder;
}

export function smallCluster(random?: () => number): SmallCluster {
  const clock = new VirtualClock(random);
  const api = new FakeApi(clock);
  const troubles: string[] = [];
  let devices = 0;
  const cluster: SmallCluster = {
    clock,
    api,
    troubles,
    agentDelayMs: () => 1500,
    provisionDelayMs: () => 3000,
    binder: ({ settings, isAlive = () => true } = {}) => {
      const connection = {
        request: (r: Parameters<FakeApi['request']>[0]) => (isAlive() ? api.request(r) : new Promise<never>(() => undefined)),
      };
      const writes = new WriteQueue({ connection, clock });
      return new Binder({ connection, writes, clock, observed: api.observed, settings, onTrouble: (message) => troubles.push(message) });
    },
  };
  api.onChange = (path, object, before) => {
    if (object === undefined) return;
    if (path.startsWith(`${RESERVATIONS}/`) && before === undefined) {
      const delayMs = cluster.agentDelayMs(object);
      const report = (): void => api.merge(path, { metadata: { annotations: { [DEVICE]: `GPU-${devices++}` } } });
      if (delayMs !== null) void clock.sleep(delayMs).then(() => sameStill(api, path, object) && report());
    }
    const isNewlySelected = selectedNode(object) !== undefined && (before === undefined || selectedNode(before) === undefined);
    if (path.startsWith(`${PVCS}/`) && isNewlySelected) {
      const delayMs = cluster.provisionDelayMs(object);
      if (delayMs !== null) void clock.sleep(delayMs).then(() => provision(api, path, object));
    }
  };
  for (const name of ['node-1', 'node-2'])
    api.put('/api/v1/nodes', { metadata: { name, labels: { 'nvidia.com/gpu.memory': '16384', zone: name } } });
  api.put(CLASSES, { metadata: { name: 'delayed' }, provisioner: 'example.com/disk', volumeBindingMode: 'WaitForFirstConsumer' });
  return cluster;
}

function sameStill(api: FakeApi, path: string, object: ApiObject): boolean {
  return api.get(path)?.metadata.uid === object.metadata.uid;
}

export function selectedNode(claim: ApiObject): string | undefined {
  return claim.metadata.annotations?.['volume.kubernetes.io/selected-node'];
}

function provision(api: FakeApi, path: string, claim: ApiObject): void {
  const now = api.get(path);
  const node = now === undefined ? undefined : selectedNode(now);
  if (now?.metadata.uid !== claim.metadata.uid || node === undefined) return;
  const name = `pv-${claim.metadata.name}`;
  const required = { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: [node] }] }] };
  api.put('/api/v1/persistentvolumes', { metadata: { name }, spec: { nodeAffinity: { required } } });
  api.merge(path, { metadata: { annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } }, spec: { volumeName: name } });
}

export interface PodShape {
  readonly annotations?: Record<string, string>;
  readonly labels?: Record<string, string>;
  readonly spec?: Json;
  readonly status?: Json;
}

export function addPod(api: FakeApi, name: string, { annotations, labels, spec, status }: PodShape = {}): Pod {
  const fromMap = (key: string): Json => ({ name: key, valueFrom: { configMapKeyRef: { name: `${name}-gpu-0`, key } } });
  const containers = [{ name: 'main', env: [fromMap('NVIDIA_VISIBLE_DEVICES'), fromMap('GPU_PORTION')] }];
  api.put(PODS, {
    metadata: { name, namespace: 'team-a', labels, annotations: { 'runai/shared-gpu-configmap': `${name}-gpu`, ...annotations } },
    spec: { schedulerName: 'kai-scheduler', containers, ...spec },
    status: { phase: 'Pending', ...status },
  });
  return api.get<Pod>(`${PODS}/${name}`)!;
}

export interface OrderShape {
  readonly node?: string;
  readonly receivedType?: number;
  readonly gpuGroups?: readonly string[];
  readonly gpuPortion?: string;
  readonly details?: DecisionDetails;
  readonly nodePool?: string;
  readonly signal?: AbortSignal;
}

export function orderFor(pod: Pod, shape: OrderShape = {}): BindOrder {
  const { node = 'node-1', gpuGroups = [], gpuPortion = '0.50', details, nodePool = '', signal = new AbortController().signal } = shape;
  const receivedType = shape.receivedType ?? (gpuGroups.length > 0 ? ReceivedType.fraction : ReceivedType.regular);
  const key = `team-a/${pod.metadata.name}`;
  return {
    key,
    pod,
    node,
    receivedType,
    gpuCount: gpuGroups.length,
    gpuPortion,
    gpuGroups,
    details,
    podGroup: 'team-a/job',
    nodePool,
    signal,
  };
}
