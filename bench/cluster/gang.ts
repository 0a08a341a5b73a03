// One gang of N/2 pods with 8 GPUs each on an empty cluster.
import { podObject } from '../../test/e2e/support/objects.ts';
import { type Row, type Scenario, total, writesPer } from './scenario.ts';
import { ClusterSite, GPUS_PER_NODE, NAMESPACE } from './site.ts';

export const GANG: Scenario = {
  name: 'gang',
  about: 'one gang of N/2 pods × 8 GPUs on an empty cluster, with kubelets; against its bindings posted by the bare loop',
  async run({ nodes, rounds, schedulerArgs, progress }) {
    const site = await ClusterSite.open(nodes, schedulerArgs);
    const rows: Row[] = [];
    try {
      await site.witness.start();
      await site.startKubelet();
      await site.createQueues({ team: nodes * GPUS_PER_NODE });
      await site.startScheduler();
      // The first round warms up all processes.
      for (let round = 0; round <= rounds; round++) {
        const measured = [await measureBare(site), await measureScheduler(site, round)];
        if (round > 0) rows.push(...measured);
        progress(
          `round ${round}: bare ${measured[0]!.figures['last ms']!.toFixed(0)} ms, ours ${measured[1]!.figures['last ms']!.toFixed(0)} ms`,
        );
      }
      await site.stopScheduler();
      await site.stopKubelet();
      return rows;
    } finally {
      await site.close();
    }
  },
};

function gangSize(site: ClusterSite): number {
  return Math.max(1, Math.floor(site.nodes / 2));
}

async function measureBare(site: ClusterSite): Promise<Row> {
  const names = Array.from({ length: gangSize(site) }, (_, i) => `bare-${i}`);
  const shape = { gpus: GPUS_PER_NODE, gracePeriodSeconds: 1, schedulerName: 'bare-loop' };
  await site.create(names.map((name) => podObject(NAMESPACE, name, shape)));
  const close = await site.measure();
  const { startedMs, refused } = await site.bindBare(names, 1);
  if (refused > 0) throw new Error(`${refused} bindings were refused`);
  const lastMs = Math.max(...names.map((name) => site.witness.times(name).boundMs));
  const spent = await close();
  await site.clear(true);
  return {
    case: 'bare loop: start → last bound',
    figures: { 'last ms': lastMs - startedMs, 'server CPU ms/pod': spent.serverCpuMs / names.length },
  };
}

async function measureScheduler(site: ClusterSite, round: number): Promise<Row> {
  const close = await site.measure();
  await site.scheduler.loopDelay();
  const createdMs = performance.now();
  const names = await site.createGang(`gang-${round}`, gangSize(site), 'team', { gpus: GPUS_PER_NODE });
  await site.untilBound(names);
  const times = names.map((name) => site.witness.times(name));
  const seenMs = Math.max(...times.map((time) => time.seenMs));
  const firstMs = Math.min(...times.map(({ boundMs }) => boundMs));
  const lastMs = Math.max(...times.map(({ boundMs }) => boundMs));
  const delay = await site.scheduler.loopDelay();
  const spent = await close();
  // Creations of the pods and of the group are not the scheduler's.
  const writes = total(spent.writes) - spent.kubeletWrites - names.length - 1;
  await site.clear(true);
  return {
    case: 'kai scheduler: last pod seen → last bound',
    figures: {
      'last ms': lastMs - seenMs,
      'first ms': firstMs - seenMs,
      'group→last ms': lastMs - createdMs,
      'server CPU ms/pod': spent.serverCpuMs / names.length,
      'own CPU ms/pod': spent.schedulerCpuMs / names.length,
      'writes/pod': writes / names.length,
      'loop p99 ms': delay.p99Ms,
      'loop max ms': delay.maxMs,
      ...writesPer(names.length, spent.writes),
    },
  };
}
