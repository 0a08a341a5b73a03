import { describe, expect, it } from 'vitest';
import { findGpu, reportGpu } from '../../src/binder/reservationAgent.ts';
import { RESERVATIONS, smallCluster } from './cluster.ts';

const absent = () => Promise.reject(Object.assign(new Error('spawn nvidia-smi ENOENT'), { code: 'ENOENT' }));
const UUID = 'GPU-5f0c3a2e-1111-2222-3333-444455556666';

describe('the GPU of a reservation pod', () => {
  it.each([
    ['nvidia-smi', () => Promise.resolve(`${UUID}\n`), {}, UUID],
    ['nvidia-smi before the environment', () => Promise.resolve(`${UUID}\n`), { NVIDIA_VISIBLE_DEVICES: 'GPU-other' }, UUID],
    ['the environment', absent, { NVIDIA_VISIBLE_DEVICES: UUID }, UUID],
    ['the environment in CDI form', absent, { NVIDIA_VISIBLE_DEVICES: `k8s.device-plugin.nvidia.com/gpu=${UUID}` }, UUID],
  ])('is found by %s', async (_, listGpus, env, expected) => {
    expect(await findGpu(env, listGpus)).toBe(expected);
  });

  it.each([
    ['no GPU at all', absent, {}, 'NO_GPU', 'found 0 devices, 1 was expected (there is no nvidia-smi, and NVIDIA_VISIBLE_DEVICES is "")'],
    ['all devices', absent, { NVIDIA_VISIBLE_DEVICES: 'all' }, 'NO_GPU', 'NVIDIA_VISIBLE_DEVICES is "all"'],
    ['none', absent, { NVIDIA_VISIBLE_DEVICES: 'void' }, 'NO_GPU', 'found 0 devices'],
    ['a broken driver', () => Promise.reject(new Error('cannot talk to the driver')), {}, 'NO_GPU', 'cannot talk to the driver'],
    ['several', () => Promise.resolve('GPU-a\nGPU-b\n'), {}, 'GPU_COUNT', 'found 2 devices, 1 was expected'],
  ])('is an error with %s', async (_, listGpus, env, code, text) => {
    await expect(findGpu(env, listGpus)).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
  });

  it('is written on the own pod once', async () => {
    const { api, clock } = smallCluster();
    api.put(RESERVATIONS, { metadata: { name: 'r', namespace: 'kai-resource-reservation' }, spec: {} });
    const env = { POD_NAMESPACE: 'kai-resource-reservation', POD_NAME: 'r' };
    const report = (id: string) => clock.run(reportGpu(api, env, () => Promise.resolve(id)));
    expect(await report('GPU-a')).toBe('GPU-a');
    expect(api.get(`${RESERVATIONS}/r`)!.metadata.annotations).toEqual({ 'run.ai/reserve_for_gpu_index': 'GPU-a' });
    // The container starts again, perhaps with another device: what was said first holds.
    expect(await report('GPU-b')).toBe('GPU-a');
    await expect(reportGpu(api, {}, absent)).rejects.toMatchObject({ code: 'BAD_ENVIRONMENT' });
  });
});
