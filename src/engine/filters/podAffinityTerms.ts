import { ObjectKind, SignatureFlag } from '../../base/codes.ts';
import type { LabelSelector, PodAffinityTerm, PodConstraints } from '../../base/constraints.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { CompiledSelector } from './labels.ts';
import { anchorOf, compileLabelSelector, labelValueRow, matchesAll, readConstraints, selectsLabels } from './labels.ts';
import { ObjectIndex } from './objectIndex.ts';
import { TopologyCounts, TopologyKey } from './topologyCounts.ts';

/** Which pods a term speaks of: namespaces and labels, without the topology key. */
interface PodMatcher {
  readonly id: number;
  readonly selector: CompiledSelector;
  readonly namespaceRows: ReadonlySet<number>;
  readonly namespaceSelector: LabelSelector | undefined;
  /** Results of the namespace part per namespace text row. */
  readonly namespaceVerdicts: Map<number, boolean>;
}

/** Placed pods that match all matchers, counted per value of one topology key. */
export interface PodCounter {
  readonly matchers: readonly PodMatcher[];
  readonly topology: TopologyKey;
  readonly counts: TopologyCounts;
  /** Sum over all values. */
  total: number;
}

/** Placed pods that carry a term themselves, per value of its topology key. */
export interface TermHolders {
  readonly matchers: readonly PodMatcher[];
  readonly topology: TopologyKey;
  /** Pods with the term as required anti-affinity. */
  readonly antiAffinity: TopologyCounts;
  antiAffinityTotal: number;
  /** Sum of weights of pods with the term as a preferred one, negative for anti-affinity. */
  readonly weights: TopologyCounts;
  preferredTotal: number;
}

export interface WeightedTerm<Target> {
  readonly target: Target;
  /** −100 … 100, negative for anti-affinity. */
  readonly weight: number;
}

/** The terms of one signature, as a pod to be placed (counters) and as a placed pod (holders). */
export interface SignatureTerms {
  /** One counter per distinct topology key, all of pods that match every required affinity term. */
  readonly affinity: readonly PodCounter[];
  readonly affinityMatchers: readonly PodMatcher[];
  readonly antiAffinity: readonly PodCounter[];
  readonly preferred: readonly WeightedTerm<PodCounter>[];
  readonly heldAntiAffinity: readonly TermHolders[];
  readonly heldPreferred: readonly WeightedTerm<TermHolders>[];
}

/** What a set of pods with equal labels and namespace is to all terms. */
export interface PodClass {
  readonly counters: readonly PodCounter[];
  readonly holders: readonly TermHolders[];
}

/** Targets that may match a label set: found by one of its labels, or always. */
interface Candidates<Target> {
  readonly byLabel: Map<number, Map<number, Target[]>>;
  readonly always: Target[];
}

/** All inter-pod terms of a snapshot, each kept once: equal terms of different pods share their numbers. */
export class PodAffinityTerms {
  readonly topologies: TopologyKey[] = [];
  readonly bySignature = new Map<number, SignatureTerms>();
  private readonly view: SnapshotView;
  private readonly nodeRowAt: Int32Array;
  private readonly topologyByKey = new Map<string, TopologyKey>();
  private readonly matchers = new Map<string, PodMatcher>();
  private readonly counters = new Map<string, PodCounter>();
  private readonly holders = new Map<string, TermHolders>();
  private readonly counterCandidates: Candidates<PodCounter> = { byLabel: new Map(), always: [] };
  private readonly holderCandidates: Candidates<TermHolders> = { byLabel: new Map(), always: [] };
  private namespaces: ObjectIndex | null = null;

  constructor(view: SnapshotView, nodeRowAt: Int32Array, isPreferredRead: boolean) {
    this.view = view;
    this.nodeRowAt = nodeRowAt;
    const wanted = SignatureFlag.podAffinity | (isPreferredRead ? SignatureFlag.preferredPodAffinity : 0);
    const { rows, used, flags } = view.signatures;
    for (let row = 0; row < rows; row++) {
      if (used[row] !== 1 || (flags[row]! & wanted) === 0) continue;
      this.bySignature.set(row, this.internSignature(readConstraints(view, row), isPreferredRead));
    }
  }

  /** Counters and holders whose matchers select pods of this label set and namespace. */
  classOf(labelSetRow: number, namespaceRow: number): PodClass {
    return {
      counters: this.select(this.counterCandidates, labelSetRow, namespaceRow),
      holders: this.select(this.holderCandidates, labelSetRow, namespaceRow),
    };
  }

  /** Whether a pod of these labels and namespace matches every matcher. */
  matchesEvery(matchers: readonly PodMatcher[], labelSetRow: number, namespaceRow: number): boolean {
    for (const matcher of matchers) {
      if (matcher.selector === null || !this.matchesNamespace(matcher, namespaceRow)) return false;
      if (!matchesAll(this.view, labelSetRow, matcher.selector)) return false;
    }
    return true;
  }

