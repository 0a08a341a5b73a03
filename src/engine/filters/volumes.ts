import { SignatureFlag } from '../../base/codes.ts';
import type { PodConstraints, VolumeClaimRef } from '../../base/constraints.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { PredicateCode } from '../placement/reasons.ts';
import type { CompiledNodeTerm, CompiledRequirement, CompiledSelector } from './labels.ts';
import { compileLabelSelector, compileRequirement, matchesAll, readConstraints } from './labels.ts';
import type { StorageClaim } from './storageObjects.ts';
import { StorageObjects } from './storageObjects.ts';
import { compileVolumeTerms, isReachable, VolumeCandidates } from './volumeMatching.ts';

const NO_PROVISIONER = 'kubernetes.io/no-provisioner';
/** Signatures whose verdicts per node are kept; the oldest goes first. */
const KEPT_PLANS = 64;
const UNKNOWN = 255;

export type VolumePrefilter =
  | { readonly result: 'skip' }
  | { readonly result: 'ok' }
  | { readonly result: 'error'; readonly isUnresolvable: boolean; readonly reasons: readonly string[] };

const SKIP: VolumePrefilter = Object.freeze({ result: 'skip' });
const OK: VolumePrefilter = Object.freeze({ result: 'ok' });

/** A claim that waits for its first consumer. */
interface DelayedClaim {
  readonly claim: StorageClaim;
  readonly candidates: VolumeCandidates;
}

/** Everything about a pod's claims that does not depend on the node. */
interface VolumePlan {
  readonly outcome: VolumePrefilter;
  /** Node affinity of the bound volumes, `undefined` for a volume that does not exist. */
  readonly boundTerms: readonly (readonly CompiledNodeTerm[] | null | undefined)[];
  readonly delayed: readonly DelayedClaim[];
  /** Verdict per node row, UNKNOWN where not asked yet. */
  codes: Uint8Array | null;
}

/** Where and how a storage class can make volumes. */
interface ProvisionRule {
  readonly canProvision: boolean;
  /** Alternatives; `null` = every node. */
  readonly topologies: readonly (readonly CompiledRequirement[])[] | null;
  /** Capacities with their limits; `null` = not tracked. */
  readonly capacities: readonly { readonly limitBytes: number; readonly nodes: CompiledSelector }[] | null;
}

/**
 * Upstream's VolumeBinding filter on the facts of the snapshot (spec 03 sections 7.2, 7.3 step 6). Volumes are not reserved
 * within a cycle, so verdicts never change during one and are kept per signature and node.
 */
export class VolumeFilter {
  private readonly view: SnapshotView;
  private readonly storage: StorageObjects;
  private readonly planBySignature = new Map<number, VolumePlan>();
  /** Pods with ephemeral volumes: their claims belong to one pod. */
  private readonly planByPod = new Map<number, VolumePlan>();
  private readonly provisionRules = new Map<string, ProvisionRule>();
  private readonly keptPlans: VolumePlan[] = [];

  constructor(view: SnapshotView) {
    this.view = view;
    this.storage = new StorageObjects(view);
  }

  /** The check before any node: skip without claims, an error when no node can help. Reasons are upstream's texts. */
  prefilter(podRow: number): VolumePrefilter {
    return this.planOf(podRow)?.outcome ?? SKIP;
  }

  /**
   * 0, or PredicateCode volumeNodeAffinity, volumesNotFound or volumeStorage for a node row. Asked only after `prefilter`
   * said ok; accepts otherwise.
   */
  check(podRow: number, nodeRow: number): number {
    const plan = this.planOf(podRow);
    if (plan === null || plan.outcome.result !== 'ok') return PredicateCode.ok;
    const codes = plan.codes ?? this.keepCodes(plan);
    if (codes[nodeRow] === UNKNOWN) codes[nodeRow] = this.evaluate(plan, nodeRow);
    return codes[nodeRow]!;
  }

