import { PodGroupFlag, Preemptibility } from '../../base/codes.ts';
import type { SubGroupsJson } from '../../base/jsonColumns.ts';
import type { PodGroup, SubGroup, TopologyConstraint } from '../../base/objects.ts';
import type { SnapshotOptions } from '../../base/snapshotView.ts';
import type { COLUMNS } from '../generated/layout.gen.ts';
import type { RecordOf } from '../tables/recordTable.ts';
import { canonicalJson } from './canonicalJson.ts';
import { poolOf } from './node.ts';
import { toInt32 } from './numbers.ts';
import { type Report, textOrNull } from './report.ts';

export type PodGroupRecord = RecordOf<typeof COLUMNS.podGroups>;

const LAST_START = 'kai.scheduler/last-start-timestamp';
const STALE_SINCE = 'kai.scheduler/stale-podgroup-timestamp';
const LAST_EVICTION = 'kai.scheduler/last-eviction-timestamp';
/** Ours, beside upstream's: times of the last evictions, oldest first, joined by commas. */
const RECENT_EVICTIONS = 'kai.scheduler/recent-eviction-timestamps';
const UNSET = -1;

/** A pod group as a row: spec 02 section 4.1, 01 section 1.3. */
export function projectPodGroup(group: PodGroup, key: string, namespace: string, options: SnapshotOptions, report: Report): PodGroupRecord {
  const { metadata } = group;
  const spec = group.spec ?? {};
  const annotations = report.annotations(metadata);
  const annotatedMs = (name: string): number => report.timeMs(annotations[name], `metadata.annotations[${name}]`);
  const subGroups = spec.subGroups ?? [];
  const treeError = subGroupError(subGroups);
  if (treeError !== null) report.add('spec.subGroups', treeError);
  const preemptionDelayMs = report.durationMs(spec.preemptionDelay, 'spec.preemptionDelay');
  const conditions = group.status?.schedulingConditions;
  return {
    keyText: key,
    namespaceText: namespace,
    nameText: metadata.name,
    uidText: textOrNull(metadata.uid),
    queueText: textOrNull(spec.queue),
    priorityClassText: textOrNull(spec.priorityClassName),
    preemptibilityCode: preemptibilityOf(spec.preemptibility),
    flags: (spec.markUnschedulable === false ? 0 : PodGroupFlag.markUnschedulable) | (treeError === null ? 0 : PodGroupFlag.invalidTree),
    schedulingBackoff: toInt32(spec.schedulingBackoff ?? UNSET),
    minMember: readMinimum(spec.minMember),
    minSubGroup: readMinimum(spec.minSubGroup),
    createdMs: report.timeMs(metadata.creationTimestamp, 'metadata.creationTimestamp'),
    lastStartMs: annotatedMs(LAST_START),
    staleSinceMs: annotatedMs(STALE_SINCE),
    lastEvictionMs: annotatedMs(LAST_EVICTION),
    // A delay of nothing is none (02 section 4.4).
    preemptionDelayMs: preemptionDelayMs > 0 ? preemptionDelayMs : Number.NaN,
    stalenessGraceMs: report.durationMs(spec.stalenessGracePeriod, 'spec.stalenessGracePeriod'),
    subGroupsJson: subGroups.length === 0 ? null : canonicalJson(subGroups.map(pickSubGroup) satisfies SubGroupsJson),
    topologyJson: jsonOrNull(pickTopology(spec.topologyConstraint)),
    conditionsJson: conditions?.length ? canonicalJson(conditions) : null,
    poolText: poolOf(report.labels(metadata), options),
    recentEvictionsJson: recentEvictionsJson(annotations[RECENT_EVICTIONS], report),
  };
}

/** Readable times in ascending order; each unreadable one is reported. */
function recentEvictionsJson(text: string | undefined, report: Report): string | null {
  if (text === undefined || text === '') return null;
  const times = text.split(',').map((part) => report.timeMs(part.trim(), `metadata.annotations[${RECENT_EVICTIONS}]`));
  const readable = times.filter((ms) => !Number.isNaN(ms)).sort((a, b) => a - b);
  return readable.length === 0 ? null : canonicalJson(readable);
}

function preemptibilityOf(text: string | undefined): Preemptibility {
  if (text === 'preemptible') return Preemptibility.preemptible;
  return text === 'non-preemptible' ? Preemptibility.nonPreemptible : Preemptibility.derived;
}

/** −1 when unset; negative minima count as 0 (02 section 4.2). */
function readMinimum(value: number | null | undefined): number {
  return value === null || value === undefined ? UNSET : toInt32(Math.max(0, value));
}

function pickSubGroup(s: SubGroup): SubGroup {
  return {
    name: s.name,
    minMember: s.minMember ?? undefined,
    minSubGroup: s.minSubGroup ?? undefined,
    parent: s.parent || undefined,
    topologyConstraint: pickTopology(s.topologyConstraint),
  };
}

/** A constraint that names no topology is none (01 section 1.3.1). */
function pickTopology(t: TopologyConstraint | null | undefined): TopologyConstraint | undefined {
  if (!t?.topology) return undefined;
  return {
    topology: t.topology,
    requiredTopologyLevel: t.requiredTopologyLevel || undefined,
    preferredTopologyLevel: t.preferredTopologyLevel || undefined,
  };
}

function jsonOrNull(value: unknown): string | null {
  return value === undefined ? null : canonicalJson(value);
}

/** What is wrong with the tree (02 section 4.2; names are compared exactly), or null. */
function subGroupError(subGroups: readonly SubGroup[]): string | null {
  const parents = new Map<string, string>();
  for (const { name, parent } of subGroups) {
    if (parents.has(name)) return `subgroup <${name}> already exists`;
    parents.set(name, parent ?? '');
  }
  for (const [name, parent] of parents) {
    if (parent !== '' && !parents.has(parent)) return `parent subgroup <${parent}> of <${name}> not found`;
  }
  const rooted = new Set<string>(['']);
  for (const start of parents.keys()) {
    const path = new Set<string>();
    let at = start;
    for (; !rooted.has(at); at = parents.get(at) ?? '') {
      if (path.has(at)) return 'cycle detected in subgroups';
      path.add(at);
    }
    for (const name of path) rooted.add(name);
  }
  return null;
}
