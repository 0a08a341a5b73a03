// An error inside the attempt at one job costs this job its turn; all others are served, and the process lives (OP-14).
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Bed, onCluster } from './support/bed.ts';
import { queueObject } from './support/objects.ts';

const JOB_BREAKER = join(import.meta.dirname, 'support/jobBreaker.ts');

async function counter(bed: Bed, name: string): Promise<number> {
  const line = (await bed.metrics()).split('\n').find((text) => text.startsWith(`${name} `));
  return Number(line?.split(' ')[1] ?? Number.NaN);
}

onCluster('a job that breaks the engine', { env: { NODE_OPTIONS: `--import=${JOB_BREAKER}` }, expectedErrors: /injected fault/ }, (bed) => {
  test.each([1, 3])('%i such jobs among twenty others', async (count) => {
    await bed().createCluster(4);
    const { pid } = bed().scheduler().program;
    const before = await counter(bed(), 'kai_job_faults_total');
    const logged = bed().scheduler().program.log().length;
    // Without their queue they wait until all of them are there.
    const shape = { gpus: 1, queue: 'late' };
    const names = Array.from({ length: count }, (_, i) => `poison${i}`);
    const broken = (await Promise.all(names.map((name) => bed().createGang(name, 2, shape)))).flat();
    const others = await Promise.all(Array.from({ length: 20 }, (_, i) => bed().createGang(`other${i}`, 1, shape)));
    const isSeen = async (): Promise<boolean> =>
      (await counter(bed(), 'kai_watched_objects{list="pods"}')) === broken.length + others.length &&
      (await counter(bed(), 'kai_watched_objects{list="podGroups"}')) === names.length + others.length;
    await bed().until('all of them to be seen', isSeen);
    await bed().create(queueObject('late'));
    await bed().untilRunning(others.flat());
    const isLogged = (): boolean => /\tcycle\t.* bound=20 /.test(bed().scheduler().program.log().slice(logged));
    await bed().until('one cycle that binds all others', isLogged, 20_000);
    for (const name of names) {
      await bed().untilEvent(name, 'Unschedulable', /Internal error: .*injected fault of one job/);
      await bed().until('the condition', () =>
        bed()
          .groupConditions(name)
          .some(({ message }) => message?.includes('injected fault') === true),
      );
    }
    expect(await counter(bed(), 'kai_job_faults_total')).toBe(before + count);
    expect(await counter(bed(), 'kai_cycle_failures_total')).toBe(0);
    expect(await counter(bed(), 'kai_cycle_restarts_total')).toBe(0);
    // Set aside, it does not disturb any more.
    await bed().untilRunning(await bed().createGang('later', 4, { gpus: 1 }));
    expect(bed().boundOf(broken)).toEqual([]);
    expect(bed().scheduler().program.pid).toBe(pid);
    expect((await fetch(`${bed().scheduler().metricsUrl}/livez`)).status).toBe(200);
  });
});
