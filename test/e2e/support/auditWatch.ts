// An independent witness of a run: it follows pods, nodes and pod groups over the API server's own watch, on one clock, and checks
// after each event what no scheduler may do. It knows nothing of the scheduler.
import type { Node, Pod, PodGroup } from '../../../src/base/objects.ts';
import type { ApiClient, KubeObject } from './apiClient.ts';
import { type Amounts, addInto, amountsOf, exceeding, podAmounts } from './podAmounts.ts';
import { keyOf, type WatchEvent, Watcher } from './watcher.ts';

type SeenPod = Pod & KubeObject;

/** Life of one pod (by UID). Times are performance.now() of the watch event; undefined = not seen. */
export interface PodRecord {
  readonly key: string;
  readonly uid: string;
  /** Pod group of the annotation, '' = none. */
  readonly group: string;
  readonly firstSeenMs: number;
  node?: string;
  boundMs?: number;
  runningMs?: number;
  /** First condition PodScheduled=False. */
  unschedulableMs?: number;
  deletionMs?: number;
  endedMs?: number;
  goneMs?: number;
  /** As last seen. */
  pod: SeenPod;
}

export interface Violation {
  readonly rule: 'node-overcommit' | 'moved' | 'gpu-group-overcommit' | 'gpu-group-elsewhere';
  readonly message: string;
  readonly atMs: number;
}

const GROUP_LABEL = 'runai-gpu-group';

export class AuditWatch {
  readonly violations: Violation[] = [];
  readonly #records = new Map<string, PodRecord>();
  readonly #used = new Map<string, Amounts>();
  readonly #pods: Watcher<SeenPod>;
  readonly #nodes: Watcher<Node & KubeObject>;
  readonly #groups: Watcher<PodGroup & KubeObject>;

  constructor(client: ApiClient) {
    this.#nodes = new Watcher({ client, path: '/api/v1/nodes' }, () => undefined);
    this.#groups = new Watcher({ client, path: '/apis/scheduling.run.ai/v2alpha2/podgroups' }, () => undefined);
    this.#pods = new Watcher({ client, path: '/api/v1/pods' }, (event) => this.#onPod(event));
  }

  async start(): Promise<void> {
    await this.#nodes.start();
    await this.#groups.start();
    await this.#pods.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#pods.stop(), this.#groups.stop(), this.#nodes.stop()]);
  }

  /** All pods that were ever seen, in the order of first sight. */
  get records(): readonly PodRecord[] {
    return [...this.#records.values()];
  }

  /** By namespace/name: the pod that has this name now, or had it last. */
  recordOf(key: string): PodRecord | undefined {
    return this.records.findLast((record) => record.key === key);
  }

  get pods(): ReadonlyMap<string, SeenPod> {
    return this.#pods.objects;
  }

  get nodes(): ReadonlyMap<string, Node & KubeObject> {
    return this.#nodes.objects;
  }

  get podGroups(): ReadonlyMap<string, PodGroup & KubeObject> {
    return this.#groups.objects;
  }

  /** Lists of pods after the first one: between them events may be missing, never end states. */
  get relists(): number {
    return this.#pods.relists;
  }

  /**
   * Pod groups without sub-groups of which now some pods, but fewer than the minimum, hold a node, by namespace/name: to be asked
   * when a run has settled. Pods that ended count as having had their place.
   */
  partialGangs(): string[] {
    const bound = new Map<string, number>();
    const ended = new Map<string, number>();
    for (const record of this.#records.values()) {
      const group = `${record.pod.metadata.namespace}/${record.group}`;
      if (record.endedMs !== undefined) ended.set(group, (ended.get(group) ?? 0) + 1);
      else if (holdsNode(record)) bound.set(group, (bound.get(group) ?? 0) + 1);
    }
    const partial: string[] = [];
    for (const [key, { spec }] of this.#groups.objects) {
      const count = bound.get(key) ?? 0;
      const isFlat = (spec?.subGroups ?? []).length === 0;
      if (isFlat && count > 0 && count + (ended.get(key) ?? 0) < (spec?.minMember ?? 1)) partial.push(key);
    }
    return partial.sort();
  }

  #onPod({ type, object }: WatchEvent<SeenPod>): void {
    const atMs = performance.now();
    const uid = object.metadata.uid ?? '';
    let record = this.#records.get(uid);
    if (record === undefined) {
      const group = object.metadata.annotations?.['pod-group-name'] ?? '';
      record = { key: keyOf(object), uid, group, firstSeenMs: atMs, pod: object };
      this.#records.set(uid, record);
    }
    const heldBefore = holdsNode(record);
    this.#note(record, object, type === 'DELETED', atMs);
    if (!heldBefore && holdsNode(record)) this.#take(record, atMs);
    if (heldBefore && !holdsNode(record)) this.#giveBack(record);
  }

