// Placement records of pods (spec 03 section 11A.6) and the way back: what a bind request says of one.
import type { BindRequestNumaJson, NumaZoneJson, PodNumaJson } from '../../base/jsonColumns.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { ZonePlacement } from './align.ts';
import type { NodeZones } from './nodeZones.ts';

/** One entry of a bind request's `predictedNUMAZones`. */
export interface PredictedZone {
  readonly zone: string;
  readonly amount: Readonly<Record<string, string>>;
}

/**
 * Where a pod on a node is known to be: observed before promised before predicted. Null when nothing is known, or when the
 * record names a zone that the node does not have. `bindRequestRow`: its live bind request, −1 = none.
 */
export function recordOf(view: SnapshotView, podRow: number, bindRequestRow: number, zones: NodeZones, node: number): ZonePlacement | null {
  const text = view.pods.numaJson[podRow]!;
  const annotated = text === NO_ROW ? {} : (JSON.parse(view.texts.get(text)) as PodNumaJson);
  const promised = bindRequestRow < 0 ? NO_ROW : view.bindRequests.numaJson[bindRequestRow]!;
  const record =
    annotated.observed ?? (promised === NO_ROW ? annotated.predicted : (JSON.parse(view.texts.get(promised)) as BindRequestNumaJson));
  return record === undefined ? null : placementOf(record, zones, node);
}

/** Amounts of resources that the zones do not report are left out. */
function placementOf(record: readonly NumaZoneJson[], zones: NodeZones, node: number): ZonePlacement | null {
  const { resources } = zones.profile;
  const amounts = new Map<number, number>();
  for (const { zone, amount } of record) {
    const z = zones.names.indexOf(zone);
    if (z < 0) return null;
    for (const name of Object.keys(amount)) {
      const r = resources.indexOf(name);
      const cell = z * resources.length + r;
      if (r >= 0 && amount[name]! > 0) amounts.set(cell, (amounts.get(cell) ?? 0) + Math.ceil(amount[name]!));
    }
  }
  if (amounts.size === 0) return null;
  const cell = Int32Array.from(amounts.keys()).sort();
  return { node, cell, amount: Float64Array.from(cell, (i) => amounts.get(i)!) };
}

/** A placement with names: CPU as milli quantity, everything else as plain integers (11A.7). */
export function describeZones(placement: ZonePlacement, zones: NodeZones): PredictedZone[] {
  const { resources } = zones.profile;
  const out: { zone: string; amount: Record<string, string> }[] = [];
  placement.cell.forEach((cell, i) => {
    const zone = zones.names[Math.floor(cell / resources.length)]!;
    if (out.at(-1)?.zone !== zone) out.push({ zone, amount: {} });
    const name = resources[cell % resources.length]!;
    const amount = placement.amount[i]!;
    out.at(-1)!.amount[name] = name !== 'cpu' ? String(amount) : amount % 1000 === 0 ? String(amount / 1000) : `${amount}m`;
  });
  return out;
}
