// On a cluster full of running one-GPU jobs: a gang that is told that it has no chance, one GPU taken back, and half of all GPUs
// taken back for one gang.
import { type Row, type Scenario, total, writesPer } from './scenario.ts';
import { ClusterSite, GPUS_PER_NODE } from './site.ts';

const HOPELESS_PODS = 10;

/** `rich` has what `poor` is entitled to. */
async function withFullCluster(
  nodes: number,
  poorQuota: number,
  schedulerArgs: readonly string[],
  measure: (site: ClusterSite, singles: string[]) => Promise<Row[]>,
  richQuota = nodes * GPUS_PER_NODE - poorQuota,
): Promise<Row[]> {
  const site = await ClusterSite.open(nodes, schedulerArgs);
  try {
    await site.witness.start();
    await site.startKubelet();
    await site.createQueues({ rich: richQuota, poor: poorQuota });
    const singles = await site.fillWithRunning('rich');
    await site.startScheduler();
    await (await site.measure())();
    const rows = await measure(site, singles);
    await site.stopScheduler();
    await site.stopKubelet();
    return rows;
  } finally {
    await site.close();
  }
}

export const HOPELESS: Scenario = {
  name: 'hopeless',
  about: 'a gang of 10 × 8 GPUs whose queue has a claim, one GPU short, on a full cluster: until pods and group are told so',
  run: ({ nodes, rounds, schedulerArgs, progress }) => {
    const claim = HOPELESS_PODS * GPUS_PER_NODE;
    const measure = async (site: ClusterSite): Promise<Row[]> => {
      const rows: Row[] = [];
      for (let round = 0; round <= rounds; round++) {
        const row = await measureHopeless(site, `hopeless-${round}`);
        if (round > 0) rows.push(row);
        progress(`round ${round}: told after ${row.figures['pods told ms']!.toFixed(0)} ms`);
      }
      return rows;
    };
    // One GPU of what the claim names belongs to the queue that has it.
    return withFullCluster(nodes, claim, schedulerArgs, measure, nodes * GPUS_PER_NODE - claim + 1);
  },
};

async function measureHopeless(site: ClusterSite, name: string): Promise<Row> {
  const { witness, scheduler } = site;
  const close = await site.measure();
  await scheduler.loopDelay();
  const names = await site.createGang(name, HOPELESS_PODS, 'poor', { gpus: GPUS_PER_NODE });
  const isTold = (): boolean => witness.areTold(names) && !Number.isNaN(witness.groupToldMs(name));
  await site.until('the gang to be told', isTold);
  const seenMs = Math.max(...names.map((pod) => witness.times(pod).seenMs));
  const toldMs = Math.max(...names.map((pod) => witness.times(pod).toldMs));
  const groupToldMs = witness.groupToldMs(name);
  const delay = await scheduler.loopDelay();
  const spent = await close();
  await site.deleteGroup(name);
  for (const pod of names) await site.deletePod(pod);
  return {
    case: 'last pod seen → all told',
    figures: {
      'pods told ms': toldMs - seenMs,
      'group told ms': groupToldMs - seenMs,
      'server CPU ms': spent.serverCpuMs,
      'own CPU ms': spent.schedulerCpuMs,
      writes: total(spent.writes) - spent.kubeletWrites - names.length - 1,
      'loop p99 ms': delay.p99Ms,
      'loop max ms': delay.maxMs,
      'rss MB': scheduler.process.program.usage().residentBytes / 1e6,
    },
  };
}

export const RECLAIM: Scenario = {
  name: 'reclaim',
  about: 'one GPU taken back on a full cluster: pod seen → victim deleted → gone (grace 1 s) → bound',
  run: ({ nodes, rounds, schedulerArgs, progress }) =>
    withFullCluster(nodes, 1, schedulerArgs, async (site, singles) => {
      const rows: Row[] = [];
      const present = new Set(singles);
      for (let round = 0; round <= rounds; round++) {
        const row = await measureReclaim(site, `claim-${round}`, present);
        if (round > 0) rows.push(row);
        progress(`round ${round}: bound after ${row.figures['bound ms']!.toFixed(0)} ms`);
      }
      return rows;
    }),
};

async function measureReclaim(site: ClusterSite, name: string, present: Set<string>): Promise<Row> {
  const { witness } = site;
  const close = await site.measure();
  await site.createGang(name, 1, 'poor', { gpus: 1 });
  const claimant = `${name}-0`;
  await site.untilBound([claimant]);
  const { seenMs, boundMs } = witness.times(claimant);
  const spent = await close();
  const victims = [...present].filter((pod) => !Number.isNaN(witness.times(pod).deletionMs));
  const { deletionMs, goneMs } = witness.times(victims[0] ?? claimant);
  // The next round finds a full cluster again: the claimant goes, a job of the rich queue takes its place.
  await site.deletePod(claimant);
  await site.deleteGroup(name);
  for (const victim of victims) {
    present.delete(victim);
    await site.deleteGroup(victim);
  }
  const next = await site.createSingles(`${name}-next-`, victims.length, 'rich');
  await site.untilBound(next);
  for (const pod of next) present.add(pod);
  await (await site.measure())();
  return {
    case: 'pod seen → bound',
    figures: {
      'bound ms': boundMs - seenMs,
      'beyond grace ms': boundMs - seenMs - (goneMs - deletionMs),
      'victim deleted ms': deletionMs - seenMs,
      'victim gone ms': goneMs - seenMs,
      victims: victims.length,
      'server CPU ms': spent.serverCpuMs,
      'own CPU ms': spent.schedulerCpuMs,
      // Deletions by kubelets and creations by this program are not the scheduler's.
      writes: total(spent.writes) - spent.kubeletWrites - 2,
    },
  };
}

export const RECLAIM_GANG: Scenario = {
  name: 'reclaim-gang',
  about: 'a gang of N/2 × 8 GPUs takes back half of a full cluster from one-GPU jobs (grace 1 s)',
  run: ({ nodes, schedulerArgs }) =>
    withFullCluster(nodes, (nodes * GPUS_PER_NODE) / 2, schedulerArgs, async (site, singles) => {
      const size = Math.floor(nodes / 2);
      const close = await site.measure();
      await site.scheduler.loopDelay();
      const names = await site.createGang('claim', size, 'poor', { gpus: GPUS_PER_NODE });
      await site.untilBound(names);
      const seenMs = Math.max(...names.map((pod) => site.witness.times(pod).seenMs));
      const lastMs = Math.max(...names.map((pod) => site.witness.times(pod).boundMs));
      const gone = singles.map((pod) => site.witness.times(pod)).filter(({ deletionMs }) => !Number.isNaN(deletionMs));
      const delay = await site.scheduler.loopDelay();
      const spent = await close();
      const writes = total(spent.writes) - spent.kubeletWrites - size - 1;
      const figures = {
        'bound ms': lastMs - seenMs,
        'first victim deleted ms': Math.min(...gone.map(({ deletionMs }) => deletionMs)) - seenMs,
        'last victim deleted ms': Math.max(...gone.map(({ deletionMs }) => deletionMs)) - seenMs,
        'last victim gone ms': Math.max(...gone.map(({ goneMs }) => goneMs)) - seenMs,
        victims: gone.length,
        'server CPU ms': spent.serverCpuMs,
        'own CPU ms': spent.schedulerCpuMs,
        writes,
        'loop p99 ms': delay.p99Ms,
        'loop max ms': delay.maxMs,
        ...writesPer(gone.length, spent.writes, 'victim'),
      };
      return [{ case: 'last pod seen → last bound', figures }];
    }),
};
