// What came of a case against what the case states.
import type { ConformanceCase, Count, Expectation, TotalName } from './caseFormat.ts';
import { COUNTED_OUTCOMES, maxOf, minOf, TOTAL_NAMES } from './caseFormat.ts';
import { type NodeAmounts, nodeAmounts, quantity } from './nodeAmounts.ts';
import { type CycleInput, type PodResult, podResults } from './outcomes.ts';

export interface CaseResult {
  readonly pods: ReadonlyMap<string, PodResult>;
  readonly nodes: ReadonlyMap<string, NodeAmounts>;
  /** Text that the scheduling condition of a pod group must carry after the cycle, by "namespace/name". */
  readonly fitErrors: ReadonlyMap<string, string>;
  readonly totals: Readonly<Record<TotalName, number>>;
  /** What further cycles changed although they must not. */
  readonly quietChanges: readonly string[];
}

export interface Difference {
  /** "pods.ns/a.outcome" */
  readonly path: string;
  readonly expected: string;
  readonly got: string;
}

/** `asGood`: other victims than the reference's, but as many jobs served and no more pods evicted. */
export type Agreement = 'exact' | 'asGood' | 'failed';

export function formatDifference(d: Difference): string {
  return `${d.path}: expected ${d.expected}, got ${d.got}`;
}

/** The result of the last cycle, from the objects before it, its decisions and the texts of its report. */
export function resultOfCycle(input: CycleInput, fitErrors: ReadonlyMap<string, string>, quietChanges: readonly string[] = []): CaseResult {
  const pods = podResults(input);
  return { pods, nodes: nodeAmounts(input.objects, pods), fitErrors, totals: totalsOf(pods), quietChanges };
}

function totalsOf(pods: ReadonlyMap<string, PodResult>): Record<TotalName, number> {
  const totals = { bound: 0, pipelined: 0, moved: 0, evicted: 0, jobsServed: 0, jobsEvicted: 0 };
  const served = new Set<string>();
  const evicted = new Set<string>();
  for (const { outcome, job, key } of pods.values()) {
    if (outcome === 'bound' || outcome === 'pipelined' || outcome === 'moved' || outcome === 'evicted') totals[outcome]++;
    if (outcome === 'bound' || outcome === 'pipelined') served.add(job ?? key);
    if (outcome === 'evicted') evicted.add(job ?? key);
  }
  return { ...totals, jobsServed: served.size, jobsEvicted: evicted.size };
}

type Report = (path: string, expected: unknown, got: unknown) => void;

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function compareCount(path: string, expected: Count | undefined, got: number, report: Report): void {
  if (expected === undefined || (got >= minOf(expected) && got <= maxOf(expected))) return;
  report(path, typeof expected === 'number' ? expected : `${minOf(expected)} to ${maxOf(expected)}`, got);
}

function zoneNames(pod: PodResult | undefined): string[] {
  return (pod?.places.at(-1)?.zones ?? []).map((z) => z.zone).sort();
}

function comparePods(expect: Expectation, result: CaseResult, report: Report): void {
  for (const [key, wanted] of Object.entries(expect.pods ?? {})) {
    const pod = result.pods.get(key);
    const path = `pods.${key}`;
    const outcome = pod?.outcome ?? 'gone';
    if (wanted.outcome !== undefined && wanted.outcome !== outcome) report(`${path}.outcome`, wanted.outcome, outcome);
    const node = pod?.places.at(-1)?.node ?? 'no node';
    if (wanted.node !== undefined && wanted.node !== node) report(`${path}.node`, wanted.node, node);
    if (wanted.nodeIn !== undefined && !wanted.nodeIn.includes(node)) report(`${path}.node`, `one of ${text(wanted.nodeIn)}`, node);
    if (wanted.numaZones === undefined) continue;
    const zones = zoneNames(pod);
    if (text([...wanted.numaZones].sort()) !== text(zones)) report(`${path}.numaZones`, wanted.numaZones, zones);
  }
}

