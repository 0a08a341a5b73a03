// NUMA zones of nodes, from NodeResourceTopology objects (spec 03 section 11A.1).
import { ObjectKind } from '../../base/codes.ts';
import { milliCeil, valueCeil } from '../../base/quantity.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';

/** Policy of the kubelet's Topology Manager. */
export const ZonePolicy = { none: 0, bestEffort: 1, restricted: 2, singleNumaNode: 3 } as const;
export type ZonePolicy = (typeof ZonePolicy)[keyof typeof ZonePolicy];

/** What nodes have in common whose zones align the same resources by the same rule. */
export interface ZoneProfile {
  readonly index: number;
  readonly policy: ZonePolicy;
  /** One request per pod instead of one per container. */
  readonly isPodScope: boolean;
  /** Aware resources by name: what a zone amount's column means. */
  readonly resources: readonly string[];
}

/** Zones of one node. Amounts are zone-major: `zone × resources + resource`; CPU in milli-CPU, all else as plain value. */
export interface NodeZones {
  readonly profile: ZoneProfile;
  readonly names: readonly string[];
  readonly allocatable: Float64Array;
  readonly available: Float64Array;
  /** Row k: per resource the sum of the k + 1 largest allocatable amounts. */
  readonly largestSums: Float64Array;
  /** First cell of the node in the zone ledger. */
  readonly firstCell: number;
}

type ZoneFacts = Omit<NodeZones, 'firstCell'>;

/** Zones by node number; null where a node has no topology. */
export interface ZoneTable {
  readonly nodes: readonly (NodeZones | null)[];
  readonly profiles: readonly ZoneProfile[];
  /** Largest zone count of any node. */
  readonly mostZones: number;
  /** Cells of a ledger over all zones. */
  readonly cellCount: number;
}

const GPU_NAMES: readonly string[] = ['amd.com/gpu', 'nvidia.com/gpu'];
const ALWAYS_KNOWN: ReadonlySet<string> = new Set(['cpu', 'memory', 'pods', ...GPU_NAMES]);

/** Deprecated `topologyPolicies[0]`: policy, pod scope. */
const OLD_POLICIES: Readonly<Record<string, readonly [ZonePolicy, boolean]>> = Object.freeze({
  SingleNUMANodePodLevel: [ZonePolicy.singleNumaNode, true],
  SingleNUMANodeContainerLevel: [ZonePolicy.singleNumaNode, false],
  RestrictedPodLevel: [ZonePolicy.restricted, true],
  Restricted: [ZonePolicy.restricted, false],
  RestrictedContainerLevel: [ZonePolicy.restricted, false],
  BestEffortPodLevel: [ZonePolicy.bestEffort, true],
  BestEffort: [ZonePolicy.bestEffort, false],
  BestEffortContainerLevel: [ZonePolicy.bestEffort, false],
});
const POLICIES: Readonly<Record<string, ZonePolicy>> = Object.freeze({
  'best-effort': ZonePolicy.bestEffort,
  restricted: ZonePolicy.restricted,
  'single-numa-node': ZonePolicy.singleNumaNode,
});

/**
 * Reads the zones of the cycle's nodes. `nodeOfText`: node number by name text row; `isKnown`: some node of the cycle offers
 * the resource. Objects that are not what they should be count as far as they are readable.
 */
export function readZones(view: SnapshotView, nodeCount: number, nodeOfText: Int32Array, isKnown: (name: string) => boolean): ZoneTable {
  const nodes = new Array<NodeZones | null>(nodeCount).fill(null);
  const profiles = new Map<string, ZoneProfile>();
  const o = view.objects;
  const rows: { readonly node: number; readonly row: number }[] = [];
  for (let row = 0; row < o.rows; row++) {
    if (o.used[row] !== 1 || o.kindCode[row] !== ObjectKind.nodeResourceTopology || o.specJson[row] === NO_ROW) continue;
    const node = nodeOfText[o.keyText[row]!]!;
    if (node >= 0) rows.push({ node, row });
  }
  rows.sort((a, b) => a.node - b.node);
  // Nodes that are alike share one text.
  const byText = new Map<number, ZoneFacts | null>();
  let mostZones = 0;
  let cellCount = 0;
  for (const { node, row } of rows) {
    const text = o.specJson[row]!;
    let zones = byText.get(text);
    if (zones === undefined) {
      zones = zonesOf(JSON.parse(view.texts.get(text)), profiles, isKnown);
      byText.set(text, zones);
    }
    if (zones === null) continue;
    nodes[node] = { ...zones, firstCell: cellCount };
    mostZones = Math.max(mostZones, zones.names.length);
    cellCount += zones.allocatable.length;
  }
  return { nodes, profiles: [...profiles.values()], mostZones, cellCount };
}

