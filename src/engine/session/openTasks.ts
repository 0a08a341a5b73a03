import { PodFlag, PodPhase } from '../../base/codes.ts';
import type { SchedulerConfig } from '../../base/config.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { JobList } from './openJobs.ts';
import type { PodSetTable, TaskTable } from './session.ts';
import { Status } from './status.ts';

/** Pods joined with their jobs and nodes; statuses at the start of the cycle. */
export interface TaskList {
  readonly tasks: TaskTable;
  readonly podSets: PodSetTable;
  readonly status: Uint8Array;
  /** Node number, −1 = none or outside the session. */
  readonly node: Int32Array;
  /** 1 where spec.nodeName or the bind request names a node that the session does not have. */
  readonly isOutside: Uint8Array;
}

/** Live bind requests by pod row: not failed, on a node of the session, of this very pod (spec 03 section 2.5). */
function liveBindRequests(view: SnapshotView, nodeOfText: Int32Array): Int32Array {
  const live = new Int32Array(view.pods.rows).fill(-1);
  const b = view.bindRequests;
  if (b.rows === 0) return live;
  const podOfText = new Int32Array(view.texts.capacity).fill(-1);
  const { used, keyText, uidText } = view.pods;
  for (let p = 0; p < view.pods.rows; p++) if (used[p] === 1) podOfText[keyText[p]!] = p;
  for (let row = 0; row < b.rows; row++) {
    if (b.used[row] !== 1 || b.isFailed[row] === 1) continue;
    const nodeText = b.nodeText[row]!;
    if (nodeText === NO_ROW || nodeOfText[nodeText]! < 0 || b.podKeyText[row]! === NO_ROW) continue;
    const pod = podOfText[b.podKeyText[row]!]!;
    if (pod < 0) continue;
    const owner = b.ownerUidText[row]!;
    if (owner === NO_ROW || owner === uidText[pod]) live[pod] = row;
  }
  return live;
}

/** Status of a pod when the cycle opens (spec 02 section 3.1). */
function statusAtOpen(
  phase: number,
  flags: number,
  deletionMs: number,
  nowMs: number,
  thresholdMs: number,
  hasNode: boolean,
  isBinding: boolean,
): Status {
  const isDeleting = (flags & PodFlag.deleting) !== 0;
  switch (phase) {
    case PodPhase.running:
      if (!isDeleting) return Status.running;
      return nowMs - deletionMs > thresholdMs ? Status.stuckInReleasing : Status.releasing;
    case PodPhase.pending:
      if (isDeleting) return Status.releasing;
      if (hasNode) return Status.bound;
      if (isBinding) return Status.binding;
      return (flags & PodFlag.gated) !== 0 ? Status.gated : Status.pending;
    case PodPhase.succeeded:
      return Status.succeeded;
    case PodPhase.failed:
      return Status.failed;
    default:
      return Status.unknown;
  }
}

/** Reads all pods: status, node, pod set; groups them by pod set (spec 02 sections 3.4, 4.2). */
export function openTasks(view: SnapshotView, config: SchedulerConfig, nowMs: number, list: JobList, nodeOfText: Int32Array): TaskList {
  const c = view.pods;
  const count = c.rows;
  const bindRequest = liveBindRequests(view, nodeOfText);
  const thresholdMs = config.params.stuckInReleasingThresholdMs;
  const status = new Uint8Array(count).fill(Status.unknown);
  const node = new Int32Array(count).fill(-1);
  const isOutside = new Uint8Array(count);
  const podSet = new Int32Array(count).fill(-1);
  const unknownSubGroup = new Map<number, string>();
  const sets = list.setJob.length;
  const size = new Int32Array(sets);
  const gated = new Int32Array(sets);
  const succeeded = new Int32Array(sets);
  const emptyText = view.texts.find('');
  for (let p = 0; p < count; p++) {
    if (c.used[p] !== 1) continue;
    const nodeText = c.nodeText[p]!;
    const request = bindRequest[p]!;
    const st = statusAtOpen(c.phaseCode[p]!, c.flags[p]!, c.deletionMs[p]!, nowMs, thresholdMs, nodeText !== NO_ROW, request >= 0);
    status[p] = st;
    if (nodeText !== NO_ROW) {
      node[p] = nodeOfText[nodeText]!;
      if (node[p]! < 0) isOutside[p] = 1;
    } else if (request >= 0) node[p] = nodeOfText[view.bindRequests.nodeText[request]!]!;
    const groupText = c.groupKeyText[p]!;
    const job = groupText === NO_ROW ? -1 : list.ofText[groupText]!;
    if (job < 0) continue;
    const set = setOf(view, list, job, c.subGroupText[p]!, emptyText);
    if (set < 0) {
      const text = c.subGroupText[p]!;
      unknownSubGroup.set(p, text === NO_ROW || text === emptyText ? 'default' : view.texts.get(text));
      continue;
    }
    podSet[p] = set;
    size[set] = size[set]! + 1;
    if (st === Status.gated) gated[set] = gated[set]! + 1;
    if (st === Status.succeeded) succeeded[set] = succeeded[set]! + 1;
  }
  const first = new Int32Array(sets);
  for (let set = 1; set < sets; set++) first[set] = first[set - 1]! + size[set - 1]!;
  const pods = new Int32Array(sets === 0 ? 0 : first[sets - 1]! + size[sets - 1]!);
  const at = first.slice();
  for (let p = 0; p < count; p++) {
    const set = podSet[p]!;
    if (set < 0) continue;
    pods[at[set]!] = p;
    at[set] = at[set]! + 1;
  }
  return {
    tasks: { podSet, bindRequest, groups: new Map(), unknownSubGroup },
    podSets: {
      count: sets,
      job: list.setJob,
      min: list.setMin,
      name: list.setName,
      first,
      size,
      pods,
      gated,
      succeeded,
      isSorted: new Uint8Array(sets),
    },
    status,
    node,
    isOutside,
  };
}

/** Pod set of a job by the pod's sub-group label; −1 = the job has none of that name. */
function setOf(view: SnapshotView, list: JobList, job: number, subGroupText: number, emptyText: number): number {
  const first = list.jobs.firstSet[job]!;
  const name = subGroupText === NO_ROW || subGroupText === emptyText ? 'default' : view.texts.get(subGroupText);
  for (let set = first; set < first + list.jobs.setCount[job]!; set++) if (list.setName[set] === name) return set;
  return -1;
}
