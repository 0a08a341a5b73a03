import type { NodeSelectorTerm, PodConstraints, Taint, Toleration } from '../../base/constraints.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { PredicateCode } from '../placement/reasons.ts';
import type { CompiledNodeTerm, CompiledRequirement } from './labels.ts';
import { compileEqualities, compileNodeTerms, matchesAll, matchesAnyTerm, readConstraints } from './labels.ts';

/** What a constraint signature demands of a node itself, ready to be compared with rows. Belongs to one thread. */
export interface NodeConstraints {
  readonly selector: readonly CompiledRequirement[];
  /** Alternatives of the required node affinity; `null` without one. An empty list refuses every node. */
  readonly terms: readonly CompiledNodeTerm[] | null;
  readonly tolerations: readonly Toleration[];
  /** Whether all taints of a `taints_json` text are tolerated, by text row. */
  readonly taintVerdicts: Map<number, boolean>;
  /** Set when the terms exclude each other, whatever the nodes are. */
  readonly prefilterError: string | null;
}

/** Compiles selector, required node affinity and tolerations of a signature (spec 03 section 7.3 step 6). */
export function compileNodeConstraints(view: SnapshotView, signatureRow: number): NodeConstraints {
  const spec = readConstraints(view, signatureRow);
  const terms = spec.nodeAffinityTerms;
  return {
    selector: compileEqualities(view.texts, spec.nodeSelector ?? {}),
    terms: terms === undefined ? null : compileNodeTerms(view.texts, terms),
    tolerations: spec.tolerations ?? [],
    taintVerdicts: new Map(),
    prefilterError: nodeAffinityPrefilterError(spec),
  };
}

/**
 * The error of the NodeAffinity pre-filter (spec 03 section 7.2): every alternative names nodes by `metadata.name`, and
 * within each the names exclude each other. `null` when there is none.
 */
export function nodeAffinityPrefilterError(spec: PodConstraints): string | null {
  const terms = spec.nodeAffinityTerms ?? [];
  if (terms.length === 0 || !terms.every(namesNoNode)) return null;
  return 'pod affinity terms conflict';
}

/** Fills positions [from, to) with 0, PredicateCode.taint or PredicateCode.nodeAffinity; taints are looked at first. */
export function nodeConstraintCodesInto(
  view: SnapshotView,
  compiled: NodeConstraints,
  nodeRowAt: Int32Array,
  from: number,
  to: number,
  out: Uint8Array,
): void {
  for (let node = from; node < to; node++) {
    out[node] = nodeConstraintCode(view, compiled, nodeRowAt[node]!);
  }
}

/** The verdict for one node row, as `nodeConstraintCodesInto`. */
export function nodeConstraintCode(view: SnapshotView, compiled: NodeConstraints, nodeRow: number): number {
  const nodes = view.nodes;
  const taintsRow = nodes.taintsJson[nodeRow]!;
  if (taintsRow >= 0 && !isTolerated(view, compiled, taintsRow)) return PredicateCode.taint;
  const setRow = nodes.labelSetRow[nodeRow]!;
  if (!matchesAll(view, setRow, compiled.selector)) return PredicateCode.nodeAffinity;
  const terms = compiled.terms;
  if (terms !== null && !matchesAnyTerm(view, terms, setRow, nodes.nameText[nodeRow]!)) return PredicateCode.nodeAffinity;
  return PredicateCode.ok;
}

function isTolerated(view: SnapshotView, compiled: NodeConstraints, taintsRow: number): boolean {
  const known = compiled.taintVerdicts.get(taintsRow);
  if (known !== undefined) return known;
  const taints = JSON.parse(view.texts.get(taintsRow)) as readonly Taint[];
  const verdict = taints.every((taint) => {
    if (taint.effect !== 'NoSchedule' && taint.effect !== 'NoExecute') return true;
    return compiled.tolerations.some((toleration) => tolerates(toleration, taint));
  });
  compiled.taintVerdicts.set(taintsRow, verdict);
  return verdict;
}

/** Upstream's rule: empty effect and empty key match all; no operator means Equal; unknown operators tolerate nothing. */
function tolerates(toleration: Toleration, taint: Taint): boolean {
  if ((toleration.effect ?? '') !== '' && toleration.effect !== taint.effect) return false;
  if ((toleration.key ?? '') !== '' && toleration.key !== taint.key) return false;
  const operator = toleration.operator ?? '';
  if (operator === 'Exists') return true;
  if (operator !== '' && operator !== 'Equal') return false;
  return (toleration.value ?? '') === (taint.value ?? '');
}

/** Whether the term names nodes and its names have an empty intersection. */
function namesNoNode(term: NodeSelectorTerm): boolean {
  const lists = (term.matchFields ?? []).filter((f) => f.key === 'metadata.name' && f.operator === 'In').map((f) => f.values ?? []);
  const first = lists[0];
  return first !== undefined && !first.some((name) => lists.every((values) => values.includes(name)));
}
