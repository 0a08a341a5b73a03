import { readFileSync } from 'node:fs';
import type { SchedulerConfig } from '../base/config.ts';
import { KaiError } from '../base/errors.ts';
import { loadConfig } from '../config/loadConfig.ts';
import { snapshotOptionsFrom } from '../config/schedulerParams.ts';
import { type CycleRunner, createCycleRunner } from '../runner/cycleRunner.ts';
import { generateWorkload } from '../simulator/generatedJobs.ts';
import { readOpenbLives, readPublished } from '../simulator/openbFiles.ts';
import { flowWorkload, replayWorkload, runOpenb } from '../simulator/openbTrace.ts';
import { createPace } from '../simulator/pace.ts';
import { type ProgressStream, startProgress } from '../simulator/progress.ts';
import { share } from '../simulator/recorder.ts';
import { buildReport, type SimulationReport } from '../simulator/report.ts';
import { percent, reportText } from '../simulator/reportText.ts';
import { Distribution } from '../simulator/series.ts';
import { Simulation } from '../simulator/simulation.ts';
import { buildTraceReport, type SeedResult, seedResult, traceReportText } from '../simulator/traceReport.ts';
import { EPOCH_MS, type Workload } from '../simulator/workload.ts';
import { loadOpenb, type OpenbTrace } from '../snapshot/import/openb.ts';
import { createSnapshotWriter } from '../snapshot/writer.ts';
import { LiveView } from './simulateLive.ts';
import type { SimulatePlan } from './simulateOptions.ts';

/** Simulated clusters have neither resource claims nor NUMA topologies. */
const NOTHING_SERVED = Object.freeze({ isDraServed: false, isNodeTopologyServed: false });

export interface SimulateIo {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: ProgressStream;
  /** Aborted = stop early and report what was reached. */
  readonly signal: AbortSignal;
}

interface Context {
  readonly plan: SimulatePlan;
  readonly io: SimulateIo;
  readonly config: SchedulerConfig;
  readonly runner: CycleRunner;
  readonly live: LiveView;
}

/**
 * Runs the plan: progress to stderr, the report to stdout.
 * @throws KaiError for files that cannot be used; after the report `OVERCOMMIT` when the simulator's own books found
 * placements that took more than their node has, `AUDIT_FINDINGS` when the auditor found something; and what the cycle
 * runner throws.
 */
export async function runSimulation(plan: SimulatePlan, io: SimulateIo): Promise<void> {
  const config = readConfig(plan.configFile, io.stderr);
  const runner = createCycleRunner({ workers: plan.workers });
  const live = new LiveView(plan.port);
  const context = { plan, io, config, runner, live };
  const progress = startProgress(io.stderr, () => live.progressLine());
  try {
    await (plan.kind === 'openb' ? runTrace(context) : runWorkloads(context));
  } finally {
    progress.end();
    await live.close();
    await runner.close();
  }
}

