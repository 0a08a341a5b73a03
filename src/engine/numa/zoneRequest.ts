// What a pod asks of NUMA zones (spec 03 sections 11A.2, 11A.3).
import { RequestType } from '../../base/codes.ts';
import type { ContainersJson, PlainAmounts } from '../../base/jsonColumns.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { Request } from '../placement/requests.ts';
import type { ZoneProfile } from './nodeZones.ts';

/** One request to align: columns of the profile's resources, and how much of each; only what is more than 0. */
export interface AlignedRequest {
  readonly resource: Int32Array;
  readonly amount: Float64Array;
}

/** A pod's requests on nodes of one profile. */
export interface Alignment {
  /** The kubelet aligns something of the pod there; else the rest is empty. */
  readonly isHandled: boolean;
  /** Held together, in this order. */
  readonly concurrent: readonly AlignedRequest[];
  /** Ordinary init containers, each alone. */
  readonly serial: readonly AlignedRequest[];
}

/** Requests of a pod shape by resource name, in the units of zones. */
export interface ZoneRequest {
  readonly isGuaranteed: boolean;
  /** Does the pod ask for some of this resource? GPUs of fractions and claims count, although they bring no amount. */
  asks(name: string): boolean;
  readonly total: PlainAmounts;
  readonly concurrent: readonly PlainAmounts[];
  readonly serial: readonly PlainAmounts[];
}

const NO_ALIGNMENT: Alignment = Object.freeze({ isHandled: false, concurrent: [], serial: [] });
const NO_CONTAINERS: ContainersJson = Object.freeze({ containers: [] });

/** Reads the requests of a shape. `hasClaimGpus`: claims of the pod ask for GPUs. */
export function readZoneRequest(view: SnapshotView, r: Request, hasClaimGpus: boolean, dimNames: readonly string[]): ZoneRequest {
  const text = view.shapes.containersJson[r.shapeRow]!;
  const written = text === NO_ROW ? NO_CONTAINERS : (JSON.parse(view.texts.get(text)) as ContainersJson);
  const init = written.init ?? [];
  const sidecars = init.filter((c) => c.isSidecar === true).map((c) => c.requests);
  const ordinary = init.filter((c) => c.isSidecar !== true).map((c) => c.requests);
  const asked = new Set<string>(['pods']);
  r.scalarDim.forEach((dim, k) => {
    if (r.scalarAmount[k]! > 0) asked.add(dimNames[dim]!);
  });
  if (hasClaimGpus || r.wholeGpus > 0 || (r.type === RequestType.fraction && r.portion > 0)) {
    asked.add('nvidia.com/gpu').add('amd.com/gpu');
  }
  return {
    isGuaranteed: view.shapes.isGuaranteed[r.shapeRow] === 1,
    asks: (name) => asked.has(name),
    total: podTotal(written, sidecars),
    concurrent: [...sidecars, ...written.containers].map(exclusive),
    serial: ordinary.map(exclusive),
  };
}

/** Requests as a profile aligns them. Without the plugin's `ignored` resources. */
export function alignmentOf(q: ZoneRequest, profile: ZoneProfile, ignored: ReadonlySet<string>): Alignment {
  const devices = devicesOf(profile, ignored);
  if (!q.isGuaranteed && !devices.some((r) => q.asks(profile.resources[r]!))) return NO_ALIGNMENT;
  const aligned = q.isGuaranteed ? [...profile.resources.keys()].filter((r) => !ignored.has(profile.resources[r]!)) : devices;
  const align = (amounts: PlainAmounts): AlignedRequest => {
    const wanted = aligned.filter((r) => (amounts[profile.resources[r]!] ?? 0) > 0);
    return { resource: Int32Array.from(wanted), amount: Float64Array.from(wanted, (r) => amounts[profile.resources[r]!]!) };
  };
  if (profile.isPodScope) return { isHandled: true, concurrent: [align(q.total)], serial: [] };
  return { isHandled: true, concurrent: q.concurrent.map(align), serial: q.serial.map(align) };
}

/** Columns of the resources that are aligned for every quality of service. */
export function devicesOf(profile: ZoneProfile, ignored: ReadonlySet<string>): number[] {
  const isDevice = (name: string): boolean => name !== 'cpu' && name !== 'memory' && !name.startsWith('hugepages-') && !ignored.has(name);
  return [...profile.resources.keys()].filter((r) => isDevice(profile.resources[r]!));
}

/** Only whole CPUs are exclusive; other amounts are whole units. */
function exclusive(amounts: PlainAmounts): PlainAmounts {
  const out: Record<string, number> = {};
  for (const name of Object.keys(amounts)) out[name] = name === 'cpu' ? wholeCpus(amounts) : Math.ceil(amounts[name]!);
  return out;
}

function wholeCpus(amounts: PlainAmounts): number {
  const milli = amounts['cpu'] ?? 0;
  return milli % 1000 === 0 ? milli : 0;
}

/** Upstream's pod total; CPU over the exclusive amounts of the containers alone. */
function podTotal(written: ContainersJson, sidecars: readonly PlainAmounts[]): PlainAmounts {
  const running = sum([...written.containers, ...sidecars]);
  const cpuRunning = written.containers.reduce((all, c) => all + wholeCpus(c), 0) + sidecars.reduce((all, c) => all + wholeCpus(c), 0);
  const total = { ...running };
  let cpu = cpuRunning;
  let before: PlainAmounts = {};
  let cpuBefore = 0;
  for (const { isSidecar, requests } of written.init ?? []) {
    if (isSidecar === true) {
      before = sum([before, requests]);
      cpuBefore += wholeCpus(requests);
      continue;
    }
    const peak = sum([before, requests]);
    for (const name of Object.keys(peak)) total[name] = Math.max(total[name] ?? 0, peak[name]!);
    cpu = Math.max(cpu, cpuBefore + wholeCpus(requests));
  }
  for (const [name, amount] of Object.entries(written.pod ?? {})) if (isPodLevel(name)) total[name] = amount;
  for (const [name, amount] of Object.entries(written.overhead ?? {})) total[name] = (total[name] ?? 0) + amount;
  for (const name of Object.keys(total)) total[name] = Math.ceil(total[name]!);
  total['cpu'] = cpu;
  return total;
}

/** Resources that `spec.resources` of a pod may set. */
function isPodLevel(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');
}

function sum(lists: readonly PlainAmounts[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const amounts of lists) for (const name of Object.keys(amounts)) total[name] = (total[name] ?? 0) + amounts[name]!;
  return total;
}
