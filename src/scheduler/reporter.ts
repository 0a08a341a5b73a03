// Tells users what a cycle found: conditions, annotations, events (spec 01 section 5). Only what is new to them is written.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CycleReport, JobReport } from '../base/decisions.ts';
import { faultText } from '../base/jobFault.ts';
import type { Pod, PodGroup } from '../base/objects.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { EventRecorder } from '../kubernetes/events.ts';
import { OBSERVED_CONDITION, type ObservedPod } from '../kubernetes/observedObjects.ts';
import type { WriteQueue } from '../kubernetes/writeQueue.ts';
import type { ClusterState } from './clusterState.ts';
import { groupObject, podObject, wholeSeconds } from './events.ts';
import { brokenConditions, changedAnnotations, changedConditions } from './groupStatus.ts';
import { isDeleting, isFinished, keyOf } from './observedStore.ts';
import { newestTransition } from './overlays.ts';
import { groupAnnotationPatch, groupConditionsPatch, podConditionPatch } from './patches.ts';

/** The same object is told something else at most so often; where only numbers differ, even less. */
const RETELL_MS = 10_000;
const RECOUNT_MS = 60_000;
/** A gang whose pods are still being created is no news: told after this time. */
const NOT_READY_AFTER_MS = 2_000;
/** Longest time without a look at the event loop. */
const SLICE_MS = 2;

export interface ReporterOptions {
  readonly state: ClusterState;
  readonly writes: Pick<WriteQueue, 'submit' | 'cancel'>;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly clock: Clock;
  readonly nodePoolLabelKey: string;
  /** Deletes bind requests by key, those that are gone already too. */
  readonly removeStaleRequests: (keys: readonly string[]) => void;
}

interface Told {
  readonly uid: string;
  message: string;
  atMs: number;
}

interface GroupTold extends Told {
  stale: string;
  notReady: string;
  /** First cycle of a row in which the group was not ready; NaN = it is. */
  notReadySinceMs: number;
  lastTransition: number;
}

export class Reporter {
  readonly #options: ReporterOptions;
  readonly #pods = new Map<string, Told>();
  readonly #groups = new Map<string, GroupTold>();

  constructor(options: ReporterOptions) {
    this.#options = options;
    options.state.observed.onChange((list, key, object) => {
      if (list === 'pods' && (object === undefined || (object as Pod).spec.nodeName)) this.#pods.delete(key);
      if (list === 'podGroups' && object === undefined) this.#groups.delete(key);
    });
  }

  /** Waiting pods that have been told why, for the metrics. */
  get toldPods(): number {
    return this.#pods.size;
  }

  /** `view`: the snapshot that the cycle ran on. Gives way to the event loop between jobs. */
  async report(report: CycleReport, view: SnapshotView): Promise<void> {
    // Assumed ones are no objects.
    const stale = report.staleBindRequests.filter((key) => this.#options.state.observed.get('bindRequests', key) !== undefined);
    if (stale.length > 0) this.#options.removeStaleRequests(stale);
    let sliceEndMs = performance.now() + SLICE_MS;
    for (const job of report.jobs) {
      this.#reportJob(job, view);
      for (const { podRow, message } of job.pods) {
        this.#reportPod(view, podRow, message, job);
        if (performance.now() < sliceEndMs) continue;
        await nextTurn();
        sliceEndMs = performance.now() + SLICE_MS;
      }
    }
  }

  /** A group whose scheduling failed by an error of this program. */
  reportBroken(key: string, error: unknown): void {
    const { state, writes, clock, nodePoolLabelKey } = this.#options;
    const group = state.group(key);
    if (group === undefined) return;
    const message = faultText(error);
    const told = this.#toldOf(key, group);
    const pool = group.metadata.labels?.[nodePoolLabelKey] || 'default';
    const conditions = brokenConditions(group, message, pool, told.lastTransition, clock.nowMs());
    told.lastTransition = newestTransition(conditions);
    told.message = message;
    told.atMs = clock.monotonicMs();
    state.noteGroup(key, group.metadata.uid ?? '', {}, conditions);
    void writes.submit(groupConditionsPatch(group, conditions, conditions.length > 1));
    this.#tellGroup(group, 'Unschedulable', message);
  }

  #reportJob(job: JobReport, view: SnapshotView): void {
    const key = view.texts.get(view.podGroups.keyText[job.podGroupRow] ?? -1);
    const group = this.#options.state.group(key);
    const uidText = view.podGroups.uidText[job.podGroupRow] ?? -1;
    if (group === undefined || (uidText >= 0 && view.texts.get(uidText) !== group.metadata.uid) || group.metadata.deletionTimestamp) return;
    const told = this.#toldOf(key, group);
    this.#writeAnnotations(key, group, job);
    // `reportBroken` tells it, and only once.
    if (job.isBroken) return;
    this.#writeConditions(key, group, job, told);
    this.#tellEvents(group, job, told);
  }

