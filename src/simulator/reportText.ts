import type { AuditSummary } from './cycleAudit.ts';
import { share } from './recorder.ts';
import type { QueueShare, SimulationReport } from './report.ts';
import type { Percentiles } from './series.ts';

const TIMELINE_ROWS = 12;
const REASON_ROWS = 12;
const FINDING_ROWS = 20;

/** The report for people. */
export function reportText(report: SimulationReport): string {
  const { pods, gpu, timing, cycles } = report;
  const sections = [
    `${report.workload}: ${duration(report.simulatedMs)} of cluster time in ${duration(timing.wallMs)}`,
    table(
      [
        ['submitted', 'bound', 'running', 'finished', 'waiting', 'evicted', ...(pods.dropped > 0 ? ['dropped'] : [])],
        [
          pods.submitted,
          pods.bound,
          pods.running,
          pods.finished,
          pods.waiting,
          pods.evicted,
          ...(pods.dropped > 0 ? [pods.dropped] : []),
        ].map(count),
      ],
      'Pods',
    ),
    evictedText(report),
    waitingText(report),
    `GPUs      ${gpus(gpu.allocated)} of ${gpus(gpu.total)} allocated (${percent(gpu.allocatedShare)}), over time ${percent(gpu.meanAllocatedShare)}\n` +
      `          ${percent(gpu.fragmentationShare)} of the free capacity is of no use to a typical pod (fragmentation)`,
    timelineText(report),
    queuesText(report.queues),
    timesText('Waiting time of bound pods, virtual', [['', report.waitMs]], duration),
    `${timesText(
      `Cycle latency, ${count(cycles.count)} cycles, workers ${timing.workers}`,
      [['cycle', timing.cycleMs], ...Object.entries(timing.phaseMs).map(([phase, p]): [string, Percentiles] => [`  ${phase}`, p])],
      milliseconds,
    )}\n${throughputText(report)}`,
    ...(report.audit === undefined ? [] : [auditText(report.audit)]),
    ...(report.overcommits > 0 ? [`DEFECT: ${report.overcommits} placements took more than their node has`] : []),
  ];
  return `${sections.filter((s) => s !== '').join('\n\n')}\n`;
}

/** One line, and the first findings if there are any. */
export function auditText({ cycles, decisions, findings, examples }: AuditSummary): string {
  const head = `Audit     ${count(cycles)} cycles with ${count(decisions)} decisions: ${findings === 0 ? 'nothing is wrong' : `${count(findings)} findings`}`;
  const rows = examples.slice(0, FINDING_ROWS).map((f) => `  ${duration(f.atMs)}  ${f.rule}: ${f.object}: ${f.message}`);
  return [head, ...rows].join('\n');
}

function throughputText({ timing }: SimulationReport): string {
  const { boundPods, tookMs } = timing.largestCycle;
  return (
    `  ${count(Math.round(timing.podsPerSecond))} pods bound per second of cycle time; ` +
    `largest cycle: ${count(boundPods)} pods in ${milliseconds(tookMs)} (${count(Math.round(share(boundPods * 1000, tookMs)))} per second)`
  );
}

function evictedText({ evictedBy }: SimulationReport): string {
  const parts = Object.entries(evictedBy).map(([action, pods]) => `${count(pods)} by ${action}`);
  return parts.length === 0 ? '' : `Evicted   ${parts.join(', ')}`;
}

function waitingText({ waiting, pods }: SimulationReport): string {
  if (pods.waiting === 0) return 'Waiting   none';
  const rows = waiting.slice(0, REASON_ROWS).map((g) => `${count(g.pods).padStart(8)}  ${g.reason} (such as ${g.example})`);
  const rest = waiting.slice(REASON_ROWS).reduce((sum, g) => sum + g.pods, 0);
  if (rest > 0) rows.push(`${count(rest).padStart(8)}  for other reasons`);
  return ['Waiting pods by reason', ...rows].join('\n');
}

function timelineText({ timeline }: SimulationReport): string {
  const step = Math.max(1, Math.ceil(timeline.length / TIMELINE_ROWS));
  const points = timeline.filter((_, i) => i % step === 0 || i === timeline.length - 1);
  const bar = (part: number): string => '#'.repeat(Math.round(part * 40)).padEnd(40, '.');
  const rows = points.map((p) => [
    duration(p.atMs),
    bar(p.allocatedShare),
    percent(p.allocatedShare),
    percent(p.fragmentationShare),
    count(p.waitingPods),
  ]);
  return table([['at', 'GPUs allocated'.padEnd(40), '', 'fragm.', 'waiting'], ...rows], 'Over time');
}

function queuesText(queues: readonly QueueShare[]): string {
  if (queues.length === 0) return '';
  const limit = (n: number): string => (n < 0 ? 'none' : gpus(n));
  const rows = queues.map((q) => [
    q.parent === '' ? q.queue : `  ${q.queue}`,
    limit(q.quotaGpu),
    limit(q.limitGpu),
    gpus(q.fairShareGpu),
    gpus(q.allocatedGpu),
    gpus(q.meanFairShareGpu),
    gpus(q.meanAllocatedGpu),
  ]);
  return table([['queue', 'quota', 'limit', 'fair share', 'allocated', 'mean share', 'mean alloc.'], ...rows], 'Queues, GPUs');
}

function timesText(title: string, rows: readonly (readonly [string, Percentiles])[], format: (ms: number) => string): string {
  const body = rows.map(([name, p]) => [name, ...[p.p50, p.p90, p.p99, p.max, p.mean].map(format)]);
  return table([['', 'p50', 'p90', 'p99', 'max', 'mean'], ...body], title);
}

/** Columns padded to their widest cell: the first to the right, the others to the left. */
export function table(rows: readonly (readonly string[])[], title = ''): string {
  const widths = (rows[0] ?? []).map((_, c) => Math.max(...rows.map((r) => (r[c] ?? '').length)));
  const lines = rows.map((r) =>
    `  ${r.map((cell, c) => (c === 0 ? cell.padEnd(widths[c] ?? 0) : cell.padStart(widths[c] ?? 0))).join('  ')}`.trimEnd(),
  );
  return [...(title === '' ? [] : [title]), ...lines].join('\n');
}

export function count(n: number): string {
  return n.toLocaleString('en');
}

function gpus(n: number): string {
  return n.toLocaleString('en', { maximumFractionDigits: 1 });
}

export function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}

export function milliseconds(ms: number): string {
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(ms >= 100 ? 0 : 2)} ms`;
}

/** "2 h 05 min", "3 min 20 s", "12.3 s". */
export function duration(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  const h = Math.floor(s / 3600);
  const min = Math.floor((s % 3600) / 60);
  return h > 0 ? `${h} h ${String(min).padStart(2, '0')} min` : `${min} min ${String(s % 60).padStart(2, '0')} s`;
}
