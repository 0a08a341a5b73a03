import type { CycleReport, Decision } from '../base/decisions.ts';
import type { ObjectProblem } from '../base/errors.ts';
import { type BindRequest, type ClusterObjects, LIST_NAMES, type ListName, type OtherObject, type Pod } from '../base/objects.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import type { SnapshotWriter } from '../base/writerPort.ts';
import { claimKeysOf, claimNameOf, extendedClaim, isExtendedClaim, isOwnedBy, released, renewed, reserved } from './cluster/claims.ts';
import {
  type ChangeCause,
  type ClusterListener,
  type ClusterOptions,
  DEFAULT_KUBELET,
  type KubeletOptions,
  type ObjectOf,
} from './cluster/options.ts';
import {
  type Binding,
  bindingOfDecision,
  bindingOfRequest,
  bound,
  hasNode,
  isDeleting,
  isFinished,
  keyOf,
  leaving,
  successor,
  withPhase,
} from './cluster/pods.ts';
import { reportedPodGroup, unschedulablePod } from './cluster/status.ts';
import { type TimedEvent, Timeline } from './cluster/timeline.ts';

export type { ChangeCause, ClusterChange, ClusterListener, ClusterOptions, KubeletOptions, ObjectOf } from './cluster/options.ts';

type Stores = { readonly [L in ListName]: Map<string, ObjectOf<L>> };

/**
 * A cluster in memory: objects by list, the binder and the kubelets as far as scheduling can see them, and a virtual
 * clock. Time stands still but for `advance`. Every change goes to the snapshot writer at once, object by object, and then
 * to the listeners; nothing is rebuilt. The same calls give the same objects, byte for byte.
 *
 * It is no API server: no conflicts, no watches, no validation beyond what the writer reports.
 */
export class EmbeddedCluster {
  private readonly writer: SnapshotWriter;
  private readonly kubelet: KubeletOptions;
  private readonly nodePool: string;
  private readonly stores: Stores;
  private readonly timeline: Timeline;
  private readonly listeners = new Set<ClusterListener>();
  private clockMs: number;

  constructor(options: ClusterOptions) {
    this.writer = options.writer;
    this.kubelet = { ...DEFAULT_KUBELET, ...options.kubelet };
    this.nodePool = options.nodePool ?? 'default';
    this.clockMs = options.startMs;
    this.stores = Object.fromEntries(LIST_NAMES.map((list) => [list, new Map()])) as unknown as Stores;
    this.timeline = new Timeline((event) => this.isDue(event));
  }

  /** Virtual time, ms since the Unix epoch. */
  get nowMs(): number {
    return this.clockMs;
  }

  /** When something happens next by itself, ms; Infinity when nothing will. */
  get nextEventMs(): number {
    return this.timeline.nextAtMs();
  }

  /** Puts every object of every given list; bound pods start running, leaving pods go at their deletion time. */
  load(objects: Partial<ClusterObjects>): ObjectProblem[] {
    const problems: ObjectProblem[] = [];
    for (const list of LIST_NAMES) {
      for (const object of objects[list] ?? []) problems.push(...this.put(list, object));
    }
    return problems;
  }

  /** Adds the object or replaces the one of the same key. Returns what the snapshot writer found wrong with it. */
  put<L extends ListName>(list: L, object: ObjectOf<L>): readonly ObjectProblem[] {
    const key = keyOf(object.metadata);
    const previous = this.get(list, key);
    const problems = this.store(list, key, object, 'put');
    if (list === 'pods') this.schedulePod(key, object as Pod, previous as Pod | undefined);
    if (list === 'bindRequests') this.scheduleBindRequest(key, object as BindRequest);
    return problems;
  }

  /** Removes at once, without grace; a pod's claims are released, and what it owned goes too. Unknown keys are ignored. */
  remove(list: ListName, key: string): void {
    if (list === 'pods') this.dropPod(key, 'remove');
    else this.drop(list, key, 'remove');
  }

  get<L extends ListName>(list: L, key: string): ObjectOf<L> | undefined {
    return this.stores[list].get(key) as ObjectOf<L> | undefined;
  }

