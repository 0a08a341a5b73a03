import type { Request } from '../placement/requests.ts';
import { add, type Journal, touchNode, write } from './journal.ts';
import { GROUP_CELL, NODE_CELL, type State } from './layout.ts';

/** How a task on a node is charged (spec 03 section 4.1). */
export const Charge = { used: 0, releasing: 1, pipelined: 2 } as const;
export type Charge = (typeof Charge)[keyof typeof Charge];

/**
 * Adds (sign 1) or removes (sign −1) a task's amounts on a node: CPU, memory, one pod slot, scalars and `gpus` whole
 * devices. Dimensions that the node does not offer are not charged (spec 03 section 4.1).
 */
export function chargeNode(j: Journal, s: State, n: number, r: Request, gpus: number, charge: Charge, sign: 1 | -1): void {
  const { facts } = s;
  if (facts.allocMilliCpu[n]! !== 0) chargeColumn(j, s, n, 0, r.milliCpu * sign, charge);
  if (facts.allocMemoryBytes[n]! !== 0) chargeColumn(j, s, n, 1, r.memoryBytes * sign, charge);
  if (facts.allocGpu[n]! !== 0) chargeColumn(j, s, n, 2, gpus * sign, charge);
  if (facts.allocPods[n]! !== 0) chargeColumn(j, s, n, 3, sign, charge);
  const count = s.sizes.nodes;
  for (let k = 0; k < r.scalarDim.length; k++) {
    const at = r.scalarDim[k]! * count + n;
    if (facts.allocScalar[at]! === 0) continue;
    const amount = r.scalarAmount[k]! * sign;
    add(j, s.base.usedScalar + at, amount);
    if (charge !== Charge.pipelined) add(j, s.base.idleScalar + at, -amount);
    if (charge !== Charge.used) add(j, s.base.releasingScalar + at, charge === Charge.releasing ? amount : -amount);
  }
  touchNode(j, n);
}

/** `column`: 0 CPU, 1 memory, 2 GPUs, 3 pods; idle, releasing and used lie 4 columns apart. */
function chargeColumn(j: Journal, s: State, n: number, column: number, amount: number, charge: Charge): void {
  if (amount === 0) return;
  const nodes = s.sizes.nodes;
  add(j, (NODE_CELL.usedMilliCpu + column) * nodes + n, amount);
  if (charge !== Charge.pipelined) add(j, (NODE_CELL.idleMilliCpu + column) * nodes + n, -amount);
  if (charge !== Charge.used) add(j, (NODE_CELL.releasingMilliCpu + column) * nodes + n, charge === Charge.releasing ? amount : -amount);
}

/** Adds whole devices to a node's columns without a task: corrections for shared claim devices. */
export function chargeGpus(j: Journal, s: State, n: number, gpus: number, charge: Charge): void {
  if (s.facts.allocGpu[n]! === 0 || gpus === 0) return;
  chargeColumn(j, s, n, 2, gpus, charge);
  touchNode(j, n);
}

/** A new group at the end of the node's list: groups stay in the order of creation. Returns its number. */
export function createGroup(j: Journal, s: State, n: number): number {
  const g = s.cells[s.base.groupCount]!;
  if (g >= s.sizes.groups) throw new Error(`more than ${s.sizes.groups} GPU groups: the bound of the cycle is wrong`);
  write(j, s.base.groupCount, g + 1);
  const cell = (column: number): number => s.base.group + column * s.sizes.groups + g;
  write(j, cell(GROUP_CELL.next), -1);
  write(j, cell(GROUP_CELL.node), n);
  for (const column of [
    GROUP_CELL.usedMib,
    GROUP_CELL.allocatedMib,
    GROUP_CELL.releasingMib,
    GROUP_CELL.isMarked,
    GROUP_CELL.hasAllocated,
  ]) {
    write(j, cell(column), 0);
  }
  let tail = s.ledger.groupHead[n]!;
  if (tail < 0) write(j, NODE_CELL.groupHead * s.sizes.nodes + n, g);
  else {
    while (s.groups.next[tail]! >= 0) tail = s.groups.next[tail]!;
    write(j, s.base.group + GROUP_CELL.next * s.sizes.groups + tail, g);
  }
  return g;
}

