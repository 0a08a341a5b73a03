// Twenty one-GPU jobs come per second, run for a while, end and are deleted: does the process stay as it is?
import { setTimeout as sleep } from 'node:timers/promises';
import { podGroupObject, podObject } from '../../test/e2e/support/objects.ts';
import type { PodPlan, WatchedPod } from '../../test/e2e/support/testKubelet.ts';
import { type Row, type Scenario, total, writesPer } from './scenario.ts';
import { loopDelayOf } from './scheduler.ts';
import { ClusterSite, NAMESPACE } from './site.ts';
import { percentile, slope } from './statistics.ts';
import { createStandingPods } from './sync.ts';

const PODS_PER_SECOND = 20;
const RUN_MS = 8_000;
/** From its creation on; it has ended by then. */
const DELETE_AFTER_MS = 12_000;
/** Leaves half of the GPUs to what comes. */
const STANDING_GPUS_PER_NODE = 4;
const SAMPLE_MS = 5_000;
/** Garbage collection makes single samples jump: the least of each such time counts for the slope. */
const ENVELOPE_MS = 30_000;
/** What is left out of the slopes: caches and compiled code settle. */
const SETTLING_PART = 1 / 3;

interface Sample {
  readonly atMs: number;
  readonly residentMb: number;
  readonly heapMb: number;
}

export const CHURN: Scenario = {
  name: 'churn',
  about: '20 one-GPU jobs per second on a cluster with M standing pods: memory with its slope, latency, event loop',
  async run({ nodes, pods, minutes, schedulerArgs, progress }) {
    const site = await ClusterSite.open(nodes, schedulerArgs);
    try {
      await createStandingPods(site, pods, STANDING_GPUS_PER_NODE, progress);
      await site.witness.start();
      await site.startKubelet(planOf);
      await site.startScheduler();
      const row = await churn(site, minutes * 60_000, progress);
      await site.stopScheduler();
      await site.stopKubelet();
      return [row];
    } finally {
      await site.close();
    }
  },
};

function planOf({ metadata }: WatchedPod): PodPlan {
  return metadata.name.startsWith('churn-') ? { runForMs: RUN_MS } : {};
}

async function churn(site: ClusterSite, lengthMs: number, progress: (line: string) => void): Promise<Row> {
  const { scheduler } = site;
  await site.untilKubeletIsQuiet();
  const close = await site.measure();
  const startedMs = performance.now();
  const samples: Sample[] = [];
  const delays: { p99Ms: number; maxMs: number }[] = [];
  const waits: number[] = [];
  const work = new Set<Promise<void>>();
  let created = 0;
  let nextSampleMs = 0;
  await scheduler.loopDelay();
  for (let nowMs = 0; nowMs < lengthMs; nowMs = performance.now() - startedMs) {
    for (; created < (nowMs / 1000) * PODS_PER_SECOND; created++) {
      const job = live(site, `churn-${created}`, waits).finally(() => work.delete(job));
      work.add(job);
    }
    if (nowMs >= nextSampleMs) {
      nextSampleMs += SAMPLE_MS;
      const metrics = await scheduler.metrics();
      const heapMb = (metrics.get('nodejs_heap_size_used_bytes') ?? Number.NaN) / 1e6;
      samples.push({ atMs: nowMs, residentMb: scheduler.process.program.usage().residentBytes / 1e6, heapMb });
      if (nowMs > 0) delays.push(loopDelayOf(metrics));
      if (samples.length % 12 === 0) progress(`${Math.round(nowMs / 60_000)} min: ${samples.at(-1)!.residentMb.toFixed(0)} MB`);
    }
    await sleep(10);
  }
  await Promise.all([...work]);
  const spent = await close();
  // What this program writes itself: creation and deletion of each pod and of its group.
  const writes = total(spent.writes) - spent.kubeletWrites - 4 * created;
  return {
    case: `${PODS_PER_SECOND} pods/s for ${Math.round(lengthMs / 60_000)} min`,
    figures: {
      pods: created,
      'seen→bound p50 ms': percentile(waits, 0.5),
      'seen→bound p99 ms': percentile(waits, 0.99),
      'rss MB at start': samples[0]!.residentMb,
      'rss MB at end': samples.at(-1)!.residentMb,
      'rss MB most': Math.max(...samples.map(({ residentMb }) => residentMb)),
      'rss slope MB/h': slopePerHour(samples, ({ residentMb }) => residentMb),
      'heap MB least of the first third': leastOf(samples, 0, SETTLING_PART),
      'heap MB least of the last third': leastOf(samples, 1 - SETTLING_PART, 1),
      'heap slope MB/h': slopePerHour(samples, ({ heapMb }) => heapMb),
      'loop p99 ms': percentile(
        delays.map(({ p99Ms }) => p99Ms),
        0.5,
      ),
      'loop p99 ms, worst 5 s': Math.max(...delays.map(({ p99Ms }) => p99Ms)),
      'loop max ms': Math.max(...delays.map(({ maxMs }) => maxMs)),
      'own CPU ms/pod': spent.schedulerCpuMs / created,
      'server CPU ms/pod': spent.serverCpuMs / created,
      'writes/pod': writes / created,
      ...writesPer(created, spent.writes),
    },
  };
}

/** One job from its creation to its deletion. */
async function live(site: ClusterSite, name: string, waits: number[]): Promise<void> {
  await site.create([podGroupObject(NAMESPACE, name, 'team', { minMember: 1 })]);
  await site.create([podObject(NAMESPACE, name, { group: name, gpus: 1, cpu: '1m', memory: '1Mi', gracePeriodSeconds: 1 })]);
  await sleep(DELETE_AFTER_MS);
  // On a starved machine it takes longer: the figures tell, and a long run is not lost.
  await site.until(`${name} to be bound`, () => !Number.isNaN(site.witness.times(name).boundMs));
  const { seenMs, boundMs } = site.witness.times(name);
  waits.push(boundMs - seenMs);
  await site.deletePod(name);
  await site.deleteGroup(name);
  site.witness.forgetPod(name);
}

/** Of the lower envelope, after the settling time. */
function slopePerHour(samples: readonly Sample[], figureOf: (sample: Sample) => number): number {
  const fromMs = samples.at(-1)!.atMs * SETTLING_PART;
  const least = new Map<number, number>();
  for (const sample of samples) {
    if (sample.atMs < fromMs) continue;
    const window = Math.floor(sample.atMs / ENVELOPE_MS);
    least.set(window, Math.min(least.get(window) ?? Number.POSITIVE_INFINITY, figureOf(sample)));
  }
  return slope([...least].map(([window, value]) => [(window * ENVELOPE_MS) / 3_600_000, value]));
}

function leastOf(samples: readonly Sample[], from: number, to: number): number {
  const part = samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to));
  return Math.min(...part.map(({ heapMb }) => heapMb));
}
