import type { PodGroup, SubGroup } from '../../src/base/objects.ts';
import type { Draw } from './draw.ts';
import type { QueueTree } from './randomQueues.ts';

/** A pod group and for each of its pods the sub-group label ('' = none). */
export interface JobPlan {
  readonly group: PodGroup;
  readonly members: readonly string[];
}

interface Tree {
  readonly spec: { minMember?: number; minSubGroup?: number; subGroups?: SubGroup[] };
  readonly members: string[];
}

/** A gang without sub-groups: from elastic with nothing required to one that is a pod short. */
function drawFlat(draw: Draw): Tree {
  const pods = draw.pick([1, 1, 2, 3, 4, 5]);
  const minMember = draw.pick([undefined, pods, pods, pods, 1, 1, Math.max(pods - 1, 0), Math.max(pods - 1, 0), 0, 0, undefined, pods + 1]);
  return { spec: minMember === undefined ? {} : { minMember }, members: Array<string>(pods).fill('') };
}

/** Two levels of sub-groups: leaves below the root or below one inner sub-group, K of n at both. */
function drawTree(draw: Draw): Tree {
  const leaves = draw.int(2, 4);
  const hasInner = draw.chance(0.5);
  const subGroups: SubGroup[] = [];
  const members: string[] = [];
  let below = 0;
  for (let i = 0; i < leaves; i++) {
    const isBelow = hasInner && draw.chance(0.6);
    if (isBelow) below++;
    const parent = draw.chance(0.02) ? 'nowhere' : 'inner';
    subGroups.push({ name: `leaf-${i}`, minMember: draw.pick([1, 1, 2, 0]), ...(isBelow ? { parent } : {}) });
    for (let pod = draw.int(1, 3); pod > 0; pod--) members.push(draw.chance(0.03) ? 'unknown' : `leaf-${i}`);
  }
  if (below > 0) subGroups.push({ name: 'inner', ...(draw.chance(0.6) ? { minSubGroup: draw.int(0, below) } : {}) });
  const roots = leaves - below + (below > 0 ? 1 : 0);
  return { spec: { subGroups, ...(draw.chance(0.5) ? { minSubGroup: draw.int(0, roots) } : {}) }, members };
}

/** A job in one of the leaf queues, rarely in an inner or a missing one; flat, elastic or with sub-groups. */
export function drawJob(draw: Draw, index: number, tree: QueueTree): JobPlan {
  const name = `job-${index}`;
  const { spec, members } = draw.chance(0.25) ? drawTree(draw) : drawFlat(draw);
  const everywhere = [...tree.queues.map((queue) => queue.metadata.name), 'no-such-queue'];
  const queue = draw.chance(0.05) ? draw.pick(everywhere) : draw.pick(tree.leaves.length > 0 ? tree.leaves : everywhere);
  const priorityClassName = draw.pick(['train', 'train', 'train', 'build', 'inference', undefined, 'no-such-class']);
  const preemptibility = draw.pick([undefined, undefined, undefined, 'preemptible', 'non-preemptible']);
  return {
    members,
    group: {
      metadata: {
        name,
        namespace: draw.pick(['team-a', 'team-b']),
        uid: name,
        creationTimestamp: `2026-01-01T03:0${draw.int(0, 4)}:00Z`,
      },
      spec: {
        queue,
        ...(priorityClassName === undefined ? {} : { priorityClassName }),
        ...(preemptibility === undefined ? {} : { preemptibility }),
        ...spec,
      },
    },
  };
}
