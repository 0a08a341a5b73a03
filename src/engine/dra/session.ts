import { ObjectKind, PodFlag, PodPhase } from '../../base/codes.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { allocate, type AllocatorInput, type Demand, type Outcome } from './allocator.ts';
import { type Allocation, allowsNode, readAllocation, writeAllocation } from './allocation.ts';
import { type ChargedGpus, type ChargeState, NodeCharges } from './charges.ts';
import { type Claim, ClaimLedger } from './claims.ts';
import { type DeviceClass, mapResources, readDeviceClass } from './deviceClasses.ts';
import { DeviceTable } from './devices.ts';
import { ExtendedResources, type SyntheticClaim } from './extended.ts';
import { asList, asRecord, asText, type JsonRecord } from './json.ts';
import { chargesClaims, PodIndex, type PodClaims } from './pods.ts';
import { precheckPod } from './precheck.ts';
import { Selectors } from './selectors.ts';
import { SliceIndex } from './slices.ts';
import { UndoLog } from './undoLog.ts';

/** Default of the plugin argument `maxCelCacheEntries`. */
const DEFAULT_CEL_ENTRIES = 10;
const SYNTHETIC_NAME = '<extended-resources>';
/** Larger counts fit no node either; totals stay exact. */
const MAX_CHARGE = 2 ** 40;

export interface DraParams {
  /** Label of shared GPU claims that names their queue (flag `--queue-label-key`). */
  readonly queueLabelKey: string;
  readonly celCacheEntries?: number;
}

/** `spec.extendedResourceClaimAllocation` of a bind request. */
export interface ExtendedAllocation {
  readonly allocation: unknown;
  readonly deviceRequests: readonly unknown[];
  readonly containerMappings: readonly unknown[];
}

/** Devices for extended resources of a placed pod; `claim` null = only in bind requests of this or an earlier cycle. */
interface HeldExtended {
  readonly allocation: Allocation;
  readonly written: ExtendedAllocation;
}

/** What a pod gave back when it was evicted in this cycle. */
interface Vacated {
  readonly claims: readonly { readonly claim: Claim; readonly allocation: Allocation | null }[];
  readonly extended: HeldExtended | null;
}

/**
 * Dynamic Resource Allocation of one cycle (spec 03 section 11): claims, devices, extended resources, and the GPUs that
 * claims take on nodes. Rows are those of the snapshot. Everything after opening can be undone to a mark.
 */
export class DraSession {
  /** `resource.k8s.io` is served (11.1). */
  readonly isOn: boolean;
  /** The snapshot has claims, slices or classes; without them nothing but `precheck` has anything to say. */
  readonly hasWork: boolean;
  readonly #view: SnapshotView;
  readonly #params: DraParams;
  readonly #log = new UndoLog();
  readonly #devices: DeviceTable;
  readonly #input: AllocatorInput;
  readonly #claims: ClaimLedger;
  readonly #resources: ReadonlyMap<string, string>;
  readonly #extended: ExtendedResources;
  readonly #pods: PodIndex;
  readonly #charges: NodeCharges;
  readonly #held = new Map<number, HeldExtended>();
  readonly #vacated = new Map<number, Vacated>();
  readonly #outcomes = new Map<string, NodeOutcomes>();

