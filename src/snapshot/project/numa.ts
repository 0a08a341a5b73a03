import type { NumaZoneJson } from '../../base/jsonColumns.ts';
import type { ResourceList } from '../../base/objects.ts';
import type { Report } from './report.ts';
import { readPlain, readResources } from './resources.ts';

/** A NUMA placement record (spec 03 section 11A.6); null, with a problem, when it is not one. An empty list is none. */
export function readNumaZones(value: unknown, field: string, report: Report): readonly NumaZoneJson[] | null {
  if (value === undefined || value === null) return null;
  const zones: NumaZoneJson[] = [];
  for (const entry of Array.isArray(value) ? (value as unknown[]) : [null]) {
    const { zone, amount } = (entry ?? {}) as { readonly zone?: unknown; readonly amount?: unknown };
    if (typeof zone !== 'string' || zone === '' || typeof amount !== 'object' || amount === null || Array.isArray(amount)) {
      report.add(field, 'not a list of {"zone": name, "amount": {resource: quantity}}');
      return null;
    }
    readResources(amount as ResourceList, `${field}[${zone}].amount`, report);
    zones.push({ zone, amount: readPlain(amount as ResourceList) });
  }
  return zones.length === 0 ? null : zones;
}

/** The same from an annotation; absent and empty texts are none. */
export function parseNumaZones(text: string | undefined, field: string, report: Report): readonly NumaZoneJson[] | null {
  if (text === undefined || text === '') return null;
  try {
    return readNumaZones(JSON.parse(text), field, report);
  } catch {
    report.add(field, 'not JSON');
    return null;
  }
}
