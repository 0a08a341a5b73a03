import { PodFlag, SignatureFlag } from '../../base/codes.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { compileLabelSelector, matchesAll, readConstraints } from './labels.ts';
import type { StorageClaim } from './storageObjects.ts';
import { StorageObjects } from './storageObjects.ts';

/** A claim of an advanced storage class. */
interface LedgerClaim {
  readonly key: string;
  readonly className: string;
  readonly sizeBytes: number;
  readonly isPending: boolean;
  readonly isBound: boolean;
  /** UID text row of the owning pod, −1 without one. */
  readonly ownerUidRow: number;
  /** Owned by a pod that is gone. */
  readonly isOrphaned: boolean;
}

/** One CSIStorageCapacity; several nodes may share it. */
interface Capacity {
  readonly capacityBytes: number;
  /** Recorded claims with the number of placed tasks that use each. */
  readonly users: Map<LedgerClaim, number>;
  /** Bytes of the recorded claims that are not bound. */
  usedBytes: number;
  /** Bytes of recorded claims whose owner is leaving, per node position. */
  readonly releasingBytes: Map<number, number>;
}

const NO_CLAIMS: readonly LedgerClaim[] = Object.freeze([]);

/**
 * Capacity ledger of `--schedule-csi-storage` (spec 03 section 4.9). Only claims of classes that wait for the first consumer
 * and belong to a known CSI driver are counted. `add` and `remove` are exact inverses.
 */
export class CsiStorageLedger {
  private readonly view: SnapshotView;
  private readonly storage: StorageObjects;
  private readonly claims = new Map<string, LedgerClaim | null>();
  private readonly claimsOfSignature = new Map<number, readonly LedgerClaim[]>();
  /** Per node position: the capacity of each class. */
  private readonly capacities: ReadonlyMap<string, Capacity>[];
  /** Pods that are neither gone nor going and use the claim, found per claim key and UID row. */
  private readonly livePods: ReadonlySet<string>;

  constructor(view: SnapshotView, nodeRowAt: Int32Array) {
    this.view = view;
    this.storage = new StorageObjects(view);
    this.capacities = this.placeCapacities(nodeRowAt);
    this.livePods = this.findUsers();
  }

  /**
   * Records a task's claims on the node at position `node`: at session open for node-bound tasks, later for every placement.
   * `isAlive` is false for a task that is leaving or virtually evicted: the claims it owns will be given back.
   */
  add(podRow: number, node: number, isAlive: boolean): void {
    this.change(podRow, node, isAlive, 1);
  }

  /** Takes back one `add` of the same arguments. */
  remove(podRow: number, node: number, isAlive: boolean): void {
    this.change(podRow, node, isAlive, -1);
  }

  /** "Allocatable now": no claim of a deleted pod is used and every class has room for the task's waiting claims. */
  fitsNow(podRow: number, node: number, isVirtuallyEvicted: boolean): boolean {
    return this.fitError(podRow, node, isVirtuallyEvicted) === '';
  }

  /** "Allocatable eventually": the same with the room of leaving tasks, and without the look at deleted pods. */
  fitsEventually(podRow: number, node: number, isVirtuallyEvicted: boolean): boolean {
    for (const [className, sizeBytes] of this.waitingBytes(podRow, isVirtuallyEvicted)) {
      const capacity = this.capacities[node]!.get(className);
      if (capacity === undefined) return false;
      const room = capacity.capacityBytes - capacity.usedBytes + (capacity.releasingBytes.get(node) ?? 0);
      if (room < sizeBytes) return false;
    }
    return true;
  }

  /** Why `fitsNow` is false, '' when it is true. */
  fitError(podRow: number, node: number, isVirtuallyEvicted: boolean): string {
    const orphaned = this.claimsOf(podRow).filter((claim) => claim.isOrphaned);
    if (orphaned.length > 0) return `task has deleted storage claims: ${orphaned.map((claim) => claim.key).join(', ')}`;
    for (const [className, sizeBytes] of this.waitingBytes(podRow, isVirtuallyEvicted)) {
      const capacity = this.capacities[node]!.get(className);
      if (capacity === undefined) return `no allocatable storage from storageclass ${className} found`;
      if (capacity.capacityBytes - capacity.usedBytes < sizeBytes) {
        return `node(s) did not have enough free storage for storageclass ${className}`;
      }
    }
    return '';
  }

  private change(podRow: number, node: number, isAlive: boolean, delta: number): void {
    for (const claim of this.claimsOf(podRow)) {
      const capacity = this.capacities[node]!.get(claim.className);
      if (capacity === undefined) continue;
      const before = capacity.users.get(claim) ?? 0;
      const after = before + delta;
      if (after === 0) capacity.users.delete(claim);
      else capacity.users.set(claim, after);
      if (!claim.isBound) capacity.usedBytes += (Number(after > 0) - Number(before > 0)) * claim.sizeBytes;
      if (isAlive || claim.ownerUidRow !== this.view.pods.uidText[podRow]!) continue;
      const releasing = (capacity.releasingBytes.get(node) ?? 0) + delta * claim.sizeBytes;
      if (releasing === 0) capacity.releasingBytes.delete(node);
      else capacity.releasingBytes.set(node, releasing);
    }
  }

