// The fragmentation-aware policy once more, as plainly as it can be written: objects, no index, no scratch, every choice of
// devices tried out. Slow; held against the engine's kernel.
import type { Request } from '../../src/engine/placement/requests.ts';
import type { TypicalPod } from '../../src/engine/placement/typicalPods.ts';
import type { Session } from '../../src/engine/session/session.ts';

interface Device {
  /** −1 = whole and unused. */
  readonly group: number;
  readonly freeMilli: number;
  readonly waits: boolean;
  /** Free thousandths with the request on it; null = no room. */
  readonly afterMilli: number | null;
}

export interface TwinNode {
  readonly nodeMib: number;
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly pods: number;
  readonly devices: readonly Device[];
  readonly allows: (pod: TypicalPod) => boolean;
}

const round = (mib: number, nodeMib: number): number => Math.max(0, Math.round((mib / nodeMib) * 1000));

/** Free and leaving resources of node `n`, seen by a request. */
export function twinNode(s: Session, n: number, r: Request, allows: (pod: TypicalPod) => boolean): TwinNode {
  const { ledger: l, groups: g, facts } = s.state;
  const nodeMib = facts.gpuMemoryMib[n]!;
  const mib = r.gpuMemoryMib > 0 ? r.gpuMemoryMib : Math.trunc(r.portion * nodeMib);
  const devices: Device[] = [];
  for (let k = 0; k < g.node.length; k++) {
    if (g.node[k] !== n || g.usedMib[k] === 0 || g.allocatedMib[k] === g.releasingMib[k] || !isLinked(s, n, k)) continue;
    const rest = nodeMib - g.allocatedMib[k]! + g.releasingMib[k]!;
    const waits = g.hasAllocated[k] !== 1 || nodeMib - g.allocatedMib[k]! < mib;
    devices.push({ group: k, freeMilli: round(rest, nodeMib), waits, afterMilli: rest < mib ? null : round(rest - mib, nodeMib) });
  }
  const idle = Math.trunc(l.idleGpu[n]!);
  const whole = l.idleGpu[n]! > 0 || l.releasingGpu[n]! > 0 ? Math.max(0, idle + Math.trunc(l.releasingGpu[n]!)) : 0;
  for (let k = 0; k < whole; k++) devices.push({ group: -1, freeMilli: 1000, waits: k >= idle, afterMilli: round(nodeMib - mib, nodeMib) });
  const milliCpu = l.idleMilliCpu[n]! + l.releasingMilliCpu[n]!;
  const memoryBytes = l.idleMemoryBytes[n]! + l.releasingMemoryBytes[n]!;
  return { nodeMib, milliCpu, memoryBytes, pods: l.idlePods[n]! + l.releasingPods[n]!, devices, allows };
}

function isLinked(s: Session, n: number, group: number): boolean {
  for (let k = s.state.ledger.groupHead[n]!; k >= 0; k = s.state.groups.next[k]!) if (k === group) return true;
  return false;
}

/** Useless thousandths summed over typical pods, by definition. */
function uselessMilli(
  node: TwinNode,
  typical: readonly TypicalPod[],
  milliCpu: number,
  memoryBytes: number,
  free: readonly number[],
): number {
  const all = free.reduce((sum, milli) => sum + milli, 0);
  let sum = 0;
  for (const pod of typical) {
    const share = pod.gpuMemoryMib > 0 ? Math.ceil((pod.gpuMemoryMib / node.nodeMib) * 100) / 100 : pod.portion;
    const milli = Math.round(share * 1000);
    const fitting = free.filter((f) => f >= milli && milli <= 1000);
    const hasAmounts = (pod.milliCpu === 0 || pod.milliCpu <= milliCpu) && (pod.memoryBytes === 0 || pod.memoryBytes <= memoryBytes);
    let useless = all;
    if (fitting.length >= pod.deviceCount && hasAmounts && node.allows(pod)) {
      const usable = fitting.reduce((total, f) => total + f, 0);
      const byCpu = pod.milliCpu === 0 ? Infinity : (milliCpu / pod.milliCpu) * milli * pod.deviceCount;
      const byMemory = pod.memoryBytes === 0 ? Infinity : (memoryBytes / pod.memoryBytes) * milli * pod.deviceCount;
      useless = all - usable + Math.max(0, usable - Math.min(byCpu, byMemory)) / 4;
    }
    sum += pod.podCount * useless;
  }
  return sum;
}

/** Groups chosen (−1 = a whole device) and the change of useless thousandths per typical pod. Null when it does not fit. */
export function twinChoice(
  node: TwinNode,
  typical: readonly TypicalPod[],
  r: Request,
): { readonly groups: readonly number[]; readonly gradientMilli: number } | null {
  const weight = typical.reduce((sum, pod) => sum + pod.podCount, 0);
  const free = node.devices.map((d) => d.freeMilli);
  const cpu = Math.max(0, node.milliCpu - r.milliCpu);
  const memory = Math.max(0, node.memoryBytes - r.memoryBytes);
  const before = uselessMilli(node, typical, Math.max(0, node.milliCpu), Math.max(0, node.memoryBytes), free);
  const gradient = (after: readonly number[]): number => (uselessMilli(node, typical, cpu, memory, after) - before) / Math.max(1, weight);
  if (!r.isShared) {
    const whole = node.devices.flatMap((d, i) => (d.group < 0 ? [i] : []));
    const taken = new Set(whole.slice(0, r.wholeGpus));
    return { groups: [], gradientMilli: gradient(free.filter((_, i) => !taken.has(i))) };
  }
  const groupsThatFit = node.devices.filter((d) => d.group >= 0 && d.afterMilli !== null).length;
  const candidates = node.devices
    .map((device, i) => ({ device, i }))
    .filter(({ device: d }) => d.afterMilli !== null && (d.group >= 0 || groupsThatFit < r.deviceCount || node.pods >= 2))
    .map(({ device, i }) => ({ device, i, cost: gradient(free.map((f, k) => (k === i ? device.afterMilli! : f))) }));
  if (candidates.length < r.deviceCount || r.deviceCount <= 0) return null;
  candidates.sort(
    (a, b) =>
      Number(a.device.waits) - Number(b.device.waits) ||
      (Math.abs(a.cost - b.cost) < 1e-6 ? 0 : a.cost - b.cost) ||
      Number(a.device.group < 0) - Number(b.device.group < 0) ||
      a.device.freeMilli - b.device.freeMilli ||
      a.device.group - b.device.group,
  );
  const chosen = candidates.slice(0, r.deviceCount);
  const after = free.map((f, k) => chosen.find(({ i }) => i === k)?.device.afterMilli ?? f);
  return { groups: chosen.map(({ device }) => device.group), gradientMilli: gradient(after) };
}
