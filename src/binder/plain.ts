// Pods that need nothing but a node: one write each.
import { ReceivedType } from '../base/codes.ts';
import { jsonOf, type KubeConnection } from '../kubernetes/connection.ts';
import { WRITE_POLICIES, WritePriority } from '../kubernetes/writePolicy.ts';
import type { WriteQueue } from '../kubernetes/writeQueue.ts';
import type { BindOrder, BindOutcome, PodBinder } from './port.ts';

const RECEIVED_NAMES: Readonly<Record<number, string>> = {
  [ReceivedType.regular]: 'Regular',
  [ReceivedType.fraction]: 'Fraction',
  [ReceivedType.migInstance]: 'MigInstance',
};

export interface PlainBinderOptions {
  readonly writes: Pick<WriteQueue, 'submit'>;
  readonly connection: Pick<KubeConnection, 'request'>;
}

/** Needs neither a shared GPU nor a claim nor a volume. */
export function isPlain({ pod, receivedType, details }: BindOrder): boolean {
  if (receivedType === ReceivedType.fraction) return false;
  if (details?.resourceClaimAllocations !== undefined || details?.extendedResourceClaimAllocation !== undefined) return false;
  return !(pod.spec.volumes ?? []).some(({ persistentVolumeClaim, ephemeral }) => persistentVolumeClaim || ephemeral);
}

/** Annotations that go with a binding (spec 07 section 6.4 step 4): the API server puts them on the pod in the same write. */
export function bindAnnotations({ receivedType, details }: Pick<BindOrder, 'receivedType' | 'details'>): Record<string, string> {
  const received = RECEIVED_NAMES[receivedType];
  const zones = details?.predictedNUMAZones ?? [];
  return {
    ...(received === undefined ? {} : { 'received-resource-type': received }),
    ...(zones.length === 0 ? {} : { 'kai.scheduler/numa-placement-predicted': JSON.stringify(zones) }),
  };
}

/** Binds by one POST of the subresource `binding`. Other steps, where a pod needs them, come before. */
export function createPlainBinder(options: PlainBinderOptions): PodBinder {
  return { bind: (order) => postBinding(options, order) };
}

async function postBinding(options: PlainBinderOptions, order: BindOrder): Promise<BindOutcome> {
  const { name, namespace = 'default', uid } = order.pod.metadata;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const result = await options.writes.submit({
    key: `bind ${order.key}`,
    priority: WritePriority.binding,
    policy: WRITE_POLICIES.binding,
    request: {
      method: 'POST',
      path: `${path}/binding`,
      body: {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name, namespace, uid, annotations: bindAnnotations(order) },
        target: { apiVersion: 'v1', kind: 'Node', name: order.node },
      },
    },
  });
  if (result.kind === 'done') return { kind: 'bound' };
  if (result.kind !== 'failed') return { kind: 'failed', message: `the binding was given up (${result.kind})` };
  if (result.status?.code === 404 && !result.mayHaveArrived) return { kind: 'gone' };
  const isUnsure = result.mayHaveArrived || result.status === null || result.status.code === 409 || result.status.code === 404;
  return (isUnsure ? await lookAt(options, order, path) : undefined) ?? { kind: 'failed', message: result.message };
}

/** What became of the pod, where the answer leaves it open; undefined when it is still waiting or nobody can tell. */
async function lookAt({ connection }: PlainBinderOptions, order: BindOrder, path: string): Promise<BindOutcome | undefined> {
  try {
    const response = await connection.request({ method: 'GET', path, timeoutMs: 10_000, signal: order.signal });
    if (response.status === 404) return { kind: 'gone' };
    if (response.status !== 200) return undefined;
    const { metadata, spec } = jsonOf(response) as {
      readonly metadata: { readonly uid?: string; readonly deletionTimestamp?: string };
      readonly spec?: { readonly nodeName?: string };
    };
    if (metadata.uid !== order.pod.metadata.uid) return { kind: 'gone' };
    const node = spec?.nodeName ?? '';
    if (node === order.node) return { kind: 'bound' };
    if (node !== '') return { kind: 'boundElsewhere', node };
    return metadata.deletionTimestamp === undefined ? undefined : { kind: 'gone' };
  } catch {
    return undefined;
  }
}
