// How long the scheduler takes to know everything, against pages of nodes and pods that are fetched in the same encoding and
// thrown away.
import { Agent, request } from 'undici';
import { podGroupObject, podObject } from '../../test/e2e/support/objects.ts';
import type { Row, Scenario, ScenarioOptions } from './scenario.ts';
import { type LoopDelay, loopDelayOf } from './scheduler.ts';
import { ClusterSite, GPUS_PER_NODE, NAMESPACE } from './site.ts';

const PAGE_SIZE = 500;
const PODS_PER_GROUP = 100;
const ACCEPT = 'application/vnd.kubernetes.protobuf';
const SYNCED = 'all objects are read';
const AT_REST_MS = 10_000;

export const SYNC: Scenario = {
  name: 'sync',
  about: 'first lists of N nodes and M bound pods, against a bare paged GET of nodes and pods in protobuf',
  async run({ nodes, pods, rounds, schedulerArgs, progress }) {
    const site = await ClusterSite.open(nodes, schedulerArgs);
    try {
      await createStandingPods(site, pods, GPUS_PER_NODE, progress);
      const rows: Row[] = [];
      // The first round fills the caches of the server.
      for (let round = 0; round <= rounds; round++) {
        const measured = [await measureBare(site), await measureScheduler(site)];
        if (round > 0) rows.push(...measured);
        progress(`round ${round}: ${measured.map(({ figures }) => `${figures['sync ms']!.toFixed(0)} ms`).join(' against ')}`);
      }
      return rows;
    } finally {
      await site.close();
    }
  },
};

/** Pods on their nodes from the start, in jobs of 100; on each node the first `gpusPerNode` have a GPU. */
export async function createStandingPods(
  site: ClusterSite,
  pods: number,
  gpusPerNode: number,
  progress: ScenarioOptions['progress'],
): Promise<void> {
  await site.createQueues({ team: site.nodes * GPUS_PER_NODE });
  const groups = Math.ceil(pods / PODS_PER_GROUP);
  await site.create(Array.from({ length: groups }, (_, i) => podGroupObject(NAMESPACE, `job-${i}`, 'team', { minMember: 1 })));
  for (let from = 0; from < pods; from += 10_000) {
    const count = Math.min(10_000, pods - from);
    const objects = Array.from({ length: count }, (_, k) => {
      const i = from + k;
      const group = `job-${Math.floor(i / PODS_PER_GROUP)}`;
      const spec = { nodeName: `n${i % site.nodes}` };
      const gpus = Math.floor(i / site.nodes) < gpusPerNode ? 1 : 0;
      return podObject(NAMESPACE, `standing-${i}`, { group, gpus, cpu: '1m', memory: '1Mi', gracePeriodSeconds: 1, spec });
    });
    await site.create(objects);
    progress(`${from + count} pods created`);
  }
}

async function measureBare(site: ClusterSite): Promise<Row> {
  const dispatcher = new Agent({ connect: { ca: site.plane.ca }, allowH2: true });
  const close = await site.measure();
  try {
    const startedMs = performance.now();
    const bytes = await Promise.all(['nodes', 'pods'].map((list) => fetchPages(site, dispatcher, `/api/v1/${list}`)));
    const syncMs = performance.now() - startedMs;
    const spent = await close();
    const megabytes = bytes.reduce((sum, count) => sum + count, 0) / 1e6;
    return { case: 'bare paged GET', figures: { 'sync ms': syncMs, 'server CPU ms': spent.serverCpuMs, MB: megabytes } };
  } finally {
    await dispatcher.destroy();
  }
}

/** Reads one list page after page; gives the bytes. */
async function fetchPages(site: ClusterSite, dispatcher: Agent, path: string): Promise<number> {
  let bytes = 0;
  for (let next = ''; ; ) {
    const { statusCode, body } = await request(`${site.plane.url}${path}?limit=${PAGE_SIZE}${next === '' ? '' : `&continue=${next}`}`, {
      dispatcher,
      headers: { authorization: `Bearer ${site.plane.adminToken}`, accept: ACCEPT },
    });
    const page = Buffer.from(await body.arrayBuffer());
    if (statusCode !== 200) throw new Error(`GET ${path}: ${statusCode} ${page.toString()}`);
    bytes += page.length;
    next = encodeURIComponent(continueToken(page));
    if (next === '') return bytes;
  }
}

/** ListMeta is the first field of the list, a few bytes into the page; its field 3 is the token ('' on the last page). */
function continueToken(page: Buffer): string {
  const text = page.subarray(0, 2048).toString('latin1');
  return /eyJ[\w-]+/.exec(text)?.[0] ?? '';
}

async function measureScheduler(site: ClusterSite): Promise<Row> {
  const close = await site.measure();
  const scheduler = await site.startScheduler(false);
  // Reading the metrics starts the delay figures anew: as soon as there is something to read, thus before the first list.
  await scheduler.process.ready('/metrics');
  const { delay, readyMs } = await untilReady(scheduler.metrics.bind(scheduler), () => scheduler.process.ready('/readyz', 300_000));
  const syncMs = scheduler.logTime(SYNCED) - scheduler.logTime('connected');
  const spent = await close();
  const { residentBytes } = scheduler.process.program.usage();
  await new Promise((resolve) => setTimeout(resolve, AT_REST_MS));
  const rest = await scheduler.loopDelay();
  const samples = await scheduler.metrics();
  const restBytes = scheduler.process.program.usage().residentBytes;
  const cpuMs = scheduler.process.program.usage().cpuMs;
  await site.stopScheduler();
  return {
    case: 'kai scheduler',
    figures: {
      'sync ms': syncMs,
      'start→connected ms': scheduler.logTime('connected') - scheduler.startedMs,
      'start→first cycle ms': readyMs - scheduler.startedMs,
      'server CPU ms': spent.serverCpuMs,
      'own CPU ms': cpuMs,
      'loop p99 ms': delay.p99Ms,
      'loop max ms': delay.maxMs,
      'loop p99 at rest ms': rest.p99Ms,
      'rss MB': residentBytes / 1e6,
      'rss at rest MB': restBytes / 1e6,
      'heap used MB': (samples.get('nodejs_heap_size_used_bytes') ?? Number.NaN) / 1e6,
      'external MB': (samples.get('nodejs_external_memory_bytes') ?? Number.NaN) / 1e6,
    },
  };
}

/** Delay of the loop until lists are read and a cycle has finished. */
async function untilReady(
  metrics: () => Promise<ReadonlyMap<string, number>>,
  ready: () => Promise<void>,
): Promise<{ readonly delay: LoopDelay; readonly readyMs: number }> {
  await metrics();
  await ready();
  const readyMs = performance.now();
  return { delay: loopDelayOf(await metrics()), readyMs };
}
