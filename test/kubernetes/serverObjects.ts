// Random pods and nodes in the form in which an API server sends them as JSON: what is empty is left out.
import fc from 'fast-check';

const word = fc.constantFrom(
  'a',
  'main',
  'gpu',
  'kubernetes.io/hostname',
  'zone-1',
  'Exists',
  'x'.repeat(60),
  'größe',
  'nvidia.com/gpu',
  'runai/queue',
);
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}[a-z0-9]$/);
const quantity = fc.constantFrom('1', '500m', '64Gi', '1500Mi', '0', '2e3', '100n');
const count = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const time = fc.integer({ min: 1, max: 4_000_000_000 }).map((s) => `${new Date(s * 1000).toISOString().slice(0, 19)}Z`);
const texts = fc.array(word, { minLength: 1, maxLength: 3 });
const map = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.dictionary(word, value, { minKeys: 1, maxKeys: 4, noNullPrototype: true });
const some = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { minLength: 1, maxLength: 3 });
const maybe = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }, ...required: (keyof T)[]): fc.Arbitrary<Partial<T>> =>
  fc.record(fields, { requiredKeys: required, noNullPrototype: true }) as fc.Arbitrary<Partial<T>>;

const owner = maybe({ apiVersion: word, kind: word, name, uid: name, controller: fc.boolean() }, 'apiVersion', 'kind', 'name', 'uid');
const managed = maybe({
  manager: word,
  operation: word,
  apiVersion: word,
  time,
  fieldsType: word,
  fieldsV1: fc.constant({ 'f:spec': {} }),
});
const uid = fc.uuid();
const resourceVersion = count.map((v) => String(v + 1));

const metadata = maybe(
  {
    name,
    namespace: name,
    uid,
    resourceVersion,
    generation: count,
    creationTimestamp: time,
    deletionTimestamp: time,
    labels: map(word),
    annotations: fc.oneof(map(word), fc.constant({ 'kubectl.kubernetes.io/last-applied-configuration': '{}' })),
    ownerReferences: some(owner),
    finalizers: texts,
    managedFields: some(managed),
  },
  'name',
  'namespace',
  'uid',
  'resourceVersion',
);

const requirement = maybe({ key: word, operator: word, values: texts }, 'key', 'operator');
const selector = maybe({ matchLabels: map(word), matchExpressions: some(requirement) });
const configMapRef = maybe({ name: word, optional: fc.boolean(), key: word });
const resources = maybe({ limits: map(quantity), requests: map(quantity) });
const port = maybe({ name: word, hostPort: count.map((v) => v + 1), containerPort: count, protocol: word, hostIP: word }, 'containerPort');
const variable = maybe(
  { name: word, value: word, valueFrom: maybe({ configMapKeyRef: configMapRef, secretKeyRef: configMapRef }) },
  'name',
);
const source = maybe({ prefix: word, configMapRef, secretRef: configMapRef });
const container = maybe(
  {
    name: word,
    image: word,
    command: texts,
    ports: some(port),
    env: some(variable),
    envFrom: some(source),
    resources,
    volumeMounts: some(maybe({ name: word, readOnly: fc.boolean(), mountPath: word }, 'name', 'mountPath')),
    restartPolicy: word,
    imagePullPolicy: word,
  },
  'name',
);
const projection = fc.oneof(
  maybe({ configMap: configMapRef }, 'configMap'),
  maybe({ serviceAccountToken: maybe({ path: word, expirationSeconds: count }) }, 'serviceAccountToken'),
);
const volume = fc.tuple(
  word,
  fc.oneof(
    fc.constant({ emptyDir: {} }),
    word.map((claimName) => ({ persistentVolumeClaim: { claimName, readOnly: true } })),
    configMapRef.map((configMap) => ({ configMap })),
    some(projection).map((sources) => ({ projected: { sources, defaultMode: 420 } })),
    fc.constant({ ephemeral: { volumeClaimTemplate: { metadata: { name: 'x' } } } }),
  ),
);
const nodeTerm = maybe({ matchExpressions: some(requirement), matchFields: some(requirement) });
const podTerm = maybe(
  { labelSelector: selector, namespaces: texts, topologyKey: word, namespaceSelector: selector, matchLabelKeys: texts },
  'topologyKey',
);
const weighted = fc.record({ weight: count, podAffinityTerm: podTerm }, { noNullPrototype: true });
const podAffinity = maybe({
  requiredDuringSchedulingIgnoredDuringExecution: some(podTerm),
  preferredDuringSchedulingIgnoredDuringExecution: some(weighted),
});
const affinity = maybe({
  nodeAffinity: maybe({
    requiredDuringSchedulingIgnoredDuringExecution: fc
      .array(nodeTerm, { maxLength: 2 })
      .map((nodeSelectorTerms) => ({ nodeSelectorTerms })),
    preferredDuringSchedulingIgnoredDuringExecution: some(fc.record({ weight: count, preference: nodeTerm }, { noNullPrototype: true })),
  }),
  podAffinity,
  podAntiAffinity: podAffinity,
});
const spread = maybe(
  {
    maxSkew: count,
    topologyKey: word,
    whenUnsatisfiable: word,
    labelSelector: selector,
    minDomains: count,
    nodeAffinityPolicy: word,
    nodeTaintsPolicy: word,
    matchLabelKeys: texts,
  },
  'maxSkew',
  'topologyKey',
  'whenUnsatisfiable',
);
const condition = maybe(
  { type: fc.constantFrom('PodScheduled', 'Ready', 'Initialized'), status: word, reason: word, message: word, lastTransitionTime: time },
  'type',
  'status',
);

export const serverPods = fc.record(
  {
    metadata,
    spec: maybe(
      {
        nodeName: name,
        schedulerName: word,
        containers: some(container),
        initContainers: some(container),
        ephemeralContainers: some(container),
        overhead: map(quantity),
        resources,
        nodeSelector: map(word),
        affinity,
        tolerations: some(maybe({ key: word, operator: word, value: word, effect: word, tolerationSeconds: count })),
        topologySpreadConstraints: some(spread),
        priorityClassName: word,
        priority: fc.integer(),
        restartPolicy: word,
        terminationGracePeriodSeconds: count,
        schedulingGates: some(fc.record({ name: word }, { noNullPrototype: true })),
        volumes: some(volume.map(([volumeName, rest]) => ({ name: volumeName, ...rest }))),
        resourceClaims: some(maybe({ name: word, resourceClaimName: word, resourceClaimTemplateName: word }, 'name')),
      },
      'containers',
    ),
    status: maybe({
      phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Unknown'),
      nominatedNodeName: name,
      qosClass: word,
      hostIP: word,
      startTime: time,
      conditions: some(condition),
      resourceClaimStatuses: some(maybe({ name: word, resourceClaimName: word }, 'name')),
      extendedResourceClaimStatus: maybe({ resourceClaimName: word }, 'resourceClaimName'),
    }),
  },
  { noNullPrototype: true },
);

export const serverNodes = fc.record(
  {
    metadata: metadata.map(({ namespace: _, ...rest }) => rest),
    spec: maybe({
      podCIDR: word,
      unschedulable: fc.constant(true),
      taints: some(maybe({ key: word, value: word, effect: word, timeAdded: time }, 'key', 'effect')),
    }),
    status: maybe({
      capacity: map(quantity),
      allocatable: map(quantity),
      conditions: some(maybe({ type: word, status: word, reason: word, lastHeartbeatTime: time }, 'type', 'status')),
      images: some(fc.record({ names: texts, sizeBytes: count }, { noNullPrototype: true })),
    }),
  },
  { noNullPrototype: true },
);
