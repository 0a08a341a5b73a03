// Allocation results: reading those of the API and of bind requests, writing those of this cycle.
import type { NodeSelectorTerm } from '../../base/constraints.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { type CompiledNodeTerm, compileNodeTerms, matchesAnyTerm } from '../filters/labels.ts';
import type { Picks } from './allocator.ts';
import type { ClaimShape } from './claimShape.ts';
import type { DeviceClass } from './deviceClasses.ts';
import type { DeviceTable } from './devices.ts';
import { asList, asRecord, asText, asTexts, type JsonRecord } from './json.ts';

/** A claim's `status.allocation`. */
export interface Allocation {
  /** The AllocationResult of resource.k8s.io/v1. */
  readonly json: JsonRecord;
  /** Devices that nobody else may have; administrative access takes none. */
  readonly devices: readonly number[];
  /** All devices whose driver tells of GPUs, in order of the results. */
  readonly gpus: readonly number[];
  /** Null = every node; else alternatives. */
  readonly terms: readonly CompiledNodeTerm[] | null;
}

/** Null when there is no allocation. */
export function readAllocation(view: SnapshotView, devices: DeviceTable, value: unknown): Allocation | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const json = asRecord(value);
  const taken: number[] = [];
  const gpus: number[] = [];
  for (const result of asList(asRecord(json['devices'])['results']).map(asRecord)) {
    const id = devices.idOf(asText(result['driver']), asText(result['pool']), asText(result['device']));
    if (result['adminAccess'] !== true) taken.push(id);
    if (devices.isGpu[id] === true) gpus.push(id);
  }
  const selector = json['nodeSelector'];
  const hasSelector = typeof selector === 'object' && selector !== null;
  const terms = asList(asRecord(selector)['nodeSelectorTerms']) as readonly NodeSelectorTerm[];
  return { json, devices: taken, gpus, terms: hasSelector ? compileNodeTerms(view.texts, terms) : null };
}

/** May a pod that uses the allocation run on the node? */
export function allowsNode(view: SnapshotView, allocation: Allocation, nodeRow: number): boolean {
  const { labelSetRow, nameText } = view.nodes;
  return allocation.terms === null || matchesAnyTerm(view, allocation.terms, labelSetRow[nodeRow]!, nameText[nodeRow]!);
}

/** The AllocationResult of picked devices, as upstream's allocator writes it. */
export function writeAllocation(
  view: SnapshotView,
  devices: DeviceTable,
  classes: ReadonlyMap<string, DeviceClass>,
  shape: ClaimShape,
  picks: Picks,
): Allocation {
  const results = picks.map(({ request, device }) => {
    const [driver, pool, name] = devices.nameOf(device);
    const { name: requestName, tolerations } = shape.requests[request]!;
    return { request: requestName, driver, pool, device: name, ...(tolerations.length === 0 ? {} : { tolerations }) };
  });
  const config = configsOf(shape, classes);
  const nodeSelector = selectorOf(devices, picks);
  const json: JsonRecord = {
    devices: { results, ...(config.length === 0 ? {} : { config }) },
    ...(nodeSelector === null ? {} : { nodeSelector }),
  };
  return readAllocation(view, devices, json)!;
}

/** Driver parameters: of the classes first, each class once, then of the claim. Configurations for all requests name none. */
function configsOf(shape: ClaimShape, classes: ReadonlyMap<string, DeviceClass>): JsonRecord[] {
  const out: { source: string; requests: string[]; parameters: JsonRecord }[] = [];
  const names = shape.requests.map((r) => r.name);
  for (const className of new Set(shape.requests.map((r) => r.className))) {
    const requests = shape.requests.filter((r) => r.className === className).map((r) => r.name);
    for (const parameters of classes.get(className)?.configs ?? []) out.push({ source: 'FromClass', requests: [...requests], parameters });
  }
  for (const { requests, ...parameters } of shape.configs) {
    const wanted = [...asTexts(requests)];
    // Once per request that it names, as upstream.
    const times = wanted.length === 0 ? 1 : names.filter((name) => wanted.includes(name)).length;
    for (let i = 0; i < times; i++) out.push({ source: 'FromClaim', requests: wanted, parameters });
  }
  return out.map(({ source, requests, parameters }) => ({
    ...parameters,
    source,
    ...(requests.length === 0 || requests.length === names.length ? {} : { requests }),
  }));
}

/** The node of the first device that is bound to one; else what the slices' selectors ask together; null = every node. */
function selectorOf(devices: DeviceTable, picks: Picks): JsonRecord | null {
  const merged = { matchExpressions: [] as unknown[], matchFields: [] as unknown[] };
  for (const { device } of picks) {
    const { nodeName, nodeSelector } = devices.facts[device]!;
    if (nodeName !== '') {
      return { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] }] };
    }
    const term = asRecord(asList(nodeSelector?.['nodeSelectorTerms'])[0]);
    addMissing(merged.matchFields, asList(term['matchFields']));
    addMissing(merged.matchExpressions, asList(term['matchExpressions']));
  }
  const term: Record<string, unknown> = {};
  if (merged.matchExpressions.length > 0) term['matchExpressions'] = merged.matchExpressions;
  if (merged.matchFields.length > 0) term['matchFields'] = merged.matchFields;
  return Object.keys(term).length === 0 ? null : { nodeSelectorTerms: [term] };
}

function addMissing(target: unknown[], requirements: readonly unknown[]): void {
  for (const requirement of requirements) {
    const text = JSON.stringify(requirement);
    if (!target.some((known) => JSON.stringify(known) === text)) target.push(requirement);
  }
}
