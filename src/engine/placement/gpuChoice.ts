import { type Evaluator, fitsNow } from './evaluate.ts';
import { leastWastefulDevices } from './fragmentation.ts';
import { deviceMib, type Request } from './requests.ts';

/** Devices for a shared request on one node, in the order they are used. */
export interface DeviceChoice {
  /** Group numbers; −1 = a new group on a whole device. */
  readonly groups: readonly number[];
  /** The task must wait for what is leaving. */
  readonly mustWait: boolean;
}

/**
 * Chooses devices on node `n` (spec 03 section 9): fitting groups and whole free devices, ordered by the GPU placement
 * policy, ties by creation of the group, whole devices after groups. Null when there are too few.
 */
export function chooseDevices(e: Evaluator, r: Request, n: number, pipelineOnly: boolean): DeviceChoice | null {
  const wanted = r.deviceCount;
  if (wanted <= 0) return null;
  if (e.fragmentation !== null) return chooseByFragmentation(e, leastWastefulDevices(e.fragmentation, r, n), r, n, pipelineOnly);
  const { groups: g, ledger, facts } = e.state;
  const nodeMib = facts.gpuMemoryMib[n]!;
  const mib = deviceMib(r, nodeMib);
  const idle = Math.trunc(ledger.idleGpu[n]!);
  const hasWhole = ledger.idleGpu[n]! > 0 || ledger.releasingGpu[n]! > 0;
  const whole = hasWhole ? Math.max(0, idle + Math.trunc(ledger.releasingGpu[n]!)) : 0;
  const fitting: number[] = [];
  for (let k = ledger.groupHead[n]!; k >= 0; k = g.next[k]!) {
    const allocated = g.allocatedMib[k]!;
    const releasing = g.releasingMib[k]!;
    if (g.usedMib[k]! !== 0 && nodeMib - allocated + releasing - mib >= 0 && allocated !== releasing) fitting.push(k);
  }
  const { groupOrder, newDeviceFirst } = e.policies;
  if (groupOrder === 'fullest') fitting.sort((a, b) => g.usedMib[b]! - g.usedMib[a]! || a - b);
  else if (groupOrder === 'emptiest') fitting.sort((a, b) => g.usedMib[a]! - g.usedMib[b]! || a - b);
  if (fitting.length + whole < wanted) return null;
  const now = fitsNow(e, r, n, 0, 0);
  const chosen: number[] = [];
  let mustWait = pipelineOnly;
  const takeWhole = (): void => {
    for (let k = 0; k < whole && chosen.length < wanted; k++) {
      // The k-th whole device is idle only if that many are (deviation of spec 03 section 9.2).
      if (!now || k >= idle) mustWait = true;
      chosen.push(-1);
    }
  };
  if (newDeviceFirst) takeWhole();
  for (const k of fitting) {
    if (chosen.length === wanted) break;
    const fitsIdle = g.hasAllocated[k]! === 1 && nodeMib - g.allocatedMib[k]! - mib >= 0;
    if (!fitsIdle || !now) mustWait = true;
    chosen.push(k);
  }
  if (!newDeviceFirst) takeWhole();
  return { groups: chosen, mustWait };
}

/** The devices that the node's score was computed for; waiting as in section 9.2. */
function chooseByFragmentation(
  e: Evaluator,
  groups: readonly number[] | null,
  r: Request,
  n: number,
  pipelineOnly: boolean,
): DeviceChoice | null {
  if (groups === null) return null;
  const { groups: g, ledger, facts } = e.state;
  const nodeMib = facts.gpuMemoryMib[n]!;
  const idle = Math.trunc(ledger.idleGpu[n]!);
  let mustWait = pipelineOnly || !fitsNow(e, r, n, 0, 0);
  let whole = 0;
  for (const k of groups) {
    const isIdle = k < 0 ? whole++ < idle : g.hasAllocated[k]! === 1 && nodeMib - g.allocatedMib[k]! >= deviceMib(r, nodeMib);
    if (!isIdle) mustWait = true;
  }
  return { groups: [...groups], mustWait };
}

/** Name of a new group: a UUID that is a function of the pod and the device number (spec 09 row 2). */
export function newGroupName(podUid: string, device: number): string {
  const words = [0x9e3779b9, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f].map((seed) => hash(`${podUid}/${device}`, seed));
  const hex = words.map((w) => w.toString(16).padStart(8, '0')).join('');
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/** 32-bit FNV-1a with a final mix, so that the four words differ in all bits. */
function hash(text: string, seed: number): number {
  let h = seed | 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
