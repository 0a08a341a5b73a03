// Checks of a pod's claims before any node is looked at (spec 03 section 11.4).
import { countConsumers } from './claims.ts';
import type { DeviceClass } from './deviceClasses.ts';
import { asText } from './json.ts';
import type { ClaimRef, PodClaims } from './pods.ts';

const MAX_CONSUMERS = 256;
/** Messages name the default key, whatever the key in force. */
const DEFAULT_QUEUE_LABEL = 'kai.scheduler/queue';

/** The first error, null = none. `podName`: "namespace/name". */
export function precheckPod(
  pod: PodClaims,
  podName: string,
  queueName: string,
  isOn: boolean,
  queueLabelKey: string,
  classes: ReadonlyMap<string, DeviceClass>,
): string | null {
  if (!isOn) {
    const names = pod.refs.map(({ name }) => name).join(', ');
    return (
      `pod ${podName} cannot be scheduled, it references resource claims <${names}> ` +
      'while dynamic resource allocation is not available in the cluster'
    );
  }
  for (const ref of pod.refs) {
    const problem = precheckClaim(pod, ref, podName, queueName, queueLabelKey, classes);
    if (problem !== null) return problem;
  }
  return null;
}

function precheckClaim(
  pod: PodClaims,
  { name, claimName, isTemplate, claim }: ClaimRef,
  podName: string,
  queueName: string,
  queueLabelKey: string,
  classes: ReadonlyMap<string, DeviceClass>,
): string | null {
  if (claimName === '') return `no resource claim name found for pod ${podName} and claim reference ${name}`;
  const key = `${pod.namespace}/${claimName}`;
  if (claim === null) return `failed to get resource claim ${key}: resourceclaim "${claimName}" not found`;
  if (countConsumers(claim) >= MAX_CONSUMERS) return `resource claim ${key} has reached its maximum number of consumers (${MAX_CONSUMERS})`;
  if (!isTemplate && claim.shape.gpuClass !== '') {
    const label = asText(claim.labels[queueLabelKey]);
    const start = `pod ${podName} cannot be scheduled: DRA claim ${claimName} is a shared GPU claim`;
    if (label === '') return `${start} but does not have a queue label (${DEFAULT_QUEUE_LABEL})`;
    if (label !== queueName) return `${start} with wrong queue label (expected queue: ${queueName}, claim queue label: ${label})`;
  }
  if (claim.allocation !== null) return null;
  for (const { request, className } of claim.shape.exact) {
    if (!classes.has(className)) return `device class ${className} does not exist for claim ${key} request ${request}`;
  }
  return null;
}
