import type { ClusterObjects } from '../../base/objects.ts';
import { isRecord } from './checkFields.ts';
import type { Discovery } from './loadedInput.ts';

/**
 * Which optional groups are served (spec 01 sections 3.1, 6.3): by the `discovery` of the document, or, when it has none,
 * both as soon as one of their objects is there. A discovery that could not be made (nulls) counts as "not served".
 */
export function discoveryOf(raw: unknown, objects: ClusterObjects): Discovery {
  if (raw === null || raw === undefined) {
    const { resourceClaims, resourceSlices, deviceClasses, nodeResourceTopologies } = objects;
    const isAny = [resourceClaims, resourceSlices, deviceClasses, nodeResourceTopologies].some((list) => list.length > 0);
    return { isDraServed: isAny, isNodeTopologyServed: isAny, raw: null };
  }
  const groupVersions = groupVersionsOf(raw);
  const isDraVersion = (groupVersion: string): boolean => /^resource\.k8s\.io\/v\d+(beta\d+)?$/.test(groupVersion);
  return {
    isDraServed: minorVersionOf(raw) >= 26 && groupVersions.some(isDraVersion),
    isNodeTopologyServed: groupVersions.some((groupVersion) => groupVersion.startsWith('topology.node.k8s.io/')),
    raw,
  };
}

function groupVersionsOf(raw: unknown): readonly string[] {
  const resources = isRecord(raw) ? raw.resources : null;
  if (!Array.isArray(resources)) return [];
  return resources.flatMap((entry) => (isRecord(entry) && typeof entry.groupVersion === 'string' ? [entry.groupVersion] : []));
}

/** Minor version of a 1.x server ("34", "34+"); −1 unknown; later majors are newer than any minor. */
function minorVersionOf(raw: unknown): number {
  const version = isRecord(raw) ? raw.serverVersion : null;
  if (!isRecord(version)) return -1;
  const major = Number.parseInt(String(version.major), 10);
  const minor = Number.parseInt(String(version.minor), 10);
  if (Number.isNaN(major) || Number.isNaN(minor)) return -1;
  return major > 1 ? Number.POSITIVE_INFINITY : minor;
}
