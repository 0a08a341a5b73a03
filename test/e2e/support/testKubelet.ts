// The kubelets of all nodes of a test in one object: it admits bound pods as a kubelet would (or rejects them), runs them, obeys
// deletions with their grace period, hands out GPUs, and answers for the agent in GPU reservation pods.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Node, Pod } from '../../../src/base/objects.ts';
import { type ApiClient, ApiError, type KubeObject } from './apiClient.ts';
import { RESERVATION_NAMESPACE } from './install.ts';
import { type Amounts, addInto, amountsOf, exceeding, podAmounts } from './podAmounts.ts';
import { type WatchEvent, Watcher } from './watcher.ts';

export type WatchedPod = Pod & KubeObject;
type WatchedNode = Node & KubeObject;

/** What happens to one pod. */
export interface PodPlan {
  /** From the binding to Running; default at once. */
  readonly startAfterMs?: number;
  /** Ends by itself after running that long; default never. */
  readonly runForMs?: number;
  /** How it ends; default succeeded. */
  readonly phase?: 'Succeeded' | 'Failed';
  /** Never leaves when it is deleted: a kubelet that hangs. */
  readonly isStuck?: boolean;
}

export interface TestKubeletOptions {
  readonly client: ApiClient;
  readonly plan?: (pod: WatchedPod) => PodPlan;
  /** Part of the grace period that pods use up when they are deleted; default 1. */
  readonly graceFactor?: number;
  /** Writes the device id on reservation pods, which the agent in them does; default true. */
  readonly isReservationAgent?: boolean;
  /** Renews a lease per node, for runs with a node lifecycle controller; default false. */
  readonly isRenewingLeases?: boolean;
  /** Requests in flight; default 32. */
  readonly concurrency?: number;
}

/** A pod that a kubelet refused: the scheduler had put too much on its node. */
export interface Rejection {
  readonly pod: string;
  readonly node: string;
  readonly resource: string;
}

export interface KubeletWrites {
  readonly statusPatches: number;
  readonly deletes: number;
  readonly annotations: number;
  readonly leases: number;
}

interface Hosted {
  readonly node: string;
  readonly amounts: Amounts;
  readonly devices: readonly string[];
  /** Refused at admission: it takes nothing. */
  readonly isRejected: boolean;
  isLeaving: boolean;
}

interface Host {
  allocatable: Amounts;
  readonly used: Amounts;
  readonly freeDevices: string[];
}

const GPU = 'nvidia.com/gpu';
const DEVICE_ANNOTATION = 'run.ai/reserve_for_gpu_index';
const LEASE_PERIOD_MS = 10_000;
const RETRY_MS = 100;

export class TestKubelet {
  readonly rejections: Rejection[] = [];
  readonly #options: TestKubeletOptions;
  readonly #pods: Watcher<WatchedPod>;
  readonly #nodes: Watcher<WatchedNode>;
  /** By pod UID. */
  readonly #hosted = new Map<string, Hosted>();
  readonly #hosts = new Map<string, Host>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #waiting: (() => void)[] = [];
  readonly #writes = { statusPatches: 0, deletes: 0, annotations: 0, leases: 0 };
  #free: number;
  #isStopped = false;

  constructor(options: TestKubeletOptions) {
    this.#options = options;
    this.#free = options.concurrency ?? 32;
    const { client } = options;
    this.#nodes = new Watcher<WatchedNode>({ client, path: '/api/v1/nodes' }, (event) => this.#onNode(event));
    this.#pods = new Watcher<WatchedPod>({ client, path: '/api/v1/pods', fieldSelector: 'spec.nodeName!=' }, (event) => this.#onPod(event));
  }

  /** Resolves when nodes and pods are known; pods that are bound already are started. */
  async start(): Promise<void> {
    await this.#nodes.start();
    await this.#pods.start();
    if (this.#options.isRenewingLeases === true) await this.#renewLeases();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all([this.#pods.stop(), this.#nodes.stop()]);
  }

  /** Requests that were answered with success: its own share of the server's work. */
  get writes(): KubeletWrites {
    return { ...this.#writes };
  }

  /** Devices that a running pod was given. */
  devicesOf(uid: string): readonly string[] {
    return this.#hosted.get(uid)?.devices ?? [];
  }

  #onNode({ type, object }: WatchEvent<WatchedNode>): void {
    const name = object.metadata.name;
    if (type === 'DELETED') {
      this.#hosts.delete(name);
      return;
    }
    const allocatable = amountsOf(object.status?.allocatable);
    const host = this.#hosts.get(name);
    if (host !== undefined) host.allocatable = allocatable;
    else {
      const count = Math.floor((allocatable.get(GPU) ?? 0) / 1000);
      const freeDevices = Array.from({ length: count }, (_, index) => `GPU-${name}-${index}`);
      this.#hosts.set(name, { allocatable, used: new Map(), freeDevices });
    }
  }

  #onPod({ type, object }: WatchEvent<WatchedPod>): void {
    const uid = object.metadata.uid ?? '';
    const hosted = this.#hosted.get(uid);
    const isTerminal = object.status?.phase === 'Succeeded' || object.status?.phase === 'Failed';
    if (type === 'DELETED' || isTerminal) this.#release(uid);
    if (type === 'DELETED') return;
    if (hosted === undefined && !isTerminal) this.#admit(object, uid);
    if (object.metadata.deletionTimestamp != null) this.#leave(object, uid);
  }

