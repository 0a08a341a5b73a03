// Decisions made from what a case states: they check the comparison without any engine.
import { ReceivedType } from '../../src/base/codes.ts';
import type { Decision } from '../../src/base/decisions.ts';
import type { ClusterObjects, Pod } from '../../src/base/objects.ts';
import type { NodeRow, PodGroupRow, PodRow } from '../../src/base/rows.ts';
import type { Expectation } from './caseFormat.ts';

export function makeDecision(kind: Decision['kind'], pod: Pod, node: string, gpuGroups: readonly string[] = []): Decision {
  const namespace = pod.metadata.namespace ?? '';
  return {
    kind,
    action: 'test',
    pod: `${namespace}/${pod.metadata.name}`,
    podUid: pod.metadata.uid ?? '',
    podGroup: `${namespace}/${pod.metadata.annotations?.['pod-group-name'] ?? ''}`,
    node,
    podRow: 0 as PodRow,
    podGroupRow: 0 as PodGroupRow,
    nodeRow: 0 as NodeRow,
    receivedType: gpuGroups.length > 0 ? ReceivedType.fraction : ReceivedType.regular,
    gpuCount: 0,
    gpuPortion: '0.00',
    gpuGroups,
  };
}

function isShared(pod: Pod): boolean {
  const annotations = pod.metadata.annotations ?? {};
  return annotations['gpu-fraction'] !== undefined || annotations['gpu-memory'] !== undefined;
}

/** GPU groups of the pods that are placed, from the lists of pods that share a GPU; the rest gets GPUs of its own. */
function groupsOf(objects: ClusterObjects, expect: Expectation, staying: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const [i, keys] of (expect.sharing ?? []).entries()) {
    const [first, ...others] = keys.flatMap((key) => (staying.has(key) ? [staying.get(key) ?? []] : []));
    const group = first?.find((g) => others.every((o) => o.includes(g))) ?? `new-${i}`;
    for (const key of keys) groups.set(key, [...(groups.get(key) ?? []), group]);
  }
  for (const pod of objects.pods) {
    const key = `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
    const devices = isShared(pod) ? Number(pod.metadata.annotations?.['gpu-fraction-num-devices'] ?? 1) : 0;
    const own = groups.get(key) ?? [];
    for (let i = own.length; i < devices; i++) own.push(`own-${key}-${i}`);
    groups.set(key, own);
  }
  return groups;
}

/** Decisions that lead to the stated outcomes of the listed pods; `staying`: groups of the pods that keep their place. */
export function decisionsFor(objects: ClusterObjects, expect: Expectation, staying: ReadonlyMap<string, readonly string[]>): Decision[] {
  const groups = groupsOf(objects, expect, staying);
  return objects.pods.flatMap((pod) => {
    const key = `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
    const { outcome, node = '', nodeIn } = expect.pods?.[key] ?? {};
    const place = node === '' ? (nodeIn?.[0] ?? '') : node;
    const own = groups.get(key) ?? [];
    if (outcome === 'bound') return [makeDecision('bind', pod, place, own)];
    if (outcome === 'pipelined') return [makeDecision('pipeline', pod, place, own)];
    if (outcome === 'evicted') return [makeDecision('evict', pod, pod.spec.nodeName ?? '')];
    if (outcome === 'moved') return [makeDecision('evict', pod, pod.spec.nodeName ?? ''), makeDecision('pipeline', pod, place, own)];
    return [];
  });
}
