// Worker thread: writes the batches of a run into a ring, as a planner does.
import { workerData } from 'node:worker_threads';
import { RingWriter } from '../../src/base/byteRing.ts';
import { BatchEncoder } from '../../src/base/decisionCodec.ts';
import { ACTIONS, type RingRun, randomBatches } from './randomBatches.ts';

const { ring, run } = workerData as { readonly ring: SharedArrayBuffer; readonly run: RingRun };
const writer = new RingWriter(ring, () => {});
const encoder = new BatchEncoder(ACTIONS);
for (const batch of randomBatches(run)) writer.write(encoder.encode(batch));
