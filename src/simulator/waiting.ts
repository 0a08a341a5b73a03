import { PodPhase } from '../base/codes.ts';
import type { CycleReport, Decision, JobReport } from '../base/decisions.ts';
import { NO_ROW } from '../base/rows.ts';
import type { SnapshotView } from '../base/snapshotView.ts';

/** One pod that a cycle left waiting, and why. */
export interface WaitingPod {
  /** "namespace/name" */
  readonly pod: string;
  readonly podGroup: string;
  readonly queue: string;
  readonly createdMs: number;
  readonly message: string;
  /** The message without what differs from pod to pod: see `reasonHead`. */
  readonly head: string;
}

const PROMISED = 'Gets its place once others have left it';

/**
 * Pods that the cycle reports as waiting, and those that it promised a place, oldest first, then by name. Rows are those of
 * `view`.
 */
export function listWaiting(view: SnapshotView, report: CycleReport, decisions: readonly Decision[]): WaitingPod[] {
  const { pods, podGroups, texts } = view;
  const waiting: WaitingPod[] = [];
  const heads = new Map<string, string>();
  const headOf = (message: string): string => {
    const known = heads.get(message);
    if (known !== undefined) return known;
    const head = reasonHead(message);
    heads.set(message, head);
    return head;
  };
  const notReady = new Map<number, JobReport>();
  for (const job of report.jobs) {
    if (job.state === 'notReady') notReady.set(podGroups.keyText[job.podGroupRow] ?? NO_ROW, job);
    if (job.state !== 'unschedulable') continue;
    const podGroup = texts.get(podGroups.keyText[job.podGroupRow] ?? NO_ROW);
    const queue = texts.get(podGroups.queueText[job.podGroupRow] ?? NO_ROW);
    const jobHead = headOf(job.message);
    for (const { podRow, message } of job.pods) {
      const pod = texts.get(pods.keyText[podRow] ?? NO_ROW);
      waiting.push({ pod, podGroup, queue, createdMs: pods.createdMs[podRow] ?? 0, message, head: jobHead });
    }
  }
  // Nothing is said to the pods of a job that is not ready.
  for (let row = 0; notReady.size > 0 && row < pods.rows; row++) {
    const job = notReady.get(pods.groupKeyText[row] ?? NO_ROW);
    if (job === undefined || pods.used[row] !== 1 || pods.nodeText[row] !== NO_ROW || pods.phaseCode[row] !== PodPhase.pending) continue;
    const queue = texts.get(podGroups.queueText[job.podGroupRow] ?? NO_ROW);
    const [pod, podGroup] = [texts.get(pods.keyText[row] ?? NO_ROW), texts.get(pods.groupKeyText[row] ?? NO_ROW)];
    waiting.push({ pod, podGroup, queue, createdMs: pods.createdMs[row] ?? 0, message: job.message, head: headOf(job.message) });
  }
  for (const { kind, podRow, podGroupRow, pod, podGroup, node } of decisions) {
    // A pod that moves waits from when its successor is there.
    if (kind !== 'pipeline' || pods.nodeText[podRow] !== NO_ROW) continue;
    const queue = texts.get(podGroups.queueText[podGroupRow] ?? NO_ROW);
    waiting.push({ pod, podGroup, queue, createdMs: pods.createdMs[podRow] ?? 0, message: `${PROMISED}: node ${node}`, head: PROMISED });
  }
  return waiting.sort((a, b) => a.createdMs - b.createdMs || (a.pod < b.pod ? -1 : 1));
}

const HEAD_LENGTH = 200;

/**
 * What makes messages alike (spec 01 section 5.5): the first sentence, without names of pods and without numbers, so that
 * thousands of pods fall into a few groups. Names of queues stay: they are part of the cause.
 */
export function reasonHead(message: string): string {
  const plain = message
    .replace(/\b(pod|job) <?[\w.-]+\/[\w.-]+>?/g, '$1')
    .replace(/(?<![\w-])\d+(\.\d+)?(?![\w-])/g, 'N')
    .replace(/\s+/g, ' ')
    .trim();
  const sentence = plain.replace(/(\. Limit is|, while N) .*$/, '').replace(/\.+$/, '');
  return sentence.length <= HEAD_LENGTH ? sentence : `${sentence.slice(0, HEAD_LENGTH - 1)}…`;
}

export interface WaitingGroup {
  readonly reason: string;
  readonly pods: number;
  readonly podGroups: number;
  /** One of the pods. */
  readonly example: string;
}

/** Waiting pods by head of their message, most pods first, then by text. */
export function groupWaiting(waiting: readonly WaitingPod[]): WaitingGroup[] {
  const groups = new Map<string, { pods: number; example: string; podGroups: Set<string> }>();
  for (const { head, pod, podGroup } of waiting) {
    let group = groups.get(head);
    if (group === undefined) {
      group = { pods: 0, example: pod, podGroups: new Set() };
      groups.set(head, group);
    }
    group.pods++;
    group.podGroups.add(podGroup);
  }
  return [...groups]
    .map(([reason, g]) => ({ reason, pods: g.pods, podGroups: g.podGroups.size, example: g.example }))
    .sort((a, b) => b.pods - a.pods || (a.reason < b.reason ? -1 : 1));
}
