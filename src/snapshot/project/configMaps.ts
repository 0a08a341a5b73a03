import type { Container, Pod } from '../../base/objects.ts';

type ConfigMapRef = { readonly name?: string; readonly optional?: boolean } | null | undefined;

/**
 * Names of the config maps a pod cannot start without, sorted (spec 03 section 7.2): non-optional references of mounted
 * volumes and of the environment, of all containers. Names that start with `sharedGpuPrefix` are made at bind time.
 */
export function requiredConfigMaps(spec: Pod['spec'], sharedGpuPrefix: string | undefined): string[] {
  const containers = [spec.initContainers, spec.containers, spec.ephemeralContainers].flatMap((list) => list ?? []);
  const names = new Set<string>();
  const need = (ref: ConfigMapRef): void => {
    if (ref?.name && ref.optional !== true) names.add(ref.name);
  };
  for (const container of containers) {
    for (const source of container.envFrom ?? []) need(source.configMapRef);
    for (const variable of container.env ?? []) need(variable.valueFrom?.configMapKeyRef);
  }
  if (spec.volumes?.length) {
    const mounted = mountedVolumes(containers);
    for (const volume of spec.volumes) {
      if (!mounted.has(volume.name)) continue;
      need(volume.configMap);
      for (const source of volume.projected?.sources ?? []) need(source.configMap);
    }
  }
  if (names.size === 0) return [];
  return [...names].filter((name) => sharedGpuPrefix === undefined || !name.startsWith(sharedGpuPrefix)).sort();
}

function mountedVolumes(containers: readonly Container[]): Set<string> {
  return new Set(containers.flatMap((c) => (c.volumeMounts ?? []).map((mount) => mount.name)));
}
