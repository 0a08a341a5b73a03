// The clock of all cluster scenarios: when the API server's watch showed what. It judges nothing and keeps little.
import type { Pod } from '../../src/base/objects.ts';
import type { ApiClient, KubeObject } from '../../test/e2e/support/apiClient.ts';
import { waitFor } from '../../test/e2e/support/install.ts';
import { type WatchEvent, Watcher } from '../../test/e2e/support/watcher.ts';

type SeenPod = Pod & KubeObject;
interface SeenGroup extends KubeObject {
  readonly status?: { readonly schedulingConditions?: readonly unknown[] };
}

/** performance.now() at the watch event; NaN = not seen yet. */
export interface PodTimes {
  seenMs: number;
  boundMs: number;
  /** First condition PodScheduled=False. */
  toldMs: number;
  deletionMs: number;
  goneMs: number;
}

export class Witness {
  readonly #times = new Map<string, PodTimes>();
  readonly #groupToldMs = new Map<string, number>();
  readonly #pods: Watcher<SeenPod>;
  readonly #groups: Watcher<SeenGroup>;
  #boundCount = 0;

  constructor(client: ApiClient, namespace: string) {
    this.#pods = new Watcher({ client, path: `/api/v1/namespaces/${namespace}/pods` }, (event) => this.#onPod(event));
    const path = `/apis/scheduling.run.ai/v2alpha2/namespaces/${namespace}/podgroups`;
    this.#groups = new Watcher({ client, path }, (event) => this.#onGroup(event));
  }

  async start(): Promise<void> {
    await this.#groups.start();
    await this.#pods.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#pods.stop(), this.#groups.stop()]);
  }

  /** By pod name. */
  times(name: string): PodTimes {
    const times = this.#times.get(name);
    if (times === undefined) throw new Error(`pod ${name} was never seen`);
    return times;
  }

  /** Each of the pods was told that it cannot be scheduled. */
  areTold(names: readonly string[]): boolean {
    return names.every((name) => !Number.isNaN(this.#times.get(name)?.toldMs ?? Number.NaN));
  }

  /** When the pod group was first told anything; NaN = not yet. */
  groupToldMs(name: string): number {
    return this.#groupToldMs.get(name) ?? Number.NaN;
  }

  get podCount(): number {
    return this.#pods.objects.size;
  }

  get groupCount(): number {
    return this.#groups.objects.size;
  }

  /** Bindings seen since the last `forget`. */
  get boundCount(): number {
    return this.#boundCount;
  }

  /** Drops the times of pods that are gone. */
  forget(): void {
    for (const [name, { goneMs }] of this.#times) if (!Number.isNaN(goneMs)) this.#times.delete(name);
    this.#groupToldMs.clear();
    this.#boundCount = 0;
  }

  forgetPod(name: string): void {
    this.#times.delete(name);
  }

  async untilBound(names: readonly string[], timeoutMs: number): Promise<void> {
    let next = 0;
    const isOver = (): boolean => {
      while (next < names.length && !Number.isNaN(this.#times.get(names[next]!)?.boundMs ?? Number.NaN)) next++;
      return next === names.length;
    };
    await waitFor(`${names.length} pods to be bound (${this.#boundCount} are)`, isOver, timeoutMs);
  }

  #onPod({ type, object }: WatchEvent<SeenPod>): void {
    const nowMs = performance.now();
    const { name, deletionTimestamp } = object.metadata;
    let times = this.#times.get(name);
    if (times === undefined || !Number.isNaN(times.goneMs)) {
      times = { seenMs: nowMs, boundMs: Number.NaN, toldMs: Number.NaN, deletionMs: Number.NaN, goneMs: Number.NaN };
      this.#times.set(name, times);
    }
    if (object.spec.nodeName && Number.isNaN(times.boundMs)) {
      times.boundMs = nowMs;
      this.#boundCount++;
    }
    if (deletionTimestamp != null && Number.isNaN(times.deletionMs)) times.deletionMs = nowMs;
    if (type === 'DELETED') times.goneMs = nowMs;
    if (Number.isNaN(times.toldMs) && isTold(object)) times.toldMs = nowMs;
  }

  #onGroup({ type, object }: WatchEvent<SeenGroup>): void {
    const { name } = object.metadata;
    const isTold = (object.status?.schedulingConditions ?? []).length > 0;
    if (type !== 'DELETED' && isTold && !this.#groupToldMs.has(name)) this.#groupToldMs.set(name, performance.now());
  }
}

function isTold(pod: SeenPod): boolean {
  const { conditions } = (pod.status ?? {}) as { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  return conditions?.some(({ type, status }) => type === 'PodScheduled' && status === 'False') === true;
}
