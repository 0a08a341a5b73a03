import type { SnapshotView } from '../../base/snapshotView.ts';
import { PredicateCode } from '../placement/reasons.ts';
import type { PodClass, PodCounter, SignatureTerms, TermHolders } from './podAffinityTerms.ts';
import { PodAffinityTerms } from './podAffinityTerms.ts';
import type { TopologyKey } from './topologyCounts.ts';

const NO_TERMS: SignatureTerms = Object.freeze({
  affinity: [],
  affinityMatchers: [],
  antiAffinity: [],
  preferred: [],
  heldAntiAffinity: [],
  heldPreferred: [],
});
const NO_CLASS: PodClass = Object.freeze({ counters: [], holders: [] });

/** The inter-pod affinity filter for one kind of pod. Reads the live index: stays valid over later adds and removes. */
export interface PreparedAffinity {
  /** 0, or PredicateCode podAffinity, podAntiAffinity or existingAntiAffinity, for a node position. */
  check(node: number): number;
  /** `check` for positions [from, to). */
  codesInto(from: number, to: number, out: Uint8Array): void;
}

/**
 * Inter-pod affinity of all pods placed on session nodes (spec 03 sections 7.2, 7.3 step 6, 8.3; semantics of upstream's
 * InterPodAffinity). Numbers per (term, topology value) are kept up to date by `add` and `remove`, which are exact
 * inverses; equal terms share their numbers. A cluster without such terms costs one comparison per call.
 */
export class PodAffinityIndex {
  private readonly terms: PodAffinityTerms;
  private readonly isIdle: boolean;
  private readonly nodeCount: number;
  private readonly podSignatureRow: Int32Array;
  private readonly podLabelSetRow: Int32Array;
  private readonly podNamespaceText: Int32Array;
  private readonly textCapacity: number;
  /** Class number per pod row, −1 = not asked for yet. */
  private readonly podClassId: Int32Array;
  private readonly classIds = new Map<number, number>();
  private readonly classes: PodClass[] = [];
  private readonly prepared = new Map<number, AffinityCheck>();
  private readonly scratches = new Map<TopologyKey, Float64Array>();
  private antiAffinityPods = 0;
  private changes = 0;

  /** @param options.scorePreferred without it preferred terms are not read and `scoreInto` finds nothing. */
  constructor(view: SnapshotView, nodeRowAt: Int32Array, options: { readonly scorePreferred: boolean }) {
    this.terms = new PodAffinityTerms(view, nodeRowAt, options.scorePreferred);
    this.isIdle = this.terms.bySignature.size === 0;
    this.nodeCount = nodeRowAt.length;
    this.podSignatureRow = view.pods.signatureRow;
    this.podLabelSetRow = view.pods.labelSetRow;
    this.podNamespaceText = view.pods.namespaceText;
    this.textCapacity = view.texts.capacity;
    this.podClassId = new Int32Array(this.isIdle ? 0 : view.pods.rows).fill(-1);
  }

  /** Grows by one whenever an `add` or `remove` changed a number; equal values mean equal verdicts and scores. */
  get changeCount(): number {
    return this.changes;
  }

  /** The pod is on the node at position `node`, whatever its status. */
  add(podRow: number, node: number): void {
    if (!this.isIdle) this.change(podRow, node, 1);
  }

  /** Takes back one `add` of the same arguments. */
  remove(podRow: number, node: number): void {
    if (!this.isIdle) this.change(podRow, node, -1);
  }

  /** Whether the filter can refuse the pod anywhere: it has required terms, or a placed pod's anti-affinity matches it. */
  isRequiredConcern(podRow: number): boolean {
    if (this.isIdle) return false;
    const own = this.termsOf(podRow);
    if (own.affinity.length + own.antiAffinity.length > 0) return true;
    if (this.antiAffinityPods === 0) return false;
    return this.classOf(podRow).holders.some((h) => h.antiAffinityTotal > 0);
  }

  /** The filter for this pod; pods of equal signature, labels and namespace get the same object. */
  prepare(podRow: number): PreparedAffinity {
    const own = this.termsOf(podRow);
    const klass = this.isIdle ? NO_CLASS : this.classOf(podRow);
    const classCount = this.podClassId.length + 1;
    const key = this.isIdle ? 0 : this.podSignatureRow[podRow]! * classCount + this.podClassId[podRow]!;
    let check = this.prepared.get(key);
    if (check === undefined) {
      const isSelfMatch = this.terms.matchesEvery(own.affinityMatchers, this.podLabelSetRow[podRow]!, this.podNamespaceText[podRow]!);
      check = new AffinityCheck(own, klass.holders, isSelfMatch);
      this.prepared.set(key, check);
    }
    return check;
  }

