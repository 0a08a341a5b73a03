// Inter-pod affinity as Kubernetes' plugin has it: the required terms as a filter, the preferred ones as a score (spec 03
// sections 7.3 step 6, 8.3). Everything is counted anew for each question.
import type { PodAffinityTerm, WeightedPodAffinityTerm } from '../../src/base/constraints.ts';
import type { Pod } from '../../src/base/objects.ts';
import { termMatches } from './selectors.ts';
import type { NodeFacts, State, World } from './types.ts';

interface Placed {
  readonly pod: Pod;
  readonly facts: NodeFacts;
}

/** All pods on nodes of the session, whatever their status. */
function placedPods(world: World, state: State): Placed[] {
  return [...state.nodes].flatMap(([name, node]) =>
    [...node.tasks].map((key) => ({ pod: world.tasks.get(key)!.pod, facts: world.nodes.get(name)! })),
  );
}

function required(pod: Pod, kind: 'podAffinity' | 'podAntiAffinity'): readonly PodAffinityTerm[] {
  return pod.spec.affinity?.[kind]?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
}

function preferred(pod: Pod, kind: 'podAffinity' | 'podAntiAffinity'): readonly WeightedPodAffinityTerm[] {
  return pod.spec.affinity?.[kind]?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
}

/** Both nodes carry the topology key with the same value. */
function isSameDomain(a: NodeFacts, b: NodeFacts, key: string): boolean {
  return a.labels[key] !== undefined && a.labels[key] === b.labels[key];
}

/** Reason why the pod may not be on the node, or null. */
export function affinityProblem(world: World, state: State, pod: Pod, facts: NodeFacts): string | null {
  const placed = placedPods(world, state);
  const matches = (term: PodAffinityTerm, owner: Pod, other: Pod): boolean => termMatches(term, owner, other, world.namespaces);
  const terms = required(pod, 'podAffinity');
  // A pod counts for affinity only when it meets all terms.
  const friends = placed.filter((p) => terms.every((term) => matches(term, pod, p.pod)));
  const hasKeys = terms.every((term) => facts.labels[term.topologyKey] !== undefined);
  const isNear = terms.every((term) => friends.some((p) => isSameDomain(p.facts, facts, term.topologyKey)));
  const isCounted = friends.some((p) => terms.some((term) => p.facts.labels[term.topologyKey] !== undefined));
  const isFirstOfItsKind = !isCounted && terms.every((term) => matches(term, pod, pod));
  if (!hasKeys || !(isNear || isFirstOfItsKind)) return "node(s) didn't match pod affinity rules";

  const isRepelled = required(pod, 'podAntiAffinity').some((term) =>
    placed.some((p) => matches(term, pod, p.pod) && isSameDomain(p.facts, facts, term.topologyKey)),
  );
  if (isRepelled) return "node(s) didn't match pod anti-affinity rules";

  const isUnwanted = placed.some((p) =>
    required(p.pod, 'podAntiAffinity').some((term) => matches(term, p.pod, pod) && isSameDomain(p.facts, facts, term.topologyKey)),
  );
  return isUnwanted ? "node(s) didn't satisfy existing pods anti-affinity rules" : null;
}

/** Sum of the weights of preferred terms, of the pod about others and of others about the pod; not normalised. */
export function affinityScore(world: World, state: State, pod: Pod, facts: NodeFacts): number {
  let score = 0;
  for (const other of placedPods(world, state)) {
    for (const [kind, sign] of [
      ['podAffinity', 1],
      ['podAntiAffinity', -1],
    ] as const) {
      const weigh = (weighted: WeightedPodAffinityTerm, owner: Pod, about: Pod): number => {
        const { weight, podAffinityTerm: term } = weighted;
        const counts = termMatches(term, owner, about, world.namespaces) && isSameDomain(other.facts, facts, term.topologyKey);
        return counts ? sign * weight : 0;
      };
      for (const term of preferred(pod, kind)) score += weigh(term, pod, other.pod);
      for (const term of preferred(other.pod, kind)) score += weigh(term, other.pod, pod);
    }
  }
  return score;
}
