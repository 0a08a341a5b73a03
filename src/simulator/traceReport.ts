import { type AuditSummary, sumAudits } from './cycleAudit.ts';
import type { PublishedAllocation } from './openbFiles.ts';
import { type OpenbRun, readingPoints } from './openbTrace.ts';
import { auditText, count, duration, milliseconds, percent, table } from './reportText.ts';

export interface SeedResult {
  readonly seed: number;
  readonly submitted: number;
  readonly bound: number;
  readonly dropped: number;
  /** By reading point, 0..1. */
  readonly allocatedShares: readonly number[];
  readonly fragmentationShare: number;
  readonly overcommits: number;
  /** What the auditor found, if every cycle was audited. */
  readonly audit?: AuditSummary;
}

export interface TraceReport {
  readonly workload: string;
  /** Arrived GPU demand in percent of the capacity. */
  readonly arrivedPercent: readonly number[];
  readonly seeds: readonly SeedResult[];
  /** Means over the seeds by reading point, 0..1. */
  readonly meanAllocatedShares: readonly number[];
  /** Published means by policy, 0..1, where known. */
  readonly published: Readonly<Record<string, readonly (number | null)[]>>;
  readonly timing: {
    readonly wallMs: number;
    readonly workers: number;
    readonly podsPerSecond: number;
    readonly cycleP50Ms: number;
    readonly cycleMaxMs: number;
  };
}

/** What one run contributes. */
export function seedResult(seed: number, run: OpenbRun): SeedResult {
  const { recorder, audit } = run.simulation;
  return {
    seed,
    submitted: run.submitted,
    bound: recorder.pods.bound,
    dropped: recorder.pods.dropped,
    allocatedShares: run.allocatedShares,
    fragmentationShare: recorder.now().fragmentationShare,
    overcommits: recorder.ledger.overcommits,
    ...(audit === null ? {} : { audit: audit.summary() }),
  };
}

export interface TraceReportInput {
  readonly workload: string;
  readonly arrivePercent: number;
  readonly seeds: readonly SeedResult[];
  readonly published: PublishedAllocation | undefined;
  readonly timing: TraceReport['timing'];
}

export function buildTraceReport(input: TraceReportInput): TraceReport {
  const arrivedPercent = readingPoints(input.arrivePercent);
  // A run that was stopped has not reached every point: it counts where it has.
  const meanAllocatedShares = arrivedPercent.map((_, i) => {
    const shares = input.seeds.map((s) => s.allocatedShares[i]).filter((s) => s !== undefined);
    return shares.reduce((sum, s) => sum + s, 0) / Math.max(1, shares.length);
  });
  const published = Object.fromEntries(
    Object.entries(input.published ?? {}).map(([policy, byPercent]) => [
      policy,
      arrivedPercent.map((p) => {
        const value = byPercent[String(p)];
        return value === undefined ? null : value / 100;
      }),
    ]),
  );
  return { workload: input.workload, arrivedPercent, seeds: input.seeds, meanAllocatedShares, published, timing: input.timing };
}

/** The report for people: the seeds, their mean, and the published policies, best first at the last point. */
export function traceReportText(report: TraceReport): string {
  const points = report.arrivedPercent;
  const cells = (shares: readonly (number | null | undefined)[]): string[] => points.map((_, i) => shareCell(shares[i]));
  const last = points.length - 1;
  const published = Object.entries(report.published).sort(([, a], [, b]) => (b[last] ?? 0) - (a[last] ?? 0));
  const overcommits = report.seeds.reduce((sum, s) => sum + s.overcommits, 0);
  const { timing } = report;
  const audits = report.seeds.flatMap((s) => s.audit ?? []);
  const sections = [
    report.workload,
    table(
      [
        ['arrived GPU demand, % of capacity', ...points.map(String), 'bound', 'dropped', 'fragm.'],
        ...report.seeds.map((s) => [
          `seed ${s.seed}`,
          ...cells(s.allocatedShares),
          count(s.bound),
          count(s.dropped),
          percent(s.fragmentationShare),
        ]),
      ],
      'Allocated GPUs, % of capacity',
    ),
    table(
      [
        ['mean', ...points.map(String)],
        [`this scheduler (${report.seeds.length} seeds)`, ...cells(report.meanAllocatedShares)],
        ...published.map(([policy, shares]) => [`published: ${policy}`, ...cells(shares)]),
      ],
      'Beside the published policies',
    ),
    `${duration(timing.wallMs)}, workers ${timing.workers}, ${count(Math.round(timing.podsPerSecond))} pods bound per second of cycle time; ` +
      `cycle of up to 256 jobs: median ${milliseconds(timing.cycleP50Ms)}, longest ${milliseconds(timing.cycleMaxMs)}`,
    ...(audits.length > 0 ? [auditText(sumAudits(audits))] : []),
    ...(overcommits > 0 ? [`DEFECT: ${overcommits} placements took more than their node has`] : []),
  ];
  return `${sections.join('\n\n')}\n`;
}

function shareCell(share: number | null | undefined): string {
  return share === null || share === undefined ? '-' : (share * 100).toFixed(2);
}