function compareJobs(expect: Expectation, result: CaseResult, isWholeText: boolean, report: Report): void {
  const podsByJob = Map.groupBy(result.pods.values(), (p) => p.job ?? '');
  for (const [key, wanted] of Object.entries(expect.jobs ?? {})) {
    const pods = podsByJob.get(key) ?? [];
    for (const outcome of COUNTED_OUTCOMES) {
      compareCount(`jobs.${key}.${outcome}`, wanted[outcome], pods.filter((p) => p.outcome === outcome).length, report);
    }
    const fitError = result.fitErrors.get(key) ?? 'none';
    const isCarried = wanted.fitError === undefined || (isWholeText ? fitError === wanted.fitError : fitError.includes(wanted.fitError));
    if (!isCarried) report(`jobs.${key}.fitError`, wanted.fitError, fitError);
  }
}

/** One GPU of one node that all of them are on, by their last places. */
function shareOneGpu(pods: readonly (PodResult | undefined)[]): boolean {
  const [first, ...others] = pods.map((p) => p?.places.at(-1));
  if (first === undefined) return false;
  return first.gpuGroups.some((group) => others.every((o) => o?.node === first.node && o.gpuGroups.includes(group)));
}

function compareSharing(expect: Expectation, result: CaseResult, report: Report): void {
  for (const [i, keys] of (expect.sharing ?? []).entries()) {
    const pods = keys.map((key) => result.pods.get(key));
    if (shareOneGpu(pods)) continue;
    const places = pods.map((p) => `${p?.places.at(-1)?.node ?? 'no node'} [${p?.places.at(-1)?.gpuGroups.join(', ') ?? ''}]`);
    report(`sharing.${i}`, `one GPU for ${keys.join(', ')}`, places.join('; '));
  }
}

function compareNodes(expect: Expectation, result: CaseResult, report: Report): void {
  for (const [name, wanted] of Object.entries(expect.nodes ?? {})) {
    const node = result.nodes.get(name);
    const path = `nodes.${name}`;
    if (node === undefined) {
      report(path, 'a node', 'none');
      continue;
    }
    compareCount(`${path}.idleGpu`, wanted.idleGpu, node.idleGpu, report);
    compareCount(`${path}.releasingGpu`, wanted.releasingGpu, node.releasingGpu, report);
    for (const [zone, amounts] of Object.entries(wanted.zones ?? {})) {
      for (const [resource, amount] of Object.entries(amounts)) {
        const free = node.zones.get(zone)?.get(resource);
        if (free !== quantity(amount)) report(`${path}.zones.${zone}.${resource}`, amount, free ?? 'none');
      }
    }
  }
}

/**
 * All differences between the result and what the case states, in the order of the case. Recorded fit errors are whole texts;
 * stated and reported ones are the part that the condition must carry.
 */
export function compareCase({ expect, origin }: Pick<ConformanceCase, 'expect' | 'origin'>, result: CaseResult): Difference[] {
  const differences: Difference[] = [];
  const report: Report = (path, expected, got) => differences.push({ path, expected: text(expected), got: text(got) });
  comparePods(expect, result, report);
  compareJobs(expect, result, origin === 'recorded', report);
  compareSharing(expect, result, report);
  compareNodes(expect, result, report);
  for (const name of TOTAL_NAMES) compareCount(`totals.${name}`, expect.totals?.[name], result.totals[name], report);
  for (const change of result.quietChanges) report('quiet', 'no change in further cycles', change);
  return differences;
}

/** The case's right result has evictions or moves, so that another choice of victims may be as good. */
function hasVictims(expect: Expectation): boolean {
  const { evicted, moved } = expect.totals ?? {};
  return maxOf(evicted ?? 0) > 0 || maxOf(moved ?? 0) > 0;
}

/** Recorded victim cases agree also when as many jobs are served and no more pods evicted; all others must agree exactly. */
export function agreementOf(conformanceCase: ConformanceCase, result: CaseResult, differences: readonly Difference[]): Agreement {
  if (differences.length === 0) return 'exact';
  const { origin, expect } = conformanceCase;
  const { jobsServed, evicted } = expect.totals ?? {};
  if (origin !== 'recorded' || !hasVictims(expect) || jobsServed === undefined || evicted === undefined) return 'failed';
  if (result.quietChanges.length > 0) return 'failed';
  const isAsGood = result.totals.jobsServed >= minOf(jobsServed) && result.totals.evicted <= maxOf(evicted);
  return isAsGood ? 'asGood' : 'failed';
}