  /** Bytes per class that the task would need: pending claims, and after a virtual eviction all claims it owns. */
  private waitingBytes(podRow: number, isVirtuallyEvicted: boolean): ReadonlyMap<string, number> {
    const bytes = new Map<string, number>();
    const uidRow = this.view.pods.uidText[podRow]!;
    for (const claim of this.claimsOf(podRow)) {
      if (!claim.isPending && !(isVirtuallyEvicted && claim.ownerUidRow === uidRow)) continue;
      bytes.set(claim.className, (bytes.get(claim.className) ?? 0) + claim.sizeBytes);
    }
    return bytes;
  }

  private claimsOf(podRow: number): readonly LedgerClaim[] {
    const signatureRow = this.view.pods.signatureRow[podRow]!;
    if (signatureRow < 0 || (this.view.signatures.flags[signatureRow]! & SignatureFlag.volumes) === 0) return NO_CLAIMS;
    let claims = this.claimsOfSignature.get(signatureRow);
    if (claims === undefined) {
      const spec = readConstraints(this.view, signatureRow);
      const names = new Set((spec.volumeClaims ?? []).map((ref) => ref.claimName));
      claims = [...names].map((name) => this.ledgerClaim(spec.namespace ?? '', name)).filter((claim) => claim !== null);
      this.claimsOfSignature.set(signatureRow, claims);
    }
    return claims;
  }

  private ledgerClaim(namespace: string, name: string): LedgerClaim | null {
    const key = `${namespace}/${name}`;
    let claim = this.claims.get(key);
    if (claim === undefined) {
      const object = this.storage.claim(namespace, name);
      claim = object !== null && this.isAdvanced(object.specClassName) ? this.readClaim(key, object) : null;
      this.claims.set(key, claim);
    }
    return claim;
  }

  private readClaim(key: string, claim: StorageClaim): LedgerClaim {
    const hasOwner = claim.podOwnerUid !== '';
    const ownerUidRow = hasOwner ? this.view.texts.find(claim.podOwnerUid) : -1;
    return {
      key,
      className: claim.specClassName,
      sizeBytes: claim.requestBytes,
      isPending: claim.phase === 'Pending',
      isBound: claim.phase === 'Bound',
      ownerUidRow,
      isOrphaned: hasOwner && !this.livePods.has(`${ownerUidRow} ${key}`),
    };
  }

  /** A class that waits for the first consumer and whose provisioner is a known driver; '' is none. */
  private isAdvanced(className: string): boolean {
    if (className === '') return false;
    const storageClass = this.storage.storageClass(className);
    return storageClass?.isDelayed === true && this.storage.hasDriver(storageClass.provisioner);
  }

  private placeCapacities(nodeRowAt: Int32Array): ReadonlyMap<string, Capacity>[] {
    const known: { className: string; nodes: ReturnType<typeof compileLabelSelector>; capacity: Capacity }[] = [];
    for (const [className, capacities] of this.storage.allCapacities()) {
      if (!this.storage.storageClass(className)) continue;
      for (const { nodeTopology, capacityBytes } of capacities) {
        const nodes = nodeTopology === null ? [] : compileLabelSelector(this.view.texts, nodeTopology);
        const capacity = { capacityBytes: capacityBytes ?? 0, users: new Map(), usedBytes: 0, releasingBytes: new Map() };
        known.push({ className, nodes, capacity });
      }
    }
    return Array.from(nodeRowAt, (nodeRow) => {
      const setRow = this.view.nodes.labelSetRow[nodeRow]!;
      const own = known.filter(({ nodes }) => nodes !== null && matchesAll(this.view, setRow, nodes));
      const byClass = new Map(own.map(({ className, capacity }) => [className, capacity]));
      // Two capacities of one class on a node: nothing can be said, so the node has none at all.
      return byClass.size < own.length ? new Map<string, Capacity>() : byClass;
    });
  }

  /** "UID row, claim key" of every pod that stays and names the claim. */
  private findUsers(): ReadonlySet<string> {
    const users = new Set<string>();
    const { rows, used, flags, signatureRow, uidText } = this.view.pods;
    const claimKeys = new Map<number, readonly string[]>();
    for (let pod = 0; pod < rows; pod++) {
      const signature = signatureRow[pod]!;
      if (used[pod] !== 1 || signature < 0 || (flags[pod]! & PodFlag.deleting) !== 0) continue;
      if ((this.view.signatures.flags[signature]! & SignatureFlag.volumes) === 0) continue;
      let keys = claimKeys.get(signature);
      if (keys === undefined) {
        const spec = readConstraints(this.view, signature);
        keys = (spec.volumeClaims ?? []).map((ref) => `${spec.namespace ?? ''}/${ref.claimName}`);
        claimKeys.set(signature, keys);
      }
      for (const key of keys) users.add(`${uidText[pod]} ${key}`);
    }
    return users;
  }
}