  /**
   * Raw InterPodAffinity score of every node position (spec 03 section 8.3: weight of required terms 0, both directions of
   * preferred terms, not normalised). Returns false, with `out` all 0, when no placed pod contributes.
   */
  scoreInto(podRow: number, out: Float64Array): boolean {
    out.fill(0, 0, this.nodeCount);
    if (this.isIdle) return false;
    let isTouched = false;
    for (const { target, weight } of this.termsOf(podRow).preferred) {
      if (target.total === 0) continue;
      target.counts.addInto(this.scratchOf(target.topology), weight);
      isTouched = true;
    }
    for (const holder of this.classOf(podRow).holders) {
      if (holder.preferredTotal === 0) continue;
      holder.weights.addInto(this.scratchOf(holder.topology), 1);
      isTouched = true;
    }
    if (isTouched) this.spreadInto(out);
    return isTouched;
  }

  private change(podRow: number, node: number, delta: number): void {
    let isChanged = false;
    for (const counter of this.classOf(podRow).counters) {
      const value = counter.topology.valueOf[node]!;
      if (value < 0) continue;
      counter.counts.add(value, delta);
      counter.total += delta;
      isChanged = true;
    }
    const own = this.termsOf(podRow);
    for (const holder of own.heldAntiAffinity) {
      const value = holder.topology.valueOf[node]!;
      if (value < 0) continue;
      holder.antiAffinity.add(value, delta);
      holder.antiAffinityTotal += delta;
      this.antiAffinityPods += delta;
      isChanged = true;
    }
    for (const { target, weight } of own.heldPreferred) {
      const value = target.topology.valueOf[node]!;
      if (value < 0) continue;
      target.weights.add(value, delta * weight);
      target.preferredTotal += delta;
      isChanged = true;
    }
    if (isChanged) this.changes++;
  }

  private termsOf(podRow: number): SignatureTerms {
    return this.terms.bySignature.get(this.podSignatureRow[podRow]!) ?? NO_TERMS;
  }

  private classOf(podRow: number): PodClass {
    let id = this.podClassId[podRow]!;
    if (id < 0) {
      const labelSetRow = this.podLabelSetRow[podRow]!;
      const namespaceRow = this.podNamespaceText[podRow]!;
      const key = (labelSetRow + 1) * (this.textCapacity + 1) + namespaceRow + 1;
      id = this.classIds.get(key) ?? -1;
      if (id < 0) {
        id = this.classes.length;
        this.classes.push(this.terms.classOf(labelSetRow, namespaceRow));
        this.classIds.set(key, id);
      }
      this.podClassId[podRow] = id;
    }
    return this.classes[id]!;
  }

  /** Sum per topology value; all zero between two calls of `scoreInto`. */
  private scratchOf(topology: TopologyKey): Float64Array {
    let scratch = this.scratches.get(topology);
    if (scratch === undefined) {
      scratch = new Float64Array(topology.valueCount);
      this.scratches.set(topology, scratch);
    }
    return scratch;
  }

  private spreadInto(out: Float64Array): void {
    for (const [topology, scratch] of this.scratches) {
      const values = topology.valueOf;
      for (let node = 0; node < this.nodeCount; node++) {
        const value = values[node]!;
        if (value >= 0) out[node]! += scratch[value]!;
      }
      scratch.fill(0);
    }
  }
}

class AffinityCheck implements PreparedAffinity {
  private readonly affinity: readonly PodCounter[];
  private readonly antiAffinity: readonly PodCounter[];
  private readonly holders: readonly TermHolders[];
  private readonly isSelfMatch: boolean;

  constructor(own: SignatureTerms, holders: readonly TermHolders[], isSelfMatch: boolean) {
    this.affinity = own.affinity;
    this.antiAffinity = own.antiAffinity;
    this.holders = holders;
    this.isSelfMatch = isSelfMatch;
  }

  check(node: number): number {
    if (!this.isAffinityMet(node)) return PredicateCode.podAffinity;
    for (let i = 0; i < this.antiAffinity.length; i++) {
      const { topology, counts, total } = this.antiAffinity[i]!;
      const value = topology.valueOf[node]!;
      if (total > 0 && value >= 0 && counts.get(value) > 0) return PredicateCode.podAntiAffinity;
    }
    for (let i = 0; i < this.holders.length; i++) {
      const { topology, antiAffinity, antiAffinityTotal } = this.holders[i]!;
      const value = topology.valueOf[node]!;
      if (antiAffinityTotal > 0 && value >= 0 && antiAffinity.get(value) > 0) return PredicateCode.existingAntiAffinity;
    }
    return PredicateCode.ok;
  }

  codesInto(from: number, to: number, out: Uint8Array): void {
    for (let node = from; node < to; node++) out[node] = this.check(node);
  }

  /** Every topology key is on the node and has matching pods there, or the pod is the first of a group it belongs to itself. */
  private isAffinityMet(node: number): boolean {
    let isEveryKeyMet = true;
    let total = 0;
    for (let i = 0; i < this.affinity.length; i++) {
      const counter = this.affinity[i]!;
      const value = counter.topology.valueOf[node]!;
      if (value < 0) return false;
      total += counter.total;
      if (isEveryKeyMet && (counter.total === 0 || counter.counts.get(value) === 0)) isEveryKeyMet = false;
    }
    return isEveryKeyMet || (total === 0 && this.isSelfMatch);
  }
}
