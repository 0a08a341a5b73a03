// What all cluster scenarios stand on: one control plane with nodes, a witness, a test kubelet that can be switched off, the
// scheduler as a process, and windows over the server's own counters.
import { type ControlPlane, startControlPlane } from '../../test/control-plane/controlPlane.ts';
import { subtractCounts, writesByKind } from '../../test/control-plane/serverMetrics.ts';
import { ApiClient } from '../../test/e2e/support/apiClient.ts';
import { adminClient, createNamespace, createObjects, install, waitFor } from '../../test/e2e/support/install.ts';
import { nodeObject, type PodShape, podGroupObject, podObject, queueObject } from '../../test/e2e/support/objects.ts';
import { TestKubelet, type TestKubeletOptions } from '../../test/e2e/support/testKubelet.ts';
import { postBindings } from './bareLoop.ts';
import { MeasuredScheduler } from './scheduler.ts';
import { Witness } from './witness.ts';

export const NAMESPACE = 'bench';
export const GPUS_PER_NODE = 8;
/** Requests under way: what the scheduler's write queue uses. */
export const CONCURRENCY = 64;
const TIMEOUT_MS = 300_000;
const SETTLED_MS = 1_000;

/** What the servers and the scheduler spent between two moments. */
export interface Spent {
  /** CPU of API server, etcd and controllers. */
  readonly serverCpuMs: number;
  /** NaN while no scheduler runs. */
  readonly schedulerCpuMs: number;
  /** Successful writes of everybody, by verb and resource. */
  readonly writes: Readonly<Record<string, number>>;
  /** Those of the test kubelet among them. */
  readonly kubeletWrites: number;
}

export class ClusterSite {
  readonly plane: ControlPlane;
  readonly client: ApiClient;
  readonly witness: Witness;
  readonly nodes: number;
  readonly #schedulerToken: string;
  readonly #watchClient: ApiClient;
  readonly #kubeletClient: ApiClient;
  readonly #schedulerArgs: readonly string[];
  #kubelet: TestKubelet | null = null;
  #scheduler: MeasuredScheduler | null = null;
  #schedulerCount = 0;

