// The cluster as the next cycle is to see it: what the watches told, and on top of it what this process has done since.
import type { Decision } from '../base/decisions.ts';
import type { ObjectProblem } from '../base/errors.ts';
import type { BindRequest, ListName, OtherObject, Pod, PodGroup, SchedulingCondition } from '../base/objects.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import type { SnapshotWriter } from '../base/writerPort.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { groupKeyOf, isDeleting, isFinished, keyOf, ObservedStore } from './observedStore.ts';
import {
  type AssumedBind,
  assumedRequest,
  assumedRequestKey,
  type GroupOverlay,
  gatedPod,
  overlaidGroup,
  overlaidPod,
  type PodOverlay,
} from './overlays.ts';
import { matters } from './relevance.ts';
import type { UsageByQueue } from './usage/prometheus.ts';

/** A bound pod that the watch does not show bound by then counts as waiting again. */
const CONFIRM_MS = 60_000;
/** How long allocations of claims stay assumed after the pod was seen bound. */
const CLAIM_LAG_MS = 10_000;
/** What was written on a group is overlaid at most so long. */
const GROUP_OVERLAY_MS = 30_000;
const NO_PROBLEMS: readonly ObjectProblem[] = Object.freeze([]);
const NO_SHARES = Object.freeze({ cpu: 0, memory: 0, gpu: 0 });

export interface ClusterStateOptions {
  readonly writer: SnapshotWriter;
  readonly clock: Clock;
  readonly schedulerName: string;
  /** How long a pod is not tried again after so many failed binds in a row. */
  readonly holdMs: (failures: number) => number;
  /** Something changed that can make a cycle decide otherwise. */
  readonly onRelevant: () => void;
  /** An assumption that never came true. */
  readonly onExpired?: (podKey: string, node: string) => void;
}

export class ClusterState {
  readonly observed = new ObservedStore();
  readonly #options: ClusterStateOptions;
  readonly #pods = new Map<string, PodOverlay>();
  readonly #groups = new Map<string, GroupOverlay>();
  /** Groups whose waiting pods are not to be placed. */
  #hidden: ReadonlySet<string> = new Set();
  #usage: UsageByQueue = new Map();
  readonly #heldLists = new Set<ListName>();
  /** Nodes that changed, or got pods that no decision of ours put there, since the last seal. */
  readonly #touched = new Set<string>();

  constructor(options: ClusterStateOptions) {
    this.#options = options;
  }

  // ---- what the watches tell ----

