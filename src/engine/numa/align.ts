import { type NodeZones, ZonePolicy } from './nodeZones.ts';
import type { AlignedRequest, Alignment } from './zoneRequest.ts';

/** More sets of zones are not tried; all sets of 16 zones are fewer. */
const MAX_SETS = 1 << 14;
const FAILED = -1;

/** Zone amounts of a pod on a node: cells of the node (zone × resources + resource), ascending, and what is taken of each. */
export interface ZonePlacement {
  readonly node: number;
  readonly cell: Int32Array;
  readonly amount: Float64Array;
}

export function isSamePlacement(a: ZonePlacement, b: ZonePlacement | null): boolean {
  if (b === null || a.node !== b.node || a.cell.length !== b.cell.length) return false;
  return a.cell.every((cell, i) => cell === b.cell[i] && a.amount[i] === b.amount[i]);
}

/**
 * Predicts what the kubelet's Topology Manager does with a pod (spec 03 section 11A.4). Holds scratch memory only: the
 * result of the last evaluation stays readable until the next.
 */
export class ZoneAligner {
  #available = new Float64Array(16);
  #free = new Float64Array(16);
  #drawn = new Float64Array(16);
  #missing = new Float64Array(8);
  #mask = new Int32Array(8);
  #isUsed = new Uint8Array(8);