  private internSignature(spec: PodConstraints, isPreferredRead: boolean): SignatureTerms {
    const namespace = spec.namespace ?? '';
    const required = spec.podAffinity ?? [];
    const anti = spec.podAntiAffinity ?? [];
    const preferred = [
      ...(spec.preferredPodAffinity ?? []).map(({ weight, podAffinityTerm }) => ({ weight, term: podAffinityTerm })),
      ...(spec.preferredPodAntiAffinity ?? []).map(({ weight, podAffinityTerm }) => ({ weight: -weight, term: podAffinityTerm })),
    ].filter(() => isPreferredRead);
    const affinityMatchers = [...new Set(required.map((term) => this.matcher(term, namespace)))].sort((a, b) => a.id - b.id);
    const affinityKeys = [...new Set(required.map((term) => term.topologyKey))];
    return {
      affinity: affinityKeys.map((key) => this.counter(affinityMatchers, key)),
      affinityMatchers,
      antiAffinity: anti.map((term) => this.counter([this.matcher(term, namespace)], term.topologyKey)),
      preferred: preferred.map(({ weight, term }) => ({ weight, target: this.counter([this.matcher(term, namespace)], term.topologyKey) })),
      heldAntiAffinity: anti.map((term) => this.holder(this.matcher(term, namespace), term.topologyKey)),
      heldPreferred: preferred.map(({ weight, term }) => ({
        weight,
        target: this.holder(this.matcher(term, namespace), term.topologyKey),
      })),
    };
  }

  private matcher(term: PodAffinityTerm, podNamespace: string): PodMatcher {
    const listed = term.namespaces ?? [];
    const selector = term.namespaceSelector ?? undefined;
    const namespaces = listed.length === 0 && selector === undefined ? [podNamespace] : [...new Set(listed)].sort();
    const key = JSON.stringify([term.labelSelector ?? null, namespaces, selector ?? null]);
    let matcher = this.matchers.get(key);
    if (matcher === undefined) {
      matcher = {
        id: this.matchers.size,
        selector: compileLabelSelector(this.view.texts, term.labelSelector),
        namespaceRows: new Set(namespaces.map((name) => this.view.texts.find(name)).filter((row) => row >= 0)),
        namespaceSelector: selector,
        namespaceVerdicts: new Map(),
      };
      this.matchers.set(key, matcher);
    }
    return matcher;
  }

  private topology(key: string): TopologyKey {
    let topology = this.topologyByKey.get(key);
    if (topology === undefined) {
      topology = new TopologyKey(this.view, this.nodeRowAt, key);
      this.topologyByKey.set(key, topology);
      this.topologies.push(topology);
    }
    return topology;
  }

  private counter(matchers: readonly PodMatcher[], topologyKey: string): PodCounter {
    const key = JSON.stringify([matchers.map((m) => m.id), topologyKey]);
    let counter = this.counters.get(key);
    if (counter === undefined) {
      const topology = this.topology(topologyKey);
      counter = { matchers, topology, counts: new TopologyCounts(topology.valueCount), total: 0 };
      this.counters.set(key, counter);
      register(this.counterCandidates, counter);
    }
    return counter;
  }

  private holder(matcher: PodMatcher, topologyKey: string): TermHolders {
    const key = JSON.stringify([matcher.id, topologyKey]);
    let holder = this.holders.get(key);
    if (holder === undefined) {
      const topology = this.topology(topologyKey);
      holder = {
        matchers: [matcher],
        topology,
        antiAffinity: new TopologyCounts(topology.valueCount),
        antiAffinityTotal: 0,
        weights: new TopologyCounts(topology.valueCount),
        preferredTotal: 0,
      };
      this.holders.set(key, holder);
      register(this.holderCandidates, holder);
    }
    return holder;
  }

  private select<Target extends { readonly matchers: readonly PodMatcher[] }>(
    candidates: Candidates<Target>,
    labelSetRow: number,
    namespaceRow: number,
  ): Target[] {
    const out = candidates.always.filter((t) => this.matchesEvery(t.matchers, labelSetRow, namespaceRow));
    for (const [keyRow, byValue] of candidates.byLabel) {
      for (const target of byValue.get(labelValueRow(this.view.labelSets, labelSetRow, keyRow)) ?? []) {
        if (this.matchesEvery(target.matchers, labelSetRow, namespaceRow)) out.push(target);
      }
    }
    return out;
  }

  /** Named namespaces, or those whose labels the selector takes; a namespace that is not in the snapshot has no labels. */
  private matchesNamespace(matcher: PodMatcher, namespaceRow: number): boolean {
    if (matcher.namespaceRows.has(namespaceRow)) return true;
    if (matcher.namespaceSelector === undefined) return false;
    let verdict = matcher.namespaceVerdicts.get(namespaceRow);
    if (verdict === undefined) {
      this.namespaces ??= new ObjectIndex(this.view, [ObjectKind.namespace]);
      const object = this.namespaces.get(ObjectKind.namespace, this.view.texts.get(namespaceRow)) as NamespaceObject | undefined;
      verdict = selectsLabels(matcher.namespaceSelector, object?.metadata?.labels ?? {});
      matcher.namespaceVerdicts.set(namespaceRow, verdict);
    }
    return verdict;
  }
}

interface NamespaceObject {
  readonly metadata?: { readonly labels?: Readonly<Record<string, string>> | null };
}

/** Files a target under the values of one In requirement, so that a pod's own labels lead to it. */
function register<Target extends { readonly matchers: readonly PodMatcher[] }>(candidates: Candidates<Target>, target: Target): void {
  if (target.matchers.some((m) => m.selector === null)) return;
  const anchor = target.matchers.map((m) => anchorOf(m.selector ?? [])).find((a) => a !== null);
  if (anchor === undefined || anchor === null) {
    candidates.always.push(target);
    return;
  }
  let byValue = candidates.byLabel.get(anchor.keyRow);
  if (byValue === undefined) {
    byValue = new Map();
    candidates.byLabel.set(anchor.keyRow, byValue);
  }
  for (const valueRow of anchor.valueRows) {
    const list = byValue.get(valueRow);
    if (list === undefined) byValue.set(valueRow, [target]);
    else list.push(target);
  }
}
