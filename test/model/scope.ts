// What the twin does not model, so that a comparison can pass such clusters over by name.
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { ClusterObjects, PodGroup } from '../../src/base/objects.ts';

function hasTopology({ spec }: PodGroup): boolean {
  const constraints = [spec?.topologyConstraint, ...(spec?.subGroups ?? []).map((s) => s.topologyConstraint)];
  return constraints.some((c) => (c?.topology ?? '') !== '');
}

/** Why the twin cannot decide this cluster, or null. */
export function outOfScope(objects: ClusterObjects, config: SchedulerConfig): string | null {
  const names = new Set(config.plugins.map((plugin) => plugin.name));
  if (!names.has('predicates') || !names.has('proportion')) return 'plugin predicates or proportion is off';
  if (names.has('numa')) return 'NUMA';
  if (config.usageDBConfig !== null) return 'historical usage';
  if (config.params.scheduleCsiStorage) return 'CSI storage';
  if (objects.podGroups.some(hasTopology)) return 'topology constraints';
  const hasDra = objects.resourceClaims.length + objects.resourceSlices.length + objects.deviceClasses.length > 0;
  if (hasDra || objects.pods.some((pod) => (pod.spec.resourceClaims ?? []).length > 0)) return 'DRA';
  const volumes = objects.pods.flatMap((pod) => pod.spec.volumes ?? []);
  if (volumes.some((v) => (v.persistentVolumeClaim ?? v.ephemeral ?? null) !== null)) return 'volumes';
  return null;
}