  #note(record: PodRecord, pod: SeenPod, isGone: boolean, atMs: number): void {
    const node = pod.spec.nodeName;
    const phase = pod.status?.phase;
    record.pod = pod;
    if (record.node !== undefined && record.node !== node) this.#add('moved', `${record.key} was on ${record.node}, now on ${node}`, atMs);
    if (node !== undefined && node !== '') {
      record.node = node;
      record.boundMs ??= atMs;
    }
    if (phase === 'Running') record.runningMs ??= atMs;
    if (phase === 'Succeeded' || phase === 'Failed') record.endedMs ??= atMs;
    if (pod.metadata.deletionTimestamp != null) record.deletionMs ??= atMs;
    if (isUnschedulable(pod)) record.unschedulableMs ??= atMs;
    if (isGone) record.goneMs ??= atMs;
  }

  #take(record: PodRecord, atMs: number): void {
    const name = record.node!;
    const used = this.#used.get(name) ?? new Map<string, number>();
    this.#used.set(name, used);
    const amounts = podAmounts(record.pod);
    const node = this.#nodes.objects.get(`/${name}`);
    // Two watches: the node's deletion may be seen before the binding that went before it.
    if (node !== undefined) {
      const lacking = exceeding(used, amounts, amountsOf(node.status?.allocatable));
      if (lacking !== undefined) this.#add('node-overcommit', `${record.key} on ${name}: more ${lacking} than allocatable`, atMs);
    }
    addInto(used, amounts);
    this.#checkGpuGroups(record, atMs);
  }

  #giveBack(record: PodRecord): void {
    const used = this.#used.get(record.node ?? '');
    if (used !== undefined) addInto(used, podAmounts(record.pod), -1);
  }

  /** Shares of one GPU by annotation: at most the whole, on one node. */
  #checkGpuGroups(record: PodRecord, atMs: number): void {
    for (const group of gpuGroupsOf(record.pod)) {
      let share = 0;
      for (const other of this.#records.values()) {
        if (!holdsNode(other) || !gpuGroupsOf(other.pod).includes(group)) continue;
        share += Number(other.pod.metadata.annotations?.['gpu-fraction'] ?? 0);
        if (other.node !== record.node) this.#add('gpu-group-elsewhere', `group ${group} is on ${record.node} and ${other.node}`, atMs);
      }
      if (share > 1 + 1e-9) this.#add('gpu-group-overcommit', `${record.key}: group ${group} has ${share} of one GPU`, atMs);
    }
  }

  #add(rule: Violation['rule'], message: string, atMs: number): void {
    this.violations.push({ rule, message, atMs });
  }
}

function holdsNode(record: PodRecord): boolean {
  return record.node !== undefined && record.endedMs === undefined && record.goneMs === undefined;
}

/** Of one label for one device, or one label per device for several. */
function gpuGroupsOf(pod: SeenPod): string[] {
  const labels = Object.entries(pod.metadata.labels ?? {});
  return labels.flatMap(([name, value]) => (name === GROUP_LABEL || name.startsWith(`${GROUP_LABEL}/`) ? [value] : []));
}

function isUnschedulable(pod: SeenPod): boolean {
  const { conditions } = (pod.status ?? {}) as { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  return conditions?.some(({ type, status }) => type === 'PodScheduled' && status === 'False') === true;
}