  /** The objects of a list, sorted by key (code units). A new array. */
  list<L extends ListName>(list: L): ObjectOf<L>[] {
    const store = this.stores[list];
    return [...store.keys()].sort().map((key) => store.get(key) as ObjectOf<L>);
  }

  size(list: ListName): number {
    return this.stores[list].size;
  }

  /** Calls the listener after every change; returns how to stop it. A listener may change the cluster itself. */
  on(listener: ClusterListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Did anything that a snapshot tells change since the last one? */
  isChanged(): boolean {
    return this.writer.isChanged();
  }

  /** A sealed snapshot of the present state. `reuse`: one that nobody reads any more, for its memory. */
  seal(reuse?: SnapshotView): SnapshotView {
    return this.writer.seal(reuse);
  }

  /**
   * Carries out a cycle's decisions in order: bind (spec 03 section 10, as a binder would: labels, annotations, claims) and
   * evict (spec 04 section 7.3). Pipelined pods are not persisted. Returns the decisions that could not be carried out,
   * because the pod or node is gone, the pod is another one (UID), already bound or already leaving.
   */
  applyDecisions(decisions: readonly Decision[]): Decision[] {
    const refused: Decision[] = [];
    for (const decision of decisions) {
      if (decision.kind === 'pipeline') continue;
      const pod = this.get('pods', decision.pod);
      const isSame = pod !== undefined && (pod.metadata.uid ?? '') === decision.podUid;
      if (!isSame || isDeleting(pod) || isFinished(pod)) refused.push(decision);
      else if (decision.kind === 'evict') this.beginDeletion(decision.pod, pod, this.kubelet.isRecreated(pod), 'evict');
      else if (hasNode(pod) || this.get('nodes', decision.node) === undefined) refused.push(decision);
      else this.bindDecided(pod, decision);
    }
    return refused;
  }

  /**
   * Writes what a cycle's report says of pod groups and pods: annotations, scheduling conditions, PodScheduled conditions
   * (spec 03 section 12.3), and deletes the stale bind requests. `view` is the snapshot of that cycle.
   */
  applyReport(report: CycleReport, view: SnapshotView): void {
    for (const job of report.jobs) {
      const key = view.texts.get(view.podGroups.keyText[job.podGroupRow] ?? -1);
      const group = this.get('podGroups', key);
      if (group === undefined) continue;
      const written = reportedPodGroup(group, job, this.nodePool, this.clockMs);
      if (written !== group) this.store('podGroups', key, written, 'status');
      if (job.state === 'unschedulable' && group.spec?.markUnschedulable === false) continue;
      for (const told of job.pods) this.markUnschedulable(view.texts.get(view.pods.keyText[told.podRow] ?? -1), told.message);
    }
    for (const key of report.staleBindRequests) this.drop('bindRequests', key, 'status');
  }

  /** A user deletes the pod: it leaves after its grace and does not come back. Unknown and leaving pods are ignored. */
  deletePod(key: string): void {
    const pod = this.get('pods', key);
    if (pod !== undefined && !isDeleting(pod)) this.beginDeletion(key, pod, false, 'delete');
  }

  /** Lets time pass: everything due up to and including `toMs` happens in order. The clock never goes back. */
  advance(toMs: number): void {
    while (this.timeline.nextAtMs() <= toMs) {
      const event = this.timeline.take();
      if (event === undefined) break;
      this.clockMs = Math.max(this.clockMs, event.atMs);
      this.happen(event);
    }
    this.clockMs = Math.max(this.clockMs, toMs);
  }

  private happen(event: TimedEvent): void {
    if (event.kind === 'bindRequest') {
      this.completeBindRequest(event.key);
      return;
    }
    const pod = this.get('pods', event.key);
    if (pod === undefined) return;
    if (event.kind === 'run') {
      const running = withPhase(pod, 'Running');
      this.store('pods', event.key, running, 'run');
      this.scheduleFinish(event.key, running);
    } else if (event.kind === 'finish') {
      this.releaseClaims(pod);
      this.store('pods', event.key, withPhase(pod, 'Succeeded'), 'finish');
    } else {
      this.vanish(event.key, pod, event.isRecreated);
    }
  }

  private isDue(event: TimedEvent): boolean {
    if (event.kind === 'bindRequest') return (this.get('bindRequests', event.key)?.metadata.uid ?? '') === event.uid;
    const pod = this.get('pods', event.key);
    if (pod === undefined || (pod.metadata.uid ?? '') !== event.uid) return false;
    if (event.kind === 'vanish') return isDeleting(pod);
    if (isDeleting(pod)) return false;
    const phase = pod.status?.phase ?? 'Pending';
    return event.kind === 'run' ? phase === 'Pending' && hasNode(pod) : phase === 'Running';
  }

  private at(kind: TimedEvent['kind'], atMs: number, key: string, uid: string | undefined, isRecreated = false): void {
    this.timeline.add({ kind, atMs, key, uid: uid ?? '', isRecreated });
  }

  /** What will happen to a pod that a caller has put. Events of its former state fall away by themselves. */
  private schedulePod(key: string, pod: Pod, previous: Pod | undefined): void {
    const { uid, deletionTimestamp } = pod.metadata;
    const isNew = previous === undefined || previous.metadata.uid !== uid;
    if (isDeleting(pod)) {
      if (!isNew && isDeleting(previous)) return;
      const atMs = Date.parse(deletionTimestamp ?? '');
      this.at('vanish', Math.max(this.clockMs, Number.isNaN(atMs) ? this.clockMs : atMs), key, uid);
    } else if (pod.status?.phase === 'Running') {
      if (isNew || previous.status?.phase !== 'Running') this.scheduleFinish(key, pod);
    } else if (hasNode(pod) && !isFinished(pod) && (isNew || !hasNode(previous))) {
      this.at('run', this.clockMs + this.kubelet.bindDelayMs, key, uid);
    }
  }

  private scheduleFinish(key: string, pod: Pod): void {
    this.at('finish', this.clockMs + this.kubelet.runMs(pod), key, pod.metadata.uid);
  }

  private bindDecided(pod: Pod, decision: Decision): void {
    for (const { name, allocation } of decision.details?.resourceClaimAllocations ?? []) this.reserveClaim(pod, name, allocation);
    const extended = decision.details?.extendedResourceClaimAllocation;
    this.bind(decision.pod, pod, { ...bindingOfDecision(decision), extendedClaim: this.makeExtendedClaim(pod, extended) });
  }

  private bind(key: string, pod: Pod, binding: Binding): void {
    const placed = bound(pod, binding);
    this.store('pods', key, placed, 'bind');
    this.at('run', this.clockMs + this.kubelet.bindDelayMs, key, pod.metadata.uid);
  }

  private makeExtendedClaim(pod: Pod, decided: unknown): Binding['extendedClaim'] {
    if (decided === undefined) return undefined;
    const { claim, mappings } = extendedClaim(pod, decided);
    this.store('resourceClaims', keyOf(claim.metadata), claim, 'bind');
    return { resourceClaimName: claim.metadata.name, requestMappings: mappings };
  }

  private reserveClaim(pod: Pod, reference: string, allocation: unknown): void {
    const name = claimNameOf(pod, reference);
    const key = `${pod.metadata.namespace ?? ''}/${name ?? ''}`;
    const claim = this.get('resourceClaims', key);
    if (claim !== undefined) this.store('resourceClaims', key, reserved(claim, allocation, pod), 'bind');
  }

  /** An in-flight bind request of another binder (spec 03 section 2.5) is carried out after the bind delay. */
  private scheduleBindRequest(key: string, request: BindRequest): void {
    const phase = request.status?.phase ?? 'Pending';
    if (phase === 'Pending' || phase === '') this.at('bindRequest', this.clockMs + this.kubelet.bindDelayMs, key, request.metadata.uid);
  }

  private completeBindRequest(key: string): void {
    const request = this.get('bindRequests', key);
    const podKey = `${request?.metadata.namespace ?? ''}/${request?.spec?.podName ?? ''}`;
    const pod = this.get('pods', podKey);
    const owners = request?.metadata.ownerReferences ?? [];
    if (request === undefined || pod === undefined || hasNode(pod) || isDeleting(pod) || isFinished(pod)) return;
    if (owners.length > 0 && owners.every((owner) => owner.uid !== pod.metadata.uid)) return;
    const binding = bindingOfRequest(request);
    if (this.get('nodes', binding.node) === undefined) return;
    for (const { name, allocation } of request.spec?.resourceClaimAllocations ?? []) this.reserveClaim(pod, name, allocation);
    const extended = request.spec?.extendedResourceClaimAllocation;
    this.bind(podKey, pod, { ...binding, extendedClaim: this.makeExtendedClaim(pod, extended ?? undefined) });
    this.store('bindRequests', key, { ...request, status: { ...request.status, phase: 'Succeeded' } }, 'bind');
  }

  /** Pods without a node have nobody to wait for: they go as soon as time passes. */
  private beginDeletion(key: string, pod: Pod, isRecreated: boolean, cause: ChangeCause): void {
    const atMs = this.clockMs + (hasNode(pod) && !isFinished(pod) ? this.kubelet.terminationGraceMs : 0);
    this.store('pods', key, leaving(pod, atMs), cause);
    this.at('vanish', atMs, key, pod.metadata.uid, isRecreated);
  }

  private vanish(key: string, pod: Pod, isRecreated: boolean): void {
    const uid = pod.metadata.uid ?? '';
    const templates: OtherObject[] = [];
    if (isRecreated) {
      for (const claimKey of claimKeysOf(pod)) {
        const claim = this.get('resourceClaims', claimKey);
        if (claim !== undefined && isOwnedBy(claim, uid) && !isExtendedClaim(claim)) templates.push(claim);
      }
    }
    this.dropPod(key, 'vanish');
    if (!isRecreated) return;
    const next = successor(pod, this.clockMs);
    for (const claim of templates) {
      this.store('resourceClaims', keyOf(claim.metadata), renewed(claim, uid, next.metadata.uid ?? ''), 'recreate');
    }
    this.store('pods', key, next, 'recreate');
  }

  /** Removes a pod with all that goes with it: reservations, claims made for it, its bind request. */
  private dropPod(key: string, cause: ChangeCause): void {
    const pod = this.get('pods', key);
    if (pod === undefined) return;
    this.releaseClaims(pod);
    for (const claimKey of claimKeysOf(pod)) {
      const claim = this.get('resourceClaims', claimKey);
      if (claim !== undefined && isOwnedBy(claim, pod.metadata.uid ?? '')) this.drop('resourceClaims', claimKey, cause);
    }
    if (this.get('bindRequests', key)?.spec?.podName === pod.metadata.name) this.drop('bindRequests', key, cause);
    this.drop('pods', key, cause);
  }

  private releaseClaims(pod: Pod): void {
    for (const key of claimKeysOf(pod)) {
      const claim = this.get('resourceClaims', key);
      if (claim === undefined) continue;
      const free = released(claim, pod.metadata.uid ?? '');
      if (free !== claim) this.store('resourceClaims', key, free, 'vanish');
    }
  }

  /** Conditions of pods are read by nobody who schedules, so the snapshot writer is not troubled with them. */
  private markUnschedulable(key: string, message: string): void {
    const pod = this.get('pods', key);
    if (pod === undefined) return;
    const marked = unschedulablePod(pod, message);
    if (marked === pod) return;
    this.stores.pods.set(key, marked);
    this.notify('pods', key, 'status', marked, pod);
  }

  private store<L extends ListName>(list: L, key: string, object: ObjectOf<L>, cause: ChangeCause): readonly ObjectProblem[] {
    const store = this.stores[list] as Map<string, ObjectOf<L>>;
    const previous = store.get(key);
    store.set(key, object);
    const problems = this.writer.put(list, object);
    this.notify(list, key, cause, object, previous);
    return problems;
  }

  private drop(list: ListName, key: string, cause: ChangeCause): void {
    const previous = this.get(list, key);
    if (previous === undefined) return;
    this.stores[list].delete(key);
    this.writer.remove(list, key);
    this.notify(list, key, cause, undefined, previous);
  }

  private notify(
    list: ListName,
    key: string,
    cause: ChangeCause,
    object: ObjectOf<ListName> | undefined,
    previous: ObjectOf<ListName> | undefined,
  ): void {
    for (const listener of this.listeners) listener({ list, key, cause, object, previous, atMs: this.clockMs });
  }
}
