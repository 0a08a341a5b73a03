import { parentPort, workerData } from 'node:worker_threads';
import { contentOf } from '../../src/snapshot/describe.ts';
import { viewSnapshot } from '../../src/snapshot/view.ts';

parentPort?.postMessage(contentOf(viewSnapshot(workerData as SharedArrayBuffer)));
