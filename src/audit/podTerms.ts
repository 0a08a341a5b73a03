import type { PodAffinityTerm } from '../base/constraints.ts';
import { selects } from './labels.ts';
import type { AuditNode } from './nodes.ts';
import type { AuditPod, World } from './world.ts';

/** A pod that is on a node, leaves it, or is to come: it counts for affinity in each case (spec 03 section 4.1). */
export interface Presence {
  readonly pod: AuditPod;
  readonly node: AuditNode;
}

function requiredTerms(pod: AuditPod): readonly PodAffinityTerm[] {
  return pod.pod.spec.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
}

function requiredAntiTerms(pod: AuditPod): readonly PodAffinityTerm[] {
  return pod.pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
}

/** Does the term of `owner` speak of `other`? */
function speaksOf(world: World, term: PodAffinityTerm, owner: AuditPod, other: AuditPod): boolean {
  const namespace = other.pod.metadata.namespace ?? '';
  const named = term.namespaces ?? [];
  const hasSelector = term.namespaceSelector !== undefined && term.namespaceSelector !== null;
  const isOwnOnly = named.length === 0 && !hasSelector;
  const isInNamespace = isOwnOnly
    ? namespace === (owner.pod.metadata.namespace ?? '')
    : named.includes(namespace) || (hasSelector && selects(term.namespaceSelector, world.namespaces.get(namespace) ?? {}));
  return isInNamespace && selects(term.labelSelector, other.pod.metadata.labels ?? {});
}

/** Pods on nodes, and of these the ones with anti-affinity terms of their own. */
export class Presences {
  readonly #all: Presence[] = [];
  readonly #antiHolders: Presence[] = [];

  add(pod: AuditPod, node: AuditNode): void {
    this.#all.push({ pod, node });
    if (requiredAntiTerms(pod).length > 0) this.#antiHolders.push({ pod, node });
  }

  /** The pod is not to come after all. */
  remove(pod: AuditPod): void {
    for (const list of [this.#all, this.#antiHolders]) {
      const at = list.findLastIndex((p) => p.pod === pod);
      if (at >= 0) list.splice(at, 1);
    }
  }

  /** Checks a pod that was just placed against everybody present, itself left out. */
  check(world: World, pod: AuditPod, node: AuditNode): void {
    const object = `pod ${pod.key}`;
    const isSameDomain = (term: PodAffinityTerm, other: AuditNode): boolean => {
      const value = node.labels[term.topologyKey];
      return value !== undefined && other.labels[term.topologyKey] === value;
    };
    for (const term of requiredAntiTerms(pod)) {
      const found = this.#all.find((p) => p.pod !== pod && isSameDomain(term, p.node) && speaksOf(world, term, pod, p.pod));
      if (found !== undefined)
        world.findings.add('pod-anti-affinity', object, `on ${node.name} beside ${found.pod.key}, from which it must keep away`);
    }
    for (const holder of this.#antiHolders) {
      if (holder.pod === pod) continue;
      const isKept = requiredAntiTerms(holder.pod).every(
        (term) => !isSameDomain(term, holder.node) || !speaksOf(world, term, holder.pod, pod),
      );
      if (!isKept) world.findings.add('pod-anti-affinity', object, `on ${node.name} beside ${holder.pod.key}, which keeps away from it`);
    }
    const terms = requiredTerms(pod);
    if (terms.length === 0) return;
    const wanted = this.#all.filter((p) => p.pod !== pod && terms.every((term) => speaksOf(world, term, pod, p.pod)));
    if (terms.every((term) => wanted.some((p) => isSameDomain(term, p.node)))) return;
    // The first of a group may start it, where the node has all topology keys; others of this cycle may have come after it.
    const isFirst =
      wanted.every((p) => p.pod.isPlaced) &&
      terms.every((term) => speaksOf(world, term, pod, pod) && node.labels[term.topologyKey] !== undefined);
    if (!isFirst) world.findings.add('pod-affinity', object, `on ${node.name} where nobody is that it must be with`);
  }
}