  /** The writer's side of a watch set: takes the object as observed, passes it on as it is to be seen. */
  put(list: ListName, object: unknown): readonly ObjectProblem[] {
    const key = keyOf((object as OtherObject).metadata);
    if (list === 'pods') return this.#putPod(key, object as Pod);
    if (list === 'podGroups') return this.#putGroup(key, object as PodGroup);
    const before = this.observed.get(list, key);
    this.observed.set(list, key, object);
    if (this.#heldLists.has(list)) return NO_PROBLEMS;
    const isRelevant = matters(list, before, object, this.#options.schedulerName);
    if (list === 'nodes' && isRelevant) this.#touched.add(key);
    const problems = this.#options.writer.put(list, object);
    if (list === 'bindRequests') this.#requestSeen(object as BindRequest, before as BindRequest | undefined);
    this.observed.tell(list, key, object);
    if (isRelevant) this.#options.onRelevant();
    return problems;
  }

  remove(list: ListName, key: string): void {
    const before = this.observed.get(list, key);
    if (before === undefined) return;
    if (list === 'pods') this.#dropOverlay(key);
    if (list === 'podGroups') this.#groups.delete(key);
    if (list === 'nodes') this.#touched.add(key);
    this.observed.delete(list, key);
    this.#options.writer.remove(list, key);
    this.observed.tell(list, key, undefined);
    if (matters(list, before, undefined, this.#options.schedulerName)) this.#options.onRelevant();
  }

  /** From now on these lists do not count, with all that was put until now. */
  hold(lists: readonly ListName[]): void {
    for (const list of lists) {
      this.#heldLists.add(list);
      for (const key of this.observed.keys(list)) this.#options.writer.remove(list, key);
    }
    this.#options.onRelevant();
  }

  /** From now on they count, with all that was put until now. */
  admit(lists: readonly ListName[]): readonly ObjectProblem[] {
    const problems: ObjectProblem[] = [];
    for (const list of lists) {
      this.#heldLists.delete(list);
      for (const object of this.observed.values(list)) problems.push(...this.#options.writer.put(list, object));
    }
    this.#options.onRelevant();
    return problems;
  }

  // ---- what the loop reads ----

  pod(key: string): Pod | undefined {
    return this.observed.get('pods', key) as Pod | undefined;
  }

  /** The group with what was written on it, whether or not that was seen already. */
  group(key: string): PodGroup | undefined {
    const group = this.observed.get('podGroups', key) as PodGroup | undefined;
    return group === undefined ? undefined : overlaidGroup(group, this.#groups.get(key));
  }

  overlay(key: string): Readonly<PodOverlay> | undefined {
    return this.#pods.get(key);
  }

  /** Does a pod of the group step back after a failed bind? */
  hasHeldPods(groupKey: string): boolean {
    for (const [key, overlay] of this.#pods) {
      if (Number.isNaN(overlay.heldUntilMs)) continue;
      const pod = this.pod(key);
      if (pod !== undefined && groupKeyOf(pod) === groupKey) return true;
    }
    return false;
  }

  /** Groups of this scheduler with pods that wait for a node, sorted. */
  waitingGroups(): string[] {
    const groups = new Set([...this.#waitingPods()].map(groupKeyOf));
    groups.delete('');
    return [...groups].sort();
  }

  /** Pods of this scheduler that wait and have a nomination, whoever wrote it. */
  nominatedPods(): Pod[] {
    return [...this.#waitingPods()].filter(({ status }) => status?.nominatedNodeName);
  }

  *#waitingPods(): Generator<Pod> {
    for (const object of this.observed.values('pods')) {
      const pod = object as Pod;
      if (pod.spec.schedulerName !== this.#options.schedulerName || pod.spec.nodeName) continue;
      if (!isDeleting(pod) && !isFinished(pod)) yield pod;
    }
  }

  /** From now on the waiting pods of these groups, and of no others, are not to be placed. */
  hideGroups(groups: ReadonlySet<string>): void {
    const before = this.#hidden;
    this.#hidden = groups;
    for (const [key, object] of this.observed.entries('pods')) {
      const group = groupKeyOf(object as Pod);
      if (before.has(group) !== groups.has(group)) this.#refresh(key);
    }
  }

  /** Did anything happen to the node since the last seal that its snapshot does not tell? */
  isTouched(node: string): boolean {
    return this.#touched.has(node);
  }

  /** Did anything that a snapshot tells change since the last one? */
  isChanged(): boolean {
    return this.#options.writer.isChanged();
  }

  seal(reuse?: SnapshotView): SnapshotView {
    this.#touched.clear();
    return this.#options.writer.seal(reuse);
  }

  counts(): { readonly assumed: number; readonly leaving: number; readonly held: number } {
    let assumed = 0;
    let leaving = 0;
    let held = 0;
    for (const overlay of this.#pods.values()) {
      if (overlay.assumed !== null) assumed++;
      if (overlay.isLeaving) leaving++;
      if (!Number.isNaN(overlay.heldUntilMs)) held++;
    }
    return { assumed, leaving, held };
  }

  // ---- what the loop does ----

  /** From now on the pod counts on the node. */
  assume(pod: Pod, decision: Decision): AssumedBind {
    const key = keyOf(pod.metadata);
    const overlay = this.#overlayOf(key, pod);
    const { details } = decision;
    const assumed: AssumedBind = {
      node: decision.node,
      request: assumedRequest(pod, decision),
      abort: new AbortController(),
      hasClaims: details?.resourceClaimAllocations !== undefined || details?.extendedResourceClaimAllocation !== undefined,
      expiresAtMs: Number.POSITIVE_INFINITY,
    };
    overlay.assumed = assumed;
    this.observed.place(key, decision.node);
    this.#options.writer.put('bindRequests', assumed.request);
    return assumed;
  }

  /** The API server took the binding: the watch has to show it soon. Nothing, when that has happened already. */
  confirmSent(key: string, assumed: AssumedBind): void {
    const overlay = this.#pods.get(key);
    if (overlay?.assumed !== assumed) return;
    overlay.failures = 0;
    if (assumed.expiresAtMs === Number.POSITIVE_INFINITY) assumed.expiresAtMs = this.#nowMs() + CONFIRM_MS;
  }

  /** The pod does not count on the node any more; after a failure it steps back. */
  unassume(key: string, assumed: AssumedBind, isFailure: boolean): void {
    const overlay = this.#pods.get(key);
    if (overlay?.assumed !== assumed) return;
    if (isFailure) this.#hold(overlay);
    // Last: it drops the overlay when nothing else is in it.
    this.#forgetAssumed(key, overlay);
    this.#refresh(key);
    this.#options.onRelevant();
  }

  /** A deletion was sent: the pod is on its way out. */
  leave(pod: Pod): void {
    const key = keyOf(pod.metadata);
    this.#overlayOf(key, pod).isLeaving = true;
    this.#refresh(key);
  }

  /** The deletion failed. */
  stay(key: string, uid: string): void {
    const overlay = this.#pods.get(key);
    if (overlay?.uid !== uid || !overlay.isLeaving) return;
    overlay.isLeaving = false;
    this.#tidy(key, overlay);
    this.#refresh(key);
    this.#options.onRelevant();
  }

  /** The historical use of all queues; those that are not named have none. */
  setUsage(usage: UsageByQueue): void {
    let isNew = false;
    for (const name of new Set([...this.#usage.keys(), ...usage.keys()])) {
      const before = this.#usage.get(name) ?? NO_SHARES;
      const { cpu, memory, gpu } = usage.get(name) ?? NO_SHARES;
      isNew ||= before.cpu !== cpu || before.memory !== memory || before.gpu !== gpu;
      this.#options.writer.setUsage(name, cpu, memory, gpu);
    }
    this.#usage = usage;
    if (isNew) this.#options.onRelevant();
  }

  /** Something was sent to the API server about a group. */
  noteGroup(
    key: string,
    uid: string,
    annotations: Readonly<Record<string, string | null>>,
    conditions: readonly SchedulingCondition[] | null,
  ): void {
    const group = this.observed.get('podGroups', key) as PodGroup | undefined;
    if (group === undefined) return;
    const before = this.#groups.get(key);
    const kept = before?.uid === uid ? before : undefined;
    this.#groups.set(key, {
      uid,
      annotations: { ...kept?.annotations, ...annotations },
      conditions: conditions ?? kept?.conditions ?? null,
      expiresAtMs: this.#nowMs() + GROUP_OVERLAY_MS,
    });
    this.#options.writer.put('podGroups', overlaidGroup(group, this.#groups.get(key)));
  }

  /** The write about a group was refused: what the watch shows counts again. */
  forgetGroup(key: string): void {
    const group = this.observed.get('podGroups', key) as PodGroup | undefined;
    if (this.#groups.delete(key) && group !== undefined) this.#options.writer.put('podGroups', group);
  }

  /** Ends what has had its time; gives when the next thing is due, on the monotonic clock, Infinity = never. */
  expire(): number {
    const nowMs = this.#nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [key, overlay] of this.#pods) {
      if (overlay.heldUntilMs <= nowMs) {
        overlay.heldUntilMs = Number.NaN;
        this.#tidy(key, overlay);
        this.#refresh(key);
        this.#options.onRelevant();
      } else if (overlay.heldUntilMs > nowMs) nextMs = Math.min(nextMs, overlay.heldUntilMs);
      const { assumed } = overlay;
      if (assumed === null) continue;
      if (assumed.expiresAtMs > nowMs) nextMs = Math.min(nextMs, assumed.expiresAtMs);
      else {
        if (!this.pod(key)?.spec.nodeName) this.#options.onExpired?.(key, assumed.node);
        this.#forgetAssumed(key, overlay);
        this.#options.onRelevant();
      }
    }
    for (const [key, { expiresAtMs }] of this.#groups) if (expiresAtMs <= nowMs) this.forgetGroup(key);
    return nextMs;
  }

  // ---- inside ----

  #putPod(key: string, pod: Pod): readonly ObjectProblem[] {
    const seenBefore = this.pod(key);
    const overlay = this.#pods.get(key);
    if (overlay !== undefined && overlay.uid !== pod.metadata.uid) this.#dropOverlay(key);
    const before = seenBefore === undefined ? undefined : this.#effective(key, seenBefore);
    this.observed.set('pods', key, pod);
    let isRelevant = this.#settlePod(key, pod, seenBefore);
    const after = this.#effective(key, pod);
    const problems = this.#options.writer.put('pods', after);
    isRelevant ||= matters('pods', before, after, this.#options.schedulerName);
    this.observed.tell('pods', key, pod);
    if (isRelevant) this.#options.onRelevant();
    return problems;
  }

  /** Compares a pod with what was assumed of it. True when that is worth a cycle by itself. */
  #settlePod(key: string, pod: Pod, before: Pod | undefined): boolean {
    const node = isFinished(pod) ? '' : (pod.spec.nodeName ?? '');
    const overlay = this.#pods.get(key);
    const assumed = overlay?.assumed ?? null;
    if (node === '') {
      if (assumed === null) this.observed.place(key, '');
      else if (isDeleting(pod)) assumed.abort.abort();
      return false;
    }
    this.observed.place(key, node);
    if (before?.spec.nodeName === node && assumed === null) return false;
    if (overlay !== undefined) overlay.failures = 0;
    if (assumed?.node === node) {
      if (assumed.hasClaims) assumed.expiresAtMs = Math.min(assumed.expiresAtMs, this.#nowMs() + CLAIM_LAG_MS);
      else this.#forgetAssumed(key, overlay!);
      // The group's explanation is to be cleared once nothing is in flight.
      return (this.group(groupKeyOf(pod))?.status?.schedulingConditions?.length ?? 0) > 0;
    }
    this.#touched.add(node);
    if (assumed === null) return false;
    assumed.abort.abort();
    this.#forgetAssumed(key, overlay!);
    return true;
  }

  #putGroup(key: string, group: PodGroup): readonly ObjectProblem[] {
    const before = this.group(key);
    this.observed.set('podGroups', key, group);
    const after = overlaidGroup(group, this.#groups.get(key));
    if (after === group) this.#groups.delete(key);
    const problems = this.#options.writer.put('podGroups', after);
    this.observed.tell('podGroups', key, group);
    if (matters('podGroups', before, after, this.#options.schedulerName)) this.#options.onRelevant();
    return problems;
  }

  /** A bind request that was written for another binder speaks for itself from now on; when it fails the pod steps back. */
  #requestSeen(request: BindRequest, before: BindRequest | undefined): void {
    const key = `${request.metadata.namespace ?? 'default'}/${request.spec?.podName ?? ''}`;
    const pod = this.pod(key);
    const uid = request.metadata.ownerReferences?.find(({ kind }) => kind === 'Pod')?.uid;
    if (pod === undefined || (uid !== undefined && uid !== pod.metadata.uid)) return;
    const overlay = this.#pods.get(key);
    if (overlay?.assumed && request.spec?.selectedNode === overlay.assumed.node) this.#forgetAssumed(key, overlay);
    if (!isFailed(request) || (before !== undefined && isFailed(before)) || pod.spec.nodeName) return;
    this.#hold(this.#overlayOf(key, pod));
    this.#refresh(key);
  }

  #hold(overlay: PodOverlay): void {
    overlay.failures++;
    overlay.heldUntilMs = this.#nowMs() + this.#options.holdMs(overlay.failures);
  }

  #forgetAssumed(key: string, overlay: PodOverlay): void {
    if (overlay.assumed === null) return;
    this.#options.writer.remove('bindRequests', assumedRequestKey(overlay.assumed.request));
    overlay.assumed = null;
    const pod = this.pod(key);
    this.observed.place(key, pod === undefined || isFinished(pod) ? '' : (pod.spec.nodeName ?? ''));
    this.#tidy(key, overlay);
  }

  #tidy(key: string, { assumed, isLeaving, heldUntilMs, failures }: PodOverlay): void {
    if (assumed === null && !isLeaving && Number.isNaN(heldUntilMs) && failures === 0) this.#pods.delete(key);
  }

  #dropOverlay(key: string): void {
    const overlay = this.#pods.get(key);
    if (overlay === undefined) return;
    overlay.assumed?.abort.abort();
    overlay.failures = 0;
    this.#forgetAssumed(key, overlay);
    this.#pods.delete(key);
  }

  #overlayOf(key: string, pod: Pod): PodOverlay {
    const uid = pod.metadata.uid ?? '';
    let overlay = this.#pods.get(key);
    if (overlay === undefined || overlay.uid !== uid) {
      overlay = { uid, assumed: null, isLeaving: false, heldUntilMs: Number.NaN, failures: 0 };
      this.#pods.set(key, overlay);
    }
    return overlay;
  }

  #effective(key: string, pod: Pod): Pod {
    // Pods of other schedulers only take room.
    if (pod.spec.schedulerName !== this.#options.schedulerName) return pod;
    const overlay = this.#pods.get(key);
    const seen = overlay === undefined ? pod : overlaidPod(pod, overlay, new Date(this.#options.clock.nowMs()).toISOString());
    return this.#hidden.size > 0 && this.#hidden.has(groupKeyOf(pod)) ? gatedPod(seen) : seen;
  }

  #refresh(key: string): void {
    const pod = this.pod(key);
    if (pod !== undefined) this.#options.writer.put('pods', this.#effective(key, pod));
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }
}

/** For good: its binder tries it no more (spec 07 section 6.2). */
function isFailed({ spec, status }: BindRequest): boolean {
  return status?.phase === 'Failed' && (status.failedAttempts ?? 0) >= (spec?.backoffLimit ?? 0);
}
