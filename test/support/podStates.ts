import type { BindRequest, ClusterObjects, Node, Pod } from '../../src/base/objects.ts';

/** What a pod holds: `used` its node for good, `releasing` until it is gone, `pending` nothing and waits, `none` the rest. */
export type Holding = 'used' | 'releasing' | 'pending' | 'none';

export interface PodState {
  readonly key: string;
  readonly pod: Pod;
  readonly holding: Holding;
  /** Counts as allocated for its queue and its gang: not one that is stuck in releasing. */
  readonly isActive: boolean;
  readonly node: string | null;
  /** GPU groups of a shared request. */
  readonly groups: readonly string[];
}

/** A pod with the place it got in this cycle. */
export interface Placement {
  readonly state: PodState;
  readonly kind: 'bind' | 'pipeline';
  readonly node: Node;
  readonly groups: readonly string[];
}

const STUCK_AFTER_MS = 120_000;

export function keyOf(object: { readonly metadata: { readonly name: string; readonly namespace?: string } }): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

function isLive(request: BindRequest, pod: Pod, nodes: ReadonlySet<string>): boolean {
  const backoffLimit = request.spec?.backoffLimit ?? 0;
  const isFailed = request.status?.phase === 'Failed' && (request.status.failedAttempts ?? 0) >= backoffLimit;
  const owner = request.metadata.ownerReferences?.[0]?.uid;
  return !isFailed && nodes.has(request.spec?.selectedNode ?? '') && (owner === undefined || owner === pod.metadata.uid);
}

function labelGroups(pod: Pod): string[] {
  const labels = pod.metadata.labels ?? {};
  const first = labels['runai-gpu-group'];
  if (first === undefined) return [];
  const more = Object.keys(labels).filter((key) => key.startsWith('runai-gpu-group/'));
  return [first, ...more.sort().map((key) => labels[key] ?? '')];
}

/** States of all pods at a time, by spec 02 section 3.1 and 03 section 2.4; `nodes` are the names of the session's nodes. */
export function podStates(objects: ClusterObjects, nodes: ReadonlySet<string>, nowMs: number): Map<string, PodState> {
  const requests = new Map(objects.bindRequests.map((r) => [`${r.metadata.namespace ?? ''}/${r.spec?.podName ?? ''}`, r]));
  const states = new Map<string, PodState>();
  for (const pod of objects.pods) {
    const key = keyOf(pod);
    const found = requests.get(key);
    const request = found !== undefined && isLive(found, pod, nodes) ? found : undefined;
    const deletion = pod.metadata.deletionTimestamp ?? null;
    const node = pod.spec.nodeName ?? request?.spec?.selectedNode ?? null;
    const chosen = request?.spec?.selectedGPUGroups ?? [];
    const groups = chosen.length > 0 ? chosen : labelGroups(pod);
    let holding: Holding = 'none';
    let isActive = false;
    const phase = pod.status?.phase;
    if (phase === 'Running' || phase === 'Pending') {
      const isStuck = phase === 'Running' && deletion !== null && nowMs - Date.parse(deletion) > STUCK_AFTER_MS;
      const isGated = (pod.spec.schedulingGates ?? []).length > 0;
      if (deletion !== null) holding = isStuck ? 'used' : 'releasing';
      else if (node !== null || phase === 'Running') holding = 'used';
      else holding = isGated ? 'none' : 'pending';
      isActive = holding === 'used' && !isStuck;
    }
    states.set(key, { key, pod, holding, isActive, node, groups });
  }
  return states;
}
