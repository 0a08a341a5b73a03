// How much free GPU of a node is of no use for what is typically asked for: the measure of plugin `gpufragmentation`, after
// "Beware of Fragmentation" (USENIX ATC 2023).
import type { SnapshotView } from '../../base/snapshotView.ts';
import { compileNodeConstraints, nodeConstraintCodesInto } from '../filters/nodeConstraints.ts';
import type { State } from '../state/layout.ts';
import type { Request } from './requests.ts';
import { type TypicalPod, typicalPods } from './typicalPods.ts';

const WHOLE_MILLI = 1000;
/**
 * Part of the waste that counts CPU and memory as shared out among typical pods; the rest is the published measure, in
 * which one more pod that fits is enough. A quarter avoids stranding GPUs behind used-up CPU without scattering pods.
 */
const OUTLOOK = 0.25;

/** Typical demands as nodes with devices of one memory size see them, ordered by portion. */
export interface Profile {
  /** Distinct portions in thousandths of a device, ascending; above 1000 = fits no device. */
  readonly portionMilli: Float64Array;
  /** End of the demands with that portion. */
  readonly end: Int32Array;
  readonly podCount: Float64Array;
  readonly deviceCount: Float64Array;
  readonly milliCpu: Float64Array;
  readonly memoryBytes: Float64Array;
  /** GPU thousandths that come with one milli-CPU, with one byte. */
  readonly gpuPerCpu: Float64Array;
  readonly gpuPerByte: Float64Array;
  /** First cell of the demand's constraints in `allowed`. */
  readonly allowedStart: Int32Array;
}

/** Constants of a cycle and this thread's scratch. Built alike in planner and search workers. */
export interface Fragmentation {
  readonly state: State;
  readonly podCount: number;
  readonly profiles: readonly Profile[];
  /** By node, −1 = a node without GPUs. */
  readonly profileOf: Int32Array;
  /** 1 where pods with these constraints may run: a run of nodes per kind of constraints. */
  readonly allowed: Uint8Array;
  readonly scratch: Scratch;
}

/** Working columns of one thread; what they hold is valid for one node. */
export interface Scratch {
  /** By demand of the profile: GPU thousandths that the node's CPU and memory suffice for; 0 = not even for one pod. */
  readonly capacityNow: Float64Array;
  readonly capacityAfter: Float64Array;
  /** The node's devices in use: free thousandths now. */
  readonly partMilli: Float64Array;
  /** Group of the device. */
  readonly partGroup: Int32Array;
  /** Free thousandths with the request on it, −1 = it does not fit or is taken. */
  readonly partAfter: Float64Array;
  /** 1 = what is free there is still leaving. */
  readonly partWaits: Uint8Array;
  /** Waste of the node with the request on it. */
  readonly partCost: Float64Array;
  partCount: number;
  wholeDevices: number;
  /** Devices of the request in the order they are used: groups, −1 = a whole device. */
  readonly chosen: number[];
}

function createScratch(demands: number, parts: number): Scratch {
  return {
    capacityNow: new Float64Array(demands),
    capacityAfter: new Float64Array(demands),
    partMilli: new Float64Array(parts),
    partGroup: new Int32Array(parts),
    partAfter: new Float64Array(parts),
    partWaits: new Uint8Array(parts),
    partCost: new Float64Array(parts),
    partCount: 0,
    wholeDevices: 0,
    chosen: [],
  };
}

/** Reads the typical demands off the snapshot; node facts of the state must be filled. */
export function createFragmentation(view: SnapshotView, state: State, usesPredicates: boolean): Fragmentation {
  const { facts, sizes } = state;
  const memories = new Map<number, number>();
  const profileOf = new Int32Array(sizes.nodes).fill(-1);
  for (let n = 0; n < sizes.nodes; n++) {
    if (facts.allocGpu[n]! <= 0) continue;
    const mib = facts.gpuMemoryMib[n]!;
    if (!memories.has(mib)) memories.set(mib, memories.size);
    profileOf[n] = memories.get(mib)!;
  }
  const typical = typicalPods(view, Math.max(...memories.keys()));
  const texts = [...new Set(typical.map((pod) => pod.constraintText))];
  const codes = new Uint8Array(texts.length * sizes.nodes);
  for (let i = 0; usesPredicates && i < texts.length; i++) {
    const { signatureRow } = typical.find((pod) => pod.constraintText === texts[i])!;
    const out = codes.subarray(i * sizes.nodes, (i + 1) * sizes.nodes);
    nodeConstraintCodesInto(view, compileNodeConstraints(view, signatureRow), facts.row, 0, sizes.nodes, out);
  }
  return {
    state,
    podCount: typical.reduce((sum, pod) => sum + pod.podCount, 0),
    profiles: [...memories.keys()].map((mib) => createProfile(typical, texts, mib, sizes.nodes)),
    profileOf,
    allowed: codes.map((code) => (code === 0 ? 1 : 0)),
    scratch: createScratch(typical.length, mostDevices(state)),
  };
}

/** Most devices in use that a node can have: groups that exist, and whole devices that a request would take on top. */
function mostDevices({ sizes, facts }: State): number {
  return sizes.groups + facts.allocGpu.reduce((most, gpus) => Math.max(most, Math.ceil(gpus)), 0);
}

