// Entry point of the thread that works out one job order and ends.
import { parentPort, workerData } from 'node:worker_threads';
import { jobOrderOf } from '../engine/report/jobOrder.ts';
import { viewSnapshot } from '../snapshot/view.ts';
import type { JobOrderTask } from './protocol.ts';

const { snapshot, config, nowMs } = workerData as JobOrderTask;
parentPort!.postMessage(jobOrderOf(viewSnapshot(snapshot), config, nowMs));
