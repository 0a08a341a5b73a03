import { PodFlag, PodPhase } from '../../base/codes.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { type Allocation, allowsNode, readAllocation, writeAllocation } from './allocation.ts';
import { type AllocatorInput, allocate, type Outcome } from './allocator.ts';
import { type ChargedGpus, type ChargeState, NodeCharges } from './charges.ts';
import { type Claim, ClaimLedger } from './claims.ts';
import { mapResources, readDeviceClass } from './deviceClasses.ts';
import { DeviceTable } from './devices.ts';
import { ExtendedResources } from './extended.ts';
import { type ExtendedAllocation, ExtendedLedger, type HeldExtended, readHeldExtended } from './extendedLedger.ts';
import { asList, asRecord } from './json.ts';
import { demandsOf, NodeCheck, unallocatedClaims } from './nodeCheck.ts';
import { NO_OBJECTS, readDraObjects } from './objects.ts';
import { chargesClaims, gpusOf, type PodClaims, PodIndex } from './pods.ts';
import { precheckPod } from './precheck.ts';
import { Selectors } from './selectors.ts';
import { SliceIndex } from './slices.ts';
import { UndoLog } from './undoLog.ts';

/** Default of the plugin argument `maxCelCacheEntries`. */
const DEFAULT_CEL_ENTRIES = 10;
/** Larger counts fit no node either; totals stay exact. */
const MAX_CHARGE = 2 ** 40;
const NO_COUNTS: ReadonlyMap<string, number> = new Map();

interface DraParams {
  /** Label of shared GPU claims that names their queue (flag `--queue-label-key`). */
  readonly queueLabelKey: string;
  readonly celCacheEntries?: number;
}

/** What a pod gave back when it was evicted in this cycle. */
interface Vacated {
  readonly claims: readonly { readonly claim: Claim; readonly allocation: Allocation | null }[];
  readonly extended: HeldExtended | null;
}

/** Opens Dynamic Resource Allocation for a cycle; every call is cheap when the snapshot has none of it. */
export function openDra(view: SnapshotView, params: DraParams): DraSession {
  return new DraSession(view, params);
}

/**
 * Dynamic Resource Allocation of one cycle (spec 03 section 11): claims, devices, extended resources, and the GPUs that
 * claims take on nodes. Rows are those of the snapshot's pods and nodes. Everything can be undone to a mark.
 */
export class DraSession {
  /** `resource.k8s.io` is served (11.1). */
  readonly isOn: boolean;
  /** The snapshot has claims, slices or classes; without them only `precheck` has anything to say. */
  readonly hasWork: boolean;
  readonly #view: SnapshotView;
  readonly #params: DraParams;
  readonly #log = new UndoLog();
  readonly #input: AllocatorInput;
  readonly #claims: ClaimLedger;
  readonly #resources: ReadonlyMap<string, string>;
  readonly #extended: ExtendedResources;
  readonly #extendedLedger: ExtendedLedger;
  readonly #pods: PodIndex;
  readonly #charges: NodeCharges;
  readonly #check: NodeCheck;
  readonly #vacated = new Map<number, Vacated>();

