import { isTolerated, termSelects } from './labels.ts';
import { hostPorts, type NodeBook } from './nodeBooks.ts';
import type { AuditNode } from './nodes.ts';
import { devicePortion } from './requests.ts';
import { type AuditPod, hasPlugin, type World } from './world.ts';

/**
 * Everything but amounts that a node must be for a pod (spec 03 section 7.3); called before the pod is booked. Pod affinity
 * is checked when the whole attempt is known.
 */
export function checkPredicates(world: World, pod: AuditPod, book: NodeBook): void {
  if (!hasPlugin(world.config, 'predicates')) return;
  const { findings } = world;
  const { node } = book;
  const object = `pod ${pod.key}`;
  for (const obstacle of node.obstacles) findings.add('node-unusable', object, `on node ${node.name}, but ${obstacle}`);
  const { spec } = pod.pod;
  for (const taint of node.node.spec?.taints ?? []) {
    if (taint.effect !== 'NoSchedule' && taint.effect !== 'NoExecute') continue;
    if (!isTolerated(taint, spec.tolerations ?? []))
      findings.add('node-taint', object, `on node ${node.name}, whose taint ${taint.key} it does not tolerate`);
  }
  const isSelected = Object.entries(spec.nodeSelector ?? {}).every(
    ([key, value]) => Object.hasOwn(node.labels, key) && node.labels[key] === value,
  );
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const isWanted =
    required === null || required === undefined || (required.nodeSelectorTerms ?? []).some((t) => termSelects(t, node.labels, node.name));
  if (!isSelected || !isWanted) findings.add('node-affinity', object, `on node ${node.name}, which its selector or node affinity excludes`);
  const kind = kindProblem(world, pod, node);
  if (kind !== null) findings.add('node-kind', object, `on node ${node.name}: ${kind}`);
  checkPorts(world, pod, book);
}

/** Why a node is of the wrong kind for the pod's GPUs, or null (spec 03 section 7.3 steps 2, 3 and 8). */
function kindProblem(world: World, pod: AuditPod, node: AuditNode): string | null {
  const { request: r, claimGpus } = pod;
  if (r.isLegacyMig) return 'pods with a MIG annotation cannot be placed';
  const isGpuTask =
    r.wholeGpus > 0 ||
    claimGpus > 0 ||
    r.kind === 'mig' ||
    (r.kind === 'shared' && (r.memoryMib > 0 || Math.floor(r.portion * 100 + 0.5) > 0));
  if (world.config.params.restrictSchedulingNodes) {
    if (isGpuTask && !node.isGpuWorker) return 'it is no GPU worker';
    if (!isGpuTask && !node.isCpuWorker) return 'it is no CPU worker';
  }
  if (!isGpuTask) return null;
  if (r.kind === 'shared' && node.sliceGpus > 0) return 'shared GPUs do not go with claimed devices';
  if (r.kind === 'mig' && node.mig === 'no') return 'it has no MIG';
  if (r.kind !== 'regular' && node.mig === 'single') return 'only whole GPUs with MIG strategy single';
  if (r.kind !== 'mig' && node.mig === 'mixed') return 'only MIG profiles with MIG strategy mixed';
  if (r.memoryMib > 0 && !node.isGpuMemoryKnown) return 'its GPU memory is not known';
  if (r.kind === 'shared' && devicePortion(r, node.gpuMib) > 1) return 'one device is too small for the request';
  return null;
}

function checkPorts(world: World, pod: AuditPod, book: NodeBook): void {
  for (const wanted of hostPorts(pod)) {
    for (const [owner, ports] of book.ports) {
      const isTaken =
        owner !== pod.key &&
        ports.some((p) => p.port === wanted.port && (p.ip === wanted.ip || p.ip === '0.0.0.0' || wanted.ip === '0.0.0.0'));
      if (isTaken) world.findings.add('host-port', `pod ${pod.key}`, `on node ${book.node.name}, where ${owner} has ${wanted.port}`);
    }
  }
}
