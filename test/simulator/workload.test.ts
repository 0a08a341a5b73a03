import { describe, expect, test } from 'vitest';
import { totalGpus } from '../../src/simulator/generatedCluster.ts';
import { generateWorkload } from '../../src/simulator/generatedJobs.ts';
import { type Arrival, EPOCH_MS, type Workload } from '../../src/simulator/workload.ts';

function take(workload: Workload, untilMs: number): Arrival[] {
  const arrivals: Arrival[] = [];
  while (workload.nextAtMs() <= untilMs) arrivals.push(workload.next());
  return arrivals;
}

const gpusOf = ({ pods, demand }: Arrival): number =>
  pods.length * (demand.gpuMemoryMib > 0 ? 0.2 : (demand.gpuCount * demand.gpuMilliEach) / 1000);

describe('generated workload', () => {
  test('is a function of the seed', () => {
    const draw = (seed: number): string => {
      const workload = generateWorkload({ nodes: 50, seed });
      return JSON.stringify([workload.nodes, workload.objects, take(workload, EPOCH_MS + 3_600_000)]);
    };
    expect(draw(3)).toBe(draw(3));
    expect(draw(3)).not.toBe(draw(4));
  });

  test('has all kinds of nodes and jobs, in order of time, a backlog of 115 % and a load of 110 % of the GPUs', () => {
    const hours = 12;
    const workload = generateWorkload({ nodes: 500, seed: 5 });
    const gpus = totalGpus(workload.nodes);
    const arrivals = take(workload, EPOCH_MS + hours * 3_600_000);
    for (let i = 1; i < arrivals.length; i++) expect(arrivals[i]!.atMs).toBeGreaterThanOrEqual(arrivals[i - 1]!.atMs);
    expect(new Set(arrivals.map((a) => a.podGroup.metadata.name.split('-')[0]))).toEqual(
      new Set(['single', 'gang', 'fraction', 'memory', 'elastic', 'cpu']),
    );
    expect(new Set(arrivals.map((a) => a.podGroup.spec?.priorityClassName)).size).toBe(4);
    expect(new Set(workload.nodes.map((n) => n.status?.allocatable?.['nvidia.com/gpu'] ?? '0'))).toEqual(new Set(['8', '4', '0']));
    const backlog = arrivals.filter((a) => a.atMs === EPOCH_MS).reduce((sum, a) => sum + gpusOf(a), 0);
    expect(backlog / gpus).toBeCloseTo(1.15, 1);
    const gpuMs = arrivals.filter((a) => a.atMs > EPOCH_MS).reduce((sum, a) => sum + gpusOf(a) * a.runMs, 0);
    expect(gpuMs / (gpus * hours * 3_600_000)).toBeCloseTo(1.1, 1);
  });

  test('names jobs once, keeps the members of gangs together and elastic jobs elastic', () => {
    const arrivals = take(generateWorkload({ nodes: 200, seed: 6 }), EPOCH_MS + 3_600_000);
    expect(new Set(arrivals.map((a) => a.podGroup.metadata.uid)).size).toBe(arrivals.length);
    for (const { podGroup, pods } of arrivals) {
      const kind = podGroup.metadata.name.split('-')[0];
      if (kind === 'gang') expect(podGroup.spec?.minMember).toBe(pods.length);
      if (kind === 'elastic') expect(podGroup.spec?.minMember).toBeLessThan(pods.length);
      for (const pod of pods) expect(pod.metadata.annotations?.['pod-group-name']).toBe(podGroup.metadata.name);
    }
  });

  test('department quotas are the sums of their teams and stay within the cluster', () => {
    const { objects, nodes } = generateWorkload({ nodes: 100, seed: 1 });
    const queues = objects.queues ?? [];
    const quota = (name: string): number => queues.find((q) => q.metadata.name === name)?.spec?.resources?.gpu?.quota ?? 0;
    const tops = queues.filter((q) => q.spec?.parentQueue === undefined);
    for (const top of tops) {
      const children = queues.filter((q) => q.spec?.parentQueue === top.metadata.name);
      expect(children.reduce((sum, q) => sum + quota(q.metadata.name), 0)).toBe(quota(top.metadata.name));
    }
    expect(tops.reduce((sum, q) => sum + quota(q.metadata.name), 0)).toBeLessThanOrEqual(totalGpus(nodes));
  });
});
