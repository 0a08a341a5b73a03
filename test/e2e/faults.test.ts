// The API server is killed, frozen, overloaded, refuses and lies; watches are cut; threads die. Nothing is lost, nothing done twice.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { nodeObject, podObject, queueObject } from './support/objects.ts';

const THREAD_KILLER = join(import.meta.dirname, 'support/threadKiller.ts');

/** Gangs of 4 and single pods, `count` of each, one GPU per pod. */
async function submit(bed: Bed, prefix: string, count: number): Promise<string[]> {
  const gangs = Array.from({ length: count }, (_, i) => bed.createGang(`${prefix}-gang${i}`, 4, { gpus: 1 }));
  const singles = Array.from({ length: count }, (_, i) => bed.createGang(`${prefix}-one${i}`, 1, { gpus: 1 }));
  return (await Promise.all([...gangs, ...singles])).flat();
}

async function isReady(bed: Bed): Promise<boolean> {
  return (await fetch(`${bed.scheduler().metricsUrl}/readyz`)).status === 200;
}

onCluster('faults', { isProxied: true, env: { NODE_OPTIONS: `--import=${THREAD_KILLER}` } }, (bed) => {
  test.each([409, 410, 429, 500])('answers %i to a part of all requests', async (status) => {
    await bed().createCluster(8);
    const retryAfterSeconds = status === 429 ? 1 : undefined;
    const fault = bed().proxy.inject({
      action: { kind: 'status', status, retryAfterSeconds },
      isWatch: false,
      probability: 0.3,
      times: 60,
    });
    const keys = await submit(bed(), `s${status}`, 12);
    await bed().untilRunning(keys);
    expect(fault.hits).toBeGreaterThan(5);
    bed().proxy.clear();
    expect(bed().audit.partialGangs()).toEqual([]);
  });

  test('one 401 is answered by reading the token again', async () => {
    await bed().createCluster(1);
    const fault = bed().proxy.inject({ action: { kind: 'status', status: 401 }, isWatch: false, times: 1 });
    await bed().untilRunning(await bed().createGang('again', 8, { gpus: 1 }));
    expect(fault.hits).toBe(1);
    bed().proxy.clear();
  });

  test('answers that get lost, streams that are reset: every pod is bound once', async () => {
    await bed().createCluster(8);
    const lost = bed().proxy.inject({ action: { kind: 'lose-answer' }, method: 'POST', path: /binding$/, probability: 0.3, times: 20 });
    const reset = bed().proxy.inject({ action: { kind: 'reset' }, method: 'POST', path: /binding$/, probability: 0.3, times: 20 });
    const keys = await submit(bed(), 'lost', 12);
    await bed().untilRunning(keys);
    expect(lost.hits).toBeGreaterThan(0);
    expect(reset.hits).toBeGreaterThan(0);
    bed().proxy.clear();
  });

  test('watches that are cut, expired and garbled, again and again under load', async () => {
    await bed().createCluster(8);
    const { proxy } = bed();
    const actions = [
      () => proxy.cutWatches(),
      () => proxy.expireWatches(),
      () => proxy.garbleWatches(),
      () => proxy.cutWatches(/pods/),
      () => proxy.goAway(),
    ];
    const keys: string[] = [];
    for (let round = 0; round < 10; round++) {
      const more = submit(bed(), `w${round}`, 1);
      actions[round % actions.length]!();
      keys.push(...(await more));
      // Half of what runs goes again while nobody is watching.
      const gone = keys.filter((key, i) => i % 2 === round % 2 && bed().nodeOf(key) !== undefined).slice(0, 2);
      for (const key of gone) await bed().delete(key, { gracePeriodSeconds: 0 });
      keys.splice(0, keys.length, ...keys.filter((key) => !gone.includes(key)));
      await sleep(300);
    }
    proxy.cutConnections();
    // Single pods and gangs that were never broken; a gang of which a member was deleted before it began waits for it.
    const groups = new Map<string, number>();
    for (const key of keys) groups.set(key.replace(/-\d+$/, ''), (groups.get(key.replace(/-\d+$/, '')) ?? 0) + 1);
    const whole = keys.filter((key) => !key.includes('gang') || groups.get(key.replace(/-\d+$/, '')) === 4);
    await bed().untilRunning(whole);
    await bed().untilRunning(await bed().createGang('after', 4, { gpus: 1 }));
  });

  test('pods deleted and created anew under their names while the watch is away', async () => {
    await bed().createCluster(1, { gpus: 4 });
    const keys = await bed().createGang('same', 4, { gpus: 1 });
    await bed().untilRunning(keys);
    bed().proxy.inject({ action: { kind: 'status', status: 410 }, isWatch: true, path: /pods/, times: 2 });
    bed().proxy.cutWatches(/pods/);
    for (const key of keys) await bed().delete(key, { gracePeriodSeconds: 0 });
    await bed().untilGone(keys);
    await bed().create(...keys.map((key) => podObject(TEAM, key.slice(TEAM.length + 1), { group: 'same', gpus: 1 })));
    await bed().untilRunning(keys);
    bed().proxy.clear();
  });

  test('the API server crashes and comes back in the middle of it', async () => {
    await bed().createCluster(8);
    const keys = await submit(bed(), 'before', 6);
    await bed().crashApiServer(() => sleep(1_000));
    keys.push(...(await submit(bed(), 'after', 6)));
    await bed().untilRunning(keys);
    await bed().until('the process to be ready', () => isReady(bed()));
  });

  test('history is compacted while the API server is away', async () => {
    await bed().createCluster(8);
    const keys = await submit(bed(), 'before', 3);
    await bed().crashApiServer(() => bed().plane.compact());
    keys.push(...(await submit(bed(), 'after', 3)));
    await bed().untilRunning(keys);
  });

  test('a frozen API server: not ready, still live, and at once at work when it thaws', async () => {
    await bed().createCluster(2);
    await bed().untilRunning(await bed().createGang('before', 4, { gpus: 1 }));
    bed().plane.freeze('kube-apiserver');
    try {
      await bed().until('the process to be not ready', async () => !(await isReady(bed())));
      expect((await fetch(`${bed().scheduler().metricsUrl}/livez`)).status).toBe(200);
    } finally {
      bed().plane.thaw('kube-apiserver');
    }
    await bed().untilRunning(await bed().createGang('after', 8, { gpus: 1 }));
    await bed().until('the process to be ready', () => isReady(bed()));
  });

  test('a frozen network in both directions', async () => {
    await bed().createCluster(2);
    bed().proxy.freeze();
    const keys = await bed().createGang('during', 8, { gpus: 1 });
    await sleep(3_000);
    expect(bed().boundOf(keys)).toEqual([]);
    bed().proxy.thaw();
    await bed().untilRunning(keys);
  });

  test('a frozen etcd', async () => {
    await bed().createCluster(2);
    const keys = await bed().createGang('during', 8, { gpus: 1 });
    bed().plane.freeze('etcd');
    await sleep(4_000);
    bed().plane.thaw('etcd');
    await bed().untilRunning(keys);
  });

  test('a binding that is refused each time: no "bound", others get their turn, growing pauses (OP-17)', async () => {
    await bed().create(nodeObject('n1', { gpus: 2 }), queueObject('examples'));
    const refused = bed().proxy.inject({ action: { kind: 'status', status: 403 }, method: 'POST', path: /pods\/refused-0\/binding$/ });
    const [bad] = await bed().createGang('refused', 1, { gpus: 2 });
    await bed().untilEvent('refused-0', 'BindingError', /injected fault 403/);
    const good = await bed().createGang('good', 1, { gpus: 2 });
    await bed().untilRunning(good);
    await bed().until('the condition', () => bed().condition(bad!, 'PodBound')?.status === 'False');
    await bed().delete(good[0]!);
    await bed().untilGone(good);
    await sleep(5_000);
    expect(refused.hits).toBeGreaterThan(1);
    expect(refused.hits).toBeLessThan(8);
    const reasons = new Set((await bed().events('refused-0')).map(({ reason }) => reason));
    expect(reasons.has('Scheduled')).toBe(false);
    expect(bed().condition(bad!, 'PodBound')?.status).toBe('False');
    bed().proxy.clear();
    await bed().untilRunning([bad!]);
  });

  test('status of a group that is gone, in conflict, or refused for a while (OP-13)', async () => {
    await bed().createCluster(1, { gpus: 1 });
    const path = (group: string): RegExp => new RegExp(`podgroups/${group}/status`);
    const gone = bed().proxy.inject({ action: { kind: 'status', status: 404 }, method: 'PATCH', path: path('gone') });
    const conflict = bed().proxy.inject({ action: { kind: 'status', status: 409 }, method: 'PATCH', path: path('conflict'), times: 2 });
    const broken = bed().proxy.inject({ action: { kind: 'status', status: 500 }, method: 'PATCH', path: path('broken'), times: 3 });
    for (const name of ['gone', 'conflict', 'broken']) await bed().createGang(name, 2, { gpus: 1 });
    await bed().until('the conditions', () => ['conflict', 'broken'].every((name) => bed().groupConditions(name).length === 1));
    expect([conflict.hits, broken.hits]).toEqual([2, 3]);
    await sleep(5_000);
    expect(gone.hits).toBeLessThanOrEqual(2);
    bed().proxy.clear();
  });

  test('a reservation whose answer is lost is made once (OP-16)', async () => {
    await bed().createCluster(1, { gpus: 1 });
    const path = /kai-resource-reservation\/pods$/;
    const lost = bed().proxy.inject({ action: { kind: 'lose-answer' }, method: 'POST', path, times: 2 });
    const submitShare = (i: number): Promise<string[]> => bed().createGang(`share${i}`, 1, { gpuFraction: '0.1' });
    const keys = (await Promise.all(Array.from({ length: 10 }, (_, i) => submitShare(i)))).flat();
    await bed().untilRunning(keys);
    expect(lost.hits).toBeGreaterThan(0);
    const made = bed().audit.records.filter(
      ({ key, deletionMs, goneMs }) => key.startsWith('kai-resource-reservation/') && deletionMs === undefined && goneMs === undefined,
    );
    expect(made).toHaveLength(1);
    bed().proxy.clear();
  });

  test('threads that die under load', async () => {
    await bed().createCluster(8);
    const pid = bed().scheduler().program.pid!;
    for (let round = 0; round < 6; round++) {
      const more = submit(bed(), `t${round}`, 1);
      process.kill(pid, 'SIGUSR2');
      await bed().untilRunning(await more);
    }
    expect(bed().scheduler().program.log()).toContain('thread killed by the test');
  });
});