  constructor(view: SnapshotView, params: DraParams) {
    this.#view = view;
    this.#params = params;
    this.isOn = view.options.isDraServed;
    const objects = this.isOn ? readDraObjects(view) : NO_OBJECTS;
    this.hasWork = objects.claims.length + objects.slices.length + objects.classes.length > 0;
    const devices = new DeviceTable(view.nodes.rows, this.#log);
    const slices = new SliceIndex(view, objects.slices, devices);
    const selectors = new Selectors(devices, slices, params.celCacheEntries ?? DEFAULT_CEL_ENTRIES);
    const classes = new Map(objects.classes.map(([name, object]) => [name, readDeviceClass(name, object)] as const));
    this.#input = { devices, slices, selectors, classes };
    this.#claims = new ClaimLedger(view, objects.claims, devices, this.#log);
    this.#resources = mapResources(classes.values());
    this.#extended = new ExtendedResources(view, this.#resources, this.#claims.shapes);
    this.#extendedLedger = new ExtendedLedger(devices, this.#log);
    this.#pods = new PodIndex(view, this.#claims, this.#extended);
    this.#charges = new NodeCharges(view.nodes.rows, this.#log);
    this.#check = new NodeCheck(view, this.#input, this.#claims, this.#extended);
  }

  /** Some device is reachable from several nodes: a placement may change `check` on other nodes than its own. */
  get hasNetworkDevices(): boolean {
    return this.#input.slices.hasNetworkDevices;
  }

  /** GPU devices in the node's own slices (4.8). */
  nodeGpuCount(nodeRow: number): number {
    return this.#input.slices.gpuCount(nodeRow);
  }

  /** GPU devices that the pod's claims ask for, at most 2^63 − 1 (11.2). */
  gpuCountOf(podRow: number): number {
    return this.#podOf(podRow)?.gpuCount ?? 0;
  }

  /** The same by device class. */
  gpuCountsOf(podRow: number): ReadonlyMap<string, number> {
    return this.#podOf(podRow)?.gpuCounts ?? NO_COUNTS;
  }

  /** Device class that serves an extended resource (11.9), null = none. */
  classOfResource(name: string): string | null {
    return this.#resources.get(name) ?? null;
  }

  /** The pod has claims or asks for DRA-backed extended resources: the other calls matter for it. */
  isConcerned(podRow: number): boolean {
    return this.#view.pods.claimsJson[podRow] !== NO_ROW || this.#podOf(podRow) !== null;
  }

  /** Why no node is worth trying (11.4), null = none. `podName`: "namespace/name". Reads the ledger: ask per attempt. */
  precheck(podRow: number, podName: string, queueName: string): string | null {
    if (this.#view.pods.claimsJson[podRow] === NO_ROW) return null;
    return precheckPod(this.#pods.get(podRow), podName, queueName, this.isOn, this.#params.queueLabelKey, this.#input.classes);
  }

  /**
   * Pods with equal keys get the same answer of `check` on every node. A key changes when a claim of the pod gets or
   * loses its allocation; an answer changes when a device that the node reaches changes hands. '' = always accepted.
   */
  checkKey(podRow: number): string {
    const pod = this.#podOf(podRow);
    if (pod === null) return '';
    const refs = pod.refs.map(({ claim }) => {
      if (claim === null) return 'x';
      return claim.allocation === null ? `s${claim.shape.id}` : `a${claim.id}`;
    });
    return `${pod.isExtended ? pod.shapeRow : ''}:${refs.join()}`;
  }

  /** Why the node does not do (11.5), without the node's name (deviation of 7.4: one text for all nodes); null = it does. */
  check(podRow: number, nodeRow: number): string | null {
    return this.#describe(podRow, nodeRow, '', 'the node');
  }

  /** `check` with the name of the node in the text. */
  checkDetailed(podRow: number, nodeRow: number): string | null {
    const name = this.#view.texts.get(this.#view.nodes.nameText[nodeRow]!);
    return this.#describe(podRow, nodeRow, ` on node ${name}`, `node ${name}`);
  }

  /**
   * Registers what bind requests in flight have promised: claims without an allocation get the request's (deviations of
   * 11.5 and 11.9), extended resources too. `live[podRow]`: row of the pod's live bind request, −1 = none. At open, once.
   */
  registerBindRequests(live: Int32Array): void {
    if (!this.isOn) return;
    const { phaseCode, used } = this.#view.pods;
    const { claimsJson, extendedJson } = this.#view.bindRequests;
    for (let podRow = 0; podRow < live.length; podRow++) {
      const row = live[podRow]!;
      if (row < 0 || used[podRow] !== 1) continue;
      if (phaseCode[podRow] === PodPhase.succeeded || phaseCode[podRow] === PodPhase.failed) continue;
      if (claimsJson[row] !== NO_ROW) this.#registerClaims(podRow, claimsJson[row]!);
      if (extendedJson[row] !== NO_ROW) this.#registerExtended(podRow, extendedJson[row]!);
    }
  }

  /** Charges a pod that is on a node when the cycle opens; after `registerBindRequests`. */
  openPod(podRow: number, nodeRow: number, state: ChargeState): void {
    const pod = this.#podOf(podRow);
    if (pod !== null) this.#charge(podRow, pod, nodeRow, state);
  }

  /**
   * The allocate event (11.6): allocates the pod's claims on the node, all together, reserves them and charges the node.
   * False, with nothing changed, when that fails (deviation of 11.8).
   */
  place(podRow: number, nodeRow: number, state: ChargeState): boolean {
    if (!this.isConcerned(podRow)) return true;
    const pod = this.#pods.get(podRow);
    for (const { claim } of pod.refs) {
      if (claim === null || (claim.allocation !== null && !allowsNode(this.#view, claim.allocation, nodeRow))) return false;
    }
    if (!this.#allocate(podRow, pod, nodeRow)) return false;
    for (const { claim } of pod.refs) this.#claims.reserve(claim!, pod.uid);
    this.#charge(podRow, pod, nodeRow, state);
    return true;
  }

  /** Takes back a `place` of this cycle where `rollback` cannot: claims are as without it. */
  unplace(podRow: number, nodeRow: number): void {
    const pod = this.#podOf(podRow);
    if (pod === null) return;
    for (const { claim } of pod.refs) if (claim !== null) this.#claims.release(claim, pod.uid);
    this.#extendedLedger.drop(podRow);
    this.#charges.remove(podRow, nodeRow);
  }

  /** Changes how a pod holds what it is charged on a node; claims stay as they are. */
  setState(podRow: number, nodeRow: number, state: ChargeState): void {
    this.#charges.setState(podRow, nodeRow, state);
  }

  /** The deallocate event of a pod that is evicted from a node: its claims are given back, its charge is Releasing. */
  evict(podRow: number, nodeRow: number): void {
    const pod = this.#podOf(podRow);
    if (pod === null) return;
    const claims = new Set(pod.refs.flatMap(({ claim }) => (claim === null ? [] : [claim])));
    const own = this.#claims.extendedOfPod(pod.uidRow);
    if (own !== undefined) claims.add(own);
    this.#setVacated(podRow, {
      claims: [...claims].map((claim) => ({ claim, allocation: claim.allocation })),
      extended: this.#extendedLedger.get(podRow),
    });
    for (const claim of claims) this.#claims.vacate(claim, pod.uid);
    this.#extendedLedger.drop(podRow);
    this.#charges.setState(podRow, nodeRow, 'releasing');
  }

  /** Takes an `evict` back out of order: the pod keeps its devices. False, with nothing changed, when others have them. */
  unevict(podRow: number, nodeRow: number, state: ChargeState): boolean {
    const vacated = this.#vacated.get(podRow);
    if (vacated === undefined) return true;
    const { devices } = this.#input;
    for (const { claim, allocation } of vacated.claims) {
      if (claim.allocation === allocation) continue;
      if (claim.allocation !== null || (allocation !== null && !devices.areFree(allocation.devices))) return false;
    }
    if (vacated.extended !== null && !devices.areFree(vacated.extended.allocation.devices)) return false;
    const { uid } = this.#pods.get(podRow);
    for (const { claim, allocation } of vacated.claims) {
      this.#claims.allocate(claim, allocation);
      this.#claims.settle(claim, uid);
    }
    if (vacated.extended !== null) this.#extendedLedger.hold(podRow, vacated.extended);
    this.#setVacated(podRow, undefined);
    this.#charges.setState(podRow, nodeRow, state);
    return true;
  }

  /** GPUs that claims take on the node, by how their pods hold them (4.8). */
  chargedGpus(nodeRow: number): ChargedGpus {
    return this.#charges.totals(nodeRow);
  }

  /** Of the GPU devices that the pod's claims have, those charged to the node already: its fit test adds them to the pool. */
  sharedCreditOf(podRow: number, nodeRow: number): number {
    const pod = this.#podOf(podRow);
    return pod === null ? 0 : this.#charges.countHeld(gpusOf(pod), nodeRow);
  }

  /** `resourceClaimAllocations` of a bind request: the pod's claims in its order, without `allocation` where none is known. */
  allocationsOf(podRow: number): readonly { readonly name: string; readonly allocation?: unknown }[] {
    const refs = this.#podOf(podRow)?.refs ?? [];
    return refs.flatMap(({ name, claim }) => {
      if (claim === null) return [];
      return claim.allocation === null ? [{ name }] : [{ name, allocation: claim.allocation.json }];
    });
  }

  /** `extendedResourceClaimAllocation` of a bind request, null = none. */
  extendedAllocationOf(podRow: number): ExtendedAllocation | null {
    return this.#extendedLedger.get(podRow)?.written ?? null;
  }

  mark(): number {
    return this.#log.mark();
  }

  /** Restores claims, consumers, devices and charges exactly as they were at the mark. */
  rollback(mark: number): void {
    this.#log.rollback(mark);
  }

  /** Forgets how to undo: what happened so far is final. */
  seal(): void {
    this.#log.seal();
  }

  /** Null when neither claims nor extended resources of the snapshot have to do with the pod. */
  #podOf(podRow: number): PodClaims | null {
    return this.hasWork && this.#pods.isConcerned(podRow) ? this.#pods.get(podRow) : null;
  }

  #describe(podRow: number, nodeRow: number, onNode: string, node: string): string | null {
    const pod = this.#podOf(podRow);
    if (pod === null) return null;
    const result = this.#check.check(pod, nodeRow);
    switch (result.kind) {
      case 'ok':
        return null;
      case 'selector':
        return `claim ${result.claimKey} node selector does not match ${node}`;
      case 'none':
        return `cannot allocate all DRA claims${onNode}`;
      case 'problem':
        return `cannot allocate DRA claims${onNode}: ${result.message}`;
    }
  }

  /** Finds and takes devices for what the pod has none yet. */
  #allocate(podRow: number, pod: PodClaims, nodeRow: number): boolean {
    const open = unallocatedClaims(pod);
    const synthetic = this.#extended.syntheticClaim(pod.shapeRow, nodeRow);
    const demands = demandsOf(pod, open, synthetic);
    if (demands.length === 0) return true;
    const outcome: Outcome = allocate(this.#input, nodeRow, demands);
    if (outcome.kind !== 'found') return false;
    outcome.picks.forEach((picks, i) => {
      const allocation = writeAllocation(this.#view, this.#input.devices, this.#input.classes, demands[i]!.shape, picks);
      if (i < open.length) {
        this.#claims.allocate(open[i]!, allocation);
        return;
      }
      const { deviceRequests, containerMappings } = synthetic!;
      this.#extendedLedger.hold(podRow, { allocation, written: { allocation: allocation.json, deviceRequests, containerMappings } });
    });
    return true;
  }

  #charge(podRow: number, pod: PodClaims, nodeRow: number, state: ChargeState): void {
    const isReservation = (this.#view.pods.flags[podRow]! & PodFlag.reservation) !== 0;
    if (pod.gpuCount === 0 || isReservation || !chargesClaims(this.#view, pod)) return;
    const gpus = gpusOf(pod);
    // Extended resources that the node's device plugins offer are no business of its DRA devices.
    const isOffered = pod.extendedGpuCount > 0 && this.#extended.syntheticClaim(pod.shapeRow, nodeRow) === null;
    const count = isOffered ? pod.gpuCount - pod.extendedGpuCount : pod.gpuCount;
    this.#charges.put(podRow, nodeRow, state, gpus, Math.min(MAX_CHARGE, Math.max(0, count - gpus.length)));
  }

  #registerClaims(podRow: number, textRow: number): void {
    const pod = this.#pods.get(podRow);
    for (const listed of asList(JSON.parse(this.#view.texts.get(textRow))).map(asRecord)) {
      const claim = pod.refs.find(({ name }) => name === listed['name'])?.claim ?? null;
      if (claim === null || claim.allocation !== null) continue;
      const allocation = readAllocation(this.#view, this.#input.devices, listed['allocation']);
      if (allocation === null) continue;
      this.#claims.allocate(claim, allocation);
      this.#claims.settle(claim, pod.uid);
    }
  }

  #registerExtended(podRow: number, textRow: number): void {
    // Once the binder's claim exists, that holds the devices.
    const own = this.#claims.extendedOfPod(this.#view.pods.uidText[podRow]!);
    if (own !== undefined && own.allocation !== null) return;
    const held = readHeldExtended(this.#view, this.#input.devices, asRecord(JSON.parse(this.#view.texts.get(textRow))));
    if (held !== null) this.#extendedLedger.hold(podRow, held);
  }

  #setVacated(podRow: number, vacated: Vacated | undefined): void {
    const before = this.#vacated.get(podRow);
    const set = (value: Vacated | undefined): void => {
      if (value === undefined) this.#vacated.delete(podRow);
      else this.#vacated.set(podRow, value);
    };
    set(vacated);
    this.#log.push(() => set(before));
  }
}
