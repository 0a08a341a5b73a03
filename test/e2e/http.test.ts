// What the process says about itself, and its configuration while it runs.
import { expect, test } from 'vitest';
import { onCluster } from './support/bed.ts';
import { nodeObject, queueObject } from './support/objects.ts';

const FOUR_ACTIONS = { actions: 'allocate, consolidation, reclaim, preempt' };

async function status(url: string): Promise<number> {
  return (await fetch(url)).status;
}

onCluster('the process', { args: null }, (bed) => {
  const start = async (config: object | string = FOUR_ACTIONS): Promise<void> => {
    await bed().startScheduler('scheduler', { args: [`--scheduler-conf=${bed().writeConfig(config)}`] });
  };
  const untilLogged = (text: RegExp): Promise<void> => bed().until(String(text), () => text.test(bed().scheduler().program.log()));

  test('health, metrics, snapshot', async () => {
    await bed().createCluster(1);
    await start();
    await bed().untilRunning(await bed().createGang('gang', 4, { gpus: 1 }));
    const { metricsUrl, pluginUrl } = bed().scheduler();
    for (const path of ['healthz', 'livez', 'readyz']) expect(await status(`${metricsUrl}/${path}`)).toBe(200);
    const metrics = await bed().metrics();
    expect(metrics).toMatch(/^kai_e2e_scheduling_latency/m);
    expect(metrics).toMatch(/^kai_action_scheduling_latency/m);
    const snapshot = await fetch(`${pluginUrl}/get-snapshot`);
    expect(snapshot.status).toBe(200);
    expect([...new Uint8Array(await snapshot.arrayBuffer()).subarray(0, 2)]).toEqual([0x50, 0x4b]);
  });

  test('actions and the number of threads change without a restart', async () => {
    await bed().create(nodeObject('n1', { gpus: 1 }), queueObject('examples'));
    await start({ actions: 'allocate', workers: 0 });
    const low = await bed().createGang('low', 1, { gpus: 1, groupSpec: { priorityClassName: 'train' } });
    await bed().untilRunning(low);
    const high = await bed().createGang('high', 1, { gpus: 1, groupSpec: { priorityClassName: 'build-preemptible' } });
    await bed().untilUnschedulable(high);
    expect(bed().nodeOf(low[0]!)).toBe('n1');
    const { pid } = bed().scheduler().program;
    bed().writeConfig({ ...FOUR_ACTIONS, workers: 1 });
    await bed().untilRunning(high);
    await untilLogged(/cycles run on 1 thread/);
    expect(bed().scheduler().program.pid).toBe(pid);
  });

  test('a changed configuration that cannot be used is refused, the previous one stays', async () => {
    await bed().createCluster(1);
    await start();
    bed().writeConfig('actions: [');
    await untilLogged(/the changed configuration is refused, the previous one stays in use: .*not valid YAML/);
    await bed().untilRunning(await bed().createGang('gang', 8, { gpus: 1 }));
    bed().writeConfig({ actions: 'allocate, teleport' });
    await untilLogged(/refused, the previous one stays in use: .*teleport/);
    await bed().untilRunning(await bed().createGang('next', 1));
    bed().writeConfig({ actions: 'allocate' });
    await untilLogged(/the configuration has changed and is in use/);
  });

  test('a first configuration that cannot be used ends the process with the reason', async () => {
    const args = [`--scheduler-conf=${bed().writeConfig({ actions: 'teleport' })}`];
    const { program } = await bed().startScheduler('scheduler', { args, isAwaited: false });
    expect(await bed().untilEnded('scheduler')).toBe(1);
    expect(program.log()).toContain('teleport');
  });
});
