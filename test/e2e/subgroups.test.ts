// Trees of sub-groups: which members must run together, which may wait. Each member is one pod of 100m, the queue has a CPU limit.
import { expect, test } from 'vitest';
import { type Bed, onCluster, TEAM } from './support/bed.ts';
import { nodeObject, podGroupObject, podObject, queueObject } from './support/objects.ts';

interface Tree {
  readonly minMember?: number;
  readonly minSubGroup?: number;
  readonly subGroups: readonly {
    readonly name: string;
    readonly parent?: string;
    readonly minMember?: number;
    readonly minSubGroup?: number;
  }[];
}

const NAMES = ['one', 'two', 'three', 'four'] as const;
const FLAT: Tree = { minSubGroup: 3, subGroups: NAMES.map((name) => ({ name, minMember: 2 })) };
const PAIR: Tree = { minMember: 4, subGroups: NAMES.slice(0, 2).map((name) => ({ name, minMember: 2 })) };

/** Sets of leaders and workers, both needed. */
function twoLevels(sets: readonly string[], workers: number, minSubGroup?: number): Tree {
  return {
    minSubGroup,
    subGroups: sets.flatMap((name) => [
      { name, minSubGroup: 2 },
      { name: `${name}-leaders`, parent: name, minMember: 1 },
      { name: `${name}-workers`, parent: name, minMember: workers },
    ]),
  };
}

const OPTIONAL: Tree = {
  minSubGroup: 2,
  subGroups: [
    { name: 'required', minSubGroup: 2 },
    { name: 'optional', minSubGroup: 0 },
    ...['required', 'optional'].flatMap((parent) => ['a', 'b'].map((leaf) => ({ name: `${parent}-${leaf}`, parent, minMember: 1 }))),
  ],
};

function every(names: readonly string[], count: number): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, count]));
}

const SERVING = { 'decode-leaders': 1, 'decode-workers': 4, 'prefill-leaders': 1, 'prefill-workers': 4 };
const RANKS = ['r1', 'r2', 'r3'];
const THREE_SETS = {
  ...every(
    RANKS.map((name) => `${name}-leaders`),
    1,
  ),
  ...every(
    RANKS.map((name) => `${name}-workers`),
    2,
  ),
};
const LEAVES = every(['required-a', 'required-b', 'optional-a', 'optional-b'], 1);

/** Sub-group of each pod `tree-<i>`. */
async function submit(bed: Bed, tree: Tree, pods: Readonly<Record<string, number>>): Promise<Map<string, string>> {
  await bed.create(podGroupObject(TEAM, 'tree', 'q', tree));
  const leaves = Object.entries(pods).flatMap(([name, count]) => Array.from({ length: count }, () => name));
  await bed.create(...leaves.map((subGroup, i) => podObject(TEAM, `tree-${i}`, { group: 'tree', subGroup, cpu: '100m' })));
  return new Map(leaves.map((leaf, i) => [`${TEAM}/tree-${i}`, leaf]));
}

async function createQueue(bed: Bed, limit: number, filler: number): Promise<void> {
  await bed.create(nodeObject('n1', { gpus: 0 }), queueObject('dept'), queueObject('q', { parent: 'dept', cpu: { limit } }));
  if (filler > 0) await bed.untilRunning(await bed.createGang('filler', 1, { queue: 'q', cpu: `${filler}m` }));
}

