import { SignatureFlag } from '../../base/codes.ts';
import type {
  HostPort,
  LabelRequirement,
  LabelSelector,
  NodeSelectorTerm,
  PodAffinityTerm,
  PodConstraints,
  Toleration,
  VolumeClaimRef,
  WeightedPodAffinityTerm,
} from '../../base/constraints.ts';
import type { Container, Pod } from '../../base/objects.ts';
import type { SignatureRecord } from '../tables/recordTable.ts';
import { canonicalJson } from './canonicalJson.ts';
import { requiredConfigMaps } from './configMaps.ts';
import { textOrNull } from './report.ts';

/** The signature of a pod that nothing constrains. */
export const EMPTY_SIGNATURE: SignatureRecord = Object.freeze({ specJson: '{}', flags: 0 });

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Constraint signature of a pod: what decides where it may run besides amounts (spec 03 sections 6.12, 7.2, 7.3). */
export function projectSignature(pod: Pod, namespace: string, annotations: Readonly<Record<string, string>>): SignatureRecord {
  const { spec } = pod;
  const out: Mutable<PodConstraints> = {};
  let flags = 0;
  if (!isEmptyMap(spec.nodeSelector)) {
    out.nodeSelector = spec.nodeSelector ?? undefined;
    flags |= SignatureFlag.nodeAffinity;
  }
  // Before the tolerations: nearly every pod has these two and nothing else, and sorted keys make the fastest text.
  const priorityClassName = textOrNull(spec.priorityClassName);
  if (priorityClassName !== null) out.priorityClassName = priorityClassName;
  if (spec.tolerations?.length) {
    out.tolerations = spec.tolerations.map(pickToleration);
    flags |= SignatureFlag.tolerations;
  }
  if (spec.affinity) flags |= addAffinity(spec.affinity, out);
  const hostPorts = readHostPorts(spec.containers, spec.initContainers);
  if (hostPorts.length > 0) {
    out.hostPorts = hostPorts;
    flags |= SignatureFlag.hostPorts;
  }
  const volumeClaims = readVolumeClaims(pod);
  if (volumeClaims.length > 0) {
    out.volumeClaims = volumeClaims;
    flags |= SignatureFlag.volumes;
  }
  const configMaps = requiredConfigMaps(spec, annotations['runai/shared-gpu-configmap']);
  if (configMaps.length > 0) {
    out.configMaps = configMaps;
    flags |= SignatureFlag.configMaps;
  }
  if (spec.topologySpreadConstraints?.length) out.topologySpread = spec.topologySpreadConstraints;
  if ((flags & NEEDS_NAMESPACE) !== 0) out.namespace = namespace;
  for (const _ in out) return { specJson: canonicalJson(out), flags };
  return EMPTY_SIGNATURE;
}

const NEEDS_NAMESPACE = SignatureFlag.podAffinity | SignatureFlag.preferredPodAffinity | SignatureFlag.volumes | SignatureFlag.configMaps;

function addAffinity(affinity: NonNullable<Pod['spec']['affinity']>, out: Mutable<PodConstraints>): number {
  let flags = 0;
  const required = affinity.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required) {
    out.nodeAffinityTerms = (required.nodeSelectorTerms ?? []).map(pickNodeTerm);
    flags |= SignatureFlag.nodeAffinity;
  }
  const towards = affinity.podAffinity;
  const away = affinity.podAntiAffinity;
  if (towards?.requiredDuringSchedulingIgnoredDuringExecution?.length) {
    out.podAffinity = towards.requiredDuringSchedulingIgnoredDuringExecution.map(pickPodTerm);
    flags |= SignatureFlag.podAffinity;
  }
  if (away?.requiredDuringSchedulingIgnoredDuringExecution?.length) {
    out.podAntiAffinity = away.requiredDuringSchedulingIgnoredDuringExecution.map(pickPodTerm);
    flags |= SignatureFlag.podAffinity;
  }
  if (towards?.preferredDuringSchedulingIgnoredDuringExecution?.length) {
    out.preferredPodAffinity = towards.preferredDuringSchedulingIgnoredDuringExecution.map(pickWeightedTerm);
    flags |= SignatureFlag.preferredPodAffinity;
  }
  if (away?.preferredDuringSchedulingIgnoredDuringExecution?.length) {
    out.preferredPodAntiAffinity = away.preferredDuringSchedulingIgnoredDuringExecution.map(pickWeightedTerm);
    flags |= SignatureFlag.preferredPodAffinity;
  }
  return flags;
}

/** Host ports of containers and sidecars, with the defaults that a conflict is judged by. */
function readHostPorts(containers: Pod['spec']['containers'], init: Pod['spec']['initContainers']): HostPort[] {
  const ports: HostPort[] = [];
  const addAll = (container: Container): void => {
    for (const port of container.ports ?? []) {
      if (port.hostPort === undefined || port.hostPort <= 0) continue;
      ports.push({ hostIP: port.hostIP || '0.0.0.0', protocol: port.protocol || 'TCP', hostPort: port.hostPort });
    }
  };
  for (const container of containers ?? []) addAll(container);
  for (const container of init ?? []) if (container.restartPolicy === 'Always') addAll(container);
  return ports;
}

function readVolumeClaims(pod: Pod): VolumeClaimRef[] {
  const claims: VolumeClaimRef[] = [];
  for (const volume of pod.spec.volumes ?? []) {
    const claimName = volume.persistentVolumeClaim?.claimName;
    if (claimName) claims.push({ claimName, isEphemeral: false });
    else if (volume.ephemeral) claims.push({ claimName: `${pod.metadata.name}-${volume.name}`, isEphemeral: true });
  }
  return claims;
}

// The functions below take over the known fields only, so that what no check reads does not split signatures.

function pickToleration(t: Toleration): Toleration {
  return { effect: t.effect || undefined, key: t.key || undefined, operator: t.operator || undefined, value: t.value || undefined };
}

function pickRequirement(r: LabelRequirement): LabelRequirement {
  return { key: r.key, operator: r.operator, values: r.values ?? undefined };
}

function pickSelector(selector: LabelSelector | null | undefined): LabelSelector | undefined {
  if (selector === null || selector === undefined) return undefined;
  return { matchLabels: selector.matchLabels ?? undefined, matchExpressions: selector.matchExpressions?.map(pickRequirement) };
}

function pickNodeTerm(term: NodeSelectorTerm): NodeSelectorTerm {
  return { matchExpressions: term.matchExpressions?.map(pickRequirement), matchFields: term.matchFields?.map(pickRequirement) };
}

function pickPodTerm(term: PodAffinityTerm): PodAffinityTerm {
  return {
    labelSelector: pickSelector(term.labelSelector),
    topologyKey: term.topologyKey,
    namespaces: term.namespaces ?? undefined,
    namespaceSelector: pickSelector(term.namespaceSelector),
  };
}

function pickWeightedTerm(term: WeightedPodAffinityTerm): WeightedPodAffinityTerm {
  return { weight: term.weight, podAffinityTerm: pickPodTerm(term.podAffinityTerm) };
}

function isEmptyMap(map: Readonly<Record<string, string>> | null | undefined): boolean {
  for (const _ in map) return false;
  return true;
}
