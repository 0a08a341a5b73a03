import type { Ledger } from '../simulator/ledger.ts';
import { share } from '../simulator/recorder.ts';
import { queueShares } from '../simulator/report.ts';
import type { Simulation } from '../simulator/simulation.ts';
import type { DashboardNodes, DashboardPending, DashboardSource, DashboardState } from '../web/source.ts';

const TITLE = 'KAI scheduler, simulated cluster';

/** What the dashboard shows of a simulation, or of several one after the other. */
export class SimulationSource implements DashboardSource {
  #simulation: Simulation;
  #version = 1;
  #startedWallMs = performance.now();
  #isFinished = false;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  /** Shows another simulation from now on. */
  show(simulation: Simulation): void {
    this.#simulation = simulation;
    this.#version++;
    this.#startedWallMs = performance.now();
  }

  finish(): void {
    this.#isFinished = true;
  }

  nodes(): DashboardNodes {
    const { nodes } = this.#ledger();
    return { version: this.#version, names: nodes.map((n) => n.name), gpuMilli: nodes.map((n) => n.gpuCount * 1000) };
  }

  state(): DashboardState {
    const { recorder, workload, cluster } = this.#simulation;
    const { ledger, pods, cycleTimes, timeline, recentCycles } = recorder;
    const times = cycleTimes.percentiles();
    const points = timeline.points;
    const passedMs = cluster.nowMs - recorder.startMs;
    return {
      title: TITLE,
      description: workload.description,
      nowMs: cluster.nowMs,
      startedMs: recorder.startMs,
      speed: passedMs / Math.max(1, performance.now() - this.#startedWallMs),
      isFinished: this.#isFinished,
      gpu: {
        totalMilli: ledger.totalGpuMilli,
        allocatedMilli: ledger.allocatedGpuMilli,
        fragmentationShare: points.at(-1)?.fragmentationShare ?? 0,
      },
      pods: {
        bound: pods.bound,
        running: ledger.placedPods,
        waiting: pods.waiting,
        finished: pods.finished,
        evicted: pods.evicted,
        boundPerSecond: share(pods.bound * 1000, cycleTimes.sumMs),
      },
      cycles: { count: recorder.cycles, lastMs: recentCycles.at(-1)?.tookMs ?? 0, p50Ms: times.p50, p99Ms: times.p99 },
      nodesVersion: this.#version,
      nodeAllocatedMilli: ledger.nodes.map((n) => n.gpuCount * 1000 - n.freeGpuMilli),
      queues: this.#queues(),
      cycleHistory: { atMs: recentCycles.map((c) => c.atMs), tookMs: recentCycles.map((c) => c.tookMs) },
      allocationHistory: {
        atMs: points.map((p) => recorder.startMs + p.atMs),
        allocatedShare: points.map((p) => p.allocatedShare),
        fragmentationShare: points.map((p) => p.fragmentationShare),
      },
    };
  }

  pending(query: string, limit: number): DashboardPending {
    const { recorder, cluster } = this.#simulation;
    const wanted = query.toLowerCase();
    const all = recorder.waitingPods();
    const matching =
      wanted === '' ? all : all.filter((p) => `${p.pod} ${p.podGroup} ${p.queue} ${p.message}`.toLowerCase().includes(wanted));
    const pods = matching.slice(0, limit).map(({ pod, podGroup, queue, createdMs, message }) => {
      return { pod, podGroup, queue, waitingMs: Math.max(0, cluster.nowMs - createdMs), reason: message };
    });
    return { total: all.length, matched: matching.length, pods };
  }

  #ledger(): Ledger {
    return this.#simulation.recorder.ledger;
  }

  #queues(): DashboardState['queues'] {
    const { recorder, workload } = this.#simulation;
    const waitingPods = new Map<string, number>();
    for (const { queue } of recorder.waitingPods()) waitingPods.set(queue, (waitingPods.get(queue) ?? 0) + 1);
    const shares = queueShares(recorder, workload.objects.queues ?? []);
    const waitingBelow = (queue: string): number =>
      (waitingPods.get(queue) ?? 0) + shares.filter((q) => q.parent === queue).reduce((sum, q) => sum + waitingBelow(q.queue), 0);
    return shares.map((q) => ({
      name: q.queue,
      parent: q.parent,
      quotaGpu: q.quotaGpu,
      limitGpu: q.limitGpu,
      fairShareGpu: q.fairShareGpu,
      allocatedGpu: q.allocatedGpu,
      waitingPods: waitingBelow(q.queue),
    }));
  }
}
