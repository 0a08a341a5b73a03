import type { ListName } from '../../base/objects.ts';

/** Where objects of a kind go, and how they are named. */
export interface KindInfo {
  readonly kind: string;
  /** API group, '' for the core group. The version is not looked at. */
  readonly group: string;
  readonly list: ListName;
  readonly isNamespaced: boolean;
}

const ROWS: readonly (readonly [kind: string, group: string, list: ListName, scope: 'namespaced' | 'cluster'])[] = [
  ['Pod', '', 'pods', 'namespaced'],
  ['Node', '', 'nodes', 'cluster'],
  ['Queue', 'scheduling.run.ai', 'queues', 'cluster'],
  ['PodGroup', 'scheduling.run.ai', 'podGroups', 'namespaced'],
  ['BindRequest', 'scheduling.run.ai', 'bindRequests', 'namespaced'],
  ['PriorityClass', 'scheduling.k8s.io', 'priorityClasses', 'cluster'],
  ['ConfigMap', '', 'configMaps', 'namespaced'],
  ['PersistentVolumeClaim', '', 'persistentVolumeClaims', 'namespaced'],
  ['PersistentVolume', '', 'persistentVolumes', 'cluster'],
  ['CSIStorageCapacity', 'storage.k8s.io', 'csiStorageCapacities', 'namespaced'],
  ['StorageClass', 'storage.k8s.io', 'storageClasses', 'cluster'],
  ['CSIDriver', 'storage.k8s.io', 'csiDrivers', 'cluster'],
  ['ResourceClaim', 'resource.k8s.io', 'resourceClaims', 'namespaced'],
  ['ResourceSlice', 'resource.k8s.io', 'resourceSlices', 'cluster'],
  ['DeviceClass', 'resource.k8s.io', 'deviceClasses', 'cluster'],
  ['Topology', 'kai.scheduler', 'topologies', 'cluster'],
  ['NodeResourceTopology', 'topology.node.k8s.io', 'nodeResourceTopologies', 'cluster'],
  ['Namespace', '', 'namespaces', 'cluster'],
  ['PodDisruptionBudget', 'policy', 'podDisruptionBudgets', 'namespaced'],
];

const KINDS: readonly KindInfo[] = Object.freeze(
  ROWS.map(([kind, group, list, scope]) => Object.freeze({ kind, group, list, isNamespaced: scope === 'namespaced' })),
);

const BY_LIST = new Map(KINDS.map((info) => [info.list, info]));
const BY_GROUP_KIND = new Map(KINDS.map((info) => [`${info.group}/${info.kind}`, info]));

export function kindOfList(list: ListName): KindInfo {
  return BY_LIST.get(list)!;
}

/** The kind of an object by its `apiVersion` ("v1", "group/version") and `kind`; undefined when the scheduler does not read it. */
export function kindOfObject(apiVersion: string, kind: string): KindInfo | undefined {
  const slash = apiVersion.indexOf('/');
  return BY_GROUP_KIND.get(`${slash < 0 ? '' : apiVersion.slice(0, slash)}/${kind}`);
}