function createProfile(typical: readonly TypicalPod[], texts: readonly string[], nodeMib: number, nodes: number): Profile {
  const demands = typical
    .map((pod) => {
      const portion = pod.gpuMemoryMib > 0 ? Math.ceil((pod.gpuMemoryMib / nodeMib) * 100) / 100 : pod.portion;
      return { pod, milli: Math.round(portion * WHOLE_MILLI) };
    })
    .sort((a, b) => a.milli - b.milli);
  const column = (of: (d: (typeof demands)[number]) => number): Float64Array => Float64Array.from(demands, of);
  const portions = [...new Set(demands.map((d) => d.milli))];
  return {
    portionMilli: Float64Array.from(portions),
    end: Int32Array.from(portions, (milli) => demands.findLastIndex((d) => d.milli === milli) + 1),
    podCount: column((d) => d.pod.podCount),
    deviceCount: column((d) => d.pod.deviceCount),
    milliCpu: column((d) => d.pod.milliCpu),
    memoryBytes: column((d) => d.pod.memoryBytes),
    gpuPerCpu: column((d) => (d.milli * d.pod.deviceCount) / d.pod.milliCpu),
    gpuPerByte: column((d) => (d.milli * d.pod.deviceCount) / d.pod.memoryBytes),
    allowedStart: Int32Array.from(demands, (d) => texts.indexOf(d.pod.constraintText) * nodes),
  };
}

/** Thousandths of a device. */
export function toMilli(mib: number, nodeMib: number): number {
  return nodeMib > 0 ? Math.max(0, Math.round((mib / nodeMib) * WHOLE_MILLI)) : 0;
}

/** Reads the devices of a node: free thousandths of those in use, and the number of whole ones, idle and leaving. */
export function readDevices(f: Fragmentation, n: number): void {
  const { groups: g, ledger: l, facts } = f.state;
  const s = f.scratch;
  const nodeMib = facts.gpuMemoryMib[n]!;
  s.partCount = 0;
  for (let k = l.groupHead[n]!; k >= 0; k = g.next[k]!) {
    // A group that is leaving entirely counts as a whole device (spec 03 section 4.5).
    if (g.usedMib[k] === 0 || g.allocatedMib[k] === g.releasingMib[k]) continue;
    s.partMilli[s.partCount] = toMilli(nodeMib - g.allocatedMib[k]! + g.releasingMib[k]!, nodeMib);
    s.partGroup[s.partCount] = k;
    s.partCount++;
  }
  const hasWhole = l.idleGpu[n]! > 0 || l.releasingGpu[n]! > 0;
  s.wholeDevices = hasWhole ? Math.max(0, Math.trunc(l.idleGpu[n]!) + Math.trunc(l.releasingGpu[n]!)) : 0;
}

export function freeMilliOf(s: Scratch): number {
  let free = s.wholeDevices * WHOLE_MILLI;
  for (let i = 0; i < s.partCount; i++) free += s.partMilli[i]!;
  return free;
}

/** GPU thousandths that an amount suffices for; a pod that asks for none of it is never held up by it. */
function sufficesFor(left: number, asked: number, gpuPerUnit: number): number {
  return asked > 0 ? left * gpuPerUnit : Number.MAX_SAFE_INTEGER;
}

/** Fills both capacities of a node: as its CPU and memory are, and with the request's amounts taken. */
export function readCapacities(f: Fragmentation, p: Profile, r: Request, n: number): void {
  const { idleMilliCpu, releasingMilliCpu, idleMemoryBytes, releasingMemoryBytes } = f.state.ledger;
  const { capacityNow, capacityAfter } = f.scratch;
  const { allowed } = f;
  const { milliCpu, memoryBytes, gpuPerCpu, gpuPerByte, allowedStart } = p;
  const cpuNow = Math.max(0, idleMilliCpu[n]! + releasingMilliCpu[n]!);
  const bytesNow = Math.max(0, idleMemoryBytes[n]! + releasingMemoryBytes[n]!);
  const cpuAfter = Math.max(0, cpuNow - r.milliCpu);
  const bytesAfter = Math.max(0, bytesNow - r.memoryBytes);
  for (let d = 0; d < capacityNow.length; d++) {
    const cpu = milliCpu[d]!;
    const bytes = memoryBytes[d]!;
    if (cpu > cpuNow || bytes > bytesNow || allowed[allowedStart[d]! + n] === 0) {
      capacityNow[d] = 0;
      capacityAfter[d] = 0;
      continue;
    }
    const perCpu = gpuPerCpu[d]!;
    const perByte = gpuPerByte[d]!;
    capacityNow[d] = Math.min(sufficesFor(cpuNow, cpu, perCpu), sufficesFor(bytesNow, bytes, perByte));
    capacityAfter[d] =
      cpu > cpuAfter || bytes > bytesAfter ? 0 : Math.min(sufficesFor(cpuAfter, cpu, perCpu), sufficesFor(bytesAfter, bytes, perByte));
  }
}

/**
 * Free GPU thousandths of the node that are of no use, summed over the typical pods. For one pod: everything if it does
 * not fit the node; else the free parts of devices that are too small for it, and what CPU and memory do not suffice for.
 */
export function waste(s: Scratch, p: Profile, capacity: Float64Array): number {
  const { partMilli, partCount, wholeDevices } = s;
  const { portionMilli, end, podCount, deviceCount } = p;
  const free = freeMilliOf(s);
  let total = 0;
  let d = 0;
  for (let i = 0; i < portionMilli.length; i++) {
    const portion = portionMilli[i]!;
    let tooSmall = 0;
    let devices = portion <= WHOLE_MILLI ? wholeDevices : 0;
    for (let k = 0; k < partCount; k++) {
      if (partMilli[k]! < portion) tooSmall += partMilli[k]!;
      else devices++;
    }
    const usable = free - tooSmall;
    for (const to = end[i]!; d < to; d++) {
      const most = capacity[d]!;
      if (most === 0 || devices < deviceCount[d]!) total += podCount[d]! * free;
      else total += podCount[d]! * (tooSmall + (most < usable ? OUTLOOK * (usable - most) : 0));
    }
  }
  return total;
}