/** Adds a task's `mib` to a group; may take a device out of Idle or Releasing (table of spec 03 section 4.4). */
export function addToGroup(j: Journal, s: State, g: number, mib: number, charge: Charge): void {
  const n = s.groups.node[g]!;
  const before = s.groups.usedMib[g]!;
  const releasingBefore = s.groups.releasingMib[g]!;
  change(j, s, GROUP_CELL.usedMib, g, mib);
  if (charge === Charge.releasing) {
    change(j, s, GROUP_CELL.releasingMib, g, mib);
    addAllocated(j, s, g, mib);
    if (s.groups.usedMib[g]! === s.groups.releasingMib[g]!) {
      if (s.groups.isMarked[g]! === 0) {
        changeNode(j, s, NODE_CELL.releasingGpu, n, 1);
        set(j, s, GROUP_CELL.isMarked, g, 1);
      }
      if (s.facts.devices[n]! < Math.trunc(s.ledger.idleGpu[n]!) + busyDevices(s, n)) changeNode(j, s, NODE_CELL.idleGpu, n, -1);
    }
  } else if (charge === Charge.pipelined) {
    change(j, s, GROUP_CELL.releasingMib, g, -mib);
    if (before === releasingBefore) changeNode(j, s, NODE_CELL.releasingGpu, n, -1);
  } else {
    addAllocated(j, s, g, mib);
    if (s.groups.usedMib[g]! <= mib && s.facts.devices[n]! < Math.trunc(s.ledger.idleGpu[n]!) + busyDevices(s, n)) {
      changeNode(j, s, NODE_CELL.idleGpu, n, -1);
    }
    if (s.groups.isMarked[g]! === 1) {
      changeNode(j, s, NODE_CELL.releasingGpu, n, -1);
      set(j, s, GROUP_CELL.isMarked, g, 0);
    }
  }
  touchNode(j, n);
}

/** Removes a task's `mib` from a group (lower row of the same table). */
export function removeFromGroup(j: Journal, s: State, g: number, mib: number, charge: Charge): void {
  const n = s.groups.node[g]!;
  const before = s.groups.usedMib[g]!;
  const releasingBefore = s.groups.releasingMib[g]!;
  change(j, s, GROUP_CELL.usedMib, g, -mib);
  if (charge === Charge.pipelined) {
    change(j, s, GROUP_CELL.releasingMib, g, mib);
    const isEmpty = s.groups.usedMib[g]! === 0 && s.groups.releasingMib[g]! === 0;
    if (before === releasingBefore || isEmpty) changeNode(j, s, NODE_CELL.releasingGpu, n, 1);
  } else {
    change(j, s, GROUP_CELL.allocatedMib, g, -mib);
    if (charge === Charge.releasing) change(j, s, GROUP_CELL.releasingMib, g, -mib);
    if (s.groups.usedMib[g]! <= 0 && s.facts.devices[n]! >= Math.trunc(s.ledger.idleGpu[n]!) + busyDevices(s, n)) {
      changeNode(j, s, NODE_CELL.idleGpu, n, 1);
      if (charge === Charge.releasing) unmark(j, s, g, n);
    }
    const { usedMib, releasingMib, isMarked } = s.groups;
    if (charge === Charge.used && usedMib[g]! !== 0 && releasingMib[g]! === usedMib[g]! && isMarked[g]! === 0) {
      changeNode(j, s, NODE_CELL.releasingGpu, n, 1);
      set(j, s, GROUP_CELL.isMarked, g, 1);
    }
  }
  touchNode(j, n);
}

/**
 * A task that keeps its `mib` of a group begins to leave (sign 1) or stays after all (−1). Its device is used all the time:
 * taking the memory off and putting it on again would not always come to that, since a device that looks idle in between may
 * be another's.
 */
export function moveInGroup(j: Journal, s: State, g: number, mib: number, sign: 1 | -1): void {
  const n = s.groups.node[g]!;
  change(j, s, GROUP_CELL.releasingMib, g, sign * mib);
  const isLeaving = s.groups.usedMib[g]! === s.groups.releasingMib[g]!;
  if (!isLeaving) unmark(j, s, g, n);
  else if (s.groups.isMarked[g]! === 0) {
    changeNode(j, s, NODE_CELL.releasingGpu, n, 1);
    set(j, s, GROUP_CELL.isMarked, g, 1);
  }
  touchNode(j, n);
}

function unmark(j: Journal, s: State, g: number, n: number): void {
  if (s.groups.isMarked[g]! === 0) return;
  changeNode(j, s, NODE_CELL.releasingGpu, n, -1);
  set(j, s, GROUP_CELL.isMarked, g, 0);
}

/** trunc(whole GPUs in use) + groups with used memory. */
function busyDevices(s: State, n: number): number {
  let busy = Math.trunc(s.ledger.usedGpu[n]!);
  for (let g = s.ledger.groupHead[n]!; g >= 0; g = s.groups.next[g]!) if (s.groups.usedMib[g]! > 0) busy++;
  return busy;
}

function addAllocated(j: Journal, s: State, g: number, mib: number): void {
  change(j, s, GROUP_CELL.allocatedMib, g, mib);
  set(j, s, GROUP_CELL.hasAllocated, g, 1);
}

function change(j: Journal, s: State, column: number, g: number, delta: number): void {
  add(j, s.base.group + column * s.sizes.groups + g, delta);
}

function set(j: Journal, s: State, column: number, g: number, value: number): void {
  write(j, s.base.group + column * s.sizes.groups + g, value);
}

function changeNode(j: Journal, s: State, column: number, n: number, delta: number): void {
  add(j, column * s.sizes.nodes + n, delta);
}
