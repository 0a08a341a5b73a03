import type { Toleration } from '../base/constraints.ts';
import type { Container, Pod, Volume } from '../base/objects.ts';
import { OBSERVED_CONDITION, type ObservedCondition, type ObservedPod, READY_CONDITION } from './observedObjects.ts';
import { readAffinity, readToleration, readTopologySpread, type TopologySpread } from './protoAffinity.ts';
import { readConfigMapRef, readContainer, readEphemeralContainer, readRequests } from './protoContainer.ts';
import { readMetadata } from './protoMeta.ts';
import { append, presentText, readEntry, readFirstText, readQuantityEntry, type Wire } from './wire.ts';

type ResourceClaim = NonNullable<Pod['spec']['resourceClaims']>[number];
type ClaimStatus = NonNullable<NonNullable<Pod['status']>['resourceClaimStatuses']>[number];
type Sources = NonNullable<NonNullable<Volume['projected']>['sources']>[number];

/** core/v1 Pod from `wire.pos` to `end`; what the scheduler does not read is skipped. */
export function readPod(wire: Wire, end: number): ObservedPod {
  let metadata: ObservedPod['metadata'] | undefined;
  let spec: Pod['spec'] = {};
  let status: ObservedPod['status'] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) metadata = readMetadata(wire);
    else if (tag === 18) spec = readSpec(wire);
    else if (tag === 26) status = readStatus(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  if (metadata === undefined) throw new RangeError('a pod without metadata');
  return { metadata, spec, status: status ?? { conditions: undefined } };
}

function readSpec(wire: Wire): Pod['spec'] {
  const end = wire.enter();
  let nodeName = '';
  let schedulerName = '';
  let containers: Container[] | undefined;
  let initContainers: Container[] | undefined;
  let ephemeralContainers: Container[] | undefined;
  let overhead: Record<string, string> | undefined;
  let requests: Record<string, string> | undefined;
  let nodeSelector: Record<string, string> | undefined;
  let affinity: Pod['spec']['affinity'];
  let tolerations: Toleration[] | undefined;
  let spread: TopologySpread[] | undefined;
  let priorityClassName = '';
  let gates: { readonly name: string }[] | undefined;
  let volumes: Volume[] | undefined;
  let claims: ResourceClaim[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    switch (tag) {
      case 10: {
        // 1 volumes
        const volume = readVolume(wire);
        if (volume !== undefined) volumes = append(volumes, volume);
        break;
      }
      case 18: // 2 containers
        containers = append(containers, readContainer(wire));
        break;
      case 58: // 7 nodeSelector
        nodeSelector = readEntry(wire, nodeSelector);
        break;
      case 82: // 10 nodeName
        nodeName = wire.text();
        break;
      case 146: // 18 affinity
        affinity = readAffinity(wire);
        break;
      case 154: // 19 schedulerName
        schedulerName = wire.text();
        break;
      case 162: // 20 initContainers
        initContainers = append(initContainers, readContainer(wire));
        break;
      case 178: // 22 tolerations
        tolerations = append(tolerations, readToleration(wire));
        break;
      case 194: // 24 priorityClassName
        priorityClassName = wire.text();
        break;
      case 258: // 32 overhead
        overhead = readQuantityEntry(wire, overhead);
        break;
      case 266: // 33 topologySpreadConstraints
        spread = append(spread, readTopologySpread(wire));
        break;
      case 274: // 34 ephemeralContainers
        ephemeralContainers = append(ephemeralContainers, readEphemeralContainer(wire));
        break;
      case 306: // 38 schedulingGates
        gates = append(gates, { name: readFirstText(wire) });
        break;
      case 314: // 39 resourceClaims
        claims = append(claims, readClaim(wire));
        break;
      case 322: // 40 resources
        requests = readRequests(wire);
        break;
      default:
        wire.skipType(tag & 7);
    }
  }
  wire.leave(end);
  return {
    nodeName: presentText(nodeName),
    schedulerName: presentText(schedulerName),
    containers,
    initContainers,
    ephemeralContainers,
    overhead,
    resources: requests === undefined ? undefined : { requests },
    nodeSelector,
    affinity,
    tolerations,
    topologySpreadConstraints: spread,
    priorityClassName: presentText(priorityClassName),
    schedulingGates: gates,
    volumes,
    resourceClaims: claims,
  };
}

