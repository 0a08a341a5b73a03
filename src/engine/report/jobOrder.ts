// The order in which allocate would try the waiting jobs (spec 01 section 6.4).
import type { SchedulerConfig } from '../../base/config.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import { pendingJobs } from '../actions/allocate.ts';
import { stateBytes } from '../cycle.ts';
import { createJobTree, popJob, refresh } from '../jobs/jobTree.ts';
import { INLINE_PORT } from '../parallel.ts';
import { openSession } from '../session/open.ts';

interface JobEntry {
  /** Name of the pod group, as upstream; the namespace tells equal names apart. */
  readonly id: string;
  readonly namespace: string;
  readonly priority: number;
}

export interface JobOrder {
  readonly global_order: readonly JobEntry[];
  readonly queue_order: Readonly<Record<string, readonly JobEntry[]>>;
}

/** Opens a cycle of its own on the snapshot, on the calling thread; nothing is placed while the jobs are popped. */
export function jobOrderOf(view: SnapshotView, config: SchedulerConfig, nowMs: number): JobOrder {
  const session = openSession(view, config, nowMs, new SharedArrayBuffer(stateBytes(view, config)), INLINE_PORT);
  const tree = createJobTree(session, pendingJobs(session), config.queueDepthPerAction.allocate ?? -1);
  const global: JobEntry[] = [];
  const byQueue: Record<string, JobEntry[]> = {};
  for (let job = popJob(session, tree); job >= 0; job = popJob(session, tree)) {
    const queue = session.jobs.queue[job]!;
    const row = session.jobs.row[job]!;
    const { nameText, namespaceText } = view.podGroups;
    const id = view.texts.get(nameText[row]!);
    const entry = { id, namespace: view.texts.get(namespaceText[row]!), priority: session.jobs.priority[job]! };
    global.push(entry);
    const name = session.queues.name[queue]!;
    byQueue[name] ??= [];
    byQueue[name].push(entry);
    refresh(session, tree, queue);
  }
  return { global_order: global, queue_order: byQueue };
}
