// Pods and nodes that came as JSON, in the form of `observedObjects.ts`.
import type { Container, Node, Pod, Volume } from '../base/objects.ts';
import { nonEmptyMap, pickAffinity, pickList, pickMetadata, pickToleration, pickTopologySpread, presentOrNull } from './jsonParts.ts';
import { OBSERVED_CONDITION, type ObservedCondition, type ObservedNode, type ObservedPod, READY_CONDITION } from './observedObjects.ts';

type ConfigMapRef = { readonly name?: string; readonly optional?: boolean } | null | undefined;
type Condition = NonNullable<NonNullable<Pod['status']>['conditions']>[number];
type PickedRef = { readonly name: string | undefined; readonly optional: boolean | undefined };

/** `pod`: of checked types. */
export function pickPod(pod: Pod): ObservedPod {
  const { spec, status } = pod;
  return {
    metadata: pickMetadata(pod.metadata),
    spec: pickSpec(spec ?? {}),
    status: {
      phase: presentOrNull(status?.phase),
      nominatedNodeName: presentOrNull(status?.nominatedNodeName),
      qosClass: presentOrNull(status?.qosClass),
      resourceClaimStatuses: pickList(status?.resourceClaimStatuses, ({ name, resourceClaimName }) => ({
        name,
        resourceClaimName: presentOrNull(resourceClaimName),
      })),
      extendedResourceClaimStatus: status?.extendedResourceClaimStatus
        ? { resourceClaimName: presentOrNull(status.extendedResourceClaimStatus.resourceClaimName) }
        : undefined,
      conditions: pickList(status?.conditions, pickCondition),
    },
  };
}

/** `node`: of checked types. */
export function pickNode({ metadata, spec, status }: Node): ObservedNode {
  return {
    metadata: pickMetadata(metadata),
    spec: {
      unschedulable: spec?.unschedulable || undefined,
      taints: pickList(spec?.taints, ({ key, value, effect }) => ({ key, value: presentOrNull(value), effect })),
    },
    status: {
      allocatable: nonEmptyMap(status?.allocatable),
      capacity: nonEmptyMap(status?.capacity),
      conditions: pickList(status?.conditions, ({ type, status: value }) => ({ type, status: value })),
    },
  };
}

function pickSpec(spec: Pod['spec']): Pod['spec'] {
  const podRequests = nonEmptyMap(spec.resources?.requests);
  return {
    nodeName: presentOrNull(spec.nodeName),
    schedulerName: presentOrNull(spec.schedulerName),
    containers: pickList(spec.containers, pickContainer),
    initContainers: pickList(spec.initContainers, pickContainer),
    ephemeralContainers: pickList(spec.ephemeralContainers, pickContainer),
    overhead: nonEmptyMap(spec.overhead),
    resources: podRequests && { requests: podRequests },
    nodeSelector: nonEmptyMap(spec.nodeSelector),
    affinity: pickAffinity(spec.affinity),
    tolerations: pickList(spec.tolerations, pickToleration),
    topologySpreadConstraints: pickList(spec.topologySpreadConstraints, pickTopologySpread),
    priorityClassName: presentOrNull(spec.priorityClassName),
    schedulingGates: pickList(spec.schedulingGates, ({ name }) => ({ name })),
    volumes: pickList(spec.volumes, pickVolume),
    resourceClaims: pickList(spec.resourceClaims, ({ name, resourceClaimName, resourceClaimTemplateName }) => ({
      name,
      resourceClaimName: presentOrNull(resourceClaimName),
      resourceClaimTemplateName: presentOrNull(resourceClaimTemplateName),
    })),
  };
}

function pickContainer(container: Container): Container {
  const requests = nonEmptyMap(container.resources?.requests);
  return {
    name: container.name,
    resources: requests && { requests },
    restartPolicy: presentOrNull(container.restartPolicy),
    ports: pickList(container.ports, ({ hostPort, protocol, hostIP }) =>
      hostPort !== undefined && hostPort > 0 ? { hostPort, protocol: presentOrNull(protocol), hostIP: presentOrNull(hostIP) } : undefined,
    ),
    volumeMounts: pickList(container.volumeMounts, ({ name }) => ({ name })),
    env: pickList(container.env, ({ valueFrom }) => {
      const ref = pickRef(valueFrom?.configMapKeyRef);
      return ref && { valueFrom: { configMapKeyRef: ref } };
    }),
    envFrom: pickList(container.envFrom, ({ configMapRef }) => {
      const ref = pickRef(configMapRef);
      return ref && { configMapRef: ref };
    }),
  };
}

function pickVolume({ name, persistentVolumeClaim, ephemeral, configMap, projected }: Volume): Volume | undefined {
  if (persistentVolumeClaim) return { name, persistentVolumeClaim: { claimName: persistentVolumeClaim.claimName } };
  if (ephemeral) return { name, ephemeral: {} };
  const ref = pickRef(configMap);
  if (ref !== undefined) return { name, configMap: ref };
  const sources = pickList(projected?.sources, (source) => {
    const sourceRef = pickRef(source.configMap);
    return sourceRef && { configMap: sourceRef };
  });
  return sources && { name, projected: { sources } };
}

function pickRef(ref: ConfigMapRef): PickedRef | undefined {
  return ref ? { name: presentOrNull(ref.name), optional: ref.optional } : undefined;
}

function pickCondition({ type, status, reason, message }: Condition): ObservedCondition | undefined {
  if (type === OBSERVED_CONDITION) return { type, status, reason: presentOrNull(reason), message: presentOrNull(message) };
  return type === READY_CONDITION ? { type, status, reason: undefined, message: undefined } : undefined;
}
