// Devices that pods hold for extended resources without a claim in the API (spec 03 section 11.9).

import type { SnapshotView } from '../../base/snapshotView.ts';
import { type Allocation, readAllocation } from './allocation.ts';
import type { DeviceTable } from './devices.ts';
import { asList, type JsonRecord } from './json.ts';
import type { UndoLog } from './undoLog.ts';

/** `spec.extendedResourceClaimAllocation` of a bind request. */
export interface ExtendedAllocation {
  /** AllocationResult */
  readonly allocation: unknown;
  /** DeviceRequests */
  readonly deviceRequests: readonly unknown[];
  /** ContainerMapping of this cycle, or as an earlier bind request has it. */
  readonly containerMappings: readonly unknown[];
}

export interface HeldExtended {
  readonly allocation: Allocation;
  readonly written: ExtendedAllocation;
}

/** What a bind request promised; null when it has no allocation. */
export function readHeldExtended(view: SnapshotView, devices: DeviceTable, written: JsonRecord): HeldExtended | null {
  const allocation = readAllocation(view, devices, written['allocation']);
  if (allocation === null) return null;
  const deviceRequests = asList(written['deviceRequests']);
  const containerMappings = asList(written['containerMappings']);
  return { allocation, written: { allocation: allocation.json, deviceRequests, containerMappings } };
}

export class ExtendedLedger {
  readonly #held = new Map<number, HeldExtended>();
  readonly #devices: DeviceTable;
  readonly #log: UndoLog;

  constructor(devices: DeviceTable, log: UndoLog) {
    this.#devices = devices;
    this.#log = log;
  }

  get(podRow: number): HeldExtended | null {
    return this.#held.get(podRow) ?? null;
  }

  /** Lets the pod hold these devices, in place of what it held. */
  hold(podRow: number, held: HeldExtended): void {
    this.drop(podRow);
    this.#devices.take(held.allocation.devices);
    this.#held.set(podRow, held);
    this.#log.push(() => this.#held.delete(podRow));
  }

  drop(podRow: number): void {
    const held = this.#held.get(podRow);
    if (held === undefined) return;
    this.#devices.free(held.allocation.devices);
    this.#held.delete(podRow);
    this.#log.push(() => this.#held.set(podRow, held));
  }
}
