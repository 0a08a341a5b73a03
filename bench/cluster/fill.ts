// The cluster is filled with one-GPU jobs that are all there before the first is bound: first by the bare loop, then by the
// scheduler, each without and with kubelets that write a status per pod.
import { podObject } from '../../test/e2e/support/objects.ts';
import { CpuSampler } from './cpuSampler.ts';
import { type Row, type Scenario, total, writesPer } from './scenario.ts';
import { loopDelayOf } from './scheduler.ts';
import { ClusterSite, CONCURRENCY, GPUS_PER_NODE, NAMESPACE, type Spent } from './site.ts';

const WARM_UP_PODS = 400;
/** The process that posts the bare loop's bindings has sent thousands of requests before: the scheduler's code is to be compiled too. */
const WARM_UP_JOBS = 2000;
/** Between the start and the last binding, of all processes: where these share the cores, it limits the rate. */
const CPU_ALL = 'CPU of all, start→last, ms/pod';
/** A scheduler that has nothing to decide: its watches are open and what they bring is read. */
const ONLOOKER = '--scheduler-name=somebody-else';

export const FILL: Scenario = {
  name: 'fill',
  about: 'one-GPU jobs until the cluster is full, all created before; against the bare binding loop, without and with kubelets',
  async run({ nodes, rounds, schedulerArgs, progress }) {
    const site = await ClusterSite.open(nodes, schedulerArgs);
    const rows: Row[] = [];
    try {
      await site.witness.start();
      await site.createQueues({ team: nodes * GPUS_PER_NODE });
      await warmUpServer(site);
      for (let round = 0; round < rounds; round++) {
        for (const isKubelet of [false, true]) {
          if (isKubelet) await site.startKubelet();
          const cases = [measureBare, measureWatched, measureScheduler];
          // Every other round the other way round: what comes later on the same server is at no disadvantage.
          for (const measure of round % 2 === 0 ? cases : cases.reverse()) {
            rows.push(await measure(site, isKubelet));
            const { case: what, figures } = rows.at(-1)!;
            progress(
              `round ${round + 1}: ${what} ${figures['pods/s']!.toFixed(0)} pods/s, ${figures[CPU_ALL]!.toFixed(2)} ms of CPU per pod`,
            );
          }
          await site.stopKubelet();
        }
      }
      return rows;
    } finally {
      await site.close();
    }
  },
};

/** A server that has just started is slower: the first pods count for nobody. */
async function warmUpServer(site: ClusterSite): Promise<void> {
  const names = await createBarePods(site, WARM_UP_PODS);
  await site.bindBare(names, GPUS_PER_NODE);
  await site.clear(true);
}

async function createBarePods(site: ClusterSite, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, i) => `pod-${i}`);
  await site.create(names.map((name) => podObject(NAMESPACE, name, { gpus: 1, gracePeriodSeconds: 1, group: name })));
  return names;
}

function measureBare(site: ClusterSite, isKubelet: boolean): Promise<Row> {
  return measureLoop(site, isKubelet, `bare loop ×${CONCURRENCY}`);
}

/** What any scheduler has to do besides the bindings is to watch. */
async function measureWatched(site: ClusterSite, isKubelet: boolean): Promise<Row> {
  await site.startScheduler(true, [ONLOOKER]);
  const row = await measureLoop(site, isKubelet, `bare loop ×${CONCURRENCY} + watches`);
  await site.stopScheduler();
  return row;
}

async function measureLoop(site: ClusterSite, isKubelet: boolean, what: string): Promise<Row> {
  const names = await createBarePods(site, site.nodes * GPUS_PER_NODE);
  const close = await site.measure();
  const cpu = new CpuSampler(site);
  const { startedMs, refused } = await site.bindBare(names, GPUS_PER_NODE);
  if (refused > 0) throw new Error(`${refused} bindings were refused`);
  const row = rowOf(site, what, isKubelet, names, startedMs, cpu, await close());
  await site.clear(true);
  return row;
}

/**
 * A pause between two cycles that is long enough to create everything: the first cycle, on some other pods, warms the process up;
 * the second one finds all jobs. Nobody is told anything in between.
 */
function pauseMs(pods: number): number {
  return 12_000 + 8 * pods;
}

async function measureScheduler(site: ClusterSite, isKubelet: boolean): Promise<Row> {
  const count = site.nodes * GPUS_PER_NODE;
  const warm = await site.createSingles('warm-', Math.min(WARM_UP_JOBS, count), 'team');
  const scheduler = await site.startScheduler(false, [`--schedule-period=${pauseMs(count)}ms`]);
  await site.untilBound(warm);
  await scheduler.isQuiet();
  await site.clear(true);
  const createdMs = performance.now();
  const names = await site.createSingles('pod-', count, 'team');
  await scheduler.knowsPods(names.length);
  const close = await site.measure();
  const before = lesserWrites(await scheduler.metrics());
  if (site.witness.boundCount > 0) throw new Error(`creating ${count} pods took longer than the pause of ${pauseMs(count)} ms`);
  const cpu = new CpuSampler(site);
  await site.untilBound(names);
  const samples = await scheduler.metrics();
  const delay = loopDelayOf(samples);
  const startedMs = await scheduler.cycleStart(createdMs);
  const row = rowOf(site, 'kai scheduler', isKubelet, names, startedMs, cpu, await close());
  const { residentBytes } = scheduler.process.program.usage();
  await site.clear(true);
  await site.stopScheduler();
  const own = {
    'events, status until last /pod': (lesserWrites(samples) - before) / count,
    'loop p99 ms': delay.p99Ms,
    'loop max ms': delay.maxMs,
    'rss MB': residentBytes / 1e6,
  };
  return { ...row, figures: { ...row.figures, ...own } };
}

/** Events and status writes so far: what ran beside the bindings rather than after them. */
function lesserWrites(samples: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const [name, value] of samples) if (/^kai_api_writes_total\{priority="(status|event)"/.test(name)) sum += value;
  return sum;
}

function rowOf(
  site: ClusterSite,
  what: string,
  isKubelet: boolean,
  names: readonly string[],
  startedMs: number,
  sampler: CpuSampler,
  spent: Spent,
): Row {
  const boundMs = names.map((name) => site.witness.times(name).boundMs);
  const firstMs = boundMs.reduce((least, ms) => Math.min(least, ms));
  const lastMs = boundMs.reduce((most, ms) => Math.max(most, ms));
  const cpu = sampler.stop(startedMs, lastMs);
  const figures = {
    'pods/s': (names.length / (lastMs - startedMs)) * 1000,
    'first→last pods/s': ((names.length - 1) / (lastMs - firstMs)) * 1000,
    'first ms': firstMs - startedMs,
    'last ms': lastMs - startedMs,
    [CPU_ALL]: (cpu.servers + cpu.scheduler + cpu.bench) / names.length,
    'of these the servers': cpu.servers / names.length,
    'of these the scheduler': cpu.scheduler / names.length,
    'server CPU ms/pod': spent.serverCpuMs / names.length,
    'own CPU ms/pod': spent.schedulerCpuMs / names.length,
    'writes/pod': (total(spent.writes) - spent.kubeletWrites) / names.length,
    ...writesPer(names.length, spent.writes),
  };
  return { case: `${what}${isKubelet ? ' + kubelets' : ''}`, figures };
}
