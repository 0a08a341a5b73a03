// Carries out the decisions of a running cycle, job by job, as they come.
import type { Decision } from '../base/decisions.ts';
import type { Node, Pod } from '../base/objects.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { EventRecorder } from '../kubernetes/events.ts';
import { WritePriority } from '../kubernetes/writePolicy.ts';
import type { WriteQueue } from '../kubernetes/writeQueue.ts';
import type { ClusterState } from './clusterState.ts';
import { groupObject, podObject, wholeSeconds } from './events.ts';
import { missingRoom } from './nodeRoom.ts';
import type { Nominations } from './nominations.ts';
import { isDeleting, isFinished } from './observedStore.ts';
import type { AssumedBind } from './overlays.ts';
import { podConditionPatch, podDeletion, podLabelPatch } from './patches.ts';
import type { BindOutcome, PodBinder } from './ports.ts';

export interface CommitterOptions {
  readonly state: ClusterState;
  readonly binder: PodBinder;
  readonly writes: Pick<WriteQueue, 'submit' | 'cancel'>;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly clock: Clock;
  readonly nodePoolLabelKey: string;
  readonly nodePool: string;
  /** Asked at each eviction. */
  readonly isEvictionConditionWritten: () => boolean;
  readonly nominations: Pick<Nominations, 'note' | 'forget'>;
  readonly observer: CommitObserver;
}

/** For logs and metrics. */
export interface CommitObserver {
  bound(pod: Pod, decision: Decision, tookMs: number): void;
  bindFailed(pod: Pod, decision: Decision, message: string): void;
  /** A decision that what happened meanwhile has overtaken: nothing was written. */
  overtaken(decision: Decision, reason: string): void;
  evicted(pod: Pod, decision: Decision): void;
  evictionFailed(pod: Pod, decision: Decision, message: string): void;
  /** Something unexpected inside one order; it cost the order only. */
  broken(decision: Decision, error: unknown): void;
}

export class Committer {
  readonly #options: CommitterOptions;
  readonly #pipelined = new Map<string, string>();
  readonly #underWay = new Set<Promise<void>>();
  #isStopped = false;

  constructor(options: CommitterOptions) {
    this.#options = options;
    options.state.observed.onChange((list, key, object) => {
      if (list !== 'pods' || (object !== undefined && !(object as Pod).spec.nodeName)) return;
      this.#pipelined.delete(key);
      options.nominations.forget(key);
    });
  }

