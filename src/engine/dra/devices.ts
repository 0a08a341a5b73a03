// Devices by number: those that slices publish, and any other that an allocation names.

import { isGpuName } from './claimShape.ts';
import type { JsonRecord } from './json.ts';
import type { UndoLog } from './undoLog.ts';

/** What a slice says of a device. */
interface DeviceFacts {
  readonly driver: string;
  readonly attributes: JsonRecord;
  readonly capacity: JsonRecord;
  /** Devices of one number look the same to every selector. */
  readonly matchClass: number;
  /** `spec.nodeName` and `spec.nodeSelector` of the slice, for the node selector of an allocation. */
  readonly nodeName: string;
  readonly nodeSelector: JsonRecord | null;
}

/** Node of a device that is not bound to one. */
const NO_HOME = -1;

/** Numbers devices and counts who holds them. */
export class DeviceTable {
  readonly #idOf = new Map<string, number>();
  readonly #names: (readonly [driver: string, pool: string, device: string])[] = [];
  /** "driver/pool/device", as messages name it. */
  readonly text: string[] = [];
  readonly isGpu: boolean[] = [];
  readonly facts: (DeviceFacts | undefined)[] = [];
  /** Number of allocations that hold the device; devices that cannot be allocated at all start with one. */
  readonly holders: number[] = [];
  readonly #home: number[] = [];
  readonly #log: UndoLog;
  /** Grows whenever a device of the node changes hands, and back. */
  readonly nodeVersion: Uint32Array;
  /** The same for devices that are not bound to one node. */
  networkVersion = 0;

  constructor(nodeRows: number, log: UndoLog) {
    this.nodeVersion = new Uint32Array(nodeRows);
    this.#log = log;
  }

  /** The number of a device, given on first sight. */
  idOf(driver: string, pool: string, device: string): number {
    const key = JSON.stringify([driver, pool, device]);
    let id = this.#idOf.get(key);
    if (id === undefined) {
      id = this.text.length;
      this.#idOf.set(key, id);
      this.#names.push([driver, pool, device]);
      this.text.push(`${driver}/${pool}/${device}`);
      this.isGpu.push(isGpuName(driver));
      this.facts.push(undefined);
      this.holders.push(0);
      this.#home.push(NO_HOME);
    }
    return id;
  }

  nameOf(id: number): readonly [driver: string, pool: string, device: string] {
    return this.#names[id]!;
  }

  /** Records what a slice publishes. `homeNodeRow`: node row, or −1 for a device of several nodes. */
  publish(id: number, facts: DeviceFacts, homeNodeRow: number, isBlocked: boolean): void {
    this.facts[id] = facts;
    this.#home[id] = homeNodeRow;
    if (isBlocked) this.holders[id] = this.holders[id]! + 1;
  }

  take(ids: readonly number[]): void {
    this.#change(ids, 1);
    this.#log.push(() => this.#change(ids, -1));
  }

  free(ids: readonly number[]): void {
    this.#change(ids, -1);
    this.#log.push(() => this.#change(ids, 1));
  }

  areFree(ids: readonly number[]): boolean {
    return ids.every((id) => this.holders[id] === 0);
  }

  #change(ids: readonly number[], sign: 1 | -1): void {
    for (const id of ids) {
      this.holders[id] = this.holders[id]! + sign;
      const home = this.#home[id]!;
      if (home === NO_HOME) this.networkVersion++;
      else this.nodeVersion[home] = this.nodeVersion[home]! + 1;
    }
  }
}