  /** The node's available amounts, to be filled before `evaluate`. */
  scratch(zones: NodeZones): Float64Array {
    const cells = zones.allocatable.length;
    if (this.#available.length < cells) {
      this.#available = new Float64Array(cells);
      this.#free = new Float64Array(cells);
      this.#drawn = new Float64Array(cells);
    }
    const count = zones.names.length;
    if (this.#mask.length < count) {
      this.#mask = new Int32Array(count);
      this.#isUsed = new Uint8Array(count);
    }
    if (this.#missing.length < zones.profile.resources.length) this.#missing = new Float64Array(zones.profile.resources.length);
    return this.#available;
  }

  /** Number of zones that the pod would draw from, 0 when it draws nothing, −1 when the evaluation fails. */
  evaluate(zones: NodeZones, a: Alignment): number {
    const cells = zones.allocatable.length;
    this.#drawn.fill(0, 0, cells);
    for (let i = 0; i < cells; i++) this.#free[i] = this.#available[i]!;
    for (const request of a.concurrent) {
      const count = this.#choose(zones, request, this.#free);
      if (count === FAILED) return FAILED;
      this.#draw(zones, request, count);
    }
    for (const request of a.serial) if (this.#choose(zones, request, this.#available) === FAILED) return FAILED;
    return this.#span(zones);
  }

  /** Can each request by itself be aligned? What may fail here for good fails with less available, too. */
  evaluateApart(zones: NodeZones, a: Alignment): boolean {
    for (const request of a.concurrent) if (this.#choose(zones, request, this.#available) === FAILED) return false;
    for (const request of a.serial) if (this.#choose(zones, request, this.#available) === FAILED) return false;
    return true;
  }

  /** What the last evaluation drew; null when nothing. */
  placement(zones: NodeZones, node: number): ZonePlacement | null {
    const cells: number[] = [];
    for (let i = 0; i < zones.allocatable.length; i++) if (this.#drawn[i]! > 0) cells.push(i);
    if (cells.length === 0) return null;
    return { node, cell: Int32Array.from(cells), amount: Float64Array.from(cells, (i) => this.#drawn[i]!) };
  }

  #span(zones: NodeZones): number {
    const resources = zones.profile.resources.length;
    let span = 0;
    for (let z = 0; z < zones.names.length; z++) {
      for (let r = 0; r < resources; r++) {
        if (this.#drawn[z * resources + r]! <= 0) continue;
        span++;
        break;
      }
    }
    return span;
  }

  /** Fills the mask with zones for the request; their number, or −1. */
  #choose(zones: NodeZones, request: AlignedRequest, available: Float64Array): number {
    if (request.resource.length === 0) return 0;
    switch (zones.profile.policy) {
      case ZonePolicy.singleNumaNode:
        return this.#firstSet(zones, request, available, 1);
      case ZonePolicy.restricted:
        return this.#restricted(zones, request, available);
      default:
        return this.#greedy(zones, request, available);
    }
  }

  /** All resources must need the same number of zones, judged by what the zones have when empty. */
  #restricted(zones: NodeZones, request: AlignedRequest, available: Float64Array): number {
    const resources = zones.profile.resources.length;
    let width = 0;
    for (let k = 0; k < request.resource.length; k++) {
      let own = 1;
      while (own <= zones.names.length && zones.largestSums[(own - 1) * resources + request.resource[k]!]! < request.amount[k]!) own++;
      if (own > zones.names.length || (width !== 0 && own !== width)) return FAILED;
      width = own;
    }
    return this.#firstSet(zones, request, available, width);
  }

  /** The lexicographically first set of `width` zones that together have enough of everything. */
  #firstSet(zones: NodeZones, request: AlignedRequest, available: Float64Array, width: number): number {
    const mask = this.#mask;
    const last = zones.names.length - width;
    for (let i = 0; i < width; i++) mask[i] = i;
    for (let tried = 0; tried < MAX_SETS; tried++) {
      if (this.#holds(zones, request, available, width)) return width;
      let i = width - 1;
      while (i >= 0 && mask[i] === last + i) i--;
      if (i < 0) return FAILED;
      mask[i] = mask[i]! + 1;
      for (let j = i + 1; j < width; j++) mask[j] = mask[j - 1]! + 1;
    }
    return FAILED;
  }

  #holds(zones: NodeZones, request: AlignedRequest, available: Float64Array, width: number): boolean {
    const resources = zones.profile.resources.length;
    for (let k = 0; k < request.resource.length; k++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += available[this.#mask[i]! * resources + request.resource[k]!]!;
      if (sum < request.amount[k]!) return false;
    }
    return true;
  }

  /**
   * Best effort: while something is missing, the zone that gives most of it. The reference's sum of unlike units, kept
   * because scores depend on it.
   */
  #greedy(zones: NodeZones, request: AlignedRequest, available: Float64Array): number {
    const resources = zones.profile.resources.length;
    const wanted = request.resource.length;
    const missing = this.#missing;
    for (let k = 0; k < wanted; k++) missing[k] = request.amount[k]!;
    this.#isUsed.fill(0, 0, zones.names.length);
    for (let count = 0; ; ) {
      let isMissing = false;
      for (let k = 0; k < wanted; k++) if (missing[k]! > 0) isMissing = true;
      if (!isMissing) return count;
      let best = -1;
      let most = 0;
      for (let z = 0; z < zones.names.length; z++) {
        if (this.#isUsed[z] === 1) continue;
        let sum = 0;
        for (let k = 0; k < wanted; k++) {
          if (missing[k]! > 0) sum += Math.min(missing[k]!, available[z * resources + request.resource[k]!]!);
        }
        if (sum <= most) continue;
        best = z;
        most = sum;
      }
      if (best < 0) return FAILED;
      this.#isUsed[best] = 1;
      this.#mask[count++] = best;
      for (let k = 0; k < wanted; k++) {
        if (missing[k]! > 0) missing[k] = missing[k]! - available[best * resources + request.resource[k]!]!;
      }
    }
  }

  /** Takes the request from the first `count` zones of the mask, in its order. */
  #draw(zones: NodeZones, request: AlignedRequest, count: number): void {
    const resources = zones.profile.resources.length;
    for (let k = 0; k < request.resource.length; k++) {
      let left = request.amount[k]!;
      for (let i = 0; i < count && left > 0; i++) {
        const cell = this.#mask[i]! * resources + request.resource[k]!;
        const taken = Math.min(this.#free[cell]!, left);
        if (taken <= 0) continue;
        this.#free[cell] = this.#free[cell]! - taken;
        this.#drawn[cell] = this.#drawn[cell]! + taken;
        left -= taken;
      }
    }
  }
}