  private planOf(podRow: number): VolumePlan | null {
    const signatureRow = this.view.pods.signatureRow[podRow]!;
    if (signatureRow < 0 || (this.view.signatures.flags[signatureRow]! & SignatureFlag.volumes) === 0) return null;
    const known = this.planBySignature.get(signatureRow) ?? this.planByPod.get(podRow);
    if (known !== undefined) return known;
    const spec = readConstraints(this.view, signatureRow);
    const plan = this.makePlan(podRow, spec);
    if ((spec.volumeClaims ?? []).some((ref) => ref.isEphemeral)) this.planByPod.set(podRow, plan);
    else this.planBySignature.set(signatureRow, plan);
    return plan;
  }

  private makePlan(podRow: number, spec: PodConstraints): VolumePlan {
    const refs = spec.volumeClaims ?? [];
    if (refs.length === 0) return failedPlan(SKIP);
    const claims = new Map<string, StorageClaim>();
    for (const ref of refs) {
      const claim = this.storage.claim(spec.namespace ?? '', ref.claimName);
      const error = claim === null ? missingClaimError(ref) : this.claimError(podRow, ref, claim);
      if (claim === null || error !== null) return failedPlan(unresolvable(error ?? ''));
      claims.set(ref.claimName, claim);
    }
    const bound = [...claims.values()].filter(isFullyBound);
    const unbound = [...claims.values()].filter((claim) => !isFullyBound(claim));
    if (!unbound.every((claim) => this.isDelayed(claim))) {
      return failedPlan(unresolvable('pod has unbound immediate PersistentVolumeClaims'));
    }
    return {
      outcome: OK,
      boundTerms: bound.map((claim) => {
        const volume = this.storage.volume(claim.volumeName);
        return volume === null ? undefined : compileVolumeTerms(this.view, volume);
      }),
      // Smallest first as upstream: each claim in turn takes the smallest volume left, with no second try.
      delayed: unbound
        .sort((a, b) => a.requestBytes - b.requestBytes)
        .map((claim) => ({ claim, candidates: new VolumeCandidates(this.view, claim, this.storage.volumesOf(claim.className)) })),
      codes: null,
    };
  }

  private claimError(podRow: number, ref: VolumeClaimRef, claim: StorageClaim): string | null {
    if (claim.phase === 'Lost') {
      return `persistentvolumeclaim ${quoted(claim.name)} bound to non-existent persistentvolume ${quoted(claim.volumeName)}`;
    }
    if (claim.isDeleting) return `persistentvolumeclaim ${quoted(claim.name)} is being deleted`;
    if (!ref.isEphemeral) return null;
    const { texts, pods } = this.view;
    const podUid = texts.get(pods.uidText[podRow]!);
    if (claim.controllerUid !== '' && claim.controllerUid === podUid) return null;
    return `PVC ${claim.namespace}/${claim.name} was not created for pod ${texts.get(pods.keyText[podRow]!)} (pod is not owner)`;
  }

  /** Bound when its first pod is scheduled. A claim that names its volume waits for the volume controller instead. */
  private isDelayed(claim: StorageClaim): boolean {
    if (claim.className === '' || claim.volumeName !== '') return false;
    return this.storage.storageClass(claim.className)?.isDelayed ?? false;
  }

  private keepCodes(plan: VolumePlan): Uint8Array {
    plan.codes = new Uint8Array(this.view.nodes.rows).fill(UNKNOWN);
    this.keptPlans.push(plan);
    if (this.keptPlans.length > KEPT_PLANS) this.keptPlans.shift()!.codes = null;
    return plan.codes;
  }

  private evaluate(plan: VolumePlan, nodeRow: number): number {
    const labelSetRow = this.view.nodes.labelSetRow[nodeRow]!;
    let isVolumeMissing = false;
    for (const terms of plan.boundTerms) {
      isVolumeMissing = terms === undefined;
      if (isVolumeMissing) break;
      if (!isReachable(this.view, terms ?? null, labelSetRow)) return PredicateCode.volumeNodeAffinity;
    }
    const code = this.evaluateDelayed(plan.delayed, nodeRow);
    return code === PredicateCode.ok && isVolumeMissing ? PredicateCode.volumesNotFound : code;
  }

