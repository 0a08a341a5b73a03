// One cycle on objects, with the commits apart; and what a plain reading of the objects says of budgets and past evictions.
import type { AuditDecision } from '../../src/audit/audit.ts';
import type { SafeEvictionConfig, SchedulerConfig } from '../../src/base/config.ts';
import type { CycleReport, RawDecision } from '../../src/base/decisions.ts';
import type { ClusterObjects, OtherObject, Pod } from '../../src/base/objects.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { runCycle, stateBytes } from '../../src/engine/cycle.ts';
import { INLINE_PORT } from '../../src/engine/parallel.ts';
import { snapshotOf } from '../determinism/compare.ts';
import { keyOf } from '../support/podStates.ts';

/** A decision by names. */
export type Told = AuditDecision;

export interface Cycle {
  /** Decisions of each committed job. */
  readonly commits: readonly (readonly Told[])[];
  readonly report: CycleReport;
  readonly view: SnapshotView;
}

export function configWith(safeEviction?: Partial<SafeEvictionConfig>, file: object = {}): SchedulerConfig {
  return loadConfig({ file: { ...file, ...(safeEviction === undefined ? {} : { safeEviction }) } }).config;
}

export function cycleOf(objects: ClusterObjects, config: SchedulerConfig, nowMs: number): Cycle {
  const view = snapshotOf(objects);
  const commits: Told[][] = [];
  const text = (row: number): string => (row < 0 ? '' : view.texts.get(row));
  const told = (d: RawDecision): Told => ({
    ...d,
    pod: text(view.pods.keyText[d.podRow]!),
    podGroup: text(view.podGroups.keyText[d.podGroupRow]!),
    node: d.nodeRow < 0 ? '' : text(view.nodes.nameText[d.nodeRow]!),
  });
  const sink = { commit: (batch: readonly RawDecision[]) => void commits.push(batch.map(told)), phase: () => {} };
  const report = runCycle(view, config, nowMs, new SharedArrayBuffer(stateBytes(view, config)), sink, INLINE_PORT);
  return { commits, report, view };
}

/** "evict ns/a n1", in order. */
export function lines({ commits }: Cycle): string[] {
  return commits.flat().map((d) => `${d.kind} ${d.pod} ${d.node}`);
}

export interface BudgetSpec {
  readonly name: string;
  readonly namespace: string;
  readonly selector?: {
    readonly matchLabels?: Readonly<Record<string, string>>;
    readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[];
  } | null;
  readonly policy?: string;
  readonly generation?: number;
  readonly status?: Readonly<Record<string, unknown>>;
}

export function budget({ name, namespace, selector, policy, generation, status }: BudgetSpec): OtherObject {
  return {
    metadata: { name, namespace, ...(generation === undefined ? {} : { generation }) } as OtherObject['metadata'],
    spec: { selector, ...(policy === undefined ? {} : { unhealthyPodEvictionPolicy: policy }) },
    status,
  };
}

/** Pods that the budget guards, and how many of them may go: policy/v1 read word by word. */
export function readBudget({ namespace, selector, policy, generation = 0, status = {} }: BudgetSpec, pods: readonly Pod[]) {
  const number = (key: string): number | undefined => status[key] as number | undefined;
  const disrupted = Object.keys((status.disruptedPods as object | undefined) ?? {});
  const isSelected = (p: Pod): boolean => p.metadata.namespace === namespace && selects(selector, p.metadata.labels ?? {});
  const isReady = (p: Pod): boolean => p.status?.conditions?.find((c) => c.type === 'Ready')?.status !== 'False';
  const isLive = (p: Pod): boolean => p.status?.phase === 'Running' && !p.metadata.deletionTimestamp;
  const counted = pods.filter((p) => isSelected(p) && isLive(p) && !disrupted.includes(p.metadata.name));
  const healthy = counted.filter(isReady).length;
  const desired = number('desiredHealthy');
  const isSpared = (desired ?? 0) > 0 && Math.min(number('currentHealthy') ?? 0, healthy) >= (desired ?? 0);
  const guarded = counted.filter((p) => isReady(p) || !(policy === 'AlwaysAllow' || isSpared));
  const isStale = number('observedGeneration') !== undefined && number('observedGeneration')! < generation;
  const spare = desired === undefined ? Infinity : Math.max(0, healthy - desired);
  return { guarded: new Set(guarded.map(keyOf)), allowed: isStale ? 0 : Math.min(number('disruptionsAllowed') ?? 0, spare) };
}

function selects(selector: BudgetSpec['selector'], labels: Readonly<Record<string, string>>): boolean {
  if (selector === null || selector === undefined) return false;
  if (Object.entries(selector.matchLabels ?? {}).some(([key, value]) => labels[key] !== value)) return false;
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labels[key];
    if (operator === 'In') return value !== undefined && values.includes(value);
    if (operator === 'NotIn') return value === undefined || !values.includes(value);
    return (operator === 'Exists') === (value !== undefined);
  });
}
