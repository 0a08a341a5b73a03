// Which resource of the API stands behind each list of objects, and how it is read.
import type { ListName } from '../base/objects.ts';
import { kindOfList } from '../snapshot/import/kinds.ts';

/** protobuf: by a projecting reader, with JSON as its twin; json: whole objects; metadata: only their metadata is sent. */
export type ListEncoding = 'protobuf' | 'json' | 'metadata';

export interface ResourceSpec {
  readonly list: ListName;
  readonly kind: string;
  /** '' for the core group. */
  readonly group: string;
  readonly plural: string;
  /** Versions that can be read, the preferred one first. */
  readonly versions: readonly string[];
  readonly isNamespaced: boolean;
  /** The scheduler cannot do without; others are read where they are served. */
  readonly isRequired: boolean;
  readonly encoding: ListEncoding;
  readonly fieldSelector: string | undefined;
}

interface Row {
  readonly plural: string;
  readonly versions: readonly string[];
  readonly encoding?: ListEncoding;
  readonly isOptional?: true;
  readonly fieldSelector?: string;
}

const V1 = ['v1'];
const DRA = { versions: ['v1', 'v1beta2', 'v1beta1'], isOptional: true } as const;

const ROWS: Readonly<Record<ListName, Row>> = {
  // Failed pods do not exist for the scheduler (spec 03 section 2.1).
  pods: { plural: 'pods', versions: V1, encoding: 'protobuf', fieldSelector: 'status.phase!=Failed' },
  nodes: { plural: 'nodes', versions: V1, encoding: 'protobuf' },
  queues: { plural: 'queues', versions: ['v2'] },
  podGroups: { plural: 'podgroups', versions: ['v2alpha2'] },
  bindRequests: { plural: 'bindrequests', versions: ['v1alpha2'] },
  priorityClasses: { plural: 'priorityclasses', versions: V1 },
  configMaps: { plural: 'configmaps', versions: V1, encoding: 'metadata' },
  persistentVolumeClaims: { plural: 'persistentvolumeclaims', versions: V1 },
  persistentVolumes: { plural: 'persistentvolumes', versions: V1 },
  csiStorageCapacities: { plural: 'csistoragecapacities', versions: V1, isOptional: true },
  storageClasses: { plural: 'storageclasses', versions: V1 },
  csiDrivers: { plural: 'csidrivers', versions: V1, isOptional: true },
  resourceClaims: { plural: 'resourceclaims', ...DRA },
  resourceSlices: { plural: 'resourceslices', ...DRA },
  deviceClasses: { plural: 'deviceclasses', ...DRA },
  topologies: { plural: 'topologies', versions: ['v1alpha1'] },
  // Other versions are not read (spec 03 section 11A.9, deviation).
  nodeResourceTopologies: { plural: 'noderesourcetopologies', versions: ['v1alpha2'], isOptional: true },
  namespaces: { plural: 'namespaces', versions: V1, encoding: 'metadata' },
  podDisruptionBudgets: { plural: 'poddisruptionbudgets', versions: V1, isOptional: true },
};

export function resourceOf(list: ListName): ResourceSpec {
  const row = ROWS[list];
  const { kind, group, isNamespaced } = kindOfList(list);
  return {
    list,
    kind,
    group,
    plural: row.plural,
    versions: row.versions,
    isNamespaced,
    isRequired: row.isOptional !== true,
    encoding: row.encoding ?? 'json',
    fieldSelector: row.fieldSelector,
  };
}

/** "/api/v1", "/apis/scheduling.run.ai/v2". */
export function groupVersionPath(group: string, version: string): string {
  return group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
}

/** "queues.scheduling.run.ai", "pods": as people and RBAC rules name a resource. */
export function resourceName(plural: string, group: string): string {
  return group === '' ? plural : `${plural}.${group}`;
}
