// Selectors, taints and ports of Kubernetes (spec 03 section 7.3 step 6).
import type {
  HostPort,
  LabelRequirement,
  LabelSelector,
  NodeSelectorTerm,
  PodAffinityTerm,
  Taint,
  Toleration,
} from '../../src/base/constraints.ts';
import type { OtherObject, Pod } from '../../src/base/objects.ts';

type Labels = Readonly<Record<string, string>>;

function meets(requirement: LabelRequirement, labels: Labels): boolean {
  const value = labels[requirement.key];
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return false;
  }
}

/** No selector selects nothing, an empty one everything. */
function selects(selector: LabelSelector | undefined | null, labels: Labels): boolean {
  if (selector === undefined || selector === null) return false;
  const isEqual = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return isEqual && (selector.matchExpressions ?? []).every((requirement) => meets(requirement, labels));
}

function meetsTerm(term: NodeSelectorTerm, name: string, labels: Labels): boolean {
  const [expressions, fields] = [term.matchExpressions ?? [], term.matchFields ?? []];
  if (expressions.length === 0 && fields.length === 0) return false;
  return expressions.every((r) => meets(r, labels)) && fields.every((r) => meets(r, { 'metadata.name': name }));
}

export function matchesNodeAffinity(pod: Pod, name: string, labels: Labels): boolean {
  const isSelected = Object.entries(pod.spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined || required === null) return isSelected;
  return isSelected && (required.nodeSelectorTerms ?? []).some((term) => meetsTerm(term, name, labels));
}

function tolerates(toleration: Toleration, taint: Taint): boolean {
  if ((toleration.effect ?? '') !== '' && toleration.effect !== taint.effect) return false;
  if ((toleration.key ?? '') !== '' && toleration.key !== taint.key) return false;
  return toleration.operator === 'Exists' || ((toleration.key ?? '') !== '' && (toleration.value ?? '') === (taint.value ?? ''));
}

export function toleratesTaints(pod: Pod, taints: readonly Taint[]): boolean {
  const hard = taints.filter((taint) => taint.effect === 'NoSchedule' || taint.effect === 'NoExecute');
  return hard.every((taint) => (pod.spec.tolerations ?? []).some((toleration) => tolerates(toleration, taint)));
}

export function hostPortsOf(pod: Pod): HostPort[] {
  const sidecars = (pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always');
  const ports = [...(pod.spec.containers ?? []), ...sidecars].flatMap((c) => c.ports ?? []);
  return ports.flatMap(({ hostPort = 0, hostIP, protocol }) =>
    hostPort > 0 ? [{ hostPort, hostIP: hostIP || '0.0.0.0', protocol: protocol || 'TCP' }] : [],
  );
}

export function portsConflict(a: HostPort, b: HostPort): boolean {
  const isSameAddress = a.hostIP === b.hostIP || a.hostIP === '0.0.0.0' || b.hostIP === '0.0.0.0';
  return isSameAddress && a.hostPort === b.hostPort && a.protocol === b.protocol;
}

/** A term of `owner` matches another pod: by the term's namespaces, else the owner's, and by labels. */
export function termMatches(term: PodAffinityTerm, owner: Pod, other: Pod, namespaces: readonly OtherObject[]): boolean {
  const named = term.namespaces ?? [];
  const otherNamespace = other.metadata.namespace ?? '';
  const hasSelector = term.namespaceSelector !== undefined && term.namespaceSelector !== null;
  const isOwn = named.length === 0 && !hasSelector && otherNamespace === (owner.metadata.namespace ?? '');
  const isNamed = named.includes(otherNamespace);
  const namespaceLabels = namespaces.find((n) => n.metadata.name === otherNamespace)?.metadata.labels ?? {};
  const isSelected = hasSelector && selects(term.namespaceSelector, namespaceLabels);
  return (isOwn || isNamed || isSelected) && selects(term.labelSelector, other.metadata.labels ?? {});
}
