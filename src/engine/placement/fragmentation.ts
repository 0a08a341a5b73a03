// Fragmentation gradient descent (plugin `gpufragmentation`): a pod goes where it makes the least free GPU useless for what
// is typically asked for, after "Beware of Fragmentation" (USENIX ATC 2023). Opt-in; replaces sharing order and GPU packing.
import { type Fragmentation, freeMilliOf, type Profile, readCapacities, readDevices, type Scratch, toMilli, waste } from './gpuWaste.ts';
import { deviceMib, type Request } from './requests.ts';

/** Gradients this close (thousandths of a GPU) are equal; then the fuller node is taken. Finer steps follow noise. */
const STEP_MILLI = 20;
/** Layout of the key: gradient in steps, then the tie-break; together below 2^36, under every score above placement. */
const TIE_RANGE = 2 ** 20;
const MOST_STEPS = 2 ** 15;

/**
 * Part of the node's key: larger where the request wastes less. Waste is looked at on idle and leaving resources
 * together. Devices of a request by claim are `extraGpus`. `tieBreak` ≥ 0, smaller first, for requests without GPUs.
 */
export function fragmentationKey(f: Fragmentation, r: Request, n: number, extraGpus: number, isGpuTask: boolean, tieBreak: number): number {
  const profile = f.profiles[f.profileOf[n]!];
  if (profile === undefined) return -Math.min(tieBreak, TIE_RANGE - 1);
  const { scratch } = f;
  readDevices(f, n);
  readCapacities(f, profile, r, n);
  const freeMilli = freeMilliOf(scratch);
  const before = waste(scratch, profile, scratch.capacityNow);
  let after: number;
  if (r.isShared) after = chooseShared(f, profile, r, n);
  else {
    scratch.wholeDevices = Math.max(0, scratch.wholeDevices - r.wholeGpus - extraGpus);
    after = waste(scratch, profile, scratch.capacityAfter);
  }
  const steps = f.podCount === 0 ? 0 : Math.round((after - before) / (f.podCount * STEP_MILLI));
  const tie = isGpuTask ? freeMilli : tieBreak;
  return -Math.min(Math.max(steps, -MOST_STEPS), MOST_STEPS) * TIE_RANGE - Math.min(tie, TIE_RANGE - 1);
}

/**
 * Devices of a shared request on node `n`: those that cost the least; among equals the fullest group, then the oldest, a
 * whole device (−1) last. Devices that are free now come before those that are leaving. Null when there are too few.
 */
export function leastWastefulDevices(f: Fragmentation, r: Request, n: number): readonly number[] | null {
  const profile = f.profiles[f.profileOf[n]!];
  if (profile === undefined) return null;
  readDevices(f, n);
  readCapacities(f, profile, r, n);
  chooseShared(f, profile, r, n);
  return f.scratch.chosen.length === r.deviceCount && r.deviceCount > 0 ? f.scratch.chosen : null;
}

/**
 * Fills `scratch.chosen`; returns the waste with the request on these devices. In order: (1) free now; (2) least waste;
 * (3) fullest; (4) oldest group, whole devices last.
 */
function chooseShared(f: Fragmentation, profile: Profile, r: Request, n: number): number {
  const { ledger: l } = f.state;
  const s = f.scratch;
  const fitting = readFits(f, r, n);
  const nodeMib = f.state.facts.gpuMemoryMib[n]!;
  const wholeAfter = toMilli(nodeMib - deviceMib(r, nodeMib), nodeMib);
  // A new group's reservation pod takes a pod slot of its own.
  const hasSlot = fitting < r.deviceCount || l.idlePods[n]! + l.releasingPods[n]! >= 2;
  const whole = hasSlot ? s.wholeDevices : 0;
  s.chosen.length = 0;
  if (fitting + whole < r.deviceCount) return Number.POSITIVE_INFINITY;
  for (let i = 0; i < s.partCount; i++) if (s.partAfter[i]! >= 0) s.partCost[i] = costOnPart(s, profile, i);
  const wholeCost = whole > 0 ? costOnWhole(s, profile, wholeAfter) : 0;
  const idle = Math.trunc(l.idleGpu[n]!);
  const parts = s.partCount;
  let wholeTaken = 0;
  for (let k = 0; k < r.deviceCount; k++) {
    const best = bestPart(s, parts);
    const isWhole =
      wholeTaken < whole && (best < 0 || isBefore(wholeTaken >= idle ? 1 : 0, wholeCost, s.partWaits[best]!, s.partCost[best]!));
    if (r.deviceCount === 1) {
      s.chosen.push(isWhole ? -1 : s.partGroup[best]!);
      return isWhole ? wholeCost : s.partCost[best]!;
    }
    if (isWhole) {
      takeWhole(s, wholeAfter);
      wholeTaken++;
      s.chosen.push(-1);
    } else {
      s.partMilli[best] = s.partAfter[best]!;
      s.partAfter[best] = -1;
      s.chosen.push(s.partGroup[best]!);
    }
  }
  return waste(s, profile, s.capacityAfter);
}

/** Strictly before in (1) and (2); a whole device needs that to go before a group. */
function isBefore(waits: number, cost: number, otherWaits: number, otherCost: number): boolean {
  return waits < otherWaits || (waits === otherWaits && cost < otherCost);
}

/** The best of the first `parts` devices in use that can still be taken, −1 = none. */
function bestPart(s: Scratch, parts: number): number {
  let best = -1;
  for (let i = 0; i < parts; i++) {
    if (s.partAfter[i]! < 0) continue;
    if (best >= 0 && !isBefore(s.partWaits[i]!, s.partCost[i]!, s.partWaits[best]!, s.partCost[best]!)) {
      if (isBefore(s.partWaits[best]!, s.partCost[best]!, s.partWaits[i]!, s.partCost[i]!)) continue;
      const fuller = s.partAfter[best]! - s.partAfter[i]!;
      if (fuller < 0 || (fuller === 0 && s.partGroup[i]! > s.partGroup[best]!)) continue;
    }
    best = i;
  }
  return best;
}

/** Fills what the request makes of the devices in use; returns how many it fits (spec 03 section 4.5). */
function readFits(f: Fragmentation, r: Request, n: number): number {
  const { allocatedMib, releasingMib, hasAllocated } = f.state.groups;
  const s = f.scratch;
  const nodeMib = f.state.facts.gpuMemoryMib[n]!;
  const mib = deviceMib(r, nodeMib);
  let fitting = 0;
  for (let i = 0; i < s.partCount; i++) {
    const group = s.partGroup[i]!;
    const idleMib = nodeMib - allocatedMib[group]! - mib;
    const restMib = idleMib + releasingMib[group]!;
    s.partAfter[i] = restMib < 0 ? -1 : toMilli(restMib, nodeMib);
    if (restMib < 0) continue;
    s.partWaits[i] = hasAllocated[group] === 1 && idleMib >= 0 ? 0 : 1;
    fitting++;
  }
  return fitting;
}

function costOnPart(s: Scratch, profile: Profile, i: number): number {
  const before = s.partMilli[i]!;
  s.partMilli[i] = s.partAfter[i]!;
  const cost = waste(s, profile, s.capacityAfter);
  s.partMilli[i] = before;
  return cost;
}

function costOnWhole(s: Scratch, profile: Profile, afterMilli: number): number {
  takeWhole(s, afterMilli);
  const cost = waste(s, profile, s.capacityAfter);
  s.partCount--;
  s.wholeDevices++;
  return cost;
}

function takeWhole(s: Scratch, afterMilli: number): void {
  s.wholeDevices--;
  s.partMilli[s.partCount++] = afterMilli;
}
