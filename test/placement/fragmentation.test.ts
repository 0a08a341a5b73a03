import { describe, expect, test } from 'vitest';
import { compileNodeConstraints, nodeConstraintCode } from '../../src/engine/filters/nodeConstraints.ts';
import { classOf } from '../../src/engine/placement/classIndex.ts';
import { fragmentationKey } from '../../src/engine/placement/fragmentation.ts';
import { chooseDevices } from '../../src/engine/placement/gpuChoice.ts';
import { type TypicalPod, typicalPods } from '../../src/engine/placement/typicalPods.ts';
import { requestOf } from '../../src/engine/session/occupy.ts';
import type { Session } from '../../src/engine/session/session.ts';
import { snapshotOf } from '../determinism/compare.ts';
import { randomCluster } from '../support/randomCluster.ts';
import { BUILT_IN, clusterOf, FRAGMENTATION, FRAGMENTATION_BY_ARGUMENT, openWith, podRowOf } from './cluster.ts';
import { twinChoice, twinNode } from './fragmentationTwin.ts';

const STEP = 2 ** 20;
const CPUS = 1_000_000;

/** Key of the pod's class on the node of that name, scores above it left out. */
function keyOn(s: Session, pod: string, node: string, tieBreak = 0): number {
  const row = podRowOf(s.view, pod);
  const r = requestOf(s, row);
  return fragmentationKey(s.evaluator.fragmentation!, r, s.nodeName.indexOf(node), 0, r.isGpuTask, tieBreak);
}

describe('worked examples', () => {
  test('half a GPU beside half a GPU frees the others from waste', () => {
    const nodes = [
      { name: 'a', gpus: 2, milliCpu: CPUS },
      { name: 'b', gpus: 2, milliCpu: CPUS },
    ];
    const s = openWith(
      clusterOf(nodes, [
        { name: 'r', gpus: 0.5, node: 'a', group: 'g' },
        { name: 'p', gpus: 0.5 },
        { name: 'w1', gpus: 1 },
        { name: 'w2', gpus: 1 },
      ]),
      FRAGMENTATION,
    );
    // Typical: 2 pods of 0.5, 2 of 1. On a, 1.5 GPUs free: the halves can use all of it, the whole ones 1, so 2 × 500 are
    // useless. With p in the group: 1 free, nothing useless. Gradient −1000 / 4 pods = −250 milli = −12.5 steps of 20.
    expect(keyOn(s, 'p', 'a')).toBe(12 * STEP - 1500);
    // On b nothing is useless before; after it, the free half is for two pods of four: 1000 / 4 = 250 = 12.5 steps.
    expect(keyOn(s, 'p', 'b')).toBe(-13 * STEP - 2000);
    // A whole GPU of a: 500 left for halves only, before and after, 2 × 500 of 1500 and 2 × 500 of 500 useless: no change.
    expect(keyOn(s, 'w1', 'a')).toBe(-1500);
    expect(keyOn(s, 'w1', 'b')).toBe(-2000);
  });

  test('CPU that GPUs need is not given away', () => {
    const s = openWith(
      clusterOf(
        [
          { name: 'a', gpus: 2, milliCpu: 8000 },
          { name: 'c', gpus: 0, milliCpu: 8000 },
        ],
        [
          { name: 'w', gpus: 1, milliCpu: 4000 },
          { name: 'c3', gpus: 0, milliCpu: 3000 },
          { name: 'c5', gpus: 0, milliCpu: 5000 },
        ],
      ),
      FRAGMENTATION,
    );
    // Before: 8 CPUs for two pods of 4. After 3 CPUs are gone, 5 suffice for 1.25 of 2 GPUs: a quarter of 750 = 187.5 milli.
    expect(keyOn(s, 'c3', 'a', 8000)).toBe(-9 * STEP - 8000);
    // After 5 CPUs are gone no typical pod fits: 2000 milli.
    expect(keyOn(s, 'c5', 'a', 8000)).toBe(-100 * STEP - 8000);
    // A node without GPUs has none to lose.
    expect(keyOn(s, 'c5', 'c', 8000)).toBe(-8000);
    // One whole GPU with its CPU: 1 GPU and 4 CPUs are left, of use for the next one.
    expect(keyOn(s, 'w', 'a')).toBe(-2000);
  });

  test('GPUs that others may not use are taken first', () => {
    const s = openWith(
      clusterOf(
        [
          { name: 'a', gpus: 2, milliCpu: CPUS, labels: { model: 'A' } },
          { name: 'b', gpus: 2, milliCpu: CPUS, labels: { model: 'B' } },
        ],
        [
          { name: 'any', gpus: 1 },
          { name: 'only', gpus: 1, nodeSelector: { model: 'A' } },
          { name: 'only2', gpus: 1, nodeSelector: { model: 'A' } },
        ],
      ),
      FRAGMENTATION,
    );
    // On b two pods of three have no use for the 2000 free milli: before 4000, after 2000, gradient −2000 / 3.
    expect(keyOn(s, 'any', 'b')).toBe(33 * STEP - 2000);
    expect(keyOn(s, 'any', 'a')).toBe(-2000);
  });

  test('device choice: the group that leaves a usable rest, not the fullest', () => {
    const view = clusterOf(
      [{ name: 'a', gpus: 2, milliCpu: CPUS }],
      [
        { name: 'r1', gpus: 0.5, node: 'a', group: 'g1' },
        { name: 'r2', gpus: 0.7, node: 'a', group: 'g2' },
        { name: 'p', gpus: 0.2 },
        ...Array.from({ length: 9 }, (_, i) => ({ name: `t${i}`, gpus: 0.3 })),
      ],
    );
    // In g2, 300 free become 100, lost to nine pods of 0.3; in g1, 500 become 300, lost to one pod of 0.5.
    const groups = (s: Session): readonly string[] => {
      const choice = chooseDevices(s.evaluator, requestOf(s, podRowOf(view, 'p')), 0, false);
      return choice!.groups.map((g) => (g < 0 ? 'new' : s.groupNames[g]!));
    };
    expect(groups(openWith(view, FRAGMENTATION))).toEqual(['g1']);
    expect(groups(openWith(view, BUILT_IN))).toEqual(['g2']);
  });
});