/** undefined for a volume that depends on no other object. */
function readVolume(wire: Wire): Volume | undefined {
  const end = wire.enter();
  let name = '';
  let source: Omit<Volume, 'name'> | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) name = wire.text();
    else if (tag === 18) source = readVolumeSource(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return source && { name, ...source };
}

function readVolumeSource(wire: Wire): Omit<Volume, 'name'> | undefined {
  const end = wire.enter();
  let source: Omit<Volume, 'name'> | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    switch (tag) {
      case 82: // 10 persistentVolumeClaim
        source = { persistentVolumeClaim: { claimName: readFirstText(wire) } };
        break;
      case 154: // 19 configMap
        source = { configMap: readConfigMapRef(wire, 32) };
        break;
      case 210: {
        // 26 projected
        const sources = readProjected(wire);
        if (sources !== undefined) source = { projected: { sources } };
        break;
      }
      case 234: // 29 ephemeral: that it is one is enough
        source = { ephemeral: {} };
        wire.skipType(2);
        break;
      default:
        wire.skipType(tag & 7);
    }
  }
  wire.leave(end);
  return source;
}

function readProjected(wire: Wire): Sources[] | undefined {
  const end = wire.enter();
  let sources: Sources[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag !== 10) {
      wire.skipType(tag & 7);
      continue;
    }
    const source = readProjection(wire);
    if (source !== undefined) sources = append(sources, source);
  }
  wire.leave(end);
  return sources;
}

function readProjection(wire: Wire): Sources | undefined {
  const end = wire.enter();
  let source: Sources | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 26) source = { configMap: readConfigMapRef(wire, 32) };
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return source;
}

function readClaim(wire: Wire): ResourceClaim {
  const end = wire.enter();
  let name = '';
  let claim = '';
  let template = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) name = wire.text();
    else if (tag === 26) claim = wire.text();
    else if (tag === 34) template = wire.text();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { name, resourceClaimName: presentText(claim), resourceClaimTemplateName: presentText(template) };
}

function readStatus(wire: Wire): ObservedPod['status'] {
  const end = wire.enter();
  let phase = '';
  let nominatedNodeName = '';
  let qosClass = '';
  let claims: ClaimStatus[] | undefined;
  let extendedClaim: string | undefined;
  let conditions: ObservedCondition[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    switch (tag) {
      case 10: // 1 phase
        phase = wire.text();
        break;
      case 18: {
        // 2 conditions
        const condition = readCondition(wire);
        if (condition !== undefined) conditions = append(conditions, condition);
        break;
      }
      case 74: // 9 qosClass
        qosClass = wire.text();
        break;
      case 90: // 11 nominatedNodeName
        nominatedNodeName = wire.text();
        break;
      case 122: // 15 resourceClaimStatuses
        claims = append(claims, readClaimStatus(wire));
        break;
      case 146: // 18 extendedResourceClaimStatus
        extendedClaim = readExtendedClaim(wire);
        break;
      default:
        wire.skipType(tag & 7);
    }
  }
  wire.leave(end);
  return {
    phase: presentText(phase),
    nominatedNodeName: presentText(nominatedNodeName),
    qosClass: presentText(qosClass),
    resourceClaimStatuses: claims,
    extendedResourceClaimStatus: extendedClaim === undefined ? undefined : { resourceClaimName: presentText(extendedClaim) },
    conditions,
  };
}

/** The type comes first, so that nothing is read of conditions that nobody looks at. */
function readCondition(wire: Wire): ObservedCondition | undefined {
  const end = wire.enter();
  let type = '';
  let status = '';
  let reason = '';
  let message = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) {
      type = wire.text();
      if (type === OBSERVED_CONDITION || type === READY_CONDITION) continue;
      wire.pos = end;
      return undefined;
    }
    if (tag === 18) status = wire.text();
    else if (tag === 42 && type === OBSERVED_CONDITION) reason = wire.text();
    else if (tag === 50 && type === OBSERVED_CONDITION) message = wire.string();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return type === '' ? undefined : { type, status, reason: presentText(reason), message: presentText(message) };
}

function readClaimStatus(wire: Wire): ClaimStatus {
  const end = wire.enter();
  let name = '';
  let claim = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) name = wire.text();
    else if (tag === 18) claim = wire.text();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { name, resourceClaimName: presentText(claim) };
}

function readExtendedClaim(wire: Wire): string {
  const end = wire.enter();
  let claim = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 18) claim = wire.text();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return claim;
}
