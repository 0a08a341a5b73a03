import type {
  LabelRequirement,
  LabelSelector,
  NodeSelectorTerm,
  PodAffinityTerm,
  Toleration,
  WeightedPodAffinityTerm,
} from '../base/constraints.ts';
import type { Pod } from '../base/objects.ts';
import { readRequirement, readSelector } from './protoMeta.ts';
import { append, appendText, presentText, type Wire } from './wire.ts';

type Affinity = NonNullable<Pod['spec']['affinity']>;

/** core/v1 Affinity; undefined when no part of it matters. */
export function readAffinity(wire: Wire): Affinity | undefined {
  const end = wire.enter();
  let nodeAffinity: Affinity['nodeAffinity'];
  let podAffinity: Affinity['podAffinity'];
  let podAntiAffinity: Affinity['podAntiAffinity'];
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) nodeAffinity = readNodeAffinity(wire);
    else if (tag === 18) podAffinity = readPodAffinity(wire);
    else if (tag === 26) podAntiAffinity = readPodAffinity(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  if (nodeAffinity === undefined && podAffinity === undefined && podAntiAffinity === undefined) return undefined;
  return { nodeAffinity, podAffinity, podAntiAffinity };
}

/** Only the required part; an empty list of terms matches no node and is kept. */
function readNodeAffinity(wire: Wire): Affinity['nodeAffinity'] {
  const end = wire.enter();
  let terms: NodeSelectorTerm[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) terms = readNodeSelector(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return terms && { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } };
}

function readNodeSelector(wire: Wire): NodeSelectorTerm[] {
  const end = wire.enter();
  const terms: NodeSelectorTerm[] = [];
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) terms.push(readNodeTerm(wire));
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return terms;
}

function readNodeTerm(wire: Wire): NodeSelectorTerm {
  const end = wire.enter();
  let matchExpressions: LabelRequirement[] | undefined;
  let matchFields: LabelRequirement[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) matchExpressions = append(matchExpressions, readRequirement(wire));
    else if (tag === 18) matchFields = append(matchFields, readRequirement(wire));
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { matchExpressions, matchFields };
}

function readPodAffinity(wire: Wire): Affinity['podAffinity'] {
  const end = wire.enter();
  let required: PodAffinityTerm[] | undefined;
  let preferred: WeightedPodAffinityTerm[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) required = append(required, readPodTerm(wire));
    else if (tag === 18) preferred = append(preferred, readWeightedTerm(wire));
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  if (required === undefined && preferred === undefined) return undefined;
  return { requiredDuringSchedulingIgnoredDuringExecution: required, preferredDuringSchedulingIgnoredDuringExecution: preferred };
}

function readWeightedTerm(wire: Wire): WeightedPodAffinityTerm {
  const end = wire.enter();
  let weight = 0;
  let podAffinityTerm: PodAffinityTerm | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 8) weight = wire.int32();
    else if (tag === 18) podAffinityTerm = readPodTerm(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  if (podAffinityTerm === undefined) throw new RangeError('a weighted affinity without term');
  return { weight, podAffinityTerm };
}

function readPodTerm(wire: Wire): PodAffinityTerm {
  const end = wire.enter();
  let labelSelector: LabelSelector | undefined;
  let namespaces: string[] | undefined;
  let topologyKey = '';
  let namespaceSelector: LabelSelector | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) labelSelector = readSelector(wire);
    else if (tag === 18) namespaces = appendText(wire, namespaces);
    else if (tag === 26) topologyKey = wire.text();
    else if (tag === 34) namespaceSelector = readSelector(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { labelSelector, topologyKey, namespaces, namespaceSelector };
}

export function readToleration(wire: Wire): Toleration {
  const end = wire.enter();
  let key = '';
  let operator = '';
  let value = '';
  let effect = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) key = wire.text();
    else if (tag === 18) operator = wire.text();
    else if (tag === 26) value = wire.text();
    else if (tag === 34) effect = wire.text();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { key: presentText(key), operator: presentText(operator), value: presentText(value), effect: presentText(effect) };
}

/** Kept whole: it is part of the constraint signature (spec 03 section 6.12). */
export interface TopologySpread {
  readonly maxSkew: number;
  readonly topologyKey: string;
  readonly whenUnsatisfiable: string;
  readonly labelSelector: LabelSelector | undefined;
  readonly minDomains: number | undefined;
  readonly nodeAffinityPolicy: string | undefined;
  readonly nodeTaintsPolicy: string | undefined;
  readonly matchLabelKeys: readonly string[] | undefined;
}

export function readTopologySpread(wire: Wire): TopologySpread {
  const end = wire.enter();
  let maxSkew = 0;
  let topologyKey = '';
  let whenUnsatisfiable = '';
  let labelSelector: LabelSelector | undefined;
  let minDomains: number | undefined;
  let nodeAffinityPolicy: string | undefined;
  let nodeTaintsPolicy: string | undefined;
  let matchLabelKeys: string[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 8) maxSkew = wire.int32();
    else if (tag === 18) topologyKey = wire.text();
    else if (tag === 26) whenUnsatisfiable = wire.text();
    else if (tag === 34) labelSelector = readSelector(wire);
    else if (tag === 40) minDomains = wire.int32();
    else if (tag === 50) nodeAffinityPolicy = wire.text();
    else if (tag === 58) nodeTaintsPolicy = wire.text();
    else if (tag === 66) matchLabelKeys = appendText(wire, matchLabelKeys);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { maxSkew, topologyKey, whenUnsatisfiable, labelSelector, minDomains, nodeAffinityPolicy, nodeTaintsPolicy, matchLabelKeys };
}
