import type { Node } from '../../src/base/objects.ts';
import type { Draw } from './draw.ts';

export const ZONES = ['zone-a', 'zone-b', 'zone-c'] as const;
export const MIG_SMALL = 'nvidia.com/mig-1g.5gb';
export const MIG_LARGE = 'nvidia.com/mig-3g.20gb';

/** GPU side of a node: plain devices, MIG instances with strategy `mixed`, or whole devices under strategy `single`. */
function drawGpus(draw: Draw, labels: Record<string, string>, allocatable: Record<string, string>): void {
  const gpus = draw.pick([1, 2, 4, 8, 8, 8, 4, 0, 3, 6]);
  const memory = draw.pick(['16384', '40960', '81559', '81559', '42949672960', undefined, '40960', 'unreadable']);
  const kind = draw.chance(0.2) ? draw.pick(['mixed', 'single']) : 'plain';
  if (memory !== undefined && gpus > 0) labels['nvidia.com/gpu.memory'] = memory;
  if (kind === 'mixed') {
    labels['nvidia.com/mig.strategy'] = 'mixed';
    if (draw.chance(0.5)) labels['node-role.kubernetes.io/mig-enabled'] = 'true';
    allocatable[MIG_SMALL] = String(draw.int(1, 4));
    allocatable[MIG_LARGE] = String(draw.int(0, 2));
    return;
  }
  if (kind === 'single') {
    labels['nvidia.com/mig.strategy'] = 'single';
    labels['node-role.kubernetes.io/mig-enabled'] = 'true';
  }
  if (gpus > 0) allocatable[draw.chance(0.05) ? 'amd.com/gpu' : 'nvidia.com/gpu'] = String(gpus);
  // Sometimes a label that does not agree with what is allocatable: only spread scoring may read it (spec 03 section 4.11).
  if (draw.chance(0.4)) labels['nvidia.com/gpu.count'] = String(draw.chance(0.15) ? gpus + 1 : gpus);
}

function drawTaints(draw: Draw): { key: string; value: string; effect: string }[] {
  if (!draw.chance(0.2)) return [];
  return [{ key: 'dedicated', value: draw.pick(['red', 'blue']), effect: draw.pick(['NoSchedule', 'PreferNoSchedule', 'NoExecute']) }];
}

function drawConditions(draw: Draw): { type: string; status: string }[] {
  const ready = { type: 'Ready', status: draw.chance(0.06) ? draw.pick(['False', 'Unknown']) : 'True' };
  return draw.chance(0.03) ? [ready, { type: draw.pick(['MemoryPressure', 'DiskPressure', 'PIDPressure']), status: 'True' }] : [ready];
}

/** A node with 0 to 8 GPUs or MIG instances, labels, taints, conditions; a few are cordoned or of another node pool. */
export function drawNode(draw: Draw, index: number): Node {
  const name = `node-${index}`;
  const labels: Record<string, string> = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': draw.pick(ZONES) };
  const allocatable: Record<string, string> = {
    cpu: draw.pick(['32', '16', '64', '8', '4', '2500m']),
    memory: draw.pick(['64Gi', '32Gi', '16G', '128Gi']),
    pods: draw.pick(['110', '110', '110', '20', '8', '5', '3']),
  };
  drawGpus(draw, labels, allocatable);
  if (draw.chance(0.25)) allocatable['example.com/nic'] = String(draw.int(1, 3));
  if (draw.chance(0.3)) labels.disk = draw.pick(['ssd', 'hdd']);
  if (draw.chance(0.03)) labels['kai.scheduler/node-pool'] = 'other';
  const taints = drawTaints(draw);
  const conditions = drawConditions(draw);
  return {
    metadata: { name, uid: name, labels, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { ...(draw.chance(0.03) ? { unschedulable: true } : {}), ...(taints.length > 0 ? { taints } : {}) },
    status: { allocatable, capacity: allocatable, conditions },
  };
}