onCluster('sub-groups', {}, (bed) => {
  test.each([
    ['as many sets as needed, and the rest if there is room', FLAT, every(NAMES, 2), 800, 0, 8],
    ['room for three sets of four', FLAT, every(NAMES, 2), 800, 200, 6],
    ['room for less than three sets: nobody', FLAT, every(NAMES, 2), 800, 500, 0],
    ['two levels', twoLevels(['decode', 'prefill'], 4), SERVING, 1000, 0, 10],
    ['two levels, one of them does not fit: nobody', twoLevels(['decode', 'prefill'], 4), SERVING, 1000, 700, 0],
    ['two levels, two of three sets', twoLevels(RANKS, 2, 2), THREE_SETS, 1000, 400, 6],
    ['an optional subtree where there is room', OPTIONAL, LEAVES, 400, 0, 4],
  ] as const)('%s', async (_, tree, pods, limit, filler, scheduled) => {
    await createQueue(bed(), limit, filler);
    const leaves = await submit(bed(), tree, pods);
    const keys = [...leaves.keys()];
    await bed().until(`${scheduled} pods`, () => bed().boundOf(keys).length === scheduled);
    await bed().untilUnschedulable(keys.filter((key) => bed().nodeOf(key) === undefined));
    expect(bed().boundOf(keys)).toHaveLength(scheduled);
    // Whole sets only: no leaf has a part of its pods.
    const perLeaf = Object.entries(pods).map(([leaf, count]) => [
      bed().boundOf(keys.filter((key) => leaves.get(key) === leaf)).length,
      count,
    ]);
    for (const [bound, count] of perLeaf) expect([0, count]).toContain(bound);
  });

  test('an optional subtree without room waits, the required one runs', async () => {
    await createQueue(bed(), 400, 200);
    const leaves = await submit(bed(), OPTIONAL, LEAVES);
    const required = [...leaves.keys()].filter((key) => leaves.get(key)!.startsWith('required'));
    await bed().untilRunning(required);
    const optional = [...leaves.keys()].filter((key) => !required.includes(key));
    await bed().untilUnschedulable(optional);
    expect(bed().boundOf(optional)).toEqual([]);
  });

  test('without a number of sets all are needed, and surplus pods share what is left', async () => {
    await createQueue(bed(), 600, 0);
    const leaves = await submit(bed(), PAIR, { one: 3, two: 3 });
    await bed().untilRunning([...leaves.keys()]);
  });

  test('two jobs of two sub-groups share what there is', async () => {
    await createQueue(bed(), 600, 0);
    const names = ['left', 'right'];
    const tree = {
      minMember: 2,
      subGroups: [
        { name: 'one', minMember: 1 },
        { name: 'two', minMember: 1 },
      ],
    };
    await bed().create(...names.map((name) => podGroupObject(TEAM, name, 'q', tree)));
    const pods = names.flatMap((group) =>
      [0, 1, 2, 3, 4, 5].map((i) => ({ key: `${TEAM}/${group}-${i}`, group, subGroup: i < 3 ? 'one' : 'two' })),
    );
    await bed().create(
      ...pods.map(({ key, group, subGroup }) => podObject(TEAM, key.slice(TEAM.length + 1), { group, subGroup, cpu: '100m' })),
    );
    const keysOf = (group: string, subGroup?: string): string[] =>
      pods.filter((pod) => pod.group === group && (subGroup ?? pod.subGroup) === pod.subGroup).map(({ key }) => key);
    await bed().until('six pods', () => bed().boundOf(pods.map(({ key }) => key)).length === 6);
    for (const group of names) {
      expect(bed().boundOf(keysOf(group))).toHaveLength(3);
      for (const subGroup of ['one', 'two']) expect(bed().boundOf(keysOf(group, subGroup)).length).toBeGreaterThan(0);
    }
  });

  test('a sub-group that lacks pods is named', async () => {
    await createQueue(bed(), 1000, 0);
    const tree = {
      minMember: 7,
      subGroups: [
        { name: 'one', minMember: 2 },
        { name: 'two', minMember: 5 },
      ],
    };
    const leaves = await submit(bed(), tree, { one: 2, two: 3 });
    await bed().untilEvent('tree', 'NotReady', /Waiting for 5 pods for SubGroup two, currently 3 exist, 0 are gated/);
    expect(bed().boundOf([...leaves.keys()])).toEqual([]);
  });

  test.each(['preempt', 'reclaim'] as const)('%s takes sets beyond the needed number, no more', async (action) => {
    const isReclaim = action === 'reclaim';
    await bed().create(
      nodeObject('n1', { gpus: 0 }),
      queueObject('dept', { cpu: { quota: isReclaim ? 400 : 600, limit: isReclaim ? 400 : 600 } }),
    );
    const cpu = { quota: isReclaim ? 200 : 600 };
    await bed().create(queueObject('q', { parent: 'dept', cpu }), queueObject('other', { parent: 'dept', cpu: { quota: 200 } }));
    const tree = { minSubGroup: 2, subGroups: NAMES.map((name) => ({ name, minMember: 1 })), priorityClassName: 'train' };
    const low = [...(await submit(bed(), tree, every(NAMES, 1))).keys()];
    await bed().untilRunning(low);
    const high = isReclaim
      ? await bed().createGang('taker', 1, { queue: 'other', cpu: '200m' })
      : await bed().createGang('taker', 1, { queue: 'q', cpu: '300m', groupSpec: { priorityClassName: 'build-preemptible' } });
    await bed().untilRunning(high);
    expect(low.filter((key) => bed().isStaying(key)).length).toBeGreaterThanOrEqual(2);
  });
});