  #admit(pod: WatchedPod, uid: string): void {
    const node = pod.spec.nodeName!;
    const host = this.#hosts.get(node);
    // Nobody runs the pods of a node that is gone; the pod garbage collector removes them.
    if (host === undefined) return;
    const amounts = podAmounts(pod);
    const lacking = exceeding(host.used, amounts, host.allocatable);
    const deviceCount = Math.ceil((amounts.get(GPU) ?? 0) / 1000);
    const hosted: Hosted = { node, amounts, devices: [], isRejected: false, isLeaving: false };
    if (lacking !== undefined) {
      this.#hosted.set(uid, { ...hosted, isRejected: true });
      this.rejections.push({ pod: `${pod.metadata.namespace}/${pod.metadata.name}`, node, resource: lacking });
      const status = { phase: 'Failed', reason: `OutOf${lacking}`, message: `Node didn't have enough resource: ${lacking}` };
      void this.#patchStatus(pod, status);
      return;
    }
    const devices = host.freeDevices.splice(0, deviceCount);
    addInto(host.used, amounts);
    this.#hosted.set(uid, { ...hosted, devices });
    if (pod.status?.phase === 'Running' || pod.metadata.deletionTimestamp != null) return;
    const plan = this.#planOf(pod);
    this.#after(plan.startAfterMs ?? 0, () => this.#run(pod, uid, plan));
  }

  #planOf(pod: WatchedPod): PodPlan {
    return this.#options.plan?.(pod) ?? {};
  }

  async #run(pod: WatchedPod, uid: string, plan: PodPlan): Promise<void> {
    const hosted = this.#hosted.get(uid);
    if (hosted === undefined || hosted.isLeaving) return;
    const time = new Date().toISOString();
    const conditions = ['Initialized', 'ContainersReady', 'Ready'].map((type) => ({ type, status: 'True', lastTransitionTime: time }));
    const state = { running: { startedAt: time } };
    const containerStatuses = (pod.spec.containers ?? []).map(({ name }) => ({
      name,
      ready: true,
      started: true,
      restartCount: 0,
      image: 'none',
      imageID: '',
      state,
    }));
    await this.#patchStatus(pod, { phase: 'Running', startTime: time, conditions, containerStatuses });
    const isReservation = pod.metadata.namespace === RESERVATION_NAMESPACE && this.#options.isReservationAgent !== false;
    if (isReservation) await this.#reportDevice(pod, hosted);
    if (plan.runForMs !== undefined) {
      this.#after(plan.runForMs, () => this.#patchStatus(pod, { phase: plan.phase ?? 'Succeeded' }));
    }
  }

  async #reportDevice(pod: WatchedPod, hosted: Hosted): Promise<void> {
    const device = hosted.devices[0];
    if (device === undefined || pod.metadata.annotations?.[DEVICE_ANNOTATION] !== undefined) return;
    const patch = { metadata: { annotations: { [DEVICE_ANNOTATION]: device } } };
    if (await this.#write(() => this.#options.client.patch(pathOf(pod), patch))) this.#writes.annotations++;
  }

  #leave(pod: WatchedPod, uid: string): void {
    const hosted = this.#hosted.get(uid);
    if (hosted?.isLeaving === true || this.#planOf(pod).isStuck === true) return;
    if (hosted !== undefined) hosted.isLeaving = true;
    const graceMs = (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1000 * (this.#options.graceFactor ?? 1);
    this.#after(graceMs, async () => {
      const options = { gracePeriodSeconds: 0, preconditions: { uid } };
      if (await this.#write(() => this.#options.client.delete(pathOf(pod), options))) this.#writes.deletes++;
    });
  }

  /** Its resources are free again: when it ended, or is gone. */
  #release(uid: string): void {
    const hosted = this.#hosted.get(uid);
    this.#hosted.delete(uid);
    if (hosted === undefined || hosted.isRejected) return;
    const host = this.#hosts.get(hosted.node);
    if (host === undefined) return;
    addInto(host.used, hosted.amounts, -1);
    host.freeDevices.push(...hosted.devices);
  }

  async #patchStatus(pod: WatchedPod, status: object): Promise<void> {
    const patch = { metadata: { uid: pod.metadata.uid }, status };
    if (await this.#write(() => this.#options.client.patch(`${pathOf(pod)}/status`, patch, 'strategic'))) this.#writes.statusPatches++;
  }

  /** One write when its turn comes; repeated while the server is away, given up when the object is gone. True when it was done. */
  async #write(call: () => Promise<unknown>): Promise<boolean> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free--;
    try {
      while (!this.#isStopped) {
        try {
          await call();
          return true;
        } catch (error) {
          if (error instanceof ApiError && error.status < 500 && error.status !== 429) return false;
          await sleep(RETRY_MS);
        }
      }
      return false;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  #after(delayMs: number, action: () => Promise<void>): void {
    if (delayMs === 0) {
      void action();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void action();
    }, delayMs);
    this.#timers.add(timer);
  }

  async #renewLeases(): Promise<void> {
    const { client } = this.#options;
    const path = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    const renew = async (name: string): Promise<void> => {
      const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime: new Date().toISOString().replace('Z', '000Z') };
      const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name }, spec };
      if (await this.#write(() => client.apply(`${path}/${name}`, lease))) this.#writes.leases++;
    };
    await Promise.all([...this.#hosts.keys()].map(renew));
    this.#after(LEASE_PERIOD_MS, () => this.#renewLeases());
  }
}

function pathOf(pod: WatchedPod): string {
  return `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}`;
}
