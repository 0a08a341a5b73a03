import type { CycleResult } from '../runner/cycleRunner.ts';
import { share } from '../simulator/recorder.ts';
import { count, duration, milliseconds, percent } from '../simulator/reportText.ts';
import type { Simulation } from '../simulator/simulation.ts';
import type { SchedulerMetrics } from '../web/metrics.ts';
import type { Dashboard } from '../web/server.ts';
import { SimulationSource } from './simulateSource.ts';

/** The running simulation as people watch it: in the dashboard, if there is one, and in the progress line. */
export class LiveView {
  /** Stands at the beginning of the progress line. */
  note = '';
  readonly #port: number | null;
  #simulation: Simulation | undefined;
  #source: SimulationSource | undefined;
  #metrics: SchedulerMetrics | undefined;
  #dashboard: Dashboard | undefined;

  /** `port`: first port of the dashboard to try; null = no dashboard. */
  constructor(port: number | null) {
    this.#port = port;
  }

  /** Shows this simulation from now on; the first one starts the dashboard. Returns its address, '' without one. */
  async show(simulation: Simulation): Promise<string> {
    this.#simulation = simulation;
    if (this.#port === null) return '';
    if (this.#source === undefined) {
      // Loaded only when wanted: the HTTP server and the metrics take longer than a small simulation.
      const [{ startDashboard }, { createSchedulerMetrics }] = await Promise.all([import('../web/server.ts'), import('../web/metrics.ts')]);
      this.#source = new SimulationSource(simulation);
      this.#metrics = createSchedulerMetrics();
      this.#dashboard = await startDashboard({ source: this.#source, registry: this.#metrics.registry, port: this.#port });
    } else this.#source.show(simulation);
    return this.#dashboard?.url ?? '';
  }

  observe(result: CycleResult, waitedMs: readonly number[]): void {
    this.#metrics?.observe({ ...result, waitedMs });
  }

  /** "12 min 40 s | GPUs 91.2 % | 4,012 running, 120 waiting, 5,500 bound | cycle 4.10 ms" */
  progressLine(): string {
    if (this.#simulation === undefined) return 'starting';
    const { recorder, cluster } = this.#simulation;
    const { ledger, pods, cycleTimes } = recorder;
    return [
      ...(this.note === '' ? [] : [this.note]),
      duration(cluster.nowMs - recorder.startMs),
      `GPUs ${percent(share(ledger.allocatedGpuMilli, ledger.totalGpuMilli))}`,
      `pods ${count(ledger.placedPods)} running, ${count(pods.waiting)} waiting, ${count(pods.bound)} bound`,
      `${count(recorder.cycles)} cycles, median ${milliseconds(cycleTimes.percentiles().p50)}`,
    ].join(' | ');
  }

  async close(): Promise<void> {
    this.#source?.finish();
    await this.#dashboard?.close();
  }
}
