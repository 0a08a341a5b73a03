import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { CycleReport, RawDecision } from '../base/decisions.ts';
import { createSearchMetrics } from './searchMetrics.ts';

/** 5 × 2^0 … 5 × 2^9 ms (spec 08 section 7.1). */
const LATENCY_BUCKETS_MS: readonly number[] = Object.freeze(Array.from({ length: 10 }, (_, i) => 5 * 2 ** i));
const CYCLE_BUCKETS_S: readonly number[] = Object.freeze(Array.from({ length: 16 }, (_, i) => 0.0005 * 2 ** i));
/** Phases of a cycle that are not actions. */
const SESSION_PHASES: ReadonlySet<string> = new Set(['open', 'report']);
const QUEUE_LABELS = ['queue_name', 'queue_metadata_name', 'queue_display_name'] as const;

export interface ObservedCycle {
  readonly decisions: readonly RawDecision[];
  readonly report: CycleReport;
  readonly cycleMs: number;
  /** For each bound pod the time from its creation to the decision. */
  readonly waitedMs: readonly number[];
}

export interface SchedulerMetrics {
  readonly registry: Registry;
  /** Books one finished cycle. */
  observe(cycle: ObservedCycle): void;
}

/**
 * Scheduler metrics under upstream's names (spec 08 section 7.1), all with `prefix` ("kai_"), in a registry of their own.
 * One more than upstream: the histogram `cycle_duration_seconds{phase}`, with phase "all" for the whole cycle.
 * `displayNameOf`: `spec.displayName` of a queue, '' without one.
 */
export function createSchedulerMetrics(prefix = 'kai_', displayNameOf: (queue: string) => string = () => ''): SchedulerMetrics {
  const registry = new Registry();
  const registers = [registry];
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> =>
    new Gauge({ name: prefix + name, help, labelNames: [...labelNames], registers });
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> =>
    new Counter({ name: prefix + name, help, labelNames: [...labelNames], registers });

  const e2e = gauge('e2e_scheduling_latency_milliseconds', 'Length of the last cycle');
  const open = gauge('open_session_latency_milliseconds', 'Opening of the last cycle, fair share included');
  const close = gauge('close_session_latency_milliseconds', 'Closing of the last cycle');
  const action = gauge('action_scheduling_latency_milliseconds', 'Action of the last cycle', ['action']);
  const scheduled = counter('podgroups_scheduled_by_action', 'Pod groups that got pods placed', ['action']);
  const fairCpu = gauge('queue_fair_share_cpu_cores', 'Fair share of the queue in cores', QUEUE_LABELS);
  const fairMemory = gauge('queue_fair_share_memory_gb', 'Fair share of the queue in GB (10^9 bytes)', QUEUE_LABELS);
  const fairGpu = gauge('queue_fair_share_gpu', 'Fair share of the queue in devices', QUEUE_LABELS);
  const task = new Histogram({
    name: `${prefix}task_scheduling_latency_milliseconds`,
    help: 'Creation of a pod to its placement',
    buckets: [...LATENCY_BUCKETS_MS],
    registers,
  });
  const phase = new Histogram({
    name: `${prefix}cycle_duration_seconds`,
    help: 'Length of cycles by phase; phase "all" is the whole cycle',
    labelNames: ['phase'],
    buckets: [...CYCLE_BUCKETS_S],
    registers,
  });
  const bound = counter('pods_bound_total', 'Pods bound');
  const usageCpu = gauge('queue_cpu_usage', 'Historical use of cores as a share of the capacity, 0 = none or not known', QUEUE_LABELS);
  const usageMemory = gauge('queue_memory_usage', 'Historical use of memory as a share of the capacity', QUEUE_LABELS);
  const usageGpu = gauge('queue_gpu_usage', 'Historical use of GPUs as a share of the capacity', QUEUE_LABELS);
  const bookSearches = createSearchMetrics(prefix, registry);
  const waiting = gauge('podgroups_waiting', 'Pod groups with pods that could not be placed in the last cycle');

  const observe = ({ decisions, report, cycleMs, waitedMs }: ObservedCycle): void => {
    e2e.set(Math.round(cycleMs));
    open.set(report.phaseMs.open ?? 0);
    close.set(report.phaseMs.report ?? 0);
    phase.observe({ phase: 'all' }, cycleMs / 1000);
    for (const [name, ms] of Object.entries(report.phaseMs)) {
      phase.observe({ phase: name }, ms / 1000);
      if (!SESSION_PHASES.has(name)) action.set({ action: name }, ms);
    }
    for (const ms of waitedMs) task.observe(ms);
    bound.inc(waitedMs.length);
    scheduled.inc({ action: 'allocate' }, allocatedGroups(decisions).size);
    for (const [name, { solved }] of Object.entries(report.searchByAction)) scheduled.inc({ action: name }, solved);
    bookSearches(report.searchByAction);
    waiting.set(report.jobs.filter((j) => j.state === 'unschedulable' || j.state === 'notReady').length);
    for (const g of [fairCpu, fairMemory, fairGpu, usageCpu, usageMemory, usageGpu]) g.reset();
    for (const q of report.queues) {
      const displayName = displayNameOf(q.queue);
      const labels = { queue_name: displayName || q.queue, queue_metadata_name: q.queue, queue_display_name: displayName };
      fairCpu.set(labels, q.fairShareMilliCpu / 1000);
      fairMemory.set(labels, q.fairShareMemoryBytes / 1e9);
      fairGpu.set(labels, q.fairShareGpu);
      usageCpu.set(labels, q.usageCpu);
      usageMemory.set(labels, q.usageMemory);
      usageGpu.set(labels, q.usageGpu);
    }
  };
  return { registry, observe };
}

/** Other actions count by their searches: their decisions are also about those that move to make room. */
function allocatedGroups(decisions: readonly RawDecision[]): Set<number> {
  return new Set(decisions.filter(({ action }) => action === 'allocate').map(({ podGroupRow }) => podGroupRow));
}
