import type { ListName } from '../../base/objects.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Holds the whole object once more, secrets included. */
const APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** What scheduling reads of a container (spec 01 section 6.2 rule 8). */
const CONTAINER_FIELDS = ['name', 'ports', 'resources', 'volumeMounts', 'restartPolicy'] as const;
const CONTAINER_LISTS = ['containers', 'initContainers', 'ephemeralContainers'] as const;

/**
 * The object without what may be secret and no decision depends on: of a config map only its name stays, of a container
 * neither image, command nor literal environment, nowhere the applied manifest or managed fields.
 */
export function redacted(list: ListName, object: unknown): unknown {
  const fields = object as Fields;
  const metadata = redactedMetadata(fields.metadata as Fields);
  if (list === 'configMaps') {
    const { name, namespace, uid, creationTimestamp } = metadata;
    return { metadata: { name, namespace, uid, creationTimestamp } };
  }
  if (list === 'pods') return { ...fields, metadata, spec: redactedPodSpec(fields.spec as Fields) };
  return metadata === fields.metadata ? object : { ...fields, metadata };
}

function redactedMetadata(metadata: Fields): Fields {
  const annotations = metadata.annotations as Fields | null | undefined;
  const hasApplied = annotations?.[APPLIED] !== undefined;
  if (!hasApplied && metadata.managedFields === undefined) return metadata;
  const { managedFields: _managedFields, ...kept } = metadata;
  if (!hasApplied) return kept;
  const { [APPLIED]: _applied, ...others } = annotations;
  return { ...kept, annotations: others };
}

function redactedPodSpec(spec: Fields): Fields {
  const result: Record<string, unknown> = { ...spec };
  for (const list of CONTAINER_LISTS) {
    const containers = spec[list];
    if (Array.isArray(containers)) result[list] = containers.map((container) => redactedContainer(container as Fields));
  }
  return result;
}

function redactedContainer(container: Fields): Fields {
  const result: Record<string, unknown> = {};
  for (const field of CONTAINER_FIELDS) if (container[field] !== undefined) result[field] = container[field];
  if (Array.isArray(container.envFrom)) result.envFrom = container.envFrom.map(configMapPart);
  if (Array.isArray(container.env)) {
    const references = (container.env as readonly Fields[]).filter((variable) => hasConfigMapKey(variable));
    if (references.length > 0) result.env = references;
  }
  return result;
}

function configMapPart(source: Fields): Fields {
  return source.configMapRef === undefined ? {} : { configMapRef: source.configMapRef };
}

function hasConfigMapKey(variable: Fields): boolean {
  const valueFrom = variable.valueFrom as Fields | null | undefined;
  return valueFrom?.configMapKeyRef !== undefined && valueFrom.configMapKeyRef !== null;
}
