// The claim ledger of a cycle (spec 03 section 11.6): who uses a claim, and which devices it holds.
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { type Allocation, readAllocation } from './allocation.ts';
import { type ClaimShape, ClaimShapes } from './claimShape.ts';
import type { DeviceTable } from './devices.ts';
import { asList, asRecord, asText, type JsonRecord } from './json.ts';
import type { UndoLog } from './undoLog.ts';

const EXTENDED_ANNOTATION = 'resource.kubernetes.io/extended-resource-claim';

export interface Claim {
  /** Number of the claim in the ledger. */
  readonly id: number;
  /** "namespace/name" */
  readonly key: string;
  readonly name: string;
  readonly labels: JsonRecord;
  readonly shape: ClaimShape;
  /** Made by a binder for extended resources: its devices are counted as container requests (11.9). */
  readonly isExtended: boolean;
  /** `status.reservedFor`: UIDs of pods, "resource/UID" of other consumers. They stay when trials are taken back. */
  readonly residents: Set<string>;
  /** UIDs of the pods that were placed in this cycle. */
  readonly placed: Set<string>;
  allocation: Allocation | null;
  /** The allocation that the claim has without those pods. */
  resting: Allocation | null;
}

/** Length of `reservedFor` as this cycle would write it. */
export function countConsumers(claim: Claim): number {
  let count = claim.residents.size;
  for (const uid of claim.placed) if (!claim.residents.has(uid)) count++;
  return count;
}

export class ClaimLedger {
  readonly shapes = new ClaimShapes();
  /** Grows whenever a claim gets or loses its allocation. */
  version = 0;
  readonly #byKey = new Map<string, Claim>();
  /** Claims by text row of a pod's UID, as section 11.2 finds them without a name. */
  readonly #byPodUid = new Map<number, Claim[]>();
  /** Claim for extended resources by text row of the UID of the pod that controls it. */
  readonly #extendedByPodUid = new Map<number, Claim>();
  readonly #devices: DeviceTable;
  readonly #log: UndoLog;

  constructor(view: SnapshotView, objects: readonly (readonly [key: string, object: JsonRecord])[], devices: DeviceTable, log: UndoLog) {
    this.#devices = devices;
    this.#log = log;
    objects.forEach(([key, object], id) => {
      this.#enter(view, id, key, object);
    });
    // What the API says is no change to undo.
    log.seal();
  }

  find(key: string): Claim | undefined {
    return this.#byKey.get(key);
  }

  /** Claims that belong to a pod by owner reference, or without one by their first consumer. */
  ofPod(podUidRow: number): readonly Claim[] {
    return this.#byPodUid.get(podUidRow) ?? [];
  }

  extendedOfPod(podUidRow: number): Claim | undefined {
    return this.#extendedByPodUid.get(podUidRow);
  }

  /** Adds a pod that is placed in this cycle. */
  reserve(claim: Claim, podUid: string): void {
    this.#add(claim.placed, podUid);
  }

  /** Takes a placed pod off again; the last one leaves the claim as it was without them. */
  release(claim: Claim, podUid: string): void {
    this.#delete(claim.placed, podUid);
    if (claim.placed.size === 0) this.allocate(claim, claim.resting);
  }

  /** Adds a pod that has the claim before or beside this cycle, with the claim's present allocation. */
  settle(claim: Claim, podUid: string): void {
    this.#add(claim.residents, podUid);
    this.#rest(claim, claim.allocation);
  }

  /** A pod leaves for good: a claim that nobody uses any more gives its devices back. */
  vacate(claim: Claim, podUid: string): void {
    this.#delete(claim.residents, podUid);
    if (claim.residents.size === 0) this.#rest(claim, null);
    this.release(claim, podUid);
  }

  /** Sets or drops the allocation; its devices change hands with it. */
  allocate(claim: Claim, allocation: Allocation | null): void {
    const before = claim.allocation;
    if (before === allocation) return;
    if (before !== null) this.#devices.free(before.devices);
    if (allocation !== null) this.#devices.take(allocation.devices);
    claim.allocation = allocation;
    this.version++;
    this.#log.push(() => {
      claim.allocation = before;
      this.version++;
    });
  }

  #rest(claim: Claim, resting: Allocation | null): void {
    const before = claim.resting;
    claim.resting = resting;
    this.#log.push(() => {
      claim.resting = before;
    });
  }

  #add(consumers: Set<string>, uid: string): void {
    if (consumers.has(uid)) return;
    consumers.add(uid);
    this.#log.push(() => consumers.delete(uid));
  }

  #delete(consumers: Set<string>, uid: string): void {
    if (consumers.delete(uid)) this.#log.push(() => consumers.add(uid));
  }

  #enter(view: SnapshotView, id: number, key: string, object: JsonRecord): void {
    const metadata = asRecord(object['metadata']);
    const status = asRecord(object['status']);
    const reserved = asList(status['reservedFor']).map(asRecord);
    const claim: Claim = {
      id,
      key,
      name: key.slice(key.indexOf('/') + 1),
      labels: asRecord(metadata['labels']),
      shape: this.shapes.of(asRecord(object['spec'])['devices']),
      isExtended: asRecord(metadata['annotations'])[EXTENDED_ANNOTATION] === 'true',
      residents: new Set(reserved.map(consumerKey)),
      placed: new Set(),
      allocation: null,
      resting: null,
    };
    this.allocate(claim, readAllocation(view, this.#devices, status['allocation']));
    claim.resting = claim.allocation;
    this.#byKey.set(key, claim);
    const owners = asList(metadata['ownerReferences'])
      .map(asRecord)
      .filter((owner) => owner['kind'] === 'Pod');
    const podUid = asText((owners[0] ?? reserved.find((r) => r['resource'] === 'pods'))?.['uid']);
    this.#index(view, claim, podUid, asText(owners.find((owner) => owner['controller'] === true)?.['uid']));
  }

  #index(view: SnapshotView, claim: Claim, podUid: string, controllerUid: string): void {
    const uidRow = podUid === '' ? NO_ROW : view.texts.find(podUid);
    if (uidRow !== NO_ROW) {
      const known = this.#byPodUid.get(uidRow);
      if (known === undefined) this.#byPodUid.set(uidRow, [claim]);
      else known.push(claim);
    }
    const controllerRow = controllerUid === '' ? NO_ROW : view.texts.find(controllerUid);
    if (claim.isExtended && controllerRow !== NO_ROW) this.#extendedByPodUid.set(controllerRow, claim);
  }
}

function consumerKey(consumer: JsonRecord): string {
  const uid = asText(consumer['uid']);
  return consumer['resource'] === 'pods' ? uid : `${asText(consumer['resource'])}/${uid}`;
}
