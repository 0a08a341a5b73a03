// The pod that holds a shared GPU against the device plugin (spec 07 section 7.3).
import { createHash } from 'node:crypto';
import type { Toleration } from '../base/constraints.ts';
import type { Metadata, ResourceList } from '../base/objects.ts';
import { GROUP_LABEL } from './livePod.ts';

/** Written by the agent in the reservation pod: the GPU's UUID. */
export const DEVICE_ANNOTATION = 'run.ai/reserve_for_gpu_index';
const GPU_RESOURCE = 'nvidia.com/gpu';

export interface ReservationSettings {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly appLabel: string;
  readonly image: string;
  /** Arguments of the image's entry point; none for upstream's image. */
  readonly args: readonly string[];
  readonly runtimeClassName: string;
  /** How long the agent may take to name the device. */
  readonly allocationTimeoutMs: number;
  readonly resources: { readonly requests?: ResourceList; readonly limits?: ResourceList };
  readonly podSecurityContext: unknown;
  readonly containerSecurityContext: unknown;
  readonly scaleAdjustNamespace: string;
  /** Nodes have no agent: a sleeping pod is made, something else names the device. */
  readonly isFakeGpu: boolean;
}

/** Defaults of upstream's flags (spec 07 section 6.1). */
export const DEFAULT_RESERVATION: ReservationSettings = Object.freeze({
  namespace: 'kai-resource-reservation',
  serviceAccount: 'kai-resource-reservation',
  appLabel: 'kai-resource-reservation',
  image: 'registry/local/kai-scheduler/resource-reservation',
  args: [],
  runtimeClassName: '',
  allocationTimeoutMs: 40_000,
  resources: {},
  podSecurityContext: undefined,
  containerSecurityContext: undefined,
  scaleAdjustNamespace: 'kai-scale-adjust',
  isFakeGpu: false,
});

/** A reservation pod as read. */
export interface ReservationPod {
  readonly metadata: Metadata;
  readonly spec?: { readonly nodeName?: string };
  readonly status?: { readonly phase?: string };
}

/** '' = not known yet. */
export function deviceOf({ metadata }: ReservationPod): string {
  return metadata.annotations?.[DEVICE_ANNOTATION] ?? '';
}

/** The same for the same node and group, so that the API server lets only one be made. */
export function reservationName(node: string, group: string): string {
  return `gpu-reservation-${createHash('sha256').update(`${node}/${group}`).digest('hex').slice(0, 16)}`;
}

/** `tolerations`: those of the pod for which it is made. */
export function reservationManifest(
  node: string,
  group: string,
  tolerations: readonly Toleration[] | null | undefined,
  settings: ReservationSettings,
): object {
  const { namespace, serviceAccount, appLabel, image, args, runtimeClassName, resources, isFakeGpu } = settings;
  const program = isFakeGpu ? { image: 'ubuntu', args: ['sleep', 'infinity'] } : { image, args: args.length === 0 ? undefined : args };
  const fieldRef = (fieldPath: string): object => ({ fieldRef: { fieldPath } });
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: reservationName(node, group),
      namespace,
      labels: { app: appLabel, [GROUP_LABEL]: group },
      annotations: { 'karpenter.sh/do-not-disrupt': 'true' },
    },
    spec: {
      nodeName: node,
      runtimeClassName: runtimeClassName === '' ? undefined : runtimeClassName,
      tolerations: tolerations ?? undefined,
      securityContext: settings.podSecurityContext,
      serviceAccountName: serviceAccount,
      containers: [
        {
          name: 'resource-reservation',
          ...program,
          imagePullPolicy: 'IfNotPresent',
          securityContext: settings.containerSecurityContext,
          resources: { requests: { ...resources.requests, [GPU_RESOURCE]: '1' }, limits: { ...resources.limits, [GPU_RESOURCE]: '1' } },
          env: [
            { name: 'POD_NAME', valueFrom: fieldRef('metadata.name') },
            { name: 'POD_NAMESPACE', valueFrom: fieldRef('metadata.namespace') },
          ],
        },
      ],
    },
  };
}