function readConfig(file: string | undefined, stderr: ProgressStream): SchedulerConfig {
  let text: string | undefined;
  try {
    text = file === undefined ? undefined : readFileSync(file, 'utf8');
  } catch (error) {
    throw new KaiError('unreadable', `${file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { config, warnings } = loadConfig({ file: text });
  for (const warning of warnings) stderr.write(`configuration: ${warning}\n`);
  return config;
}

/** Generated clusters, one per seed, or the trace as recorded. */
async function runWorkloads(context: Context): Promise<void> {
  const { plan, io } = context;
  const reports: SimulationReport[] = [];
  const workloadOf = await chooseWorkload(plan);
  for (const seed of plan.seeds) {
    if (reports.length > 0 && io.signal.aborted) break;
    reports.push(await runWorkload(context, workloadOf(seed)));
  }
  if (plan.output === 'json') io.stdout.write(`${JSON.stringify(reports.length === 1 ? reports[0] : { runs: reports }, null, 2)}\n`);
  else io.stdout.write(reports.map(reportText).join('\n'));
  refuseDefects(reports);
}

async function chooseWorkload(plan: SimulatePlan): Promise<(seed: number) => Workload> {
  const { kind, nodes, queues, arrivePercent } = plan;
  if (kind === 'generated') return (seed) => generateWorkload({ nodes, seed });
  const trace = await loadTrace(plan);
  const lives = readOpenbLives(plan.trace?.podFile ?? '');
  if (kind === 'replay') return (seed) => replayWorkload({ trace, lives, queues, seed });
  return (seed) => flowWorkload({ trace, lives, queues, seed, arrivePercent, overMs: plan.simulatedLimitMs });
}

async function runWorkload({ plan, io, config, runner, live }: Context, workload: Workload): Promise<SimulationReport> {
  const options = snapshotOptionsFrom(config.params, NOTHING_SERVED);
  const simulation = new Simulation({
    workload,
    config,
    runner,
    writer: createSnapshotWriter(options),
    ...(plan.isAudited ? { audit: options } : {}),
    onCycle: (r, w) => live.observe(r, w),
  });
  announce(plan, io, workload.description, await live.show(simulation));
  const startedMs = performance.now();
  const pace = createPace({ speed: plan.speed, wallLimitMs: plan.wallLimitMs, signal: io.signal });
  await simulation.run(EPOCH_MS + plan.simulatedLimitMs, pace);
  return buildReport(simulation.recorder, workload, performance.now() - startedMs, runner.workers, simulation.audit?.summary() ?? null);
}

/** The benchmark's protocol, one run per seed. */
async function runTrace({ plan, io, config, runner, live }: Context): Promise<void> {
  const trace = await loadTrace(plan);
  const podFile = plan.trace?.podFile ?? '';
  const published = readPublished(podFile);
  const startedMs = performance.now();
  const options = snapshotOptionsFrom(config.params, NOTHING_SERVED);
  const cycleTimes = new Distribution();
  const seeds: SeedResult[] = [];
  let bound = 0;
  for (const [i, seed] of plan.seeds.entries()) {
    if (io.signal.aborted) break;
    const run = await runOpenb({
      trace,
      arrivePercent: plan.arrivePercent,
      seed,
      queues: plan.queues,
      config,
      runner,
      writer: createSnapshotWriter(options),
      ...(plan.isAudited ? { audit: options } : {}),
      onStart: async (simulation) => {
        const url = await live.show(simulation);
        if (i === 0) announce(plan, io, simulation.workload.description, url);
      },
      onCycle: (result, waitedMs) => {
        cycleTimes.add(result.cycleMs);
        live.observe(result, waitedMs);
      },
      onBatch: (arrivedShare) => {
        live.note = `seed ${seed}, ${i + 1} of ${plan.seeds.length}, ${percent(arrivedShare)} arrived`;
        return !io.signal.aborted && performance.now() - startedMs < plan.wallLimitMs;
      },
    });
    seeds.push(seedResult(seed, run));
    bound += run.simulation.recorder.pods.bound;
  }
  const gpus = trace.nodes.reduce((sum, n) => sum + n.gpuCount, 0);
  const times = cycleTimes.percentiles();
  const report = buildTraceReport({
    workload: `openb, ${podFile}: ${trace.nodes.length} nodes, ${gpus} GPUs, ${trace.pods.length} pods in the file`,
    arrivePercent: plan.arrivePercent,
    seeds,
    published,
    timing: {
      wallMs: performance.now() - startedMs,
      workers: runner.workers,
      podsPerSecond: share(bound * 1000, cycleTimes.sumMs),
      cycleP50Ms: times.p50,
      cycleMaxMs: times.max,
    },
  });
  io.stdout.write(plan.output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : traceReportText(report));
  refuseDefects(seeds);
}

function refuseDefects(runs: readonly Pick<SimulationReport, 'overcommits' | 'audit'>[]): void {
  const overcommits = runs.reduce((sum, r) => sum + r.overcommits, 0);
  if (overcommits > 0)
    throw new KaiError('OVERCOMMIT', `${overcommits} placements took more than their node has: a defect of the scheduler`);
  const findings = runs.reduce((sum, r) => sum + (r.audit?.findings ?? 0), 0);
  if (findings > 0) throw new KaiError('AUDIT_FINDINGS', `${findings} finding${findings === 1 ? '' : 's'} of the auditor`);
}

async function loadTrace({ trace }: SimulatePlan): Promise<OpenbTrace> {
  return loadOpenb(trace?.nodeFile ?? '', trace?.podFile ?? '');
}

function announce(plan: SimulatePlan, io: SimulateIo, description: string, url: string): void {
  const limits = [
    ...(plan.speed === Infinity ? [] : [`one real second is at most ${plan.speed} s of cluster time`]),
    ...(plan.simulatedLimitMs === Infinity ? [] : [`${plan.simulatedLimitMs / 3_600_000} h of cluster time`]),
    ...(plan.wallLimitMs === Infinity ? [] : [`ends after ${plan.wallLimitMs / 1000} s with a report`]),
    'Ctrl-C ends it earlier, with the report so far',
  ];
  io.stderr.write(`Simulating ${description}\n${limits.join('; ')}\n`);
  if (url !== '') io.stderr.write(`Dashboard: ${url}\n`);
}
