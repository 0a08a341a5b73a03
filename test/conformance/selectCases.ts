// Which cases need victims (SUITES.md), and how a whole run is summed up.
import { type ConformanceCase, type Expectation, maxOf } from './caseFormat.ts';
import { type Agreement, type Difference, formatDifference } from './compareCase.ts';

/** The case's right result has somebody evicted or moved, in its last cycle or in one before. */
export function needsVictims(conformanceCase: ConformanceCase): boolean {
  const { expect, cycles, input } = conformanceCase;
  const { evicted, moved } = expect.totals ?? {};
  if (maxOf(evicted ?? 0) > 0 || maxOf(moved ?? 0) > 0) return true;
  if (hasVictimOutcome(expect)) return true;
  // Without totals, or with those of the last cycle only, a pod that lost its place tells of an eviction, and so does a
  // promise where nobody was leaving.
  if (expect.totals !== undefined && cycles === 1) return false;
  const isSomebodyLeaving = input.objects.pods.some((pod) => (pod.metadata.deletionTimestamp ?? '') !== '');
  if (!isSomebodyLeaving && Object.values(expect.pods ?? {}).some((p) => p.outcome === 'pipelined')) return true;
  return input.objects.pods.some((pod) => {
    const wanted = expect.pods?.[`${pod.metadata.namespace ?? ''}/${pod.metadata.name}`];
    const node = pod.spec.nodeName ?? '';
    const hasStayed = node === '' || pod.metadata.deletionTimestamp !== undefined;
    if (hasStayed || wanted === undefined) return false;
    return wanted.outcome === 'pending' || (wanted.node !== undefined && wanted.node !== node);
  });
}

function hasVictimOutcome(expect: Expectation): boolean {
  if (Object.values(expect.pods ?? {}).some((p) => p.outcome === 'evicted' || p.outcome === 'moved')) return true;
  return Object.values(expect.jobs ?? {}).some((job) => maxOf(job.evicted ?? 0) > 0 || maxOf(job.moved ?? 0) > 0);
}

/** How a case ended. */
export interface CaseOutcome {
  readonly id: string;
  readonly suite: string;
  readonly agreement: Agreement;
  readonly differences: readonly Difference[];
}

export interface SuiteSummary {
  readonly suite: string;
  passed: number;
  exact: number;
  asGood: number;
  failed: number;
}

/** Counts by suite, in the order of their names. */
export function summarize(outcomes: readonly CaseOutcome[]): SuiteSummary[] {
  const suites = new Map<string, SuiteSummary>();
  for (const { suite, agreement } of outcomes) {
    const summary = suites.get(suite) ?? { suite, passed: 0, exact: 0, asGood: 0, failed: 0 };
    suites.set(suite, summary);
    summary[agreement]++;
    if (agreement === 'exact' || agreement === 'asGood') summary.passed++;
  }
  return [...suites.values()].sort((a, b) => (a.suite < b.suite ? -1 : 1));
}

/** The table for people, with a line of sums. */
export function formatTable(suites: readonly SuiteSummary[]): string {
  const columns = ['passed', 'exact', 'asGood', 'failed'] as const;
  const titles = ['passed', '= exact', '+ as good', 'failed'];
  const sums = columns.map((c) => suites.reduce((sum, s) => sum + s[c], 0));
  const width = Math.max(5, ...suites.map((s) => s.suite.length));
  const line = (name: string, cells: readonly (string | number)[]): string =>
    `${name.padEnd(width)}${cells.map((cell) => String(cell).padStart(11)).join('')}`;
  return [
    line('suite', titles),
    ...suites.map((s) =>
      line(
        s.suite,
        columns.map((c) => s[c]),
      ),
    ),
    line('total', sums),
  ].join('\n');
}

/** The machine-readable result. */
export function jsonSummary(outcomes: readonly CaseOutcome[]): unknown {
  return {
    suites: summarize(outcomes).map(({ suite, passed, failed, asGood }) => ({ suite, passed, failed, asGood })),
    failures: outcomes
      .filter((o) => o.agreement === 'failed')
      .map((o) => ({ id: o.id, difference: o.differences.map(formatDifference).join('; ') })),
  };
}