  private constructor(plane: ControlPlane, client: ApiClient, token: string, nodes: number, schedulerArgs: readonly string[]) {
    this.plane = plane;
    this.client = client;
    this.#schedulerToken = token;
    this.nodes = nodes;
    this.#schedulerArgs = schedulerArgs;
    this.#watchClient = adminClient(plane);
    this.#kubeletClient = adminClient(plane);
    this.witness = new Witness(this.#watchClient, NAMESPACE);
  }

  /** A control plane with `nodes` nodes of 8 GPUs, called n0, n1, … */
  static async open(nodes: number, schedulerArgs: readonly string[] = []): Promise<ClusterSite> {
    const plane = await startControlPlane();
    try {
      const { client, schedulerToken } = await install(plane);
      await createNamespace(client, NAMESPACE);
      const site = new ClusterSite(plane, client, schedulerToken, nodes, schedulerArgs);
      await site.create(Array.from({ length: nodes }, (_, i) => nodeObject(`n${i}`)));
      return site;
    } catch (error) {
      await plane.stop();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#scheduler?.process.kill();
    await this.#kubelet?.stop();
    await this.witness.stop();
    await Promise.all([this.client.close(), this.#watchClient.close(), this.#kubeletClient.close()]);
    await this.plane.stop();
  }

  get scheduler(): MeasuredScheduler {
    if (this.#scheduler === null) throw new Error('no scheduler runs');
    return this.#scheduler;
  }

  /** A new process; waits until it is ready unless told otherwise. */
  async startScheduler(isAwaited = true, args: readonly string[] = []): Promise<MeasuredScheduler> {
    const name = `scheduler-${++this.#schedulerCount}`;
    this.#scheduler = await MeasuredScheduler.start(this.plane, this.#schedulerToken, name, [...args, ...this.#schedulerArgs]);
    if (isAwaited) await this.#scheduler.process.ready('/readyz', TIMEOUT_MS);
    return this.#scheduler;
  }

  /** Throws when the scheduler logged an error. */
  async stopScheduler(): Promise<void> {
    const scheduler = this.scheduler;
    this.#scheduler = null;
    const result = await scheduler.process.stop();
    const alarms = scheduler.alarms();
    if (alarms.length > 0) throw new Error(`the scheduler logged errors:\n${alarms.slice(0, 5).join('\n')}`);
    if (result !== 0) throw new Error(`the scheduler ended with ${result}:\n${scheduler.process.program.tail()}`);
  }

  async startKubelet(plan?: TestKubeletOptions['plan']): Promise<void> {
    this.#kubelet = new TestKubelet({ client: this.#kubeletClient, plan, concurrency: CONCURRENCY });
    await this.#kubelet.start();
  }

  async untilKubeletIsQuiet(): Promise<void> {
    await settled(() => this.#kubelet?.writes.statusPatches ?? 0);
  }

  /** Throws when a kubelet had to refuse a pod. */
  async stopKubelet(): Promise<void> {
    const kubelet = this.#kubelet;
    this.#kubelet = null;
    await kubelet?.stop();
    if (kubelet !== null && kubelet.rejections.length > 0) {
      throw new Error(`kubelets refused pods: ${JSON.stringify(kubelet.rejections.slice(0, 5))}`);
    }
  }

  async create(objects: readonly object[]): Promise<void> {
    await createObjects(this.client, objects, CONCURRENCY);
  }

  /** `dept` and below it the queues with that quota each; weight 1, no limit below the department's. */
  async createQueues(quotas: Readonly<Record<string, number>>): Promise<void> {
    const total = this.nodes * GPUS_PER_NODE;
    await this.create([queueObject('dept', { gpu: { quota: total, limit: total } })]);
    await this.create(Object.entries(quotas).map(([name, quota]) => queueObject(name, { parent: 'dept', gpu: { quota } })));
  }

  /** Jobs of one pod called `<prefix>0` …; returns the names. `nodeOf` gives them a node from the start. */
  async createSingles(
    prefix: string,
    count: number,
    queue: string,
    shape: PodShape = {},
    nodeOf?: (i: number) => string,
  ): Promise<string[]> {
    const names = Array.from({ length: count }, (_, i) => `${prefix}${i}`);
    await this.create(names.map((name) => podGroupObject(NAMESPACE, name, queue, { minMember: 1 })));
    const specOf = (i: number): object | undefined => (nodeOf === undefined ? undefined : { nodeName: nodeOf(i) });
    await this.create(
      names.map((name, i) => podObject(NAMESPACE, name, { gpus: 1, gracePeriodSeconds: 1, group: name, ...shape, spec: specOf(i) })),
    );
    return names;
  }

  /** One job of `count` pods `<name>-0` …, all or none. */
  async createGang(name: string, count: number, queue: string, shape: PodShape = {}): Promise<string[]> {
    await this.create([podGroupObject(NAMESPACE, name, queue, { minMember: count })]);
    const names = Array.from({ length: count }, (_, i) => `${name}-${i}`);
    await this.create(names.map((pod) => podObject(NAMESPACE, pod, { gracePeriodSeconds: 1, group: name, ...shape })));
    return names;
  }

  /** A full cluster: one-GPU jobs of the queue, on their nodes from the start, running. */
  async fillWithRunning(queue: string): Promise<string[]> {
    const total = this.nodes * GPUS_PER_NODE;
    return this.createSingles('single-', total, queue, {}, (i) => `n${Math.floor(i / GPUS_PER_NODE)}`);
  }

  /** Bindings alone, as many as there are names, each node filled before the next; returns when the witness has seen the last. */
  async bindBare(names: readonly string[], podsPerNode: number): Promise<{ readonly startedMs: number; readonly refused: number }> {
    const { plane } = this;
    const binder = new ApiClient({ url: plane.url, ca: plane.ca, token: plane.adminToken });
    try {
      await binder.get('/version');
      const startedMs = performance.now();
      const { refused } = await postBindings(binder, NAMESPACE, names, (i) => `n${Math.floor(i / podsPerNode) % this.nodes}`, CONCURRENCY);
      await this.witness.untilBound(names, TIMEOUT_MS);
      return { startedMs, refused };
    } finally {
      await binder.close();
    }
  }

  untilBound(names: readonly string[]): Promise<void> {
    return this.witness.untilBound(names, TIMEOUT_MS);
  }

  /** Polls; only for conditions whose time is taken from the witness. */
  until(what: string, test: () => boolean): Promise<void> {
    return waitFor(what, test, TIMEOUT_MS);
  }

  async deleteGroup(name: string): Promise<void> {
    await this.client.delete(`/apis/scheduling.run.ai/v2alpha2/namespaces/${NAMESPACE}/podgroups/${name}`);
  }

  async deletePod(name: string): Promise<void> {
    await this.client.delete(`/api/v1/namespaces/${NAMESPACE}/pods/${name}`, { gracePeriodSeconds: 0 });
  }

  /** No pods, no pod groups, and the queues too unless they are to stay; gives the servers a moment. */
  async clear(isKeepingQueues = false): Promise<void> {
    const groups = `/apis/scheduling.run.ai/v2alpha2/namespaces/${NAMESPACE}/podgroups`;
    await this.client.delete(`/api/v1/namespaces/${NAMESPACE}/pods`, { gracePeriodSeconds: 0 });
    await this.client.delete(groups);
    if (!isKeepingQueues) await this.client.delete('/apis/scheduling.run.ai/v2/queues');
    await waitFor('the cluster to be empty', () => this.witness.podCount === 0 && this.witness.groupCount === 0, TIMEOUT_MS);
    this.witness.forget();
  }

  /** CPU time so far of the servers and of the scheduler that runs, 0 = none. */
  cpuMs(): { readonly servers: number; readonly scheduler: number } {
    return { servers: serverCpuMs(this.plane), scheduler: this.#scheduler?.process.program.usage().cpuMs ?? 0 };
  }

  /** Opens a window; the function closes it once kubelet and scheduler have nothing left to write. */
  async measure(): Promise<() => Promise<Spent>> {
    const [kubelet, scheduler] = [this.#kubelet, this.#scheduler];
    const kubeletWrites = (): number => (kubelet === null ? 0 : Object.values(kubelet.writes).reduce((sum, count) => sum + count, 0));
    const countsBefore = await this.plane.metrics();
    const kubeletBefore = kubeletWrites();
    const serverBefore = serverCpuMs(this.plane);
    const schedulerCpuMs = (): number => scheduler?.process.program.usage().cpuMs ?? Number.NaN;
    const schedulerBefore = schedulerCpuMs();
    return async () => {
      await scheduler?.isQuiet();
      if (kubelet !== null) await settled(kubeletWrites);
      const serverCpu = serverCpuMs(this.plane) - serverBefore;
      const schedulerCpu = schedulerCpuMs() - schedulerBefore;
      const writes = writesByKind(subtractCounts(await this.plane.metrics(), countsBefore));
      return { serverCpuMs: serverCpu, schedulerCpuMs: schedulerCpu, writes, kubeletWrites: kubeletWrites() - kubeletBefore };
    };
  }
}

function serverCpuMs(plane: ControlPlane): number {
  return Object.values(plane.usage()).reduce((sum, { cpuMs }) => sum + cpuMs, 0);
}

/** Until the count has not changed for a second: less than that may be a pause of a busy machine. */
async function settled(count: () => number): Promise<void> {
  let last = Number.NaN;
  let sinceMs = 0;
  await waitFor(
    'the kubelets to settle',
    () => {
      if (count() !== last) sinceMs = performance.now();
      last = count();
      return performance.now() - sinceMs >= SETTLED_MS;
    },
    TIMEOUT_MS,
  );
}
