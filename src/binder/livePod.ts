// The parts of a pod, as the API server gives it, that binding reads (pods from the watch lack names of variables).
import type { Container, Metadata, Pod } from '../base/objects.ts';
import { StepError } from './binderApi.ts';

export type LivePod = Pod & { readonly metadata: Metadata & { readonly uid: string; readonly namespace: string } };

export const GROUP_LABEL = 'runai-gpu-group';
export const MULTI_GROUP_PREFIX = 'runai-gpu-group/';
const NUM_DEVICES = 'gpu-fraction-num-devices';
const CONTAINER_NAME = 'gpu-fraction-container-name';
const CONFIG_MAP_PREFIX = 'runai/shared-gpu-configmap';

export function podPath(namespace: string, name: string): string {
  return `/api/v1/namespaces/${namespace}/pods/${name}`;
}

/** "namespace/name" */
export function podKey({ metadata }: Pod): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

/** All GPU groups in the labels of a pod, of one device or several; without repetitions. */
export function groupsOfLabels(labels: Readonly<Record<string, string>> | null | undefined): string[] {
  // Asked of every pod at every change, and nearly none has any.
  let groups: Set<string> | undefined;
  for (const key in labels) {
    if (key !== GROUP_LABEL && !key.startsWith(MULTI_GROUP_PREFIX)) continue;
    groups ??= new Set();
    groups.add(labels[key]!);
  }
  return groups === undefined ? [] : [...groups];
}

/**
 * Labels that make a pod a user of exactly these groups, as a merge patch (spec 07 section 7.2 step 3); null removes what an
 * earlier attempt left. Throws StepError when the number of devices cannot be read.
 */
export function groupLabels(pod: Pod, groups: readonly string[]): Record<string, string | null> {
  const labels: Record<string, string | null> = {};
  for (const key in pod.metadata.labels) if (key === GROUP_LABEL || key.startsWith(MULTI_GROUP_PREFIX)) labels[key] = null;
  const isMulti = deviceCount(pod) > 1;
  for (const group of groups) labels[isMulti ? MULTI_GROUP_PREFIX + group : GROUP_LABEL] = group;
  return labels;
}

/** The labels of a pod that name one of the groups, as a merge patch that removes them; null when there are none. */
export function withoutGroups(pod: Pod, groups: readonly string[]): Record<string, null> | null {
  const labels: Record<string, null> = {};
  const present = pod.metadata.labels ?? {};
  for (const key in present)
    if ((key === GROUP_LABEL || key.startsWith(MULTI_GROUP_PREFIX)) && groups.includes(present[key]!)) labels[key] = null;
  return Object.keys(labels).length === 0 ? null : labels;
}

function deviceCount(pod: Pod): number {
  const text = pod.metadata.annotations?.[NUM_DEVICES];
  if (text === undefined || text === '') return 1;
  if (!/^[+-]?\d+$/.test(text))
    throw new StepError(`annotation ${NUM_DEVICES} of pod <${podKey(pod)}> is no integer: ${JSON.stringify(text)}`);
  return Number(text);
}

export interface SharedGpuTarget {
  readonly container: Container;
  /** Name of the capabilities config map; the other one adds `-evar`. */
  readonly configMap: string;
}

/** Container and config maps of a pod that shares GPUs (spec 07 section 5.3). Throws StepError. */
export function sharedGpuTarget(pod: Pod): SharedGpuTarget {
  const prefix = pod.metadata.annotations?.[CONFIG_MAP_PREFIX];
  if (!prefix) throw new StepError(`no desired configmap name found in pod ${podKey(pod)} annotations`);
  const init = pod.spec.initContainers ?? [];
  const regular = pod.spec.containers ?? [];
  const name = pod.metadata.annotations?.[CONTAINER_NAME];
  const initIndex = name === undefined ? -1 : init.findIndex((c) => c.name === name);
  if (initIndex >= 0) return { container: init[initIndex]!, configMap: `${prefix}-i${initIndex}` };
  const index = name === undefined ? 0 : regular.findIndex((c) => c.name === name);
  const container = regular[index];
  if (container === undefined) {
    throw new StepError(`failed to get fraction container ref: container with name ${name} not found for fraction request`);
  }
  return { container, configMap: `${prefix}-${index}` };
}
