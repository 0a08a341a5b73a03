import type { ListName } from '../../base/objects.ts';

/**
 * Types of the fields that the scheduler reads, as data. Fields that are not named here are passed on unseen. A `null` is
 * an absent field everywhere.
 */
export type FieldType =
  | 'string'
  | 'int32'
  | 'number'
  | 'boolean'
  | 'quantity'
  | 'object'
  | { readonly mapOf: FieldType }
  | { readonly listOf: FieldType }
  | { readonly fields: Readonly<Record<string, FieldType>>; readonly required?: readonly string[] };

const listOf = (item: FieldType): FieldType => ({ listOf: item });
const mapOf = (value: FieldType): FieldType => ({ mapOf: value });
const record = (fields: Readonly<Record<string, FieldType>>, ...required: string[]): FieldType => ({ fields, required });

const STRINGS = listOf('string');
const STRING_MAP = mapOf('string');
const QUANTITIES = mapOf('quantity');

const METADATA = record({
  uid: 'string',
  creationTimestamp: 'string',
  deletionTimestamp: 'string',
  labels: STRING_MAP,
  annotations: STRING_MAP,
  ownerReferences: listOf(
    record({ apiVersion: 'string', kind: 'string', name: 'string', uid: 'string', controller: 'boolean' }, 'kind', 'name', 'uid'),
  ),
  resourceVersion: 'string',
});

const REQUIREMENTS = listOf(record({ key: 'string', operator: 'string', values: STRINGS }, 'key', 'operator'));
const SELECTOR = record({ matchLabels: STRING_MAP, matchExpressions: REQUIREMENTS });
const NODE_TERMS = listOf(record({ matchExpressions: REQUIREMENTS, matchFields: REQUIREMENTS }));
const POD_TERM = record(
  { labelSelector: SELECTOR, topologyKey: 'string', namespaces: STRINGS, namespaceSelector: SELECTOR },
  'topologyKey',
);
const POD_AFFINITY = record({
  requiredDuringSchedulingIgnoredDuringExecution: listOf(POD_TERM),
  preferredDuringSchedulingIgnoredDuringExecution: listOf(
    record({ weight: 'int32', podAffinityTerm: POD_TERM }, 'weight', 'podAffinityTerm'),
  ),
});
const CONFIG_MAP_REF = record({ name: 'string', optional: 'boolean' });
const RESOURCES = record({ requests: QUANTITIES, limits: QUANTITIES });

const CONTAINERS = listOf(
  record(
    {
      name: 'string',
      resources: RESOURCES,
      restartPolicy: 'string',
      ports: listOf(record({ containerPort: 'int32', hostPort: 'int32', hostIP: 'string', protocol: 'string' })),
      volumeMounts: listOf(record({ name: 'string' }, 'name')),
      env: listOf(record({ name: 'string', valueFrom: record({ configMapKeyRef: CONFIG_MAP_REF }) })),
      envFrom: listOf(record({ configMapRef: CONFIG_MAP_REF })),
    },
    'name',
  ),
);

const VOLUMES = listOf(
  record(
    {
      name: 'string',
      persistentVolumeClaim: record({ claimName: 'string' }, 'claimName'),
      ephemeral: 'object',
      configMap: CONFIG_MAP_REF,
      projected: record({ sources: listOf(record({ configMap: CONFIG_MAP_REF })) }),
    },
    'name',
  ),
);

const POD = record({
  metadata: METADATA,
  spec: record({
    nodeName: 'string',
    schedulerName: 'string',
    containers: CONTAINERS,
    initContainers: CONTAINERS,
    ephemeralContainers: CONTAINERS,
    overhead: QUANTITIES,
    resources: RESOURCES,
    nodeSelector: STRING_MAP,
    affinity: record({
      nodeAffinity: record({ requiredDuringSchedulingIgnoredDuringExecution: record({ nodeSelectorTerms: NODE_TERMS }) }),
      podAffinity: POD_AFFINITY,
      podAntiAffinity: POD_AFFINITY,
    }),
    tolerations: listOf(record({ key: 'string', operator: 'string', value: 'string', effect: 'string' })),
    topologySpreadConstraints: listOf('object'),
    priorityClassName: 'string',
    schedulingGates: listOf(record({ name: 'string' }, 'name')),
    volumes: VOLUMES,
    resourceClaims: listOf(record({ name: 'string', resourceClaimName: 'string', resourceClaimTemplateName: 'string' }, 'name')),
  }),
  status: record({
    phase: 'string',
    nominatedNodeName: 'string',
    conditions: listOf(record({ type: 'string', status: 'string' }, 'type', 'status')),
    qosClass: 'string',
    resourceClaimStatuses: listOf(record({ name: 'string', resourceClaimName: 'string' }, 'name')),
    extendedResourceClaimStatus: record({ resourceClaimName: 'string' }),
  }),
});

