// The JSON twins of the protobuf readers: same fields, same order, same absences. Input has been checked for types.
import type {
  LabelRequirement,
  LabelSelector,
  NodeSelectorTerm,
  PodAffinityTerm,
  Toleration,
  WeightedPodAffinityTerm,
} from '../base/constraints.ts';
import type { Metadata, Pod } from '../base/objects.ts';
import { IGNORED_ANNOTATION, type ObservedMetadata } from './observedObjects.ts';
import type { TopologySpread } from './protoAffinity.ts';

type Affinity = NonNullable<Pod['spec']['affinity']>;
type Texts = Readonly<Record<string, string>>;
type Maybe<T> = T | null | undefined;

/** undefined for '' and null as well. */
export function presentOrNull(text: Maybe<string>): string | undefined {
  return text === '' || text === null ? undefined : text;
}

export function nonEmptyMap<T>(map: Maybe<Readonly<Record<string, T>>>): Readonly<Record<string, T>> | undefined {
  for (const _ in map) return map ?? undefined;
  return undefined;
}

/** The items as `pick` gives them, without those it gives undefined for; undefined when none is left. */
export function pickList<T, R>(list: Maybe<readonly T[]>, pick: (item: T) => R | undefined): R[] | undefined {
  if (!list?.length) return undefined;
  const picked: R[] = [];
  for (const item of list) {
    const result = pick(item);
    if (result !== undefined) picked.push(result);
  }
  return picked.length === 0 ? undefined : picked;
}

export function pickMetadata(metadata: Metadata): ObservedMetadata {
  return {
    name: metadata.name,
    namespace: presentOrNull(metadata.namespace),
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    creationTimestamp: presentOrNull(metadata.creationTimestamp),
    deletionTimestamp: presentOrNull(metadata.deletionTimestamp),
    labels: nonEmptyMap(metadata.labels),
    annotations: pickAnnotations(metadata.annotations),
  };
}

function pickAnnotations(annotations: Maybe<Texts>): Texts | undefined {
  if (annotations?.[IGNORED_ANNOTATION] === undefined) return nonEmptyMap(annotations);
  const { [IGNORED_ANNOTATION]: _, ...kept } = annotations;
  return nonEmptyMap(kept);
}

function pickTexts(list: Maybe<readonly string[]>): readonly string[] | undefined {
  return list?.length ? list : undefined;
}

function pickSelector(selector: Maybe<LabelSelector>): LabelSelector | undefined {
  if (selector === null || selector === undefined) return undefined;
  return { matchLabels: nonEmptyMap(selector.matchLabels), matchExpressions: pickList(selector.matchExpressions, pickRequirement) };
}

function pickRequirement({ key, operator, values }: LabelRequirement): LabelRequirement {
  return { key, operator, values: pickTexts(values) };
}

export function pickAffinity(affinity: Maybe<Affinity>): Affinity | undefined {
  if (affinity === null || affinity === undefined) return undefined;
  const required = affinity.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const nodeAffinity = required
    ? { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: pickList(required.nodeSelectorTerms, pickNodeTerm) ?? [] } }
    : undefined;
  const podAffinity = pickPodAffinity(affinity.podAffinity);
  const podAntiAffinity = pickPodAffinity(affinity.podAntiAffinity);
  if (nodeAffinity === undefined && podAffinity === undefined && podAntiAffinity === undefined) return undefined;
  return { nodeAffinity, podAffinity, podAntiAffinity };
}

function pickNodeTerm(term: NodeSelectorTerm): NodeSelectorTerm {
  return { matchExpressions: pickList(term.matchExpressions, pickRequirement), matchFields: pickList(term.matchFields, pickRequirement) };
}

function pickPodAffinity(affinity: Affinity['podAffinity']): Affinity['podAffinity'] {
  const required = pickList(affinity?.requiredDuringSchedulingIgnoredDuringExecution, pickPodTerm);
  const preferred = pickList(affinity?.preferredDuringSchedulingIgnoredDuringExecution, pickWeightedTerm);
  if (required === undefined && preferred === undefined) return undefined;
  return { requiredDuringSchedulingIgnoredDuringExecution: required, preferredDuringSchedulingIgnoredDuringExecution: preferred };
}

function pickPodTerm(term: PodAffinityTerm): PodAffinityTerm {
  return {
    labelSelector: pickSelector(term.labelSelector),
    topologyKey: term.topologyKey,
    namespaces: pickTexts(term.namespaces),
    namespaceSelector: pickSelector(term.namespaceSelector),
  };
}

function pickWeightedTerm({ weight, podAffinityTerm }: WeightedPodAffinityTerm): WeightedPodAffinityTerm {
  return { weight, podAffinityTerm: pickPodTerm(podAffinityTerm) };
}

export function pickToleration({ key, operator, value, effect }: Toleration): Toleration {
  return { key: presentOrNull(key), operator: presentOrNull(operator), value: presentOrNull(value), effect: presentOrNull(effect) };
}

/** What the API server let through has the right types; nothing of it is computed with. */
export function pickTopologySpread(item: unknown): TopologySpread {
  const spread = item as { readonly [K in keyof TopologySpread]?: TopologySpread[K] | null };
  return {
    maxSkew: spread.maxSkew ?? 0,
    topologyKey: spread.topologyKey ?? '',
    whenUnsatisfiable: spread.whenUnsatisfiable ?? '',
    labelSelector: pickSelector(spread.labelSelector),
    minDomains: spread.minDomains ?? undefined,
    nodeAffinityPolicy: spread.nodeAffinityPolicy ?? undefined,
    nodeTaintsPolicy: spread.nodeTaintsPolicy ?? undefined,
    matchLabelKeys: pickTexts(spread.matchLabelKeys),
  };
}