  constructor(view: SnapshotView, params: DraParams) {
    this.#view = view;
    this.#params = params;
    this.isOn = view.options.isDraServed;
    const objects = this.isOn ? readObjects(view) : NO_OBJECTS;
    this.hasWork = objects.claims.length + objects.slices.length + objects.classes.length > 0;
    const nodeRows = view.nodes.rows;
    const devices = new DeviceTable(nodeRows, this.#log);
    const slices = new SliceIndex(view, objects.slices, devices);
    const selectors = new Selectors(devices, slices, params.celCacheEntries ?? DEFAULT_CEL_ENTRIES);
    const classes = new Map<string, DeviceClass>(objects.classes.map(([name, object]) => [name, readDeviceClass(name, object)] as const));
    this.#devices = devices;
    this.#input = { devices, slices, selectors, classes };
    this.#claims = new ClaimLedger(view, objects.claims, devices, this.#log);
    this.#resources = mapResources(classes.values());
    this.#extended = new ExtendedResources(view, this.#resources, this.#claims.shapes);
    this.#pods = new PodIndex(view, this.#claims, this.#extended);
    this.#charges = new NodeCharges(nodeRows, this.#log);
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
    return this.hasWork && this.#pods.isConcerned(podRow) ? this.#pods.get(podRow).gpuCount : 0;
  }

  /** The same by device class. */
  gpuCountsOf(podRow: number): ReadonlyMap<string, number> {
    return this.hasWork && this.#pods.isConcerned(podRow) ? this.#pods.get(podRow).gpuCounts : NO_COUNTS;
  }

  /** Device class that serves an extended resource (11.9), null = none. */
  classOfResource(name: string): string | null {
    return this.#resources.get(name) ?? null;
  }

  /** The pod has claims or asks for DRA-backed extended resources: the other calls matter for it. */
  isConcerned(podRow: number): boolean {
    return this.hasWork ? this.#pods.isConcerned(podRow) : this.#view.pods.claimsJson[podRow] !== NO_ROW;
  }

  /** Why no node is worth trying (11.4), null = none. `podName`: "namespace/name". Depends on the ledger: ask per attempt. */
  precheck(podRow: number, podName: string, queueName: string): string | null {
    if (this.#view.pods.claimsJson[podRow] === NO_ROW) return null;
    return precheckPod(this.#pods.get(podRow), podName, queueName, this.isOn, this.#params.queueLabelKey, this.#input.classes);
  }

  /**
   * Pods with equal keys get the same `check` on every node, until a `place` or `rollback`; afterwards only on nodes whose
   * devices stayed as they were.
   */
  checkKey(podRow: number): string {
    if (!this.isConcerned(podRow)) return '';
    const pod = this.#pods.get(podRow);
    const refs = pod.refs.map(({ claim }) => (claim === null ? 'x' : claim.allocation === null ? `s${claim.shape.id}` : `a${claim.id}`));
    return `${pod.isExtended ? pod.shapeRow : ''}:${refs.join()}`;
  }

  /** Why the node does not do (11.5), without its name (deviation of 7.4: one text for all nodes); null = it does. */
  check(podRow: number, nodeRow: number): string | null {
    return this.#check(podRow, nodeRow, '', 'the node');
  }

  /** `check` with the name of the node in the text. */
  checkDetailed(podRow: number, nodeRow: number): string | null {
    const name = this.#view.texts.get(this.#view.nodes.nameText[nodeRow]!);
    return this.#check(podRow, nodeRow, ` on node ${name}`, `node ${name}`);
  }

  /**
   * Registers what bind requests in flight have promised: claims without an allocation get the request's (deviations of
   * 11.5 and 11.9), extended resources too. `live[podRow]`: row of the pod's live bind request, −1 = none. At open, once.
   */
  registerBindRequests(live: Int32Array): void {
    if (!this.isOn) return;
    const { phaseCode, used } = this.#view.pods;
    for (let podRow = 0; podRow < live.length; podRow++) {
      const row = live[podRow]!;
      if (row < 0 || used[podRow] !== 1) continue;
      if (phaseCode[podRow] === PodPhase.succeeded || phaseCode[podRow] === PodPhase.failed) continue;
      this.#registerClaims(podRow, this.#view.bindRequests.claimsJson[row]!);
      this.#registerExtended(podRow, this.#view.bindRequests.extendedJson[row]!);
    }
  }

  /** Charges a pod that is on a node when the cycle opens; after `registerBindRequests`. */
  openPod(podRow: number, nodeRow: number, state: ChargeState): void {
    if (this.hasWork && this.#pods.isConcerned(podRow)) this.#charge(podRow, nodeRow, state);
  }

  /**
   * The allocate event (11.6): allocates the pod's claims on the node, all together, reserves them and charges the node.
   * False, with nothing changed, when that fails (deviation of 11.8).
   */
  place(podRow: number, nodeRow: number, state: ChargeState): boolean {
    if (!this.isConcerned(podRow)) return true;
    const pod = this.#pods.get(podRow);
    if (pod.refs.some(({ claim }) => claim === null || (claim.allocation !== null && !allowsNode(this.#view, claim.allocation, nodeRow)))) {
      return false;
    }
    const open = unallocated(pod);
    const synthetic = this.#extended.syntheticClaim(pod.shapeRow, nodeRow);
    const demands = demandsOf(pod, open, synthetic);
    const outcome: Outcome = demands.length === 0 ? { kind: 'found', picks: [] } : allocate(this.#input, nodeRow, demands);
    if (outcome.kind !== 'found') return false;
    outcome.picks.forEach((picks, i) => {
      const allocation = writeAllocation(this.#view, this.#devices, this.#input.classes, demands[i]!.shape, picks);
      if (i < open.length) this.#claims.allocate(open[i]!, allocation);
      else this.#holdExtended(podRow, synthetic!, allocation);
    });
    for (const { claim } of pod.refs) this.#claims.reserve(claim!, pod.uid);
    this.#charge(podRow, nodeRow, state);
    return true;
  }

  /** Takes back a `place` of this cycle where it cannot be undone by `rollback`. */
  unplace(podRow: number, nodeRow: number): void {
    if (!this.isConcerned(podRow)) return;
    const pod = this.#pods.get(podRow);
    for (const { claim } of pod.refs) if (claim !== null) this.#claims.release(claim, pod.uid);
    this.#dropExtended(podRow);
    this.#charges.remove(podRow, nodeRow);
  }

  /** Changes how a pod holds what it is charged on a node; claims stay as they are. */
  setState(podRow: number, nodeRow: number, state: ChargeState): void {
    this.#charges.setState(podRow, nodeRow, state);
  }

  /** The deallocate event of a pod that is evicted from a node: its claims are given back, its charge is Releasing. */
  evict(podRow: number, nodeRow: number): void {
    if (!this.hasWork || !this.#pods.isConcerned(podRow)) return;
    const pod = this.#pods.get(podRow);
    const own = this.#claims.extendedOfPod(pod.uidRow);
    const claims = new Set(pod.refs.flatMap(({ claim }) => (claim === null ? [] : [claim])));
    if (own !== undefined) claims.add(own);
    const vacated = {
      claims: [...claims].map((claim) => ({ claim, allocation: claim.allocation })),
      extended: this.#held.get(podRow) ?? null,
    };
    for (const claim of claims) this.#claims.vacate(claim, pod.uid);
    this.#dropExtended(podRow);
    this.#setVacated(podRow, vacated);
    this.#charges.setState(podRow, nodeRow, 'releasing');
  }

  /** Takes an `evict` back, out of order: the pod keeps its devices. False, with nothing changed, when others have them. */
  unevict(podRow: number, nodeRow: number, state: ChargeState): boolean {
    const vacated = this.#vacated.get(podRow);
    if (vacated === undefined) return true;
    const pod = this.#pods.get(podRow);
    const isTaken = (a: Allocation | null): boolean => a !== null && !this.#devices.areFree(a.devices);
    const wanted = vacated.claims.filter(({ claim }) => claim.allocation === null);
    if (wanted.some(({ allocation }) => isTaken(allocation)) || isTaken(vacated.extended?.allocation ?? null)) return false;
    for (const { claim, allocation } of wanted) this.#claims.allocate(claim, allocation);
    for (const { claim } of vacated.claims) this.#claims.reserve(claim, pod.uid);
    if (vacated.extended !== null) this.#setHeld(podRow, vacated.extended);
    this.#setVacated(podRow, undefined);
    this.#charges.setState(podRow, nodeRow, state);
    return true;
  }

  /** GPUs that claims take on the node, by how their pods hold them (4.8). */
  chargedGpus(nodeRow: number): ChargedGpus {
    return this.#charges.totals(nodeRow);
  }

  /** Of the GPU devices that the pod's claims have, those that are charged to the node already: the fit test adds them. */
  sharedCreditOf(podRow: number, nodeRow: number): number {
    if (!this.hasWork || !this.#pods.isConcerned(podRow)) return 0;
    return this.#charges.countHeld(gpusOf(this.#pods.get(podRow)), nodeRow);
  }

  /** `resourceClaimAllocations` of a bind request: the pod's claims in its order, without `allocation` where none is known. */
  allocationsOf(podRow: number): readonly { readonly name: string; readonly allocation?: unknown }[] {
    if (!this.isConcerned(podRow)) return [];
    return this.#pods
      .get(podRow)
      .refs.filter(({ claim }) => claim !== null)
      .map(({ name, claim }) => (claim!.allocation === null ? { name } : { name, allocation: claim!.allocation.json }));
  }

  /** `extendedResourceClaimAllocation` of a bind request, null = none. */
  extendedAllocationOf(podRow: number): ExtendedAllocation | null {
    return this.#held.get(podRow)?.written ?? null;
  }

  mark(): number {
    return this.#log.mark();
  }

  /** Restores claims, reservations, devices and charges exactly as they were at the mark. */
  rollback(mark: number): void {
    this.#log.rollback(mark);
  }

  /** Forgets how to undo: what happened so far is final. */
  seal(): void {
    this.#log.seal();
  }

  #check(podRow: number, nodeRow: number, onNode: string, node: string): string | null {
    if (!this.hasWork || !this.#pods.isConcerned(podRow)) return null;
    const pod = this.#pods.get(podRow);
    for (const { claim, claimName } of pod.refs) {
      if (claim === null) return `cannot allocate DRA claims${onNode}: resource claim ${pod.namespace}/${claimName} not found`;
      if (claim.allocation !== null && !allowsNode(this.#view, claim.allocation, nodeRow)) {
        return `claim ${claim.key} node selector does not match ${node}`;
      }
    }
    const demands = demandsOf(pod, unallocated(pod), this.#extended.syntheticClaim(pod.shapeRow, nodeRow));
    if (demands.length === 0) return null;
    const outcome = this.#outcome(nodeRow, demands);
    if (outcome.kind === 'found') return null;
    if (outcome.kind === 'none') return `cannot allocate all DRA claims${onNode}`;
    return `cannot allocate DRA claims${onNode}: ${outcome.message}`;
  }

  /** What the allocator says, kept until a device that the node reaches changes hands. */
  #outcome(nodeRow: number, demands: readonly Demand[]): Outcome {
    const key = demands.map(({ shape }) => shape.id).join();
    let known = this.#outcomes.get(key);
    if (known === undefined) {
      known = { version: [], networkVersion: [], outcome: [] };
      this.#outcomes.set(key, known);
    }
    const version = this.#devices.nodeVersion[nodeRow]!;
    const { networkVersion } = this.#devices;
    if (known.version[nodeRow] === version && known.networkVersion[nodeRow] === networkVersion) return known.outcome[nodeRow]!;
    const outcome = allocate(this.#input, nodeRow, demands);
    // Messages name the asking claim: only of others it may be said again.
    if (outcome.kind === 'problem') return outcome;
    known.version[nodeRow] = version;
    known.networkVersion[nodeRow] = networkVersion;
    known.outcome[nodeRow] = outcome;
    return outcome;
  }

  #charge(podRow: number, nodeRow: number, state: ChargeState): void {
    const pod = this.#pods.get(podRow);
    const isReservation = (this.#view.pods.flags[podRow]! & PodFlag.reservation) !== 0;
    if (pod.gpuCount === 0 || isReservation || !chargesClaims(this.#view, pod)) return;
    const gpus = gpusOf(pod);
    this.#charges.put(podRow, nodeRow, state, gpus, Math.min(MAX_CHARGE, Math.max(0, pod.gpuCount - gpus.length)));
  }

  #registerClaims(podRow: number, textRow: number): void {
    if (textRow === NO_ROW || this.#view.pods.claimsJson[podRow] === NO_ROW) return;
    const pod = this.#pods.get(podRow);
    for (const listed of asList(JSON.parse(this.#view.texts.get(textRow))).map(asRecord)) {
      const claim = pod.refs.find(({ name }) => name === listed['name'])?.claim ?? null;
      if (claim === null || claim.allocation !== null) continue;
      const allocation = readAllocation(this.#view, this.#devices, listed['allocation']);
      if (allocation === null) continue;
      this.#claims.allocate(claim, allocation);
      this.#claims.reserve(claim, pod.uid);
    }
  }

  #registerExtended(podRow: number, textRow: number): void {
    // The binder's claim, once it exists, holds the devices itself.
    if (textRow === NO_ROW || this.#claims.extendedOfPod(this.#view.pods.uidText[podRow]!)?.allocation != null) return;
    const written = asRecord(JSON.parse(this.#view.texts.get(textRow)));
    const allocation = readAllocation(this.#view, this.#devices, written['allocation']);
    if (allocation === null) return;
    const deviceRequests = asList(written['deviceRequests']);
    const containerMappings = asList(written['containerMappings']);
    this.#setHeld(podRow, { allocation, written: { allocation: allocation.json, deviceRequests, containerMappings } });
  }

  #holdExtended(podRow: number, { deviceRequests, containerMappings }: SyntheticClaim, allocation: Allocation): void {
    this.#setHeld(podRow, { allocation, written: { allocation: allocation.json, deviceRequests, containerMappings } });
  }

  #setHeld(podRow: number, held: HeldExtended): void {
    this.#dropExtended(podRow);
    this.#devices.take(held.allocation.devices);
    this.#held.set(podRow, held);
    this.#log.push(() => this.#held.delete(podRow));
  }

  #dropExtended(podRow: number): void {
    const held = this.#held.get(podRow);
    if (held === undefined) return;
    this.#devices.free(held.allocation.devices);
    this.#held.delete(podRow);
    this.#log.push(() => this.#held.set(podRow, held));
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

/** Opens Dynamic Resource Allocation for a cycle; every call is cheap when the snapshot has none of it. */
export function openDra(view: SnapshotView, params: DraParams): DraSession {
  return new DraSession(view, params);
}

/** Outcomes by node row, with the versions of the devices they were found at. */
interface NodeOutcomes {
  readonly version: number[];
  readonly networkVersion: number[];
  readonly outcome: Outcome[];
}

const NO_COUNTS: ReadonlyMap<string, number> = new Map();

type NamedObjects = readonly (readonly [key: string, object: JsonRecord])[];

interface DraObjects {
  readonly claims: NamedObjects;
  readonly slices: NamedObjects;
  readonly classes: NamedObjects;
}

const NO_OBJECTS: DraObjects = Object.freeze({ claims: [], slices: [], classes: [] });

/** Claims, slices and classes of the snapshot, each by key. */
function readObjects(view: SnapshotView): DraObjects {
  const claims: [string, JsonRecord][] = [];
  const slices: [string, JsonRecord][] = [];
  const classes: [string, JsonRecord][] = [];
  const { rows, used, kindCode, keyText, specJson } = view.objects;
  for (let row = 0; row < rows; row++) {
    if (used[row] !== 1 || specJson[row] === NO_ROW) continue;
    const kind = kindCode[row]!;
    const list = kind === ObjectKind.resourceClaim ? claims : kind === ObjectKind.resourceSlice ? slices : kind === ObjectKind.deviceClass ? classes : null;
    list?.push([view.texts.get(keyText[row]!), asRecord(JSON.parse(view.texts.get(specJson[row]!)))]);
  }
  for (const list of [claims, slices, classes]) list.sort(([a], [b]) => (a < b ? -1 : 1));
  return { claims, slices, classes };
}

/** Claims of the pod that have no devices yet, each once, in its order. */
function unallocated(pod: PodClaims): Claim[] {
  const out: Claim[] = [];
  for (const { claim } of pod.refs) if (claim !== null && claim.allocation === null && !out.includes(claim)) out.push(claim);
  return out;
}

function demandsOf(pod: PodClaims, open: readonly Claim[], synthetic: SyntheticClaim | null): Demand[] {
  const out: Demand[] = open.map(({ key, shape }) => ({ claimKey: key, shape }));
  if (synthetic !== null) out.push({ claimKey: `${pod.namespace}/${SYNTHETIC_NAME}`, shape: synthetic.shape });
  return out;
}

/** GPU devices that the pod's claims have, of each claim at most as many as it counts for. */
function gpusOf(pod: PodClaims): number[] {
  const out = new Set<number>();
  for (const { claim } of pod.refs) {
    if (claim === null || claim.allocation === null) continue;
    const { gpus } = claim.allocation;
    for (let i = 0; i < Math.min(gpus.length, claim.shape.gpuCount); i++) out.add(gpus[i]!);
  }
  return [...out];
}
