import { ObjectKind } from '../../base/codes.ts';
import type { TopologyConstraint } from '../../base/objects.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';

/** A topology constraint of a group or sub-group; levels are node labels, '' = not given. At least one is given. */
export interface GroupConstraint {
  readonly topology: string;
  readonly required: string;
  readonly preferred: string;
}

/** One level of a Topology, widest first. */
export interface TopologyLevel {
  readonly nodeLabel: string;
  /** '' = none. */
  readonly alias: string;
}

/** Topology objects by name. Levels without a node label are left out, a topology without levels has an empty list. */
export function readTopologies(view: SnapshotView): ReadonlyMap<string, readonly TopologyLevel[]> {
  const byName = new Map<string, readonly TopologyLevel[]>();
  const o = view.objects;
  for (let row = 0; row < o.rows; row++) {
    if (o.used[row] !== 1 || o.kindCode[row] !== ObjectKind.topology) continue;
    const text = o.specJson[row]!;
    byName.set(view.texts.get(o.keyText[row]!), text === NO_ROW ? [] : levelsOf(JSON.parse(view.texts.get(text))));
  }
  return byName;
}

function levelsOf(object: unknown): TopologyLevel[] {
  const levels: unknown = (object as { spec?: { levels?: unknown } | null } | null)?.spec?.levels;
  const out: TopologyLevel[] = [];
  if (!Array.isArray(levels)) return out;
  for (const level of levels as readonly ({ nodeLabel?: unknown; alias?: unknown } | null)[]) {
    if (typeof level?.nodeLabel !== 'string' || level.nodeLabel === '') continue;
    out.push({ nodeLabel: level.nodeLabel, alias: typeof level.alias === 'string' ? level.alias : '' });
  }
  return out;
}

/**
 * The node label that a level of a constraint means (spec 06 section 1.3): an alias before a label, of equal aliases the
 * narrowest level; any other string stays as it is.
 */
export function resolveLevel(levels: readonly TopologyLevel[], level: string): string {
  if (level === '') return '';
  for (let k = levels.length - 1; k >= 0; k--) if (levels[k]!.alias === level) return levels[k]!.nodeLabel;
  return level;
}

/** A constraint with its aliases resolved; null when it names no topology or no level (deviation of spec 06 section 12 row 4). */
export function resolveConstraint(
  topologies: ReadonlyMap<string, readonly TopologyLevel[]>,
  constraint: TopologyConstraint | null | undefined,
): GroupConstraint | null {
  const topology = constraint?.topology ?? '';
  if (topology === '') return null;
  const levels = topologies.get(topology) ?? [];
  const required = resolveLevel(levels, constraint?.requiredTopologyLevel ?? '');
  const preferred = resolveLevel(levels, constraint?.preferredTopologyLevel ?? '');
  return required === '' && preferred === '' ? null : { topology, required, preferred };
}
