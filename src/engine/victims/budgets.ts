import { ObjectKind, PodFlag, PodPhase } from '../../base/codes.ts';
import type { LabelSelector } from '../../base/constraints.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { type CompiledRequirement, compileLabelSelector, matchesAll } from '../filters/labels.ts';

/** A PodDisruptionBudget of policy/v1 as far as evictions are concerned; kept so in `objects.spec_json`. */
interface BudgetJson {
  readonly metadata?: { readonly generation?: number };
  readonly spec?: { readonly selector?: LabelSelector; readonly unhealthyPodEvictionPolicy?: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly disruptionsAllowed?: number;
    readonly currentHealthy?: number;
    readonly desiredHealthy?: number;
    readonly disruptedPods?: Readonly<Record<string, unknown>>;
  };
}

interface Budget {
  readonly namespace: string;
  readonly requirements: readonly CompiledRequirement[];
  readonly json: BudgetJson;
  /** Names of pods that the eviction API has given up already: the status does not count on them. */
  readonly disrupted: ReadonlySet<string>;
}

/** The budgets of a snapshot and what they still allow. */
export interface Budgets {
  readonly count: number;
  /** Pods that may still go when the cycle opens, by budget. */
  readonly allowed: Int32Array;
  /** Pods that committed decisions of this cycle take, by budget. */
  readonly taken: Int32Array;
  /** Budgets that lose a pod when this one is evicted. */
  of(podRow: number): readonly number[];
}

const NONE: readonly number[] = Object.freeze([]);

/** Reads the budgets; null when the snapshot has none that selects anything. */
export function openBudgets(view: SnapshotView): Budgets | null {
  const list = readBudgets(view);
  if (list.length === 0) return null;
  const selecting = selectionOf(view, list);
  const healthy = countHealthy(view, list, selecting);
  const isLenient = list.map(({ json }, b) => lenient(json, healthy[b]!));
  const { phaseCode, flags } = view.pods;
  const needs = (podRow: number, b: number): boolean =>
    !((flags[podRow]! & PodFlag.notReady) !== 0 && isLenient[b]) && !isDisrupted(view, list[b]!, podRow);
  return {
    count: list.length,
    allowed: Int32Array.from(list, ({ json }, b) => allowedBy(json, healthy[b]!)),
    taken: new Int32Array(list.length),
    of(podRow) {
      // As the eviction API: what does not run or is going anyway needs no leave.
      if (phaseCode[podRow] !== PodPhase.running || (flags[podRow]! & PodFlag.deleting) !== 0) return NONE;
      const selected = selecting(podRow);
      return selected.every((b) => needs(podRow, b)) ? selected : selected.filter((b) => needs(podRow, b));
    },
  };
}

/** A null selector selects nothing, an empty one every pod of the namespace (policy/v1). */
function readBudgets(view: SnapshotView): Budget[] {
  const { objects, texts } = view;
  const list: Budget[] = [];
  for (let row = 0; row < objects.rows; row++) {
    if (objects.used[row] !== 1 || objects.kindCode[row] !== ObjectKind.podDisruptionBudget || objects.specJson[row]! < 0) continue;
    const json = JSON.parse(texts.get(objects.specJson[row]!)) as BudgetJson;
    const requirements = compileLabelSelector(texts, json.spec?.selector);
    const key = texts.get(objects.keyText[row]!);
    if (requirements === null) continue;
    const disrupted = new Set(Object.keys(json.status?.disruptedPods ?? {}));
    list.push({ namespace: key.slice(0, key.indexOf('/')), requirements, json, disrupted });
  }
  return list;
}

/** Budgets that select a pod, worked out once per namespace and label set. */
function selectionOf(view: SnapshotView, list: readonly Budget[]): (podRow: number) => readonly number[] {
  const inNamespace = new Map<number, number[]>();
  list.forEach(({ namespace }, b) => {
    const row = view.texts.find(namespace);
    const same = inNamespace.get(row);
    if (same === undefined) inNamespace.set(row, [b]);
    else same.push(b);
  });
  const { namespaceText, labelSetRow } = view.pods;
  const known = new Map<number, Map<number, readonly number[]>>();
  return (podRow) => {
    const candidates = inNamespace.get(namespaceText[podRow]!);
    if (candidates === undefined) return NONE;
    let bySet = known.get(namespaceText[podRow]!);
    if (bySet === undefined) {
      bySet = new Map();
      known.set(namespaceText[podRow]!, bySet);
    }
    const set = labelSetRow[podRow]!;
    let selected = bySet.get(set);
    if (selected === undefined) {
      selected = candidates.filter((b) => matchesAll(view, set, list[b]!.requirements));
      bySet.set(set, selected);
    }
    return selected;
  };
}

/** Running pods by budget that are neither leaving, unready nor already given up by the eviction API. */
function countHealthy(view: SnapshotView, list: readonly Budget[], selecting: (podRow: number) => readonly number[]): Int32Array {
  const healthy = new Int32Array(list.length);
  const { rows, used, phaseCode, flags } = view.pods;
  for (let p = 0; p < rows; p++) {
    if (used[p] !== 1 || phaseCode[p] !== PodPhase.running || (flags[p]! & (PodFlag.deleting | PodFlag.notReady)) !== 0) continue;
    for (const b of selecting(p)) if (!isDisrupted(view, list[b]!, p)) healthy[b] = healthy[b]! + 1;
  }
  return healthy;
}

function isDisrupted(view: SnapshotView, { disrupted, namespace }: Budget, podRow: number): boolean {
  return disrupted.size > 0 && disrupted.has(view.texts.get(view.pods.keyText[podRow]!).slice(namespace.length + 1));
}

/**
 * The status lags behind: it allows nothing while it describes an older specification, and never more than the pods that
 * are healthy now leave above the wanted number.
 */
function allowedBy({ metadata, status }: BudgetJson, healthy: number): number {
  if ((status?.observedGeneration ?? Number.POSITIVE_INFINITY) < (metadata?.generation ?? 0)) return 0;
  const spare = status?.desiredHealthy === undefined ? Number.POSITIVE_INFINITY : healthy - status.desiredHealthy;
  return Math.max(0, Math.min(status?.disruptionsAllowed ?? 0, spare));
}

/** May pods that are not ready go without being counted (`unhealthyPodEvictionPolicy`; default `IfHealthyBudget`)? */
function lenient({ spec, status }: BudgetJson, healthy: number): boolean {
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  const desired = status?.desiredHealthy ?? 0;
  return desired > 0 && Math.min(status?.currentHealthy ?? 0, healthy) >= desired;
}
