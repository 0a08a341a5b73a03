// The job order of a snapshot, worked out away from the main thread: it opens a cycle of its own, which takes its time.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { SchedulerConfig } from '../base/config.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import type { JobOrder } from '../engine/report/jobOrder.ts';
import type { JobOrderTask } from '../workers/protocol.ts';

/** In a thread that lives for this one answer. The snapshot must stay sealed until then. Rejects with what the engine throws. */
export async function jobOrderInThread(view: SnapshotView, config: SchedulerConfig, nowMs: number): Promise<JobOrder> {
  const workerData: JobOrderTask = { snapshot: view.buffer, config, nowMs };
  const worker = new Worker(new URL('../workers/jobOrderWorker.ts', import.meta.url), { workerData });
  try {
    const [order] = (await once(worker, 'message')) as [JobOrder];
    return order;
  } finally {
    await worker.terminate();
  }
}
