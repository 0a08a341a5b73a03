// Patches of pods and pod groups, each bound to the UID of the object that is meant: another one of the same name refuses it (409).
import type { Pod, PodGroup, SchedulingCondition } from '../base/objects.ts';
import { WRITE_POLICIES, WritePriority } from '../kubernetes/writePolicy.ts';
import type { Write } from '../kubernetes/writeQueue.ts';

const MERGE = 'application/merge-patch+json';
const STRATEGIC = 'application/strategic-merge-patch+json';

export interface PodCondition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  /** Absent when the status is what it was. */
  readonly lastTransitionTime?: string;
}

/** One condition of a pod, the others untouched; `key` tells writes of different meaning apart. */
export function podConditionPatch(pod: Pod, condition: PodCondition, priority: WritePriority = WritePriority.status): Write {
  const { name, namespace = 'default', uid } = pod.metadata;
  return {
    key: `pod condition ${condition.type} ${uid}`,
    priority,
    policy: WRITE_POLICIES.status,
    request: {
      method: 'PATCH',
      path: `/api/v1/namespaces/${namespace}/pods/${name}/status`,
      contentType: STRATEGIC,
      body: { metadata: { uid }, status: { conditions: [condition] } },
    },
  };
}

/** The node whose room is kept for the pod; null takes it back. */
export function podNominationPatch(pod: Pod, node: string | null): Write {
  const { name, namespace = 'default', uid } = pod.metadata;
  return {
    key: `pod nomination ${uid}`,
    priority: WritePriority.status,
    policy: WRITE_POLICIES.status,
    request: {
      method: 'PATCH',
      path: `/api/v1/namespaces/${namespace}/pods/${name}/status`,
      contentType: MERGE,
      body: { metadata: { uid }, status: { nominatedNodeName: node } },
    },
  };
}

export function podLabelPatch(pod: Pod, labels: Readonly<Record<string, string>>): Write {
  const { name, namespace = 'default', uid } = pod.metadata;
  return {
    key: `pod labels ${uid}`,
    priority: WritePriority.status,
    policy: WRITE_POLICIES.status,
    request: {
      method: 'PATCH',
      path: `/api/v1/namespaces/${namespace}/pods/${name}`,
      contentType: MERGE,
      body: { metadata: { uid, labels } },
    },
  };
}

/** Deletion of this very pod with its own grace period (spec 04 section 7.3). */
export function podDeletion(pod: Pod): Write {
  const { name, namespace = 'default', uid } = pod.metadata;
  return {
    key: `evict ${uid}`,
    priority: WritePriority.eviction,
    policy: WRITE_POLICIES.deletion,
    request: {
      method: 'DELETE',
      path: `/api/v1/namespaces/${namespace}/pods/${name}`,
      body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } },
    },
  };
}

export function groupAnnotationPatch(group: PodGroup, annotations: Readonly<Record<string, string | null>>): Write {
  const { name, namespace = 'default', uid } = group.metadata;
  return {
    key: `group annotations ${uid} ${Object.keys(annotations).join()}`,
    priority: WritePriority.status,
    policy: WRITE_POLICIES.status,
    request: { method: 'PATCH', path: groupPath(namespace, name), contentType: MERGE, body: { metadata: { uid, annotations } } },
  };
}

/**
 * All scheduling conditions of a group. Where schedulers of other node pools write into the same list, only onto the version that
 * was seen: a conflict is settled by the next cycle.
 */
export function groupConditionsPatch(group: PodGroup, conditions: readonly SchedulingCondition[], isShared: boolean): Write {
  const { name, namespace = 'default', uid, resourceVersion } = group.metadata;
  return {
    key: `group conditions ${uid}`,
    priority: WritePriority.status,
    policy: WRITE_POLICIES.status,
    request: {
      method: 'PATCH',
      path: `${groupPath(namespace, name)}/status`,
      contentType: MERGE,
      body: { metadata: { uid, ...(isShared ? { resourceVersion } : {}) }, status: { schedulingConditions: conditions } },
    },
  };
}

function groupPath(namespace: string, name: string): string {
  return `/apis/scheduling.run.ai/v2alpha2/namespaces/${namespace}/podgroups/${name}`;
}