  #writeAnnotations(key: string, group: PodGroup, job: JobReport): void {
    const { state, writes } = this.#options;
    const annotations = changedAnnotations(group, job);
    if (annotations === undefined) return;
    state.noteGroup(key, group.metadata.uid ?? '', annotations, null);
    void writes.submit(groupAnnotationPatch(group, annotations)).then((result) => {
      if (result.kind === 'failed') state.forgetGroup(key);
    });
  }

  #writeConditions(key: string, group: PodGroup, job: JobReport, told: GroupTold): void {
    const { state, writes, clock, nodePoolLabelKey } = this.#options;
    const pool = group.metadata.labels?.[nodePoolLabelKey] || 'default';
    const conditions = changedConditions(group, job, pool, told.lastTransition, clock.nowMs());
    if (conditions === undefined) return;
    const before = (group.status?.schedulingConditions ?? []).find((c) => c.nodePool === pool);
    const isRetold = conditions.length > 0 && before !== undefined && before.message !== job.message;
    if (isRetold && clock.monotonicMs() - told.atMs < retellMs(before.message ?? '', job.message)) return;
    told.lastTransition = Math.max(told.lastTransition, newestTransition(conditions));
    state.noteGroup(key, group.metadata.uid ?? '', {}, conditions);
    const isShared = [...(group.status?.schedulingConditions ?? []), ...conditions].some((c) => c.nodePool !== pool);
    void writes.submit(groupConditionsPatch(group, conditions, isShared)).then((result) => {
      if (result.kind === 'failed') state.forgetGroup(key);
    });
  }

  #tellEvents(group: PodGroup, job: JobReport, told: GroupTold): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (job.staleMessage !== undefined && job.staleMessage !== told.stale) {
      told.stale = job.staleMessage;
      this.#tellGroup(group, 'StaleJob', job.staleMessage);
    }
    if (job.state === 'notReady') {
      if (Number.isNaN(told.notReadySinceMs)) told.notReadySinceMs = nowMs;
      const isDue = nowMs - told.notReadySinceMs >= NOT_READY_AFTER_MS && nowMs - told.atMs >= RETELL_MS;
      if (!isDue || told.notReady === job.message || this.#options.state.hasHeldPods(keyOf(group.metadata))) return;
      told.notReady = job.message;
      told.atMs = nowMs;
      this.#tellGroup(group, 'NotReady', job.message);
      return;
    }
    told.notReadySinceMs = Number.NaN;
    told.notReady = '';
    if (job.state === 'scheduled') {
      told.message = '';
      told.atMs = Number.NEGATIVE_INFINITY;
    }
    if (job.state !== 'unschedulable' || job.message === told.message) return;
    if (told.message !== '' && nowMs - told.atMs < retellMs(told.message, job.message)) return;
    told.message = job.message;
    told.atMs = nowMs;
    this.#tellGroup(group, 'Unschedulable', job.message);
  }

  #reportPod(view: SnapshotView, podRow: number, message: string, job: JobReport): void {
    const { state, writes, events, clock } = this.#options;
    const key = view.texts.get(view.pods.keyText[podRow] ?? -1);
    const pod = state.pod(key) as ObservedPod | undefined;
    const uid = pod?.metadata.uid ?? '';
    if (pod === undefined || uid !== view.texts.get(view.pods.uidText[podRow] ?? -1)) return;
    if (pod.spec.nodeName || isDeleting(pod) || isFinished(pod) || state.overlay(key)?.assumed) return;
    const nowMs = clock.monotonicMs();
    const told = this.#pods.get(key);
    if (told?.uid === uid && (told.message === message || nowMs - told.atMs < retellMs(told.message, message))) return;
    const written = pod.status?.conditions?.find(({ type }) => type === OBSERVED_CONDITION);
    const isWritten = written?.status === 'False' && written.reason === 'Unschedulable' && written.message === message;
    this.#pods.set(key, { uid, message, atMs: nowMs });
    // A predecessor has said it already.
    if (isWritten) return;
    events.record({ object: podObject(pod), type: 'Warning', reason: 'Unschedulable', message });
    if (!this.#isPodMarked(view, job)) return;
    const transition = written?.status === 'False' ? {} : { lastTransitionTime: wholeSeconds(clock.nowMs()) };
    const condition = { type: OBSERVED_CONDITION, status: 'False', reason: 'Unschedulable', message, ...transition } as const;
    void writes.submit(podConditionPatch(pod, condition)).then((result) => {
      if (result.kind === 'failed' && this.#pods.get(key)?.uid === uid) this.#pods.delete(key);
    });
  }

  #isPodMarked(view: SnapshotView, job: JobReport): boolean {
    const group = this.#options.state.group(view.texts.get(view.podGroups.keyText[job.podGroupRow] ?? -1));
    return job.state !== 'unschedulable' || group?.spec?.markUnschedulable !== false;
  }

  #toldOf(key: string, group: PodGroup): GroupTold {
    const uid = group.metadata.uid ?? '';
    const known = this.#groups.get(key);
    if (known?.uid === uid) return known;
    const conditions = group.status?.schedulingConditions ?? [];
    const told: GroupTold = {
      uid,
      // What a predecessor has written it has told as well.
      message: conditions.at(-1)?.message ?? '',
      atMs: Number.NEGATIVE_INFINITY,
      stale: '',
      notReady: '',
      notReadySinceMs: Number.NaN,
      lastTransition: newestTransition(conditions),
    };
    this.#groups.set(key, told);
    return told;
  }

  #tellGroup(group: PodGroup, reason: string, message: string): void {
    this.#options.events.record({ object: groupObject(group), type: 'Normal', reason, message });
  }
}

function retellMs(before: string, after: string): number {
  return withoutNumbers(before) === withoutNumbers(after) ? RECOUNT_MS : RETELL_MS;
}

function withoutNumbers(text: string): string {
  return text.replace(/\d+/g, '#');
}
