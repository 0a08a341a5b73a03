import type { SchedulerConfig, SchedulerParams } from '../../base/config.ts';
import { type ClusterObjects, LIST_NAMES, type ListName } from '../../base/objects.ts';
import { redacted } from './redact.ts';

// The document that upstream writes as snapshot.json (spec 01 section 6.2), and ours, which is the same with sorted lists.

export interface SnapshotExport {
  readonly objects: ClusterObjects;
  readonly config: SchedulerConfig;
  /** As read from the cluster or an earlier file; null = made up from `served`. */
  readonly discovery: unknown;
  readonly isDraServed: boolean;
  readonly isNodeTopologyServed: boolean;
  /** Clock of the recorded cycle, RFC 3339; null = not told. A key of ours: upstream's reader passes over it. */
  readonly now: string | null;
  /** Keep config map data, literal pod environment and applied manifests, which may hold secrets. Default: leave them out. */
  readonly includeSensitive?: boolean;
}

/** Lists that are `null` where the API group is not served. */
const DRA_LISTS: ReadonlySet<ListName> = new Set(['resourceClaims', 'resourceSlices', 'deviceClasses']);

/** Lists that upstream's file does not have. */
const OUR_LISTS: ReadonlySet<ListName> = new Set(['namespaces', 'podDisruptionBudgets']);

/** The whole document as one value. For large clusters use `snapshotChunks`, which never holds it. */
export function snapshotDocument(content: SnapshotExport): Readonly<Record<string, unknown>> {
  const rawObjects: Record<string, unknown> = {};
  for (const list of listsOf(content)) rawObjects[list] = isServed(content, list) ? [...itemsOf(content, list)] : null;
  const head = headOf(content);
  return { ...head, rawObjects, discovery: discoveryDocument(content) };
}

/** The same document as JSON text, piece by piece: one piece per object, each value followed by a newline. */
export function* snapshotChunks(content: SnapshotExport): Generator<string> {
  yield '{';
  for (const [key, value] of Object.entries(headOf(content))) yield `${JSON.stringify(key)}:${JSON.stringify(value)}\n,`;
  yield '"rawObjects":{';
  let separator = '';
  for (const list of listsOf(content)) {
    yield `${separator}${JSON.stringify(list)}:`;
    separator = ',';
    if (isServed(content, list)) yield* listChunks(content, list);
    else yield 'null\n';
  }
  yield `},"discovery":${JSON.stringify(discoveryDocument(content))}\n}\n`;
}

function* listChunks(content: SnapshotExport, list: ListName): Generator<string> {
  let open = '[';
  for (const object of itemsOf(content, list)) {
    yield `${open}${JSON.stringify(object)}\n`;
    open = ',';
  }
  yield open === '[' ? '[]\n' : ']\n';
}

/** The effective configuration with upstream's keys (spec 01 section 3.2). */
function configDocument(config: SchedulerConfig): Readonly<Record<string, unknown>> {
  const plugins = config.plugins.map(({ name, arguments: values }) =>
    Object.keys(values).length === 0 ? { name } : { name, arguments: values },
  );
  return {
    actions: config.actions.join(', '),
    tiers: [{ plugins }],
    ...(Object.keys(config.queueDepthPerAction).length === 0 ? {} : { queueDepthPerAction: config.queueDepthPerAction }),
    ...(config.usageDBConfig === null ? {} : { usageDBConfig: config.usageDBConfig }),
    scenarioSearchBudgets: config.scenarioSearchBudgets,
    ...(config.safeEviction === undefined ? {} : { safeEviction: config.safeEviction }),
  };
}

/** `schedulerParams`: keys with a zero, empty or false value are left out, durations are nanoseconds (spec 01 section 6.2). */
export function schedulerParamsDocument(params: SchedulerParams): Readonly<Record<string, unknown>> {
  const nanoseconds = (ms: number): number => Math.round(ms * 1e6);
  const all: Record<string, unknown> = {
    schedulerName: params.schedulerName,
    restrictSchedulingNodes: params.restrictSchedulingNodes,
    partitionParams: { NodePoolLabelKey: params.nodePoolLabelKey, NodePoolLabelValue: params.nodePoolLabelValue },
    maxNumberConsolidationPreemptees: params.maxNumberConsolidationPreemptees,
    scheduleCSIStorage: params.scheduleCsiStorage,
    useSchedulingSignatures: params.useSchedulingSignatures,
    fullHierarchyFairness: params.fullHierarchyFairness,
    allowConsolidatingReclaim: params.allowConsolidatingReclaim,
    numOfStatusRecordingWorkers: params.numOfStatusRecordingWorkers,
    globalDefaultStalenessGracePeriod: nanoseconds(params.defaultStalenessGracePeriodMs),
    schedulePeriod: nanoseconds(params.schedulePeriodMs),
    detailedFitErrors: params.detailedFitErrors,
    updatePodEvictionCondition: params.updatePodEvictionCondition,
    queueLabelKey: params.queueLabelKey,
    stuckInReleasingThreshold: nanoseconds(params.stuckInReleasingThresholdMs),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== 0 && value !== '' && value !== false));
}

function headOf(content: SnapshotExport): Readonly<Record<string, unknown>> {
  const { now, config } = content;
  return {
    ...(now === null ? {} : { now }),
    config: configDocument(config),
    schedulerParams: schedulerParamsDocument(config.params),
  };
}

/** Upstream's lists always, ours only when they hold something. */
function listsOf(content: SnapshotExport): readonly ListName[] {
  return LIST_NAMES.filter((list) => !OUR_LISTS.has(list) || content.objects[list].length > 0);
}

function isServed(content: SnapshotExport, list: ListName): boolean {
  if (DRA_LISTS.has(list)) return content.isDraServed;
  return list !== 'nodeResourceTopologies' || content.isNodeTopologyServed;
}

interface Named {
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

function* itemsOf(content: SnapshotExport, list: ListName): Generator<unknown> {
  const sorted = [...(content.objects[list] as readonly Named[])].sort(compareNamed);
  for (const object of sorted) yield content.includeSensitive === true ? object : redacted(list, object);
}

/** By namespace, then name, by UTF-16 units. Both together are unique within a list. */
function compareNamed({ metadata: a }: Named, { metadata: b }: Named): number {
  return compareText(a.namespace ?? '', b.namespace ?? '') || compareText(a.name, b.name);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function discoveryDocument(content: SnapshotExport): unknown {
  if (content.discovery !== null && content.discovery !== undefined) return content.discovery;
  const group = (groupVersion: string) => ({ groupVersion, resources: [] });
  return {
    serverVersion: { major: '1', minor: '34', gitVersion: 'v1.34.0' },
    resources: [
      ...(content.isDraServed ? [group('resource.k8s.io/v1')] : []),
      ...(content.isNodeTopologyServed ? [group('topology.node.k8s.io/v1alpha2')] : []),
    ],
  };
}