const NODE = record({
  metadata: METADATA,
  spec: record({
    unschedulable: 'boolean',
    taints: listOf(record({ key: 'string', value: 'string', effect: 'string' }, 'key', 'effect')),
  }),
  status: record({
    allocatable: QUANTITIES,
    capacity: QUANTITIES,
    conditions: listOf(record({ type: 'string', status: 'string' }, 'type', 'status')),
  }),
});

const QUEUE_RESOURCE = record({ quota: 'number', overQuotaWeight: 'number', limit: 'number' });
const QUEUE = record({
  metadata: METADATA,
  spec: record({
    displayName: 'string',
    parentQueue: 'string',
    priority: 'int32',
    resources: record({ cpu: QUEUE_RESOURCE, memory: QUEUE_RESOURCE, gpu: QUEUE_RESOURCE }),
    preemptMinRuntime: 'string',
    reclaimMinRuntime: 'string',
  }),
});

const TOPOLOGY_CONSTRAINT = record({ topology: 'string', requiredTopologyLevel: 'string', preferredTopologyLevel: 'string' });
const POD_GROUP = record({
  metadata: METADATA,
  spec: record({
    queue: 'string',
    minMember: 'int32',
    minSubGroup: 'int32',
    priorityClassName: 'string',
    preemptibility: 'string',
    markUnschedulable: 'boolean',
    schedulingBackoff: 'int32',
    preemptionDelay: 'string',
    stalenessGracePeriod: 'string',
    topologyConstraint: TOPOLOGY_CONSTRAINT,
    subGroups: listOf(
      record(
        { name: 'string', minMember: 'int32', minSubGroup: 'int32', parent: 'string', topologyConstraint: TOPOLOGY_CONSTRAINT },
        'name',
      ),
    ),
  }),
  status: record({
    schedulingConditions: listOf(
      record(
        {
          type: 'string',
          nodePool: 'string',
          status: 'string',
          reason: 'string',
          message: 'string',
          transitionID: 'string',
          lastTransitionTime: 'string',
          reasons: listOf(record({ reason: 'string', message: 'string' })),
        },
        'type',
      ),
    ),
  }),
});

const BIND_REQUEST = record({
  metadata: METADATA,
  spec: record({
    podName: 'string',
    selectedNode: 'string',
    receivedResourceType: 'string',
    receivedGPU: record({ count: 'int32', portion: 'string' }),
    selectedGPUGroups: STRINGS,
    resourceClaimAllocations: listOf(record({ name: 'string', allocation: 'object' }, 'name')),
    extendedResourceClaimAllocation: 'object',
    predictedNUMAZones: listOf('object'),
    backoffLimit: 'int32',
  }),
  status: record({ phase: 'string', failedAttempts: 'int32' }),
});

const PRIORITY_CLASS = record({ metadata: METADATA, value: 'int32', globalDefault: 'boolean' });
const POD_DISRUPTION_BUDGET = record({
  metadata: METADATA,
  spec: record({ selector: SELECTOR, unhealthyPodEvictionPolicy: 'string' }),
  status: record({
    observedGeneration: 'number',
    disruptionsAllowed: 'int32',
    currentHealthy: 'int32',
    desiredHealthy: 'int32',
    disruptedPods: 'object',
  }),
});
/** Kinds whose specification is read elsewhere: here only what they all have in common. */
const OTHER = record({ metadata: METADATA, spec: 'object', status: 'object' });

const BY_LIST: Readonly<Partial<Record<ListName, FieldType>>> = Object.freeze({
  pods: POD,
  nodes: NODE,
  queues: QUEUE,
  podGroups: POD_GROUP,
  bindRequests: BIND_REQUEST,
  priorityClasses: PRIORITY_CLASS,
  podDisruptionBudgets: POD_DISRUPTION_BUDGET,
});

export function fieldTypesOf(list: ListName): FieldType {
  return BY_LIST[list] ?? OTHER;
}
