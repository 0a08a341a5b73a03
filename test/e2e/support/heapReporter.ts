// Loaded into the scheduler before it starts (`--import`, with `--expose-gc`): at SIGUSR2 it collects all garbage and writes what is
// left, in bytes.
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.on('SIGUSR2', () => {
    for (let i = 0; i < 3; i++) globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    process.stderr.write(`live heap ${heapUsed + external}\n`);
  });
}