  private evaluateDelayed(delayed: readonly DelayedClaim[], nodeRow: number): number {
    const nodeName = this.view.nodes.nameText[nodeRow]!;
    const toProvision: StorageClaim[] = [];
    const toMatch: DelayedClaim[] = [];
    for (const entry of delayed) {
      const selected = entry.claim.selectedNode;
      if (selected === null) toMatch.push(entry);
      else if (this.view.texts.find(selected) === nodeName) toProvision.push(entry.claim);
      else return PredicateCode.volumesNotFound;
    }
    const taken = new Set<string>();
    for (const { claim, candidates } of toMatch) {
      const name = candidates.bestOn(nodeRow, taken);
      if (name === null) toProvision.push(claim);
      else taken.add(name);
    }
    for (const claim of toProvision) {
      const code = this.provisionCode(claim, nodeRow);
      if (code !== PredicateCode.ok) return code;
    }
    return PredicateCode.ok;
  }

  private provisionCode(claim: StorageClaim, nodeRow: number): number {
    const rule = this.provisionRule(claim.className);
    if (!rule.canProvision) return PredicateCode.volumesNotFound;
    const labelSetRow = this.view.nodes.labelSetRow[nodeRow]!;
    if (rule.topologies !== null && !rule.topologies.some((term) => matchesAll(this.view, labelSetRow, term))) {
      return PredicateCode.volumesNotFound;
    }
    if (rule.capacities === null || !claim.hasRequest) return PredicateCode.ok;
    for (const { limitBytes, nodes } of rule.capacities) {
      if (limitBytes >= claim.requestBytes && nodes !== null && matchesAll(this.view, labelSetRow, nodes)) return PredicateCode.ok;
    }
    return PredicateCode.volumeStorage;
  }

  private provisionRule(className: string): ProvisionRule {
    let rule = this.provisionRules.get(className);
    if (rule === undefined) {
      rule = this.makeProvisionRule(className);
      this.provisionRules.set(className, rule);
    }
    return rule;
  }

  private makeProvisionRule(className: string): ProvisionRule {
    const storageClass = this.storage.storageClass(className);
    const provisioner = storageClass?.provisioner ?? '';
    const terms = storageClass?.allowedTopologies ?? [];
    const texts = this.view.texts;
    const topologies: CompiledRequirement[][] = [];
    for (const term of terms) {
      const compiled = term.map(({ key, values }) => compileRequirement(texts, { key, operator: 'In', values }, false));
      if (compiled.length > 0 && compiled.every((r) => r !== null)) topologies.push(compiled);
    }
    const capacities = this.storage.capacitiesOf(className).map((capacity) => ({
      // The largest possible volume is a better limit than the total, where the driver names it.
      limitBytes: capacity.maximumVolumeBytes ?? capacity.capacityBytes ?? -1,
      nodes: compileLabelSelector(texts, capacity.nodeTopology),
    }));
    return {
      canProvision: provisioner !== '' && provisioner !== NO_PROVISIONER,
      topologies: terms.length === 0 ? null : topologies,
      capacities: this.storage.isCapacityTracked(provisioner) ? capacities : null,
    };
  }
}

function failedPlan(outcome: VolumePrefilter): VolumePlan {
  return { outcome, boundTerms: [], delayed: [], codes: null };
}

function unresolvable(reason: string): VolumePrefilter {
  return { result: 'error', isUnresolvable: true, reasons: [reason] };
}

function missingClaimError(ref: VolumeClaimRef): string {
  return ref.isEphemeral
    ? `waiting for ephemeral volume controller to create the persistentvolumeclaim ${quoted(ref.claimName)}`
    : `persistentvolumeclaim ${quoted(ref.claimName)} not found`;
}

function isFullyBound(claim: StorageClaim): boolean {
  return claim.volumeName !== '' && claim.isBindCompleted;
}

function quoted(name: string): string {
  return JSON.stringify(name);
}
