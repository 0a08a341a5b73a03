// Live memory of the scheduler under a load that stays the same (OP-12, in short): nothing may grow with the number of cycles.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Bed, onCluster } from './support/bed.ts';

const HEAP_REPORTER = join(import.meta.dirname, 'support/heapReporter.ts');
/** Pods replaced per round. */
const REPLACED = 20;
const ROUNDS_PER_SAMPLE = 6;
const WARM_UP_SAMPLES = 4;
const SAMPLES = 10;

async function liveBytes(bed: Bed): Promise<number> {
  const { program } = bed.scheduler();
  const reports = (): RegExpMatchArray[] => [...program.log().matchAll(/^live heap (\d+)$/gm)];
  const before = reports().length;
  process.kill(program.pid!, 'SIGUSR2');
  await bed.until('the heap to be reported', () => reports().length > before);
  return Number(reports().at(-1)![1]);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

const env = { NODE_OPTIONS: `--expose-gc --import=${HEAP_REPORTER}` };
// Inline, so that the heap of the engine is that of the process.
onCluster('memory', { args: ['--workers=0'], env }, (bed) => {
  test('live heap stays within 10 % while pods come and go', async () => {
    await bed().createCluster(20);
    const hopeless = await Promise.all(Array.from({ length: 40 }, (_, i) => bed().createGang(`hopeless${i}`, 1, { gpus: 9 })));
    await bed().untilUnschedulable(hopeless.flat());
    const running: string[] = [];
    let submitted = 0;
    const submit = async (count: number): Promise<void> => {
      const names = Array.from({ length: count }, () => `job${submitted++}`);
      const keys = (await Promise.all(names.map((name) => bed().createGang(name, 1, { gpus: 1 })))).flat();
      await bed().untilBound(keys);
      running.push(...keys);
    };
    await submit(140);
    const samples: number[] = [];
    for (let sample = 0; sample < SAMPLES; sample++) {
      for (let round = 0; round < ROUNDS_PER_SAMPLE; round++) {
        const leaving = running.splice(0, REPLACED);
        const groups = leaving.map(
          (key) => `/apis/scheduling.run.ai/v2alpha2/namespaces/${key.split('/')[0]}/podgroups/${key.split('/')[1]!.slice(0, -2)}`,
        );
        await Promise.all(leaving.map((key) => bed().delete(key, { gracePeriodSeconds: 0 })));
        await Promise.all(groups.map((path) => bed().client.delete(path)));
        await submit(REPLACED);
      }
      samples.push(await liveBytes(bed()));
    }
    const warm = samples.slice(WARM_UP_SAMPLES);
    const [early, late] = [warm.slice(0, warm.length / 2), warm.slice(warm.length / 2)].map(median);
    console.info(`live heap, MB: ${samples.map((bytes) => (bytes / 1e6).toFixed(1)).join(' ')}`);
    expect(late! / early!).toBeLessThan(1.1);
  });
});