  /** Binds and evictions that have not ended. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** Takes one committed job: its bindings all or none, its evictions each for itself. Never throws. */
  take(batch: readonly Decision[]): void {
    if (this.#isStopped) return;
    const binds: { readonly decision: Decision; readonly pod: Pod; readonly assumed: AssumedBind }[] = [];
    let isOvertaken = false;
    for (const decision of batch) {
      if (decision.kind === 'pipeline') this.#announce(decision);
      if (decision.kind === 'evict') this.#evict(decision);
      if (decision.kind !== 'bind' || isOvertaken) continue;
      const pod = this.#pending(decision);
      if (pod !== undefined) this.#options.nominations.note(pod, decision);
      const reason = pod === undefined ? 'the pod is gone, bound or leaving' : this.#obstacle(pod, decision);
      if (pod !== undefined && reason === undefined) binds.push({ decision, pod, assumed: this.#options.state.assume(pod, decision) });
      else {
        isOvertaken = true;
        this.#options.observer.overtaken(decision, reason ?? '');
        if (pod !== undefined) this.#tellFailure(pod, decision, reason ?? '');
      }
    }
    for (const bind of binds) {
      if (isOvertaken) this.#options.state.unassume(bind.decision.pod, bind.assumed, false);
      else this.#track(this.#bind(bind.pod, bind.decision, bind.assumed), bind.decision);
    }
  }

  /** Takes no more decisions; resolves when all that is under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    while (this.#underWay.size > 0) await Promise.all([...this.#underWay]);
  }

  /** The pod as it is now, if it still waits and is the one that was decided on. */
  #pending({ pod: key, podUid }: Decision): Pod | undefined {
    const { state } = this.#options;
    const pod = state.pod(key);
    if (pod === undefined || (pod.metadata.uid ?? '') !== podUid || pod.spec.nodeName || isDeleting(pod) || isFinished(pod))
      return undefined;
    const overlay = state.overlay(key);
    return overlay?.assumed || overlay?.isLeaving ? undefined : pod;
  }

  /** The late check: what happened to the node since the snapshot. */
  #obstacle(pod: Pod, { node: name }: Decision): string | undefined {
    const { state } = this.#options;
    const node = state.observed.get('nodes', name) as Node | undefined;
    if (node === undefined) return 'the node is gone';
    if (!state.isTouched(name)) return undefined;
    if (node.spec?.unschedulable) return 'the node has become unschedulable';
    const others: Pod[] = [];
    for (const key of state.observed.podsOnNode(name)) {
      const other = state.pod(key);
      if (other !== undefined && !isFinished(other)) others.push(other);
    }
    return missingRoom(node, others, pod);
  }

  #track(work: Promise<void>, decision: Decision): void {
    const done = work.catch((error: unknown) => this.#options.observer.broken(decision, error)).finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }

  async #bind(pod: Pod, decision: Decision, assumed: AssumedBind): Promise<void> {
    const { state, binder, writes, clock, nodePool, observer } = this.#options;
    const key = decision.pod;
    writes.cancel(`pod condition PodScheduled ${pod.metadata.uid}`);
    const startedMs = clock.monotonicMs();
    const { node, receivedType, gpuCount, gpuPortion, gpuGroups, details, podGroup } = decision;
    const failures = state.overlay(key)?.failures ?? 0;
    const { signal } = assumed.abort;
    let outcome: BindOutcome;
    try {
      outcome = await binder.bind({ key, pod, node, receivedType, gpuCount, gpuPortion, gpuGroups, details, podGroup, nodePool, signal });
    } catch (error) {
      observer.broken(decision, error);
      outcome = { kind: 'failed', message: `internal error: ${error instanceof Error ? error.message : String(error)}` };
    }
    switch (outcome.kind) {
      case 'bound':
      case 'requested':
        // A request that is there speaks for itself.
        if (outcome.kind === 'requested' && state.observed.get('bindRequests', key) !== undefined) state.unassume(key, assumed, false);
        else state.confirmSent(key, assumed);
        observer.bound(pod, decision, clock.monotonicMs() - startedMs);
        this.#tellSuccess(pod, decision, failures > 0);
        return;
      case 'gone':
      case 'boundElsewhere':
        state.unassume(key, assumed, false);
        observer.overtaken(decision, outcome.kind === 'gone' ? 'the pod is gone' : `the pod was bound to ${outcome.node} by somebody else`);
        return;
      case 'failed':
        state.unassume(key, assumed, true);
        // A pod that went away meanwhile needs no explanation.
        if (signal.aborted) return;
        observer.bindFailed(pod, decision, outcome.message);
        this.#tellFailure(pod, decision, outcome.message);
        this.#markUnbound(pod, decision, outcome.message);
    }
  }

  #tellSuccess(pod: Pod, decision: Decision, hadFailed: boolean): void {
    const { events, writes, clock, nodePool, nodePoolLabelKey } = this.#options;
    const message = `Successfully assigned pod ${decision.pod} to node ${decision.node} at node-pool ${nodePool || 'default'}`;
    events.record({ object: podObject(pod), type: 'Normal', reason: 'Scheduled', message, isOnce: true });
    if (nodePool !== '' && nodePoolLabelKey !== '' && pod.metadata.labels?.[nodePoolLabelKey] !== nodePool) {
      void writes.submit(podLabelPatch(pod, { [nodePoolLabelKey]: nodePool }));
    }
    if (!hadFailed) return;
    const text = `Pod bound successfully to node ${decision.node}`;
    const lastTransitionTime = wholeSeconds(clock.nowMs());
    void writes.submit(podConditionPatch(pod, { type: 'PodBound', status: 'True', reason: 'Bound', message: text, lastTransitionTime }));
  }