describe('typical pods', () => {
  test('pending and running pods by the GPUs they ask for; equal demands are one', () => {
    const view = clusterOf(
      [{ name: 'a', gpus: 8, milliCpu: CPUS }],
      [
        { name: 'c', gpus: 0, milliCpu: 1000 },
        { name: 'f1', gpus: 0.5 },
        { name: 'f2', gpus: 0.5, node: 'a', group: 'g' },
        { name: 'f3', gpus: 0.5, nodeSelector: { x: 'y' } },
        { name: 'w', gpus: 4, milliCpu: 2000 },
      ],
    );
    const brief = (pods: readonly TypicalPod[]): unknown =>
      pods.map((p) => [p.podCount, p.deviceCount, p.portion, p.milliCpu, p.constraintText]);
    expect(brief(typicalPods(view, 10_000))).toEqual([
      [1, 4, 1, 2000, '[null,null,null]'],
      [2, 1, 0.5, 0, '[null,null,null]'],
      [1, 1, 0.5, 0, '[{"x":"y"},null,null]'],
    ]);
  });

  test('without any, the fuller node is taken', () => {
    const nodes = [
      { name: 'a', gpus: 4, milliCpu: 8000 },
      { name: 'b', gpus: 2, milliCpu: 8000 },
    ];
    const s = openWith(clusterOf(nodes, [{ name: 'c', gpus: 0, milliCpu: 1000 }]), FRAGMENTATION);
    expect(keyOn(s, 'c', 'a', 7)).toBe(-7);
  });
});

test('off unless asked for; both switches mean the same', () => {
  const view = clusterOf([{ name: 'a', gpus: 2, milliCpu: 8000 }], [{ name: 'p', gpus: 0.5 }]);
  expect(openWith(view, BUILT_IN).evaluator.fragmentation).toBeNull();
  const [one, other] = [openWith(view, FRAGMENTATION), openWith(view, FRAGMENTATION_BY_ARGUMENT)];
  expect(one.policies).toEqual(other.policies);
  expect(keyOn(one, 'p', 'a')).toBe(keyOn(other, 'p', 'a'));
});

test('kernel and plain twin agree on every node of random clusters', () => {
  let keys = 0;
  let choices = 0;
  let several = 0;
  for (let seed = 0; seed < 400; seed++) {
    const view = snapshotOf(randomCluster(seed));
    const s = openWith(view, FRAGMENTATION);
    const largest = Math.max(...Array.from(s.state.facts.gpuMemoryMib).filter((_, n) => s.state.facts.allocGpu[n]! > 0));
    const typical = typicalPods(view, largest);
    for (let p = 0; p < view.pods.rows; p++) {
      if (view.pods.used[p] !== 1 || s.dra.isConcerned(p)) continue;
      const r = requestOf(s, p);
      const { key } = classOf(s.classes, r, view.pods.signatureRow[p]!).columns;
      for (let n = 0; n < key.length; n++) {
        if (key[n] === Number.NEGATIVE_INFINITY || s.state.facts.allocGpu[n]! <= 0) continue;
        const allows = (pod: TypicalPod): boolean =>
          nodeConstraintCode(view, compileNodeConstraints(view, pod.signatureRow), s.state.facts.row[n]!) === 0;
        const node = twinNode(s, n, r, allows);
        const expected = twinChoice(node, typical, r);
        const where = `cluster ${seed}, pod ${p}, node ${n}`;
        if (r.isShared) {
          expect(chooseDevices(s.evaluator, r, n, false)?.groups, where).toEqual(expected?.groups);
          choices++;
          if (node.devices.filter((d) => d.afterMilli !== null).length > r.deviceCount) several++;
        }
        const value = fragmentationKey(s.evaluator.fragmentation!, r, n, 0, true, 0);
        const free = node.devices.reduce((sum, d) => sum + d.freeMilli, 0);
        const steps = expected!.gradientMilli / 20;
        expect(Math.abs((-value - free) / STEP - steps), where).toBeLessThanOrEqual(0.5 + 1e-6);
        keys++;
      }
    }
  }
  // Else the clusters would prove nothing.
  expect(Math.min(keys / 10, choices, several)).toBeGreaterThan(100);
});