interface Zone {
  readonly name: string;
  readonly resources: readonly { readonly name: string; readonly allocatable: number; readonly available: number }[];
}

function zonesOf(object: unknown, profiles: Map<string, ZoneProfile>, isKnown: (name: string) => boolean): ZoneFacts | null {
  const fields = record(object);
  const zones = list(fields['zones']).map(record).filter(isNumaZone).map(readZone).sort(compareZones);
  if (zones.length === 0) return null;
  const [policy, isPodScope] = readPolicy(fields);
  const resources = awareResources(zones, isKnown);
  const key = JSON.stringify([policy, isPodScope, resources]);
  const profile = profiles.get(key) ?? { index: profiles.size, policy, isPodScope, resources };
  profiles.set(key, profile);
  const allocatable = new Float64Array(zones.length * resources.length);
  const available = new Float64Array(allocatable.length);
  zones.forEach((zone, z) => {
    for (const resource of zone.resources) {
      const r = resources.indexOf(resource.name);
      if (r < 0) continue;
      allocatable[z * resources.length + r] = resource.allocatable;
      available[z * resources.length + r] = resource.available;
    }
  });
  const largestSums = largestSumsOf(allocatable, zones.length, resources.length);
  return { profile, names: zones.map((zone) => zone.name), allocatable, available, largestSums };
}

function isNumaZone(zone: Readonly<Record<string, unknown>>): boolean {
  return zone['type'] === 'Node' && typeof zone['name'] === 'string';
}

function readZone(zone: Readonly<Record<string, unknown>>): Zone {
  const resources = list(zone['resources']).map(record);
  return {
    name: String(zone['name']),
    resources: resources.flatMap((r) => {
      const name = r['name'];
      if (typeof name !== 'string') return [];
      return [{ name, allocatable: amountOf(name, r['allocatable']), available: amountOf(name, r['available']) }];
    }),
  };
}

function amountOf(name: string, quantity: unknown): number {
  if (typeof quantity !== 'string' && typeof quantity !== 'number') return 0;
  const amount = name === 'cpu' ? milliCeil(quantity) : valueCeil(quantity);
  return Number.isNaN(amount) ? 0 : amount;
}

/** By the decimal number at the end of the name; names without one last; then by name. */
function compareZones(a: Zone, b: Zone): number {
  const left = numberOf(a.name);
  const right = numberOf(b.name);
  if (left !== right) return left < right ? -1 : 1;
  return a.name < b.name ? -1 : Number(a.name > b.name);
}

function numberOf(name: string): number {
  const digits = /\d+$/.exec(name);
  return digits === null ? Number.POSITIVE_INFINITY : Number(digits[0]);
}

/** Known names of the zones; of the two GPU names only the later one, they are one dimension. */
function awareResources(zones: readonly Zone[], isKnown: (name: string) => boolean): string[] {
  const names = new Set(zones.flatMap((zone) => zone.resources.map((r) => r.name)));
  if (GPU_NAMES.every((name) => names.has(name))) names.delete(GPU_NAMES[0]!);
  return [...names].filter((name) => ALWAYS_KNOWN.has(name) || isKnown(name)).sort();
}

function readPolicy(fields: Readonly<Record<string, unknown>>): readonly [ZonePolicy, boolean] {
  const attributes = list(fields['attributes']).map(record);
  const attribute = (name: string): unknown => attributes.find((a) => a['name'] === name)?.['value'];
  const policy = attribute('topologyManagerPolicy');
  if (typeof policy === 'string' && policy !== '') {
    return [POLICIES[policy] ?? ZonePolicy.none, attribute('topologyManagerScope') === 'pod'];
  }
  const old = list(fields['topologyPolicies'])[0];
  return (typeof old === 'string' ? OLD_POLICIES[old] : undefined) ?? [ZonePolicy.none, false];
}

function largestSumsOf(allocatable: Float64Array, zones: number, resources: number): Float64Array {
  const sums = new Float64Array(allocatable.length);
  const column = new Float64Array(zones);
  for (let r = 0; r < resources; r++) {
    for (let z = 0; z < zones; z++) column[z] = allocatable[z * resources + r]!;
    column.sort().reverse();
    let sum = 0;
    for (let z = 0; z < zones; z++) {
      sum += column[z]!;
      sums[z * resources + r] = sum;
    }
  }
  return sums;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