  #tellFailure(pod: Pod, decision: Decision, reason: string): void {
    const message = failureText(decision, reason);
    this.#options.events.record({ object: podObject(pod), type: 'Warning', reason: 'BindingError', message });
  }

  #markUnbound(pod: Pod, decision: Decision, reason: string): void {
    const { writes, clock } = this.#options;
    const lastTransitionTime = wholeSeconds(clock.nowMs());
    const message = failureText(decision, reason);
    void writes.submit(podConditionPatch(pod, { type: 'PodBound', status: 'False', reason: 'BindingError', message, lastTransitionTime }));
  }

  /** A promise of room; people are told once per pod and node. */
  #announce(decision: Decision): void {
    const { state, events, nominations } = this.#options;
    const { pod: key, podUid, node } = decision;
    const pod = state.pod(key);
    if (pod === undefined || pod.metadata.uid !== podUid) return;
    nominations.note(pod, decision);
    if (this.#pipelined.get(key) === `${podUid} ${node}`) return;
    this.#pipelined.set(key, `${podUid} ${node}`);
    events.record({ object: podObject(pod), type: 'Normal', reason: 'Pipelined', message: `Pod ${key} was pipelined to node ${node}` });
  }

  #evict(decision: Decision): void {
    const { state, observer } = this.#options;
    const pod = state.pod(decision.pod);
    const isThere = pod !== undefined && (pod.metadata.uid ?? '') === decision.podUid && !isDeleting(pod) && !isFinished(pod);
    if (!isThere || state.overlay(decision.pod)?.isLeaving) {
      observer.overtaken(decision, 'the pod is gone or leaving');
      return;
    }
    state.leave(pod);
    this.#track(this.#delete(pod, decision), decision);
  }

  async #delete(pod: Pod, decision: Decision): Promise<void> {
    const { state, writes, clock, observer } = this.#options;
    const { pod: key, podUid, details } = decision;
    this.#tellEviction(decision);
    if (this.#options.isEvictionConditionWritten()) {
      const condition = {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'PreemptionByScheduler',
        message: details?.message ?? '',
        lastTransitionTime: wholeSeconds(clock.nowMs()),
      } as const;
      const marked = await writes.submit(podConditionPatch(pod, condition, WritePriority.eviction));
      if (marked.kind !== 'done') {
        state.stay(key, podUid);
        observer.evictionFailed(
          pod,
          decision,
          `its condition could not be written (${'message' in marked ? marked.message : marked.kind})`,
        );
        return;
      }
    }
    const deleted = await writes.submit(podDeletion(pod));
    // 409: another pod has the name now, so the one that was meant is gone.
    if (deleted.kind === 'done' || (deleted.kind === 'failed' && deleted.status?.code === 409)) observer.evicted(pod, decision);
    else {
      state.stay(key, podUid);
      observer.evictionFailed(pod, decision, 'message' in deleted ? deleted.message : deleted.kind);
    }
  }

  /** On the group, never on the pod (spec 01 section 5.2). */
  #tellEviction({ podGroup, action, details }: Decision): void {
    const group = this.#options.state.group(podGroup);
    if (group === undefined) return;
    const [namespace = '', name = ''] = details?.evictorPodGroup?.split('/') ?? [];
    const annotations = {
      'num-evicted-pods': String(details?.evictedPods ?? 1),
      'evictor-action-type': action,
      ...(name === '' ? {} : { 'evictor-pod-group-name': name, 'evictor-pod-group-namespace': namespace }),
    };
    this.#options.events.record({
      object: groupObject(group),
      type: 'Normal',
      reason: 'Evict',
      message: details?.message ?? '',
      annotations,
      isOnce: true,
    });
  }
}

function failureText({ pod, node }: Decision, reason: string): string {
  return `Failed to bind pod ${pod} to node ${node}: ${reason}`;
}
