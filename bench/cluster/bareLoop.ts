// The yardstick of every cluster benchmark: bindings alone, posted by a bare loop at a given concurrency to the same API server.
// No scheduler on that server can bind faster. `node bench/cluster/bareLoop.ts --help`
import { parseArgs } from 'node:util';
import { type ControlPlane, startControlPlane } from '../../test/control-plane/controlPlane.ts';
import { subtractCounts, writesByKind } from '../../test/control-plane/serverMetrics.ts';
import { ApiClient } from '../../test/e2e/support/apiClient.ts';
import { createNamespace, createObjects } from '../../test/e2e/support/install.ts';
import { nodeObject, podObject } from '../../test/e2e/support/objects.ts';
import { percentile } from './statistics.ts';

const HELP = `node bench/cluster/bareLoop.ts [--nodes 100] [--pods 800] [--concurrency 32] [--rounds 3] [--http1] [--sync] [--json]

Creates the nodes (8 GPUs each), then per round as many pods as given, and times binding them one by one, --concurrency at a time.
  --concurrency N[,N]  several in turn, in every round
  --http1              keep-alive connections instead of one HTTP/2 connection
  --sync               etcd writes through to the disk
  --json               one JSON document instead of a table`;

export interface BareLoopOptions {
  readonly nodes: number;
  readonly pods: number;
  readonly concurrency: number;
  readonly isHttp2: boolean;
}

/** One measured fill: bindings only, the pods were there before. */
export interface BareLoopFigures {
  readonly concurrency: number;
  readonly pods: number;
  readonly wallMs: number;
  readonly bindingsPerSecond: number;
  /** Latency of a single binding at that concurrency. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of API server, etcd and controllers per binding. */
  readonly serverCpuMsPerBinding: number;
  readonly clientCpuMsPerBinding: number;
  /** What the server counted meanwhile, by verb and resource. */
  readonly writes: Readonly<Record<string, number>>;
  readonly refused: number;
}

const NAMESPACE = 'bare-loop';
const PODS_PER_NODE = 8;

function serverCpuMs(plane: ControlPlane): number {
  return Object.values(plane.usage()).reduce((sum, { cpuMs }) => sum + cpuMs, 0);
}

/** Creates nodes named `bare-0` … once per server. */
export async function createBareNodes(client: ApiClient, nodes: number): Promise<void> {
  await createNamespace(client, NAMESPACE);
  await createObjects(
    client,
    Array.from({ length: nodes }, (_, i) => nodeObject(`bare-${i}`)),
  );
}

/** Posts one binding per name, `concurrency` at a time; `nodeOf` gives the node of the name with that index. */
export async function postBindings(
  binder: ApiClient,
  namespace: string,
  names: readonly string[],
  nodeOf: (index: number) => string,
  concurrency: number,
): Promise<{ readonly latenciesMs: Float64Array; readonly refused: number }> {
  const latenciesMs = new Float64Array(names.length);
  let next = 0;
  let refused = 0;
  const worker = async (): Promise<void> => {
    while (next < names.length) {
      const i = next++;
      const name = names[i]!;
      const body = `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"${name}"},"target":{"apiVersion":"v1","kind":"Node","name":"${nodeOf(i)}"}}`;
      const sentMs = performance.now();
      const { status } = await binder.send('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, body);
      latenciesMs[i] = performance.now() - sentMs;
      if (status !== 201) refused++;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { latenciesMs, refused };
}

/** Creates the pods, binds them in a timed loop, and deletes them again. */
export async function measureBareLoop(plane: ControlPlane, client: ApiClient, options: BareLoopOptions): Promise<BareLoopFigures> {
  const { nodes, pods, concurrency, isHttp2 } = options;
  const shape = { gpus: 1, schedulerName: 'bare-loop', gracePeriodSeconds: 0 };
  await createObjects(
    client,
    Array.from({ length: pods }, (_, i) => podObject(NAMESPACE, `pod-${i}`, shape)),
  );
  const binder = new ApiClient({ url: plane.url, ca: plane.ca, token: plane.adminToken, isHttp2, connections: isHttp2 ? 1 : concurrency });
  await binder.get('/version');
  const [countsBefore, cpuBefore, ownBefore] = [await plane.metrics(), serverCpuMs(plane), process.cpuUsage()];
  const names = Array.from({ length: pods }, (_, i) => `pod-${i}`);
  const startedMs = performance.now();
  const nodeOf = (i: number): string => `bare-${Math.floor(i / PODS_PER_NODE) % nodes}`;
  const { latenciesMs, refused } = await postBindings(binder, NAMESPACE, names, nodeOf, concurrency);
  const wallMs = performance.now() - startedMs;
  const own = process.cpuUsage(ownBefore);
  const cpuMs = serverCpuMs(plane) - cpuBefore;
  const writes = writesByKind(subtractCounts(await plane.metrics(), countsBefore));
  await binder.close();
  await client.delete(`/api/v1/namespaces/${NAMESPACE}/pods`, { gracePeriodSeconds: 0 });
  return {
    concurrency,
    pods,
    wallMs,
    bindingsPerSecond: (pods / wallMs) * 1000,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
    serverCpuMsPerBinding: cpuMs / pods,
    clientCpuMsPerBinding: (own.user + own.system) / 1000 / pods,
    writes,
    refused,
  };
}

function line(figures: BareLoopFigures): string {
  const { concurrency, bindingsPerSecond, p50Ms, p99Ms, serverCpuMsPerBinding, clientCpuMsPerBinding, refused } = figures;
  const cells = [concurrency, Math.round(bindingsPerSecond), p50Ms.toFixed(1), p99Ms.toFixed(1), serverCpuMsPerBinding.toFixed(2)];
  return [...cells, clientCpuMsPerBinding.toFixed(2), refused].map((cell) => String(cell).padStart(14)).join('');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '100' },
      pods: { type: 'string', default: '800' },
      concurrency: { type: 'string', default: '32' },
      rounds: { type: 'string', default: '3' },
      http1: { type: 'boolean', default: false },
      sync: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const whole = (name: 'nodes' | 'pods' | 'rounds'): number => positive(values[name], name);
  const [nodes, pods, rounds] = [whole('nodes'), whole('pods'), whole('rounds')];
  const concurrencies = values.concurrency.split(',').map((text) => positive(text, 'concurrency'));
  const plane = await startControlPlane({ isSynced: values.sync });
  const client = new ApiClient({ url: plane.url, ca: plane.ca, token: plane.adminToken });
  const results: BareLoopFigures[] = [];
  const titles = ['concurrency', 'bindings/s', 'p50 ms', 'p99 ms', 'server CPU ms', 'client CPU ms', 'refused'];
  if (!values.json) console.log(titles.map((title) => title.padStart(14)).join(''));
  try {
    await createBareNodes(client, nodes);
    for (let round = 0; round < rounds; round++) {
      for (const concurrency of concurrencies) {
        const figures = await measureBareLoop(plane, client, { nodes, pods, concurrency, isHttp2: !values.http1 });
        results.push(figures);
        if (!values.json) console.log(line(figures));
      }
    }
  } finally {
    await client.close();
    await plane.stop();
  }
  const transport = values.http1 ? 'HTTP/1.1' : 'HTTP/2';
  if (values.json) console.log(JSON.stringify({ version: plane.version, nodes, transport, isSynced: values.sync, results }, null, 1));
}

function positive(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} ${text}: it must be an integer of at least 1`);
  return value;
}

if (import.meta.main) await main();
