// Which changes can make a cycle decide otherwise. What only takes room away, or only repeats what we did, waits for the next cycle.
import type { ListName, Node, OtherObject, Pod, PodGroup, Queue } from '../base/objects.ts';
import { groupKeyOf, isDeleting, isFinished } from './observedStore.ts';

/** Is the new version of an object worth a cycle? Both as the cycle would see them; never undefined both. */
export function matters(list: ListName, before: unknown, after: unknown, schedulerName: string): boolean {
  switch (list) {
    case 'pods':
      return podMatters(before as Pod | undefined, after as Pod | undefined, schedulerName);
    case 'nodes':
      return differs(before, after, (node) => [(node as Node).metadata.labels, (node as Node).spec, (node as Node).status]);
    case 'queues':
      return differs(before, after, (queue) => [(queue as Queue).metadata.labels, (queue as Queue).spec]);
    case 'podGroups':
      return differs(before, after, partsOfGroup);
    // Only whether they exist and how they are labelled.
    case 'configMaps':
    case 'namespaces':
      return differs(before, after, (object) => (object as OtherObject).metadata.labels ?? null);
    // How many pods are healthy changes all the time; only what may go counts.
    case 'podDisruptionBudgets':
      return differs(before, after, partsOfBudget);
    default:
      return differs(before, after, partsOfOther);
  }
}

function partsOfOther(object: unknown): unknown {
  const { metadata, ...rest } = object as OtherObject;
  return [metadata.uid, metadata.labels, metadata.annotations, metadata.deletionTimestamp, rest];
}

function partsOfBudget(object: unknown): unknown {
  const { metadata, spec, status } = object as OtherObject & {
    readonly spec?: unknown;
    readonly status?: { readonly disruptionsAllowed?: unknown };
  };
  return [metadata.uid, spec, status?.disruptionsAllowed];
}

function podMatters(before: Pod | undefined, after: Pod | undefined, schedulerName: string): boolean {
  if (after === undefined) return before !== undefined && (hasNode(before) || isOurs(before, schedulerName));
  if (before === undefined) return isOurs(after, schedulerName) && !isFinished(after);
  if (before.metadata.uid !== after.metadata.uid) return true;
  if (isFinished(after)) return !isFinished(before);
  if (isDeleting(after) !== isDeleting(before)) return hasNode(after) || isOurs(after, schedulerName);
  if (hasNode(after) !== hasNode(before)) return false;
  if (after.metadata.labels !== before.metadata.labels && !isSame(after.metadata.labels, before.metadata.labels)) return true;
  if (!hasNode(after) && !isSame(partsOfWaitingPod(before), partsOfWaitingPod(after))) return true;
  return !isSame(before.spec.containers, after.spec.containers);
}

function partsOfWaitingPod({ metadata, spec, status }: Pod): unknown {
  return [
    metadata.annotations,
    spec.schedulingGates,
    spec.nodeSelector,
    spec.tolerations,
    spec.affinity,
    status?.nominatedNodeName,
    status?.resourceClaimStatuses,
  ];
}

/** Our own timestamps and conditions are compared as well: the cycle saw them already when we wrote them. */
function partsOfGroup(group: unknown): unknown {
  const { metadata, spec, status } = group as PodGroup;
  return [metadata.labels, metadata.annotations, metadata.uid, spec, status?.schedulingConditions];
}

function isOurs(pod: Pod, schedulerName: string): boolean {
  return pod.spec.schedulerName === schedulerName && groupKeyOf(pod) !== '';
}

function hasNode(pod: Pod): boolean {
  return pod.spec.nodeName !== undefined && pod.spec.nodeName !== '';
}

function differs(before: unknown, after: unknown, parts: (object: unknown) => unknown): boolean {
  return before === undefined || after === undefined || !isSame(parts(before), parts(after));
}

/** Objects come from one reader, so equal content has equal order of fields. */
function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
