import type { LabelSelector, PodAffinityTerm } from '../../src/base/constraints.ts';
import { PredicateCode } from '../../src/engine/placement/reasons.ts';
import type { FakeNode, FakePod, Labels } from './fakeView.ts';

/** Inter-pod affinity as upstream's documentation tells it, recomputed from the placed pods at every question. */
export class AffinityTwin {
  private readonly nodes: readonly FakeNode[];
  private readonly namespaces: Readonly<Record<string, Labels>>;
  readonly placed: { readonly pod: FakePod; readonly node: number }[] = [];

  constructor(nodes: readonly FakeNode[], namespaces: Readonly<Record<string, Labels>>) {
    this.nodes = nodes;
    this.namespaces = namespaces;
  }

  check(pod: FakePod, node: number): number {
    const labels = this.nodes[node]!.labels ?? {};
    const affinity = pod.spec?.podAffinity ?? [];
    const matchesAll = (other: FakePod): boolean => affinity.every((term) => this.matches(term, pod, other));
    if (affinity.length > 0) {
      const pairs = this.pairs((other) => (matchesAll(other) ? affinity.map((term) => term.topologyKey) : []));
      if (affinity.some((term) => !(term.topologyKey in labels))) return PredicateCode.podAffinity;
      const isMet = affinity.every((term) => pairs.has(pairOf(term.topologyKey, labels)));
      if (!isMet && !(pairs.size === 0 && matchesAll(pod))) return PredicateCode.podAffinity;
    }
    for (const term of pod.spec?.podAntiAffinity ?? []) {
      const pairs = this.pairs((other) => (this.matches(term, pod, other) ? [term.topologyKey] : []));
      if (term.topologyKey in labels && pairs.has(pairOf(term.topologyKey, labels))) return PredicateCode.podAntiAffinity;
    }
    const existing = this.existingPairs(pod);
    return Object.keys(labels).some((key) => existing.has(pairOf(key, labels))) ? PredicateCode.existingAntiAffinity : 0;
  }

  /** The filter has something to look at: upstream would not skip it. */
  isConcern(pod: FakePod): boolean {
    return (pod.spec?.podAffinity ?? []).length + (pod.spec?.podAntiAffinity ?? []).length + this.existingPairs(pod).size > 0;
  }

  score(pod: FakePod, node: number): number {
    const labels = this.nodes[node]!.labels ?? {};
    let sum = 0;
    for (const { pod: other, node: at } of this.placed) {
      const there = this.nodes[at]!.labels ?? {};
      for (const [owner, target] of [
        [pod, other],
        [other, pod],
      ] as const) {
        for (const { weight, term } of preferredOf(owner)) {
          const key = term.topologyKey;
          if (key in labels && labels[key] === there[key] && this.matches(term, owner, target)) sum += weight;
        }
      }
    }
    return sum;
  }

  private existingPairs(pod: FakePod): ReadonlySet<string> {
    return this.pairs((other) =>
      (other.spec?.podAntiAffinity ?? []).filter((term) => this.matches(term, other, pod)).map((term) => term.topologyKey),
    );
  }

  /** "key=value" of the nodes of placed pods, for the keys that `keysOf` names per pod. */
  private pairs(keysOf: (other: FakePod) => readonly string[]): ReadonlySet<string> {
    const out = new Set<string>();
    for (const { pod, node } of this.placed) {
      const labels = this.nodes[node]!.labels ?? {};
      for (const key of keysOf(pod)) if (key in labels) out.add(pairOf(key, labels));
    }
    return out;
  }

  private matches(term: PodAffinityTerm, owner: FakePod, target: FakePod): boolean {
    const namespace = target.namespace ?? 'ns';
    const named = term.namespaces ?? [];
    const isOwn = named.length === 0 && term.namespaceSelector === undefined && namespace === (owner.namespace ?? 'ns');
    if (!isOwn && !named.includes(namespace) && !selects(term.namespaceSelector, this.namespaces[namespace] ?? {})) return false;
    return selects(term.labelSelector, target.labels ?? {});
  }
}

function pairOf(key: string, labels: Labels): string {
  return `${key}=${labels[key]}`;
}

function preferredOf(pod: FakePod): { weight: number; term: PodAffinityTerm }[] {
  return [
    ...(pod.spec?.preferredPodAffinity ?? []).map((t) => ({ weight: t.weight, term: t.podAffinityTerm })),
    ...(pod.spec?.preferredPodAntiAffinity ?? []).map((t) => ({ weight: -t.weight, term: t.podAffinityTerm })),
  ];
}

function selects(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (selector === undefined) return false;
  const expressions = [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({ key, operator: 'In', values: [value] })),
    ...(selector.matchExpressions ?? []),
  ];
  return expressions.every(({ key, operator, values = [] }) => {
    const isThere = key in labels;
    if (operator === 'Exists') return isThere;
    if (operator === 'DoesNotExist') return !isThere;
    const isIn = isThere && values.includes(labels[key]!);
    return operator === 'In' ? isIn : !isIn;
  });
}
